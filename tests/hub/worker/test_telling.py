"""The end of a job is told, whatever becomes of its worker."""

import threading
import time
from uuid import uuid4

import pytest

from hub.worker.receiver import FENCE
from tilepipe_hub.errors import StoreError
from tilepipe_hub.job import Job, Request
from tilepipe_hub.running import telling
from tilepipe_hub.running.telling import Telling
from tilepipe_hub.store import open_store

CALLED = Request(subscriber={"failedUri": "https://example.org"})


def hire(place, **callbacks):
    return place.hire(fence=FENCE, callbacks={"timeout_s": 5, **callbacks})


@pytest.mark.slow
def test_when_a_worker_is_killed_before_it_calls_again_another_one_calls(workplace, receiver):
    receiver.answers[:] = [503]
    first = hire(workplace)
    job_id = workplace.echo(subscriber=receiver.subscriber)
    workplace.until(lambda: "callback 1 of" in workplace.told())

    first.kill()
    first.wait()
    hire(workplace)
    workplace.until(lambda: len(receiver.calls) == 2)

    assert [(call.path, call.headers["X-Tilepipe-Job"]) for call in receiver.calls] == [("/successUri", job_id)] * 2
    workplace.until(lambda: workplace.store.take_call(lease_s=1) is None)


@pytest.mark.slow
def test_when_a_worker_is_killed_while_it_calls_another_one_calls(workplace, receiver):
    receiver.pauses[:] = [3]
    first = hire(workplace)
    job_id = workplace.echo(subscriber=receiver.subscriber)
    workplace.until(lambda: receiver.calls)

    first.kill()
    first.wait()
    # As if the time of its call were over.
    workplace.store.retry_call(job_id, tries=1, after_s=0)
    hire(workplace)

    workplace.until(lambda: len(receiver.calls) == 2)


@pytest.mark.slow
def test_a_worker_that_drains_leaves_what_was_not_heard_to_another(workplace, receiver):
    receiver.close()
    first = hire(workplace)
    job_id = workplace.echo(subscriber=receiver.subscriber, fails=True)
    workplace.until(lambda: "callback 1 of" in workplace.told())

    first.terminate()
    assert first.wait(timeout=5) == 0
    receiver.open()
    hire(workplace)
    [call] = workplace.until(lambda: receiver.calls)

    assert (call.path, call.document["jobID"]) == ("/failedUri", job_id)


@pytest.mark.slow
def test_a_worker_that_drains_tells_the_end_of_its_last_job(local, receiver):
    worker = hire(local)
    job_id = local.echo(subscriber=receiver.subscriber, pause_s=1)
    local.until(lambda: local.store.get(job_id).status == "running")

    worker.terminate()

    assert worker.wait(timeout=10) == 0
    assert [call.path for call in receiver.calls] == ["/successUri"]


@pytest.mark.slow
def test_the_tries_of_all_workers_are_counted_and_their_pauses_grow(local, receiver):
    receiver.answers[:] = [503] * 10
    job_id = local.echo(subscriber=receiver.subscriber)
    for tries in (1, 2, 3):
        worker = hire(local, attempts=3)
        local.until(lambda tries=tries: f"callback {tries} of 3: 127.0.0.1 answers 503" in local.told())
        if tries < 3:
            worker.kill()
            worker.wait()
    [words] = local.until(lambda: [line for line in local.log(job_id) if "callback" in line])
    time.sleep(1.5 * telling.LOOK_S)

    assert words == "the end was told to nobody: callback 3 of 3: 127.0.0.1 answers 503"
    assert len(receiver.calls) == 3
    assert receiver.calls[2].moment - receiver.calls[1].moment >= 0.5 * 4 * telling.FIRST_PAUSE_S
    assert local.store.take_call(lease_s=1) is None


@pytest.mark.slow
def test_the_link_of_a_callback_stands_in_no_log(local, receiver):
    local.hire(fence=FENCE, log={"level": "debug"})
    local.echo(subscriber={"successUri": f"{receiver.link}/hush?key=hush"})
    receiver.answers[:] = [503]

    local.until(lambda: "callback 1 of" in local.told())

    assert "hush" not in local.told()


@pytest.mark.slow
def test_of_two_workers_one_tells(workplace, receiver):
    hire(workplace)
    hire(workplace)
    jobs = [workplace.echo(subscriber=receiver.subscriber) for _ in range(30)]

    workplace.until(lambda: len(receiver.calls) >= 30)
    time.sleep(1.5 * telling.LOOK_S)

    assert sorted(call.headers["X-Tilepipe-Job"] for call in receiver.calls) == sorted(jobs)


@pytest.mark.slow
def test_whoever_waits_for_a_dismissed_job_is_told(workplace, receiver):
    waiting = workplace.echo(subscriber=receiver.subscriber)
    workplace.store.move(waiting, "dismissed", expect=["accepted"])
    hire(workplace)
    running = workplace.echo(subscriber=receiver.subscriber, pause_s=60)
    workplace.until(lambda: workplace.store.get(running).status == "running")
    workplace.store.move(running, "dismissed", expect=["running"])

    workplace.until(lambda: len(receiver.calls) == 2)

    told = {call.document["jobID"]: (call.path, call.document["type"]) for call in receiver.calls}
    assert told == dict.fromkeys([waiting, running], ("/failedUri", "urn:tilepipe:problem:job-dismissed"))


@pytest.mark.slow
def test_a_job_that_felled_its_workers_is_told_of(local, receiver):
    job_id = local.echo(subscriber=receiver.subscriber, pause_s=60)
    for _ in range(3):
        local.store.claim("fell silent", lease_s=-1)

    hire(local)
    [call] = local.until(lambda: receiver.calls)

    assert (call.path, call.document["jobID"]) == ("/failedUri", job_id)
    assert "3 workers fell silent while they ran it" in call.document["detail"]


@pytest.mark.slow
def test_a_job_that_no_worker_can_begin_is_told_of(local, receiver):
    request = Request(subscriber=receiver.subscriber, work={"kind": "of a later hub"})
    local.store.add(Job(id=uuid4().hex, process="echo", owner="ann", request=request))

    hire(local)
    [call] = local.until(lambda: receiver.calls)

    assert call.path == "/failedUri"
    assert "the worker could not run it" in call.document["detail"]


class Fleeting:
    """A store that is away when the first calls end."""

    def __init__(self, store, fails):
        self._store = store
        self.fails = fails

    def __getattr__(self, name):
        return getattr(self._store, name)

    def end_call(self, job_id):
        if self.fails:
            self.fails -= 1
            raise StoreError("away")
        self._store.end_call(job_id)


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/jobs.db") as store:
        yield store


@pytest.fixture
def quick(monkeypatch):
    for name in ("LOOK_S", "FIRST_PAUSE_S"):
        monkeypatch.setattr(telling, name, 0.02)


def dismissed(store, number=0):
    job = store.add(Job(id=f"job {number}", process="p", owner="ann", request=CALLED))
    return store.move(job.id, "dismissed", expect=["accepted"])


def told(store, tell, *, within_s=2.0, until, attempts=3, lease_s=10.0):
    """Have calls made until something is true."""
    calls = Telling(store=store, tell=tell, attempts=attempts, lease_s=lease_s)
    calls.start()
    ends = time.monotonic() + within_s
    while not until():
        assert time.monotonic() < ends
        time.sleep(0.01)
    calls.close()


@pytest.mark.usefixtures("quick")
def test_what_was_heard_while_the_store_was_away_is_not_told_again(store):
    heard = []
    dismissed(store)
    fleeting = Fleeting(store, fails=3)

    told(fleeting, heard.append, until=lambda: not fleeting.fails)

    assert len(heard) == 1
    assert store.take_call(lease_s=1) is None


@pytest.mark.usefixtures("quick")
def test_a_receiver_that_fells_whoever_calls_it_is_left_alone_after_all_tries(store):
    heard = []
    job = dismissed(store)
    for _ in range(3):
        store.take_call(lease_s=-1)

    told(store, heard.append, until=lambda: store.logs(job.id))

    assert heard == []
    assert [line.text for line in store.logs(job.id)] == [
        "the end was told to nobody: callback 3 of 3: the worker that made the last call fell silent"
    ]


@pytest.mark.usefixtures("quick")
def test_only_so_many_are_called_at_once(store):
    lock, now, most = threading.Lock(), [0], [0]
    for number in range(12):
        dismissed(store, number)
    heard = []

    def tell(job):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.05)
        with lock:
            now[0] -= 1
        heard.append(job.id)

    told(store, tell, until=lambda: len(heard) == 12)

    assert most == [telling.AT_ONCE]


@pytest.mark.usefixtures("quick")
def test_a_worker_that_ends_waits_only_a_moment_for_its_calls(store, monkeypatch):
    monkeypatch.setattr(telling, "CLOSING_S", 0.1)
    begun, over = threading.Event(), threading.Event()
    for number in range(9):
        dismissed(store, number)

    def tell(_job):
        begun.set()
        over.wait(10)

    began = time.monotonic()
    told(store, tell, until=begun.is_set)
    took = time.monotonic() - began
    over.set()

    assert took < 1


def test_pauses_grow_to_an_hour():
    assert [telling._pause_s(tries) for tries in (1, 2, 3, 4)] == [1, 4, 16, 64]
    assert telling._pause_s(10**6) == 3600
