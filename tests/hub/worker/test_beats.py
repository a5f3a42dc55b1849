"""How often a worker writes, and until when a job is its own."""

import time
from itertools import pairwise

import pytest

from tilepipe_hub.errors import StoreError
from tilepipe_hub.job import Job, Lease, Progress
from tilepipe_hub.running.beats import LINES, Beats, progress_of
from tilepipe_hub.store.protocol import Page

JOB = Job(id="a", process="p", owner="ann", status="running", lease=Lease(worker="w", number=3, until=0.0))


class Told:
    """A store that keeps what it is told, and may be away."""

    def __init__(self, signal="continue"):
        self.signal = signal
        self.away = False
        self.beats = []
        self.lines = []

    def beat(self, job_id, *, number, lease_s, progress=None, message=None):
        if self.away:
            raise StoreError("away")
        self.beats.append((time.monotonic(), number, progress))
        return self.signal

    def log(self, job_id, lines):
        self.lines.extend(lines)

    def find(self, query):
        return Page((JOB,) if self.signal == "stop" else (), None)


@pytest.fixture
def store():
    return Told()


def begun(store, *, beat_s=0.5, lease_s=2.0):
    beats = Beats(store, JOB, lease_s=lease_s, beat_s=beat_s, held_until=time.monotonic() + lease_s)
    beats.start()
    return beats


def wait_for(condition, within_s=5.0):
    ends = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


@pytest.mark.slow
def test_ten_thousand_tiles_a_second_are_one_sign_of_life_a_second(store):
    began = time.monotonic()
    beats = begun(store, beat_s=5)

    for number in range(1, 24_001):
        beats.tell(Progress(done=number), lines=[f"tile {number}"] if number % 100 == 0 else [])
        if number % 100 == 0:
            time.sleep(max(0.0, began + number / 10_000 - time.monotonic()))
    beats.close()

    times = [began, *(moment for moment, _, _ in store.beats)]
    done = [progress.done for _, _, progress in store.beats]
    assert len(done) == 2
    assert all(later - earlier >= 1 for earlier, later in pairwise(times))
    assert done == sorted(done)
    assert done[-1] > 15_000
    assert len(store.lines) == 240


@pytest.mark.slow
def test_what_may_have_been_written_is_not_written_again_within_a_second(store):
    beats = begun(store, beat_s=5)
    tried = []

    def beat(job_id, *, progress, **_):
        tried.append((time.monotonic(), progress))
        if len(tried) < 4:
            raise StoreError("away")
        return "continue"

    store.beat = beat
    beats.tell(Progress(done=1))
    wait_for(lambda: sum(progress is not None for _, progress in tried) == 2)
    beats.close()

    carried = [moment for moment, progress in tried if progress is not None]
    assert len(tried) > 2
    assert carried[1] - carried[0] >= 1


@pytest.mark.slow
def test_a_worker_with_nothing_to_tell_says_that_it_lives(store):
    beats = begun(store, beat_s=0.3)
    first = beats.held_until

    wait_for(lambda: len(store.beats) >= 3)
    beats.close()

    assert all(progress is None and number == 3 for _, number, progress in store.beats)
    assert beats.held_until > first


@pytest.mark.slow
def test_what_was_not_told_waits_for_a_store_that_is_away(store):
    store.away = True
    beats = begun(store)
    held = beats.held_until
    for done in range(5):
        beats.tell(Progress(done=done), lines=[f"line {done}"])
        time.sleep(0.2)
    assert beats.held_until == held

    store.away = False
    wait_for(lambda: any(progress for _, _, progress in store.beats))
    beats.close()

    assert [progress.done for _, _, progress in store.beats if progress] == [4]
    assert store.lines == [f"line {done}" for done in range(5)]


@pytest.mark.parametrize("signal", ["stop", "lost"])
def test_nothing_is_written_once_the_job_is_not_ours(signal):
    store = Told(signal)
    beats = begun(store)

    beats.tell(Progress(done=1), lines=["a line"])
    wait_for(lambda: beats.heard == signal)
    beats.tell(Progress(done=2), lines=["another"])

    assert beats.close() == []
    assert len(store.beats) == 1
    assert store.lines == []


def test_a_log_ends_after_many_lines(store):
    beats = begun(store)

    beats.tell(lines=[f"line {number}" for number in range(LINES + 500)])
    beats.close()

    assert len(store.lines) == LINES + 1
    assert store.lines[-1] == "the log ends here, after 10,000 lines"


def test_progress_tells_rate_and_time_to_go():
    figures = {"done": 60, "new": 20, "failed": 1, "blocked": 0, "total": 100, "bytes": 0}

    progress = progress_of(figures, seconds=10.0, before=Progress())

    assert (progress.percent, progress.done, progress.failed, progress.total) == (61, 60, 1, 100)
    assert progress.rate == 2.0
    assert progress.eta_s == pytest.approx(19.5)


def test_only_the_end_is_a_hundred_percent():
    figures = {"done": 100, "new": 100, "failed": 0, "blocked": 0, "total": 100, "bytes": 0}

    assert progress_of(figures, seconds=1.0, before=Progress()).percent == 99


@pytest.mark.slow
def test_a_dismissal_is_heard_long_before_the_next_beat(store):
    beats = begun(store, beat_s=60, lease_s=200)

    store.signal = "stop"
    wait_for(lambda: beats.heard == "stop", within_s=2)

    assert beats.close() == []
