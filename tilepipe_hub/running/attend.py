"""One job in the hands of a worker: kept going, stopped, tried again, and brought to its end."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tilepipe_hub.errors import MoveRefused, NoSuchJob, StoreError
from tilepipe_hub.job import ENDED, End, Job, Progress, Status, problem_of
from tilepipe_hub.running.beats import Beats, progress_of
from tilepipe_hub.running.child import Message, Undertaking
from tilepipe_hub.store.protocol import LINE_CHARS, Store

__all__ = ["Rules", "attend", "give_up"]

log = logging.getLogger(__name__)

RUNNING: frozenset[Status] = frozenset({"running"})
LOOK_S = 0.1
AWAY_S = 600.0
"""How long a job waits for a store that is away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What an operator decided about all jobs."""

    lease_s: float
    beat_s: float
    max_attempts: int
    drain_s: float
    grace_s: float = 2.0
    """For a process that is to end tidily."""
    runtime_s: float | None = None


class _Verdict(NamedTuple):
    """Where a job is to be sent, and with which words."""

    to: Status
    end: End


LEFT = _Verdict("dismissed", End())
"""The job is not ours to speak of any more."""


def attend(
    job: Job,
    *,
    store: Store,
    start: Callable[[float], Undertaking],
    rules: Rules,
    held_until: float,
    draining: Callable[[], float | None],
    told: Callable[[str], str],
    follow: Callable[[Progress], None],
) -> Job | None:
    """Keep a claimed job going until it has ended, and say so; the job as it is then, or None if it was lost.

    Args:
        job: as it was claimed.
        store: where to report. It may be away for `AWAY_S`.
        start: begins the work, which may go on until a moment of the monotonic clock.
        rules: what the operator decided.
        held_until: that moment.
        draining: since when the worker is to end, by the monotonic clock; None: it is not.
        told: makes words for the owner of what the work says.
        follow: is told of progress.
    """
    opening = _opening(job, lease_s=rules.lease_s)
    if job.attempts >= rules.max_attempts:
        return _settled(job, store, _failed(f"{job.attempts} workers fell silent while they ran it"), [opening])
    beats = Beats(store, job, lease_s=rules.lease_s, beat_s=rules.beat_s, held_until=held_until, opening=[opening])
    hands = _Hands(job=job, beats=beats, rules=rules, draining=draining, told=told, follow=follow)
    verdict = LEFT
    try:
        try:
            verdict = hands.bring(start)
            last = f"lease {job.number}: {verdict.to}: {verdict.end.message}"
            if verdict.to not in ENDED:
                # Whoever takes the job now writes below.
                beats.tell(lines=[last])
        finally:
            lines = beats.close()
        if verdict is LEFT:
            return None
        if verdict.to in ENDED:
            # What was printed is there before the end is; this line says no more than the job itself.
            lines.append(last)
            verdict = verdict._replace(end=replace(verdict.end, progress=hands.progress))
        # Of a job given back no progress is told: its next worker may write at once, and counts again.
        return _settled(job, store, verdict, lines)
    finally:
        hands.let_go()


def give_up(job: Job, *, store: Store, reason: str) -> Job | None:
    """Fail a claimed job that cannot even be begun."""
    return _settled(job, store, _failed(reason), [])


@dataclass(slots=True, kw_only=True)
class _Hands:
    """What is known while a job is under way."""

    job: Job
    beats: Beats
    rules: Rules
    draining: Callable[[], float | None]
    told: Callable[[str], str]
    follow: Callable[[Progress], None]
    progress: Progress | None = None
    """None until the work has told."""
    work: Undertaking | None = None
    begun: float = field(default_factory=time.monotonic)
    told_until: float = 0.0
    """What the work was told last; it ends itself then."""
    paused: bool = False
    verdict: _Verdict | None = None
    """Decided, while the work is still ending."""
    kill_at: float = float("inf")

    def bring(self, start: Callable[[float], Undertaking]) -> _Verdict:
        """Run the job, again if its process crashes, until there is a verdict; the work has been killed then."""
        crashes = 0
        while True:
            if not self._is_ours():
                return LEFT
            self.told_until, self.paused = self.beats.held_until, False
            self.work = work = start(self.told_until)
            self.beats.start()
            try:
                verdict = self._run(work)
                late = time.monotonic() >= self.told_until
            finally:
                work.kill()
            if verdict is not None:
                return verdict
            work.reap()
            if late:
                # It ended itself, because its time was over: the worker or the store was held up.
                continue
            crashes += 1
            words = f"its process {work.how_it_ended()}"
            if self.job.attempts + crashes >= self.rules.max_attempts:
                return _failed(f"{words}, and that {_times(self.job.attempts + crashes)}")
            self.beats.tell(lines=[f"{words}; it is tried again"])

    def let_go(self) -> None:
        """Wait for the work to be gone, which nobody else has to wait for: it was killed."""
        if self.work is not None:
            self.work.reap()

    def _run(self, work: Undertaking) -> _Verdict | None:
        """Attend the work; None where it ended without a word."""
        while True:
            # What was printed before the end may come in behind it, by another pipe.
            for message in sorted(work.hear(LOOK_S), key=lambda message: message["kind"] == "end"):
                if message["kind"] == "end" and message["status"] != "stopped":
                    return self.verdict or self._end(message)
                self._take(message)
            if work.has_ended:
                return self.verdict
            if self.beats.heard == "lost":
                return LEFT
            if self.beats.heard == "stop":
                self._decide(LEFT, work)
            self._watch_lease(work)
            self._watch_time(work)
            now = time.monotonic()
            if now >= self.kill_at or (self.paused and now > self.told_until + AWAY_S):
                return self.verdict or LEFT

    def _take(self, message: Message) -> None:
        if message["kind"] == "progress":
            seconds = time.monotonic() - self.begun
            self.progress = progress_of(dict(message), seconds=seconds, before=self.progress or Progress())
            self.beats.tell(self.progress)
            self.follow(self.progress)
        elif message["kind"] in {"log", "print"} and self.beats.takes_lines:
            # What a cut leaves of a secret lies beyond what the store keeps.
            self.beats.tell(lines=[self.told(str(message["line"])[: 2 * LINE_CHARS])[:LINE_CHARS]])

    def _end(self, message: Message) -> _Verdict:
        if message["status"] == "busy":
            return _Verdict("accepted", End(message="its folder is still held by another worker"))
        words = self.told(message["message"])
        problem, results = message.get("problem"), message.get("results")
        return _Verdict(message["status"], End(message=words, problem=problem, results=results))

    def _watch_lease(self, work: Undertaking) -> None:
        """Let the work go on for as long as the job is ours for certain, and not do anything beyond."""
        held = self.beats.held_until
        if held > self.told_until:
            self.told_until, self.paused = held, False
            work.hold_until(held)
        elif not self.paused and time.monotonic() > held - min(1.0, 0.1 * self.rules.lease_s):
            log.warning("job %s: paused, its lease could not be prolonged", self.job.id)
            work.pause()
            self.paused = True

    def _watch_time(self, work: Undertaking) -> None:
        """End the work where its owner or the worker has no more time for it."""
        now, since = time.monotonic(), self.draining()
        if since is not None and now >= since + self.rules.drain_s:
            self._decide(_Verdict("accepted", End(message="given back by a worker that ends")), work)
        limit = self.rules.runtime_s
        ran = self.job.updated - (self.job.started or self.job.updated)
        if limit is not None and now - self.begun + ran > limit:
            self._decide(_failed(f"it ran for {limit:g} s, which is the most a job may take here", status=422), work)

    def _decide(self, verdict: _Verdict, work: Undertaking) -> None:
        if self.verdict is None:
            self.verdict, self.kill_at = verdict, time.monotonic() + self.rules.grace_s
            work.stop()

    def _is_ours(self) -> bool:
        """Whether the job is ours for certain; waits for the store to say."""
        ends = time.monotonic() + AWAY_S
        while self.beats.heard == "continue" and time.monotonic() < ends:
            if time.monotonic() < self.beats.held_until:
                return True
            time.sleep(LOOK_S / 2)
        return False


def _opening(job: Job, *, lease_s: float) -> str:
    """The first line that is written with a lease."""
    took = f"lease {job.number}: {job.lease.worker if job.lease else ''} takes the job"
    if job.lost is None:
        return took
    # Its last sign of life was a lease before that ran out; workers of one service have the same settings.
    silent = job.updated - job.lost.until + lease_s
    return f"{took} over; {job.lost.worker} has not been heard of for {silent:.0f} s"


def _settled(job: Job, store: Store, verdict: _Verdict, lines: list[str]) -> Job | None:
    """Send the job where it belongs; None where it is not ours, or the store stays away."""
    ends = time.monotonic() + AWAY_S
    while time.monotonic() < ends:
        try:
            after = _sent(job, store, verdict)
        except StoreError as error:
            log.warning("job %s: %s", job.id, error)
            time.sleep(0.5)
            continue
        except (MoveRefused, NoSuchJob) as error:
            log.info("job %s: %s", job.id, error)
            return None
        with suppress(StoreError, NoSuchJob):
            store.log(job.id, lines)
        return after
    return None


def _sent(job: Job, store: Store, verdict: _Verdict) -> Job:
    try:
        return store.move(job.id, verdict.to, expect=RUNNING, number=job.number, end=verdict.end)
    except MoveRefused:
        # A call that failed may have had its effect.
        after = store.get(job.id)
        if after.status == verdict.to and after.number == job.number:
            return after
        raise


def _failed(message: str, *, status: int = 500) -> _Verdict:
    words = f"the job was given up: {message}"
    return _Verdict("failed", End(message=words, problem=problem_of(words, status=status)))


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
