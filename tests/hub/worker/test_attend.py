"""What is written of a job from its claim to its end."""

import time
from dataclasses import replace

import pytest

from tilepipe_hub.errors import StoreError
from tilepipe_hub.job import Job
from tilepipe_hub.running.attend import Rules, attend
from tilepipe_hub.store import open_store

RULES = Rules(lease_s=5, beat_s=1, max_attempts=3, drain_s=1)
MESSAGE = {"kind": "end", "status": "successful", "message": "made", "results": {}}


class Noted:
    """A store that knows when each document was changed."""

    def __init__(self, store):
        self._store = store
        self.changes = []
        self.fails = 0

    def __getattr__(self, name):
        return getattr(self._store, name)

    def _noted(self, name, *args, **kwargs):
        if name == "move" and self.fails:
            self.fails -= 1
            raise StoreError("away")
        found = getattr(self._store, name)(*args, **kwargs)
        self.changes.append((time.monotonic(), name))
        return found

    def claim(self, *args, **kwargs):
        return self._noted("claim", *args, **kwargs)

    def beat(self, *args, **kwargs):
        return self._noted("beat", *args, **kwargs)

    def move(self, *args, **kwargs):
        return self._noted("move", *args, **kwargs)


class Tiles:
    """Work that makes a thousand tiles a second, and notes how it is ended."""

    has_ended = False

    def __init__(self, takes_s, end=MESSAGE):
        self._takes_s, self._end = takes_s, end
        self._began = time.monotonic()
        self.deeds = []

    def hear(self, timeout_s):
        time.sleep(0.001)
        done = round(1000 * (time.monotonic() - self._began))
        figures = {"done": done, "new": done, "failed": 0, "blocked": 0, "total": 10_000, "bytes": 0}
        said = [{"kind": "progress", **figures}, {"kind": "print", "line": f"tile {done}"}]
        return [*said, self._end] if time.monotonic() - self._began >= self._takes_s else said

    def hold_until(self, moment):
        pass

    def stop(self):
        self.deeds.append("stop")

    def kill(self):
        self.deeds.append("kill")

    def reap(self):
        self.deeds.append("reap")


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/jobs.db") as kept:
        yield Noted(kept)


def attended(store, work, *, most=RULES.max_attempts):
    store.add(Job(id="a", process="p", owner="ann"))
    job = store.claim("worker", lease_s=RULES.lease_s)
    return attend(
        job,
        store=store,
        start=lambda _until: work,
        rules=replace(RULES, max_attempts=most),
        held_until=time.monotonic() + RULES.lease_s,
        draining=lambda: None,
        told=str,
        follow=lambda _progress: None,
    )


@pytest.mark.slow
@pytest.mark.parametrize("takes_s", [0.2, 1.1, 2.1, 2.9])
def test_a_job_is_written_at_most_twice_within_any_second(store, takes_s):
    job = attended(store, Tiles(takes_s))

    moments = [moment for moment, _ in store.changes]
    assert [name for _, name in store.changes] == ["claim", *["beat"] * int(takes_s), "move"]
    assert all(sum(first <= moment < first + 1 for moment in moments) <= 2 for first in moments)
    assert job.progress.done >= 1000 * takes_s


@pytest.mark.parametrize(("status", "percent"), [("successful", 100), ("failed", 1)])
def test_the_end_tells_the_last_progress_and_what_was_printed(store, status, percent):
    job = attended(store, Tiles(0.1, {**MESSAGE, "status": status}))

    lines = [line.text for line in store.logs("a")]
    assert (job.status, job.progress.percent, job.progress.total) == (status, percent, 10_000)
    assert job.progress.done >= 100
    assert lines[0] == "lease 1: worker takes the job"
    assert lines[-2:] == [f"tile {job.progress.done}", f"lease 1: {status}: made"]


@pytest.mark.parametrize("most", [3, 1])
def test_who_takes_a_job_over_says_whose_it_was(store, most):
    store.add(Job(id="a", process="p", owner="ann"))
    store.claim("first", lease_s=-2)

    job = attended(store, Tiles(0), most=most)

    assert job.status == ("successful" if most == 3 else "failed")
    opening = store.logs("a")[0].text
    assert opening == "lease 2: worker takes the job over; first has not been heard of for 7 s"


def test_a_job_that_was_given_back_is_taken_over_from_nobody(store):
    store.add(Job(id="a", process="p", owner="ann"))
    store.claim("first", lease_s=-2)
    store.claim("second", lease_s=100)
    store.move("a", "accepted", expect=["running"], number=2)

    attended(store, Tiles(0))

    assert store.logs("a")[0].text == "lease 3: worker takes the job"


def test_a_job_given_back_tells_no_progress(store):
    job = attended(store, Tiles(0.1, {"kind": "end", "status": "busy"}))

    assert (job.status, job.progress.done) == ("accepted", 0)


def test_the_end_is_told_once_the_work_is_killed_and_before_it_is_gone(store):
    work = Tiles(0.05)
    move = store.move

    def moved(*args, **kwargs):
        work.deeds.append("told")
        return move(*args, **kwargs)

    store.move = moved
    attended(store, work)

    assert work.deeds == ["kill", "told", "reap"]


@pytest.mark.slow
def test_an_end_that_the_store_did_not_take_is_told_again(store):
    store.fails = 1

    job = attended(store, Tiles(0.05))

    assert (job.status, [name for _, name in store.changes]) == ("successful", ["claim", "move"])
