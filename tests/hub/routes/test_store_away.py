"""What is answered while the store of jobs is away, killed or cut off, and after it is back."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hub.conformance.documents import check_exception
from hub.routes.serving import serving

pytestmark = [pytest.mark.mongodb, pytest.mark.slow]

AWAY = {"kill": "start", "freeze": "thaw"}
INLINE = {"text": "kept", "pause": 0.1}


@pytest.fixture
def shaken(own_mongod, tmp_path):
    """A hub whose store a test may take away."""
    store = {"url": f"{own_mongod.url}/hub", "patience_s": 1}
    with serving(tmp_path, store=store, worker={"lease_s": 3, "beat_s": 1}) as hub:
        yield hub


@pytest.fixture(params=AWAY)
def away(request, own_mongod):
    """Takes the store away, and brings it back."""
    there = [True]

    def move(to):
        if there[0] != to:
            getattr(own_mongod, AWAY[request.param] if to else request.param)()
        there[0] = to

    yield move
    move(True)


def timed(call):
    began = time.monotonic()
    return call(), time.monotonic() - began


def until(condition, within_s=20):
    ends = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.1)


def test_what_needs_the_store_says_when_to_ask_again_and_all_is_well_after(shaken, away):
    client = shaken.client
    job = shaken.submit({"text": "before"})
    before = shaken.ended(job)
    figures = client.get("/metrics").text
    keyed = {"Prefer": "respond-async", "Idempotency-Key": "once"}

    def send():
        return client.post("/processes/echo/execution", json={"inputs": INLINE}, headers=keyed)

    away(False)
    asked = {
        "job": lambda: client.get(job),
        "results": lambda: client.get(f"{job}/results"),
        "log": lambda: client.get(f"{job}/log"),
        "list": lambda: client.get("/jobs"),
        "submit": send,
        "ready": lambda: client.get("/ready"),
    }
    with ThreadPoolExecutor(len(asked) + 1) as pool:
        metrics = pool.submit(client.get, "/metrics")
        answers = dict(zip(asked, pool.map(timed, asked.values()), strict=True))
    health, health_s = timed(lambda: client.get("/health"))

    for name, (answer, _) in answers.items():
        document = check_exception(answer, 503)
        assert document["type"] == "urn:tilepipe:problem:store-away", name
        assert answer.headers["retry-after"] == "10", name
        assert shaken.settings.store.url.get_secret_value() not in answer.text
    assert answers["ready"][1] < 4
    assert (health.status_code, health_s < 1) == (200, True)
    assert metrics.result().status_code == 200
    assert 'tilepipe_hub_jobs{status="successful"} 1.0' in figures
    assert "tilepipe_hub_jobs{" not in metrics.result().text

    away(True)
    until(lambda: client.get("/ready").status_code == 200)
    assert client.get(job).json() == before
    # What a frozen server was sent may be done when it thaws; sent again under its key, it is one job all the same.
    again = [send(), send()]
    assert {answer.status_code for answer in again} == {201}
    listed = [item["jobID"] for item in client.get("/jobs").json()["jobs"]]
    assert listed == [again[0].json()["jobID"], before["jobID"]]
    assert again[0].json()["jobID"] == again[1].json()["jobID"]
    assert shaken.ended(again[0].headers["location"])["status"] == "successful"


def test_probes_are_answered_while_all_threads_wait_for_the_store(shaken, own_mongod):
    own_mongod.kill()
    with ThreadPoolExecutor(80) as pool:
        waiting = [pool.submit(shaken.client.get, "/jobs", timeout=60) for _ in range(80)]
        time.sleep(0.3)
        health, health_s = timed(lambda: shaken.client.get("/health"))
        ready, ready_s = timed(lambda: shaken.client.get("/ready"))
        assert {answer.result().status_code for answer in waiting} == {503}
    own_mongod.start()

    assert (health.status_code, ready.status_code) == (200, 503)
    assert health_s < 1
    assert ready_s < 4
    until(lambda: shaken.client.get("/ready").status_code == 200)


def test_a_job_that_runs_outlives_a_store_that_is_away(shaken, own_mongod):
    job = shaken.submit({"text": "patient", "pause": 4})
    until(lambda: shaken.client.get(job).json()["status"] == "running")
    own_mongod.kill()
    time.sleep(1)
    own_mongod.start()
    until(lambda: shaken.client.get("/ready").status_code == 200)

    assert shaken.ended(job)["status"] == "successful"
