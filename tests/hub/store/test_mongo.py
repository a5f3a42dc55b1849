"""What only MongoDB has to show: indexes, one clock, and a server that goes away."""

import itertools
import logging
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from tilepipe_hub.errors import LeaseLost, StoreError
from tilepipe_hub.job import Job, Request
from tilepipe_hub.store import Query, documents, open_store

pytestmark = pytest.mark.mongodb


@pytest.fixture
def store(mongodb_url):
    with open_store(mongodb_url, patience_s=10) as store:
        yield store


def stages(plan):
    """Names of all steps of a plan."""
    if isinstance(plan, dict):
        own = {plan["stage"]} if "stage" in plan else set()
        return own.union(*(stages(part) for part in plan.values()))
    return set().union(*(stages(part) for part in plan)) if isinstance(plan, list) else set()


FILTERS = {
    "processes": [["a"], ["a", "b", "c"]],
    "statuses": [["failed"], ["accepted", "running"]],
    "owner": ["ann"],
    "text": ["alps", "alps dem"],
    "created_from": [0.0],
    "created_to": [1e10],
    "min_duration_s": [1.0],
    "after": [documents.Cursor(1e9, "x")],
}


@pytest.fixture(scope="module")
def full(mongodb_server):
    """A store of 205 jobs of which 30 run, 30 have failed and 5 were dismissed, which is to be told."""
    name = f"tilepipe_test_{uuid4().hex[:12]}"
    with open_store(f"{mongodb_server}/{name}", patience_s=10) as store:
        for number in range(200):
            store.add(Job(id=str(number), process="abc"[number % 3], owner=f"o{number % 9}", title="alps dem"))
        for number in range(60):
            job = store.claim("w", lease_s=100)
            if number % 2:
                store.move(job.id, "failed", expect=["running"], number=job.number)
        for number in range(5):
            request = Request(subscriber={"failedUri": "https://example.org"})
            called = store.add(Job(id=f"called {number}", process="a", owner="o1", request=request))
            store.move(called.id, "dismissed", expect=["accepted"])
        yield store
        store._client.drop_database(name)


@pytest.mark.parametrize("size", range(5))
def test_every_list_follows_an_index_and_sorts_nothing(full, size):
    for names in itertools.combinations(FILTERS, size):
        for values in itertools.product(*(FILTERS[name] for name in names)):
            query = Query(**dict(zip(names, values, strict=True)))
            where, index = documents.matches(query), documents.index_of(query)
            plan = full._jobs.find(where, documents.BRIEF, sort=documents.SORT, limit=101, hint=index).explain()

            used = stages(plan["queryPlanner"]["winningPlan"])
            assert "IXSCAN" in used, where
            assert not used & {"SORT", "COLLSCAN"}, where


@pytest.mark.parametrize(
    ("where", "sort"),
    [
        (documents.SILENT, {"until": 1}),
        ({"status": "accepted", "owner": "o1"}, {"created": 1, "_id": 1}),
        ({"status": "accepted", "owner": {"$in": [f"o{n}" for n in range(50)]}}, {"created": 1, "_id": 1}),
        ({"owner": "ann", "key": "k"}, {}),
        (documents.DUE, {"call_at": 1}),
        ({**documents.CALLED, "call_nonce": "n"}, {}),
        ({"$expr": {"$lte": ["$expires", "$$NOW"]}, "expires": {"$type": "date"}}, {}),
    ],
    ids=["silent", "one owner", "owners", "key", "due", "taken", "expired"],
)
def test_every_claim_follows_an_index_and_sorts_nothing(full, where, sort):
    command = {"find": "jobs", "filter": where, "sort": sort, "limit": 1}
    plan = full._jobs.database.command("explain", command, verbosity="executionStats")

    used = stages(plan["queryPlanner"]["winningPlan"])
    assert "IXSCAN" in used
    assert not used & {"SORT", "COLLSCAN"}
    assert plan["executionStats"]["totalDocsExamined"] <= 9


def test_jobs_without_a_subscriber_cost_the_index_of_calls_nothing(full):
    keys = full._jobs.database.command("validate", "jobs")["keysPerIndex"]

    assert (keys["created"], keys["call"]) == (205, 5)


def test_the_server_forgets_what_no_hub_has_forgotten(full):
    for table in (full._jobs, full._logs):
        assert table.index_information()["expires"]["expireAfterSeconds"] == 86_400


def test_whose_turn_it_is_is_read_from_indexes_alone(full):
    for pipeline in (documents.NEED[:2], *(part["$unionWith"]["pipeline"][:2] for part in documents.NEED[3:])):
        command = {"aggregate": "jobs", "pipeline": pipeline, "cursor": {}}
        used = stages(full._jobs.database.command("explain", command, verbosity="queryPlanner"))

        assert used & {"DISTINCT_SCAN", "IXSCAN"}
        assert not used & {"SORT", "COLLSCAN"}


@pytest.mark.parametrize("owners", ["a", "ab"])
def test_a_claim_asks_the_server_twice_and_in_vain_once(store, owners):
    database = store._jobs.database
    for number in range(4):
        store.add(Job(id=str(number), process="p", owner=owners[number % len(owners)]))
    database.command("profile", 2, filter={"ns": f"{database.name}.jobs"})

    for _ in range(5):
        store.claim("w", lease_s=100)

    database.command("profile", 0)
    asked = [entry["command"] for entry in database["system.profile"].find()]
    assert ["aggregate" in command for command in asked] == [True, False] * 4 + [True]


SKEWED = """
import sys, time
real = time.time
time.time = lambda: real() + float(sys.argv[2])
from tilepipe_hub.store import open_store
with open_store(sys.argv[1], patience_s=10) as store:
    job = store.claim("skewed", lease_s=5)
    print(job and job.id)
"""


@pytest.mark.slow
@pytest.mark.parametrize("by_s", [86_400, -86_400])
def test_a_worker_with_a_wrong_clock_takes_nothing_and_loses_nothing(store, mongodb_url, by_s):
    def claim():
        command = [sys.executable, "-c", SKEWED, mongodb_url, str(by_s)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    store.add(Job(id="held", process="p", owner="o"))
    store.claim("right", lease_s=60)
    assert claim() == "None"

    store.add(Job(id="free", process="p", owner="o"))
    assert claim() == "free"

    assert store.claim("right", lease_s=60) is None
    assert store.get("free").created == pytest.approx(time.time(), abs=60)


@pytest.mark.slow
def test_a_killed_server_loses_no_job_and_lets_none_run_twice(own_mongod):
    names, failures = [], []
    over = threading.Event()

    def submit(store):
        for number in range(200):
            names.append(store.add(Job(id=f"job-{number}", process="p", owner="abc"[number % 3], key=str(number))).id)
            time.sleep(0.01)

    def work(store):
        had, ended = [], []
        while not over.is_set():
            job = store.claim("worker", lease_s=30)
            if job is None:
                time.sleep(0.02)
                continue
            had.append((job.id, job.number))
            if store.beat(job.id, number=job.number, lease_s=30) != "continue":
                failures.append(job)
            store.log(job.id, ["working"])
            try:
                store.move(job.id, "successful", expect=["running"], number=job.number)
                ended.append(job.id)
            except LeaseLost:
                failures.append(job)
        return had, ended

    with open_store(own_mongod.url, patience_s=60) as store, ThreadPoolExecutor(21) as pool:
        submitter = pool.submit(submit, store)
        workers = [pool.submit(work, store) for _ in range(20)]
        for _ in range(3):
            time.sleep(0.5)
            own_mongod.kill()
            time.sleep(0.3)
            own_mongod.start()
        submitter.result()
        while store.counts()["successful"] < 200:
            time.sleep(0.05)
        over.set()
        results = [worker.result() for worker in workers]

        assert Counter(name for _, ended in results for name in ended) == Counter(names)
        assert Counter(claim for had, _ in results for claim in had) == Counter((name, 1) for name in names)
        assert failures == []
        assert all(len(store.logs(name)) == 1 for name in names)
        assert all(store.get(name).attempts == 0 for name in names)


@pytest.mark.slow
def test_a_server_that_stays_away_is_an_error_that_says_so(own_mongod, caplog):
    url = own_mongod.url.replace("//", "//user:geheim@") + "/hub"
    own_mongod.kill()
    caplog.set_level(logging.DEBUG, logger="tilepipe_hub")
    began = time.monotonic()

    with pytest.raises(StoreError, match=r"127.0.0.1:\d+/hub: the store of jobs has not answered") as caught:
        open_store(url, patience_s=1.0)

    assert time.monotonic() - began < 5
    assert "geheim" not in str(caught.value) + caplog.text
    own_mongod.start()


@pytest.mark.slow
def test_a_refusing_server_is_an_error_at_once(mongodb_url):
    url = mongodb_url.replace("//", "//user:geheim@")
    began = time.monotonic()

    with pytest.raises(StoreError, match=r"MongoDB refuses: .*check the user's rights") as caught:
        open_store(url, patience_s=30)

    assert time.monotonic() - began < 5
    assert "geheim" not in str(caught.value)
