"""`tilepipe hub` against the server of another project: pygeoapi, with its own process and one that takes its time."""

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from hub.interop.installed import Release, python_of
from hub.routes.serving import PLAIN
from tilepipe.cli.main import main

# The first time on a machine it is installed.
pytestmark = [pytest.mark.pygeoapi, pytest.mark.slow, pytest.mark.timeout(600)]

RELEASE = Release(
    name="pygeoapi 0.21.0",
    python=(3, 11),
    # What its processes import; all that it asks for is twice as much.
    packages=(
        *("Flask==3.1.3", "tinydb==4.9.0", "filelock==4.2.11", "jsonschema==4.26.0", "pydantic==2.14.3"),
        *("PyYAML==6.0.3", "babel==2.18.0", "pygeofilter==0.4.0", "pygeoif==1.6.0", "pyproj==3.7.2"),
        *("python-dateutil==4.0.0", "pytz==2026.6", "requests==2.34.2", "shapely==2.2.0"),
    ),
    alone=("pygeoapi==0.21.0",),
)
SLOW = """
import time

from pygeoapi.process.base import BaseProcessor, ProcessorExecuteError

ABOUT = {
    "id": "slow",
    "version": "1.0.0",
    "title": {"en": "Slow"},
    "description": {"en": "Takes its time."},
    "keywords": {"en": ["slow"]},
    "jobControlOptions": ["async-execute", "sync-execute"],
    "inputs": {
        "seconds": {"title": "Seconds", "schema": {"type": "number"}, "minOccurs": 1, "maxOccurs": 1},
        "fail": {"title": "Fail", "schema": {"type": "boolean"}, "minOccurs": 0, "maxOccurs": 1},
    },
    "links": [],
    "example": {"inputs": {"seconds": 1}},
    "outputs": {"waited": {"title": "Waited", "schema": {"type": "object"}}},
}


class Slow(BaseProcessor):
    def __init__(self, processor_def):
        super().__init__(processor_def, ABOUT)

    def execute(self, data, outputs=None):
        time.sleep(data["seconds"])
        if data.get("fail"):
            raise ProcessorExecuteError("failed as asked")
        return "application/json", {"waited": data["seconds"]}
"""
START_S = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Address of pygeoapi, with both processes, as its own documentation starts it to be tried."""
    python, folder = python_of(RELEASE), tmp_path_factory.mktemp("pygeoapi")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    (folder / "slow.py").write_text(SLOW)
    (folder / "config.json").write_text(json.dumps(_config(url, folder)))
    environment = {name: value for name, value in os.environ.items() if "PYTHON" not in name and "GDAL" not in name}
    environment |= {
        "PYGEOAPI_CONFIG": str(folder / "config.json"),
        "PYGEOAPI_OPENAPI": str(folder / "openapi.yml"),
        "PYTHONPATH": str(folder),
    }
    program = python.with_name("pygeoapi")
    generate = [program, "openapi", "generate", folder / "config.json", "--output-file", folder / "openapi.yml"]
    subprocess.run(generate, check=True, capture_output=True, env=environment, timeout=60)
    serve = [python, "-m", "flask", "--app", "pygeoapi.flask_app:APP", "run", "--host", "127.0.0.1", "--port", port]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen([*map(str, serve)], stdout=log, stderr=log, env=environment, cwd=folder)
    try:
        _await(url, process, folder / "log")
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _config(url, folder):
    words, nobody = {"en": "For tests"}, {"name": "Nobody", "url": url}
    about = {"title": words, "description": words, "keywords": {"en": ["x"]}, "keywords_type": "theme", "url": url}
    (folder / "outputs").mkdir()
    return {
        "server": {
            "bind": {"host": "127.0.0.1", "port": int(url.rpartition(":")[2])},
            "url": url,
            "mimetype": "application/json; charset=UTF-8",
            "encoding": "utf-8",
            "languages": ["en-US"],
            "limits": {"default_items": 3, "max_items": 3},
            "map": {"url": url, "attribution": "none"},
            "manager": {"name": "TinyDB", "connection": f"{folder}/jobs.db", "output_dir": f"{folder}/outputs"},
        },
        "logging": {"level": "ERROR"},
        "metadata": {
            "identification": {**about, "terms_of_service": url},
            **dict.fromkeys(("license", "provider", "contact"), nobody),
        },
        "resources": {
            "hello-world": {"type": "process", "processor": {"name": "HelloWorld"}},
            "slow": {"type": "process", "processor": {"name": "slow.Slow"}},
        },
    }


def _await(url, process, log):
    ends = time.monotonic() + START_S
    while True:
        try:
            if httpx.get(f"{url}/processes", verify=PLAIN, timeout=10).is_success:
                return
        except httpx.HTTPError:
            pass
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < ends, log.read_text()[-3000:]
        time.sleep(0.1)


@pytest.fixture
def hub(server, capsys, monkeypatch):
    """A command; its exit code, and what it said on both channels."""
    monkeypatch.setenv("TILEPIPE_HUB_URL", server)
    monkeypatch.delenv("TILEPIPE_HUB_TOKEN", raising=False)

    def run(*arguments):
        code = 0
        try:
            main(["hub", *map(str, arguments)])
        except SystemExit as end:
            code = end.code or 0
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def submitted(hub):
    """Sends a job; its id."""

    def submit(*arguments):
        code, out, err = hub("submit", *arguments)
        assert code == 0, err
        return out.strip()

    return submit


def test_the_processes_are_listed(hub):
    code, out, _ = hub("processes")

    assert code == 0
    assert {line.split()[0] for line in out.splitlines()} == {"hello-world", "slow"}


def test_a_process_is_described(hub):
    code, out, _ = hub("processes", "hello-world")

    assert code == 0
    assert ["name", "string", "required"] in [line.split()[:3] for line in out.splitlines()]
    assert "echo" in out.partition("\noutputs\n")[2]


def test_a_job_is_sent_watched_and_brings_its_results(hub, submitted, tmp_path):
    job = submitted("hello-world", "-i", "name=Ann", "-i", "message=Good day")

    code, out, _ = hub("watch", job, "--timeout", 30)

    assert code == 0
    assert out.splitlines()[-1].split()[:4] == [job, "successful", "100", "%"]
    assert hub("results", job)[:2] == (0, "echo  Hello Ann! Good day\n")
    code, out, _ = hub("results", job, "--folder", tmp_path / "out")
    assert code == 0
    assert [Path(path).read_text() for path in out.split()] == ["Hello Ann! Good day"]


def test_a_job_is_waited_for(hub):
    code, out, _ = hub("submit", "slow", "-i", "seconds=1.2", "--wait")

    assert code == 0
    states = [line.split()[1] for line in out.splitlines()]
    assert states[-1] == "successful"
    assert {"accepted", "running"} & set(states)


def test_results_may_come_at_once(hub):
    assert hub("submit", "hello-world", "-i", "name=Bob", "--sync")[:2] == (0, "echo  Hello Bob!\n")


def test_a_job_that_fails_says_so(hub):
    code, out, _ = hub("submit", "slow", "-i", "seconds=0", "-i", "fail=true", "--wait")

    assert code == 1
    assert out.splitlines()[-1].split()[1] == "failed"


def test_a_status_is_shown(hub, submitted):
    job = submitted("hello-world", "-i", "name=Cem")
    hub("watch", job)

    document = json.loads(hub("status", job, "--json")[1])

    assert (document["jobID"], document["processID"], document["status"]) == (job, "hello-world", "successful")


def test_the_list_goes_on_over_its_pages(hub, submitted):
    """Three jobs make a page there."""
    made = {submitted("hello-world", "-i", f"name={number}") for number in range(5)}
    for job in made:
        hub("watch", job)

    listed = json.loads(hub("list", "--limit", 100, "--json")[1])

    assert made <= {job["jobID"] for job in listed}
    assert len(listed) == len({job["jobID"] for job in listed})
    assert len(json.loads(hub("list", "--limit", 4, "--json")[1])) == 4


def test_a_job_that_runs_is_cancelled(hub, submitted):
    job = submitted("slow", "-i", "seconds=5")

    code, out, _ = hub("cancel", job)

    assert code == 0
    assert out.split()[:2] == [job, "dismissed"]
    code, _, err = hub("status", job)
    assert code == 2
    assert job in err


def test_what_has_ended_stays_unless_it_is_to_be_removed(hub, submitted):
    job = submitted("hello-world", "-i", "name=Dora")
    hub("watch", job)

    assert hub("cancel", job)[1].split()[1] == "successful"
    assert hub("status", job)[0] == 0
    assert hub("cancel", job, "--remove")[1].split()[1] == "dismissed"
    assert hub("status", job)[0] == 2


def test_what_is_not_there_is_told(hub):
    code, _, err = hub("submit", "nothing", "-i", "x=1")

    assert code == 2
    assert "404" in err
    code, _, err = hub("results", "nothing")
    assert code == 2
    assert "404" in err


def test_what_only_we_have_is_told(hub, submitted):
    job = submitted("hello-world", "-i", "name=Eve")
    hub("watch", job)

    code, _, err = hub("logs", job)

    assert code == 2
    assert "offers no log; a tilepipe hub does" in err
