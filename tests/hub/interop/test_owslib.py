"""OWSLib's client of OGC API - Processes, from the list to a dismissal.

It has words for the list, the description and the execution; the rest goes by links through its own requests.
"""

import time

import pytest
from owslib.ogcapi.processes import Processes
from owslib.util import http_delete, http_get

from hub.interop.conftest import TOKEN


@pytest.fixture(autouse=True)
def own_headers(monkeypatch):
    """Its clients share one dictionary of headers, where each would find the token of the one before."""
    monkeypatch.setattr("owslib.ogcapi.REQUEST_HEADERS", {})


@pytest.fixture
def client(hub):
    return Processes(f"{hub.url}/", headers={"Accept": "application/json"})


def job_of(client, answer):
    """Address of a job as its answer says it, which must be that of the header."""
    (monitor,) = [link["href"] for link in answer["links"] if link["rel"] == "monitor"]
    assert monitor == client.response_headers["Location"]
    return monitor


def ended(job):
    ends = time.monotonic() + 30
    while (info := http_get(job).json())["status"] in {"accepted", "running"}:
        assert time.monotonic() < ends, info
        time.sleep(0.05)
    return info


def test_owslib_finds_definition_and_classes(client):
    assert client.api()["openapi"].startswith("3.0")
    assert any(name.endswith("/conf/core") for name in client.conformance()["conformsTo"])


def test_owslib_lists_and_describes_processes(client):
    listed = {process["id"]: process for process in client.processes()}

    description = client.process("convert")

    assert {"convert", "hillshade", "echo"} <= listed.keys()
    assert description["version"] == listed["convert"]["version"]
    assert {"raster", "zooms", "output"} <= description["inputs"].keys()
    assert {"item", "vrt", "report"} <= description["outputs"].keys()


def test_owslib_runs_a_job_to_its_results(client, inputs):
    answer = client.execute("convert", inputs, async_=True)

    job = job_of(client, answer)
    info = ended(job)
    (results,) = [link["href"] for link in info["links"] if link["rel"].endswith("/results")]
    assert (info["status"], info["progress"]) == ("successful", 100)
    assert http_get(results).json()["report"]["value"]["complete"] is True


def test_owslib_has_results_at_once(client):
    answer = client.execute("echo", {"text": "anything", "number": 4.5})

    assert answer["text"] == "anything"
    assert answer["number"] == 4.5


def test_owslib_chooses_outputs(client, inputs):
    answer = client.execute("convert", inputs, outputs={"vrt": {"transmissionMode": "reference"}})

    assert answer.keys() == {"vrt"}
    assert http_get(answer["vrt"]["href"]).content.startswith(b"<VRTDataset")


def test_owslib_dismisses_a_job(client):
    job = job_of(client, client.execute("echo", {"text": "x", "pause": 20}, async_=True))

    answer = http_delete(job)

    assert answer.json()["status"] == "dismissed"
    assert http_get(job).json()["status"] == "dismissed"


def test_owslib_learns_why_a_request_is_refused(client):
    with pytest.raises(RuntimeError, match="no-such-process"):
        client.process("nothing")
    with pytest.raises(RuntimeError, match="number"):
        client.execute("echo", {"number": "many"})


def test_owslib_sends_a_token(town):
    client = Processes(f"{town.url}/", headers={"Accept": "application/json", "Authorization": f"Bearer {TOKEN}"})

    answer = client.execute("echo", {"text": "mine", "pause": 0}, async_=True)

    assert town.client.get(job_of(client, answer)).status_code == 401
    assert town.ended(job_of(client, answer), town.as_(TOKEN))["status"] == "successful"
