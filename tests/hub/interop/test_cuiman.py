"""cuiman's client of OGC API - Processes, the client of the eozilla project, from the landing page to a dismissal.

Its answers are typed: a document that does not fit its models is an error there.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from hub.interop.conftest import TOKEN
from hub.interop.installed import Release, python_of

# The first time on a machine, each release is installed.
pytestmark = [pytest.mark.cuiman, pytest.mark.slow, pytest.mark.timeout(600)]

CALLS = Path(__file__).with_name("cuiman_calls.py")
PROCESSES = ("convert", "hillshade", "slope", "recipe", "echo")
RELEASES = (
    Release(
        name="cuiman 0.1.2",
        python=(3, 11),
        # What its client imports. All that it asks for, half a gigabyte for its pages, needs Python 3.12.
        packages=(
            *("httpx==0.28.1", "pydantic==2.14.3", "pydantic-settings==2.16.3", "PyYAML==6.0.3"),
            "uri-template==1.3.0",
        ),
        alone=("cuiman==0.1.2", "gavicore==0.1.2"),
    ),
    Release(name="cuiman 0.3.1", python=(3, 12), packages=("cuiman==0.3.1", "gavicore==0.3.0")),
)


@pytest.fixture(scope="module", params=RELEASES, ids=str)
def python(request):
    return python_of(request.param)


@pytest.fixture
def call(python, hub, tmp_path):
    """What a call of the client gives, in a home without its settings and keys."""

    def called(name, *, url=None, token=None, **arguments):
        keys = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
        done = subprocess.run(
            [python, "-I", CALLS, json.dumps([name, url or hub.url, token, arguments])],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **keys},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout)

    return called


def test_cuiman_finds_what_there_is(call):
    found = call("service")

    capabilities, conformance, processes = found["capabilities"], found["conformance"], found["processes"]
    assert (capabilities["model"], conformance["model"]) == ("Capabilities", "ConformanceDeclaration")
    assert {"service-desc", "self"} <= {link["rel"] for link in capabilities["links"]}
    assert any(name.endswith("/conf/core") for name in conformance["conformsTo"])
    assert processes["model"] == "ProcessList"
    assert set(PROCESSES) <= {process["id"] for process in processes["processes"]}


def test_cuiman_reads_every_description(call, hub):
    documents = [hub.client.get(f"/processes/{name}").json() for name in PROCESSES]

    descriptions = call("described", processes=PROCESSES)

    for description, document in zip(descriptions, documents, strict=True):
        assert description["model"] == "ProcessDescription"
        assert description["jobControlOptions"] == document["jobControlOptions"]
        assert description["inputs"].keys() == document["inputs"].keys()
        assert description["outputs"].keys() == document["outputs"].keys()


def test_cuiman_runs_a_job_to_its_results(call, inputs):
    found = call("executed", process="convert", inputs=inputs)

    first, last = found["seen"][0], found["seen"][-1]
    assert {(info["model"], info["jobID"], info["processID"]) for info in found["seen"]} == {
        ("JobInfo", first["jobID"], "convert")
    }
    assert first["status"] in {"accepted", "running"}
    assert (last["status"], last["progress"]) == ("successful", 100)
    assert first["created"] <= last["started"] <= last["finished"]
    assert found["results"]["model"] == "JobResults"
    assert found["results"]["values"]["report"]["value"]["complete"] is True


def test_cuiman_lists_the_job(call):
    found = call("executed", process="echo", inputs={"text": "listed"})

    listed = {job["jobID"]: job["status"] for job in found["jobs"]["jobs"]}
    assert found["jobs"]["model"] == "JobList"
    assert listed[found["seen"][0]["jobID"]] == "successful"


def test_cuiman_offers_the_defaults(call):
    assert call("offered", process="echo").items() >= {"choice": "medium", "pause": 0, "fail": False}.items()
    assert call("offered", process="convert")["pyramid"]["grid"] == {"like": "raster"}


def test_cuiman_may_leave_its_own_request_as_it_is_but_for_the_data(call, inputs):
    """Which has null for what it knows no default of."""
    assert call("offered", process="hillshade")["area"] is None

    info = call("filled", process="hillshade", inputs={"dem": inputs["raster"]})

    assert info["status"] == "successful", info


def test_cuiman_has_results_at_once_where_it_does_not_ask_for_a_job(call):
    """The standard wants them where both modes are offered and none is asked for; it has no model of them."""
    found = call("at_once", process="echo", inputs={"text": "now", "number": 4.5})

    assert found == {"model": "dict", "values": {"text": "now", "number": 4.5}}


def test_cuiman_dismisses_a_job(call):
    answer, info = call("dismissed", process="echo", inputs={"text": "x", "pause": 20})

    assert (answer["model"], answer["status"]) == ("JobInfo", "dismissed")
    assert (info["model"], info["status"]) == ("JobInfo", "dismissed")


def test_cuiman_learns_why_a_request_is_refused(call):
    process, job, execution = call("refused", process="echo", inputs={"text": "x", "number": "many"})

    assert {error["model"] for error in (process, job, execution)} == {"ApiError"}
    assert (process["status"], process["type"].rpartition("/")[2]) == (404, "no-such-process")
    assert (job["status"], job["type"].rpartition("/")[2]) == (404, "no-such-job")
    assert execution["status"] in {400, 422}
    assert "number" in execution["detail"]


def test_cuiman_sends_a_token(call, town):
    found = call("executed", url=town.url, token=TOKEN, process="echo", inputs={"text": "mine"})

    job = f"/jobs/{found['seen'][0]['jobID']}"
    assert town.client.get(job).status_code == 401
    assert town.as_(TOKEN).get(job).json()["status"] == "successful"
