"""A hub as operators run it, with secrets wherever there may be one, and all that can be heard of it."""

import base64
import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field

import httpx
import pytest
import yaml

from hub.routes.serving import LOOPBACK, PLAIN, hash_of, listening, write_dem

SIGN, RECEIVER, ENVIRONMENT = "hunter-signs", "hunter-hears", "hunter-environment"
"""In the links of a request, in those of its receivers, and what a name in it stands for."""

SECRETS = (SIGN, RECEIVER, ENVIRONMENT, *(f"hunter-{name}" for name in ("callbacks", "oidc", "wrong", "ann", "root")))
PEOPLE = {"ann": "run", "bob": "run", "dora": "deploy", "root": "admin"}

LEAKY = '''"""Tells all that it knows."""

import os
import sys

from tilepipe import TileInput


def execute(dem: TileInput, link: str = ""):
    """Args:
        link: to be told.
    """
    print(os.environ["DATA_TOKEN"], link)
    sys.stderr.write(os.environ["DATA_TOKEN"] + link)
    raise ValueError(f"cannot read {link} with {os.environ['DATA_TOKEN']}")
'''
PACKAGE = {"processDescription": {"id": "leaky"}, "executionUnit": {"type": "python", "value": LEAKY}}
FILES = ("report.json", "stac.json", "stac.vrt")
OUTPUT = {"value": {"dtype": "uint8", "nodata": 0}}

pytestmark = pytest.mark.slow


@dataclass
class Heard:
    """What came of it all: text, by where it was heard."""

    answers: list = field(default_factory=list)
    """Who asked, the operation, and the answer."""
    log: str = ""
    spans: list = field(default_factory=list)
    calls: list = field(default_factory=list)
    read: list = field(default_factory=list)
    """Paths under which data were asked for."""
    operations: frozenset = frozenset()
    """All that the definition names."""


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    folder = tmp_path_factory.mktemp("secrets")
    with listening() as host, listening() as collector:
        with open(write_dem(folder / "dem.tif"), "rb") as file:
            image = file.read()
        for name in ("signed", "named"):
            query = f"sig={SIGN}" if name == "signed" else f"key={ENVIRONMENT}"
            host.files[f"/{name}.tif?{query}"] = (200, {}, image)
        with _running(folder, _settings(folder, host, collector)) as (url, log):
            walk = _Walk(url, host.url)
            walk.all()
            walk.strangers()
        text = log.read_text()
        return Heard(
            answers=walk.answers,
            log=text,
            spans=[body for _, _, body in collector.calls],
            calls=[body for path, _, body in host.calls if RECEIVER in path],
            read=[path for path, _, _ in host.calls],
            operations=frozenset(walk.operations),
        )


def _settings(folder, host, collector):
    """Of a hub that tells all it can."""
    tokens = [{"sha256": hash_of(f"hunter-{name}"), "owner": name, "role": role} for name, role in PEOPLE.items()]
    oidc = {"issuer": "https://id.example", "audience": "hub", "jwks_url": f"{host.url}/keys?secret=hunter-oidc"}
    return {
        "store": {"url": f"{folder}/jobs.db"},
        "server": {"port": 0},
        "folders": {name: f"{folder}/{name}" for name in ("outputs", "uploads", "processes")},
        "fence": {**LOOPBACK, "input_roots": [str(folder)]},
        "secrets": ["DATA_TOKEN"],
        "callbacks": {"secret": "hunter-callbacks", "every_s": 0.01, "attempts": 1},
        "auth": {"tokens": tokens, "oidc": oidc, "failures": 1000},
        "worker": {"executor": "sequential"},
        "deploy": True,
        "log": {"level": "debug"},
        "otlp_endpoint": collector.url,
    }


@contextlib.contextmanager
def _running(folder, settings):
    """Address and log of a hub and its worker, in processes of their own."""
    (folder / "processes").mkdir()
    (folder / "hub.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "tilepipe_hub", "serve", "--config", str(folder / "hub.yaml")]
    environment = {**os.environ, "DATA_TOKEN": ENVIRONMENT, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    log = folder / "log"
    with open(log, "wb") as to:
        hub = subprocess.Popen(command, stdout=to, stderr=to, env=environment)
    try:
        ends = time.monotonic() + 60
        while "the service is at http" not in (text := log.read_text()):
            assert time.monotonic() < ends, text
            time.sleep(0.05)
        yield text.partition("the service is at ")[2].split()[0], log
    finally:
        hub.terminate()
        hub.wait(60)


class _Walk:
    """Asks for everything that the definition lists, for jobs of every end, as everybody."""

    def __init__(self, url, host):
        self.url, self.host, self.answers, self.operations = url, host, [], set()
        self.jobs, self.clients = {}, {}
        for name in PEOPLE:
            headers = {"Authorization": f"Bearer hunter-{name}"}
            self.clients[name] = httpx.Client(base_url=url, headers=headers, verify=PLAIN, timeout=60)

    def all(self):
        self.ask("dora", "deploy", "POST", "/processes", json=PACKAGE)
        self.ask("dora", "replace", "PUT", "/processes/leaky", json=PACKAGE)
        self.execute_all()
        for path, operations in self.clients["ann"].get("/api").json()["paths"].items():
            self.operations |= {operation["operationId"] for operation in operations.values()}
            if "get" in operations:
                self.read(path, operations["get"]["operationId"])
        again = self.ask("ann", "retry", "POST", f"{self.jobs['failed']}/retry").headers["location"]
        self.ended(again)
        self.ask("root", "retry", "POST", f"{self.jobs['dismissed']}/retry")
        for job in (*self.jobs.values(), again):
            self.ask("root", "dismiss", "DELETE", job)
        self.ask("dora", "undeploy", "DELETE", "/processes/leaky")

    def execute_all(self):
        link = {"href": f"{self.host}/signed.tif?sig={SIGN}"}
        wrong = {"href": f"{self.host}/missing.tif?sig={SIGN}"}
        named = {"href": f"{self.host}/named.tif?key=${{DATA_TOKEN}}"}
        recipe = {
            "process": "hillshade",
            "inputs": {"dem": wrong["href"]},
            "pyramid": {"grid": {"like": "dem"}},
            "output": OUTPUT["value"],
        }
        self.execute("successful", "hillshade", {"dem": link, "output": OUTPUT})
        self.execute("named", "hillshade", {"dem": named, "output": OUTPUT})
        self.execute("failed", "hillshade", {"dem": wrong, "output": OUTPUT})
        self.execute("recipe", "recipe", {"recipe": {"value": recipe}})
        self.execute("leaky", "leaky", {"dem": link, "output": OUTPUT, "link": f"https://h/x?sig={SIGN}"})
        self.execute("dismissed", "echo", {"text": "x", "pause": 50})
        self.ask("ann", "dismiss", "DELETE", self.jobs["dismissed"])
        # At once, as no job; and what is refused.
        self.ask("ann", "execute", "POST", "/processes/hillshade/execution", json={"inputs": {"dem": wrong, "no": 1}})
        far = {"inputs": {"text": {"href": f"https://elsewhere.example/x?sig={SIGN}"}}}
        self.ask("ann", "execute", "POST", "/processes/echo/execution", json=far)
        near = {"inputs": {"text": {"href": f"{self.host}/text?sig={SIGN}"}}}
        self.ask("ann", "execute", "POST", "/processes/echo/execution", json=near)

    def execute(self, name, process, inputs):
        receiver = f"{self.host}/hear?token={RECEIVER}"
        body = {"inputs": inputs, "subscriber": dict.fromkeys(("successUri", "inProgressUri", "failedUri"), receiver)}
        headers = {"Prefer": "respond-async"}
        answer = self.ask("ann", "execute", "POST", f"/processes/{process}/execution", json=body, headers=headers)
        self.jobs[name] = answer.headers["location"].removeprefix(self.url)
        if name != "dismissed":
            status = self.ended(self.jobs[name])
            assert status["status"] == ("successful" if name in {"successful", "named"} else "failed"), status

    def ended(self, job):
        with self.clients["ann"].stream("GET", f"{job}/events") as answer:
            return json.loads([line for line in answer.iter_lines() if line.startswith("data")][-1][6:])

    def read(self, path, operation):
        """All that a path may mean, in both forms."""
        for filled in self.filled(path):
            for name in ("ann", "root", "bob"):
                for form in ({}, {"f": "html"}):
                    self.ask(name, operation, "GET", filled, params=form)

    def filled(self, path):
        if "{processID}" in path:
            return [path.replace("{processID}", name) for name in ("hillshade", "recipe", "echo", "leaky")]
        if "{jobId}" not in path:
            return [path]
        found = [path.replace("/jobs/{jobId}", job) for job in self.jobs.values()]
        for part, names in (("{outputID}", ("report", "item", "vrt")), ("{path}", FILES)):
            if part in path:
                found = [one.replace(part, name) for one in found for name in names]
        return found

    def ask(self, name, operation, method, path, **given):
        answer = self.clients[name].request(method, path, **given)
        self.answers.append((name, operation, answer))
        return answer

    def strangers(self):
        # Whose first part names a key, so that keys are looked for.
        head = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":"x"}').decode().rstrip("=")
        for said in (
            f"Bearer {head}.hunter-wrong.aaaa",
            "Bearer hunter-wrong",
            "Basic aHVudGVyLXdyb25nOmh1bnRlci13cm9uZw==",
        ):
            for path in ("/", "/jobs", f"/jobs?token=hunter-wrong&datetime={SIGN}", "/metrics", "/processes/echo"):
                with httpx.Client(base_url=self.url, headers={"Authorization": said}, verify=PLAIN) as client:
                    self.answers.append(("stranger", "wrong", client.get(path)))
        for client in self.clients.values():
            client.close()


def holding(text, secrets=SECRETS):
    """The secrets in a text, and some of the words around them."""
    text = text.decode("latin-1") if isinstance(text, bytes) else text
    return [text[max(0, text.find(secret) - 100) : text.find(secret) + 50] for secret in secrets if secret in text]


def test_every_operation_was_asked_for_and_answered(heard):
    """Without this the other tests say nothing."""
    done = {operation for _, operation, answer in heard.answers if answer.is_success}

    assert done - {"wrong"} == heard.operations
    assert [
        answer for _, _, answer in heard.answers if answer.status_code >= 500 and "results" not in str(answer.url)
    ] == []
    assert any(f"sig={SIGN}" in path for path in heard.read)
    assert any(f"key={ENVIRONMENT}" in path for path in heard.read)
    assert any("hunter-oidc" in path for path in heard.read)


def test_no_answer_tells_a_secret(heard):
    """But for the request that its owner sent, as they sent it."""
    asked = [
        (name, str(answer.request.url), holding(f"{answer.headers}{answer.text}"))
        for name, operation, answer in heard.answers
        if (name, operation) != ("ann", "definition")
        # What a query of theirs says stands in the links of the answer.
        and "hunter" not in answer.request.url.query.decode()
    ]

    assert [item for item in asked if item[2]] == []


def test_an_owner_sees_what_they_sent_and_nobody_else_does(heard):
    def told(name):
        return [answer for who, operation, answer in heard.answers if (who, operation) == (name, "definition")]

    assert sum(f"sig={SIGN}" in answer.text for answer in told("ann")) == 8
    assert all(RECEIVER in answer.text for answer in told("ann"))
    assert all("?sig=..." in answer.text or "sig" not in answer.text for answer in told("root"))
    assert sum("key=${DATA_TOKEN}" in answer.text for answer in told("root")) == 2
    assert {answer.status_code for answer in told("bob")} == {404}


def test_no_log_of_server_and_worker_tells_a_secret(heard):
    assert "tilepipe_hub.worker" in heard.log
    assert [line for line in heard.log.splitlines() if holding(line)] == []


def test_no_span_tells_a_secret(heard):
    assert any(b"submit" in span for span in heard.spans)
    assert any(b"run" in span for span in heard.spans)
    assert [found for span in heard.spans if (found := holding(span))] == []


def test_no_callback_tells_a_secret(heard):
    ends = [json.loads(call) for call in heard.calls]
    assert any(end.get("detail") for end in ends)
    assert [found for call in heard.calls if (found := holding(call))] == []


def test_words_of_a_job_keep_the_names_of_a_query(heard):
    """So that its owner still knows which address it was."""
    failed = [answer.text for who, operation, answer in heard.answers if (who, operation) == ("ann", "log")]

    assert any("https://h/x?sig=... with ${DATA_TOKEN}" in text for text in failed)


def test_a_store_that_is_away_is_told_without_its_password(tmp_path):
    settings = {
        "store": {"url": "mongodb://ann:hunter-store@127.0.0.1:1/hub", "patience_s": 0.2},
        "log": {"level": "debug"},
    }
    (tmp_path / "hub.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "tilepipe_hub", "serve", "--no-worker", "--config", str(tmp_path / "hub.yaml")]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)

    assert "mongodb://127.0.0.1:1/hub: the store of jobs has not answered" in ended.stderr
    assert "hunter" not in ended.stdout + ended.stderr
