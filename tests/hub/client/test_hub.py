"""The client and a hub, with a worker, over the wire."""

import base64
import hashlib
import json
import os
import secrets
import socket
import subprocess
import sys
from dataclasses import dataclass

import httpx
import pytest

from tilepipe_hub.client import JobStatus, NotAllowed, NotReady, NotThere, Refused, open_client

pytestmark = pytest.mark.slow

CODE = '"""Twice."""\nfrom tilepipe import TileInput\ndef execute(dem: TileInput, factor: int = {factor}):\n    ...\n'


@dataclass
class Running:
    """A hub, and who may use it."""

    url: str
    tokens: dict

    def client(self, role):
        return open_client(self.url, token=self.tokens[role], retries=7, http=httpx.Client(trust_env=False, timeout=30))


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    (folder / "processes").mkdir()
    tokens = {role: secrets.token_urlsafe(32) for role in ("view", "run", "deploy")}
    settings = {
        "store": {"url": f"sqlite:///{folder}/jobs.db"},
        "folders": {name: f"{folder}/{name}" for name in ("outputs", "uploads", "processes")},
        "auth": {
            "tokens": [
                {"sha256": hashlib.sha256(token.encode()).hexdigest(), "owner": role, "role": role}
                for role, token in tokens.items()
            ]
        },
        "worker": {"poll_s": 0.05, "drain_s": 1},
        "deploy": True,
    }
    (folder / "hub.yaml").write_text(json.dumps(settings))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "tilepipe_hub", "serve", "--config", folder / "hub.yaml", "--port", port]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TILEPIPE_HUB_")}
    with open(folder / "log", "wb") as log:
        hub = subprocess.Popen(command, env=environ, stderr=log)
    yield Running(f"http://127.0.0.1:{port}", tokens)
    hub.terminate()
    hub.wait()


@pytest.fixture
def hub(running):
    with running.client("run") as client:
        yield client


@pytest.fixture
def job(hub):
    """A job that has succeeded."""
    return hub.wait(hub.submit("echo", {"text": "a", "number": 7, "object": {"value": {"b": 1}}}), timeout_s=60)


def test_every_process_can_be_described(hub):
    found = {process.id for process in hub.processes(page=2)}

    assert {"echo", "recipe", "hillshade"} <= found
    assert all(hub.process(process_id).inputs for process_id in found)


def test_what_is_sent_comes_back(hub, job, tmp_path):
    assert job.status == "successful"
    assert job.progress == 100
    values = hub.results(job)
    assert values["text"].data == "a"
    assert values["number"].data == 7
    paths = hub.save(values, str(tmp_path))
    assert (tmp_path / "text.txt").read_text() == "a"
    assert paths.keys() == values.keys()


def test_results_come_at_once_where_they_can(hub):
    values = hub.submit("echo", {"text": "a"}, outputs={"text": {}}, prefer=None)

    assert values["text"].data == "a"


@pytest.mark.parametrize("outputs", [["text"], ["text", "number"]])
def test_raw_results_are_understood(hub, outputs):
    sent = {"text": "a", "number": 7}
    job = hub.submit("echo", sent, outputs={name: {} for name in outputs}, response="raw")

    hub.wait(job, timeout_s=60)

    values = list(hub.results(job, raw=True).values())
    assert len(values) == len(outputs)
    assert values[0].data in {"a", b"a"}


def test_bytes_come_back_as_they_were(hub, image):
    sent = {"value": base64.b64encode(image).decode(), "encoding": "base64", "mediaType": "image/tiff"}
    values = hub.submit("echo", {"text": "a", "image": sent}, prefer=None)

    assert values["image"].data == image
    assert values["image"].media_type == "image/tiff"


def test_a_job_is_followed_by_events(hub):
    seen = [now.status for now in hub.watch(hub.submit("echo", {"text": "a", "pause": 1}), timeout_s=60)]

    assert seen[-1] == "successful"
    assert "running" in seen


def test_the_same_key_is_the_same_job(hub):
    key = secrets.token_hex()
    first, second = (hub.submit("echo", {"text": "a"}, idempotency_key=key) for _ in range(2))

    assert first.id == second.id


def test_jobs_are_listed_through_pages(hub, job):
    for _ in range(3):
        hub.submit("echo", {"text": "a"})

    found = [item.id for item in hub.jobs(page=2)]

    assert job.id in found
    assert len(found) == len(set(found)) >= 4
    assert {item.status for item in hub.jobs(status=["successful"])} == {"successful"}


def test_a_running_job_is_stopped(hub):
    job = hub.submit("echo", {"text": "a", "pause": 60})
    with pytest.raises(NotReady, match="wait for the job first"):
        hub.results(job)

    assert hub.dismiss(job).status == "dismissed"
    assert hub.job(job).status == "dismissed"
    hub.dismiss(job)
    with pytest.raises(NotThere, match="404"):
        hub.job(job)


def test_a_failed_job_says_why_and_is_tried_again(hub):
    job = hub.wait(hub.submit("echo", {"text": "a", "fail": True}), timeout_s=60)

    assert job.status == "failed"
    with pytest.raises(Refused, match="failed as asked"):
        hub.results(job)
    assert isinstance(list(hub.logs(job)), list)
    again = hub.retry(job)
    assert again.id == hub.retry(job).id != job.id
    assert hub.wait(again, timeout_s=60).status == "failed"


def test_what_is_wrong_is_named(hub):
    with pytest.raises(Refused, match="number") as caught:
        hub.submit("echo", {"text": "a", "number": "many"})
    assert caught.value.status == 400


def test_jobs_of_others_are_not_there(running, job):
    with running.client("deploy") as other, pytest.raises(NotThere, match="404"):
        other.job(job.id)


def test_who_only_looks_may_not_submit(running):
    with running.client("view") as client, pytest.raises(NotAllowed, match="TILEPIPE_HUB_TOKEN"):
        client.submit("echo", {"text": "a"})


def test_a_process_is_deployed_replaced_and_removed(running):
    def package(factor):
        unit = {"type": "python", "mediaType": "text/x-python", "value": CODE.format(factor=factor)}
        return {"processDescription": {"process": {"id": "twice"}}, "executionUnit": unit}

    with running.client("deploy") as client:
        assert client.deploy(package(2)).id == "twice"
        assert client.process("twice").inputs["factor"]["schema"]["default"] == 2
        client.replace("twice", package(3))
        assert client.process("twice").inputs["factor"]["schema"]["default"] == 3
        client.undeploy("twice")
        with pytest.raises(NotThere, match="404"):
            client.process("twice")


def test_who_runs_jobs_may_not_deploy(hub):
    with pytest.raises(NotAllowed, match="403"):
        hub.deploy({"executionUnit": {"value": "x"}})


def test_a_job_is_what_the_types_say(job):
    assert isinstance(job, JobStatus)
    assert job.created < job.started < job.finished
