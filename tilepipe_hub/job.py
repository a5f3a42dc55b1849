"""What a job is, and the moves it may make."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tilepipe_hub.errors import LeaseLost, MoveRefused

__all__ = [
    "ENDED",
    "MOVES",
    "STATUSES",
    "End",
    "Job",
    "Lease",
    "Progress",
    "Request",
    "Status",
    "beaten",
    "claimable",
    "claimed",
    "clean",
    "moved",
    "problem_of",
    "words_of",
]

Status = Literal["accepted", "running", "successful", "failed", "dismissed"]

STATUSES: tuple[Status, ...] = ("accepted", "running", "successful", "failed", "dismissed")
ENDED: frozenset[Status] = frozenset({"successful", "failed", "dismissed"})

HEARS: Mapping[Status, str] = {"successful": "successUri", "failed": "failedUri", "dismissed": "failedUri"}
"""Which link of a subscriber hears of which end. OGC has none for dismissed jobs; who waits would wait for ever."""

REFUSED = "The job cannot be run as it was asked for"

MOVES: Mapping[Status, frozenset[Status]] = {
    "accepted": frozenset({"failed", "dismissed"}),
    "running": frozenset({"accepted", "successful", "failed", "dismissed"}),
    "successful": frozenset(),
    "failed": frozenset(),
    "dismissed": frozenset(),
}
"""Where a job may be sent. Only a claim makes it `running`; `accepted` again means that its worker gave it back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for, as plain JSON."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] | None = None
    """None: all of them."""
    response: Literal["raw", "document"] | None = None
    """None: the request did not say."""
    subscriber: Mapping[str, str] | None = None
    """Where to call back: `successUri`, `inProgressUri`, `failedUri`."""
    work: Mapping[str, Any] = field(default_factory=dict)
    """What that means for a worker; see `tilepipe_hub.work`."""

    def link_for(self, status: Status) -> str | None:
        """Where a job that ends so is told; None: nowhere."""
        return (self.subscriber or {}).get(HEARS.get(status, ""))

    def text(self) -> str:
        """All of it as JSON, as stores keep it."""
        return json.dumps({name: getattr(self, name) for name in self.__dataclass_fields__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job is."""

    percent: int = 0
    done: int = 0
    """Tiles that are settled: written, empty or kept."""
    total: int | None = None
    """Tiles planned; None until they are counted."""
    failed: int = 0
    """Tiles that could not be made."""
    rate: float | None = None
    """Tiles per second."""
    eta_s: float | None = None
    """Seconds to go, as guessed from the rate; None for what does not run."""

    def __post_init__(self) -> None:
        """Raise ValueError for a percentage that is none."""
        if not 0 <= self.percent <= 100:
            raise ValueError(f"progress of {self.percent} %; it lies between 0 and 100")

    def onto(self, new: "Progress") -> "Progress":
        """The newer figures, but never fewer per cent or tiles: a job taken over counts from the start again."""
        return replace(new, percent=max(self.percent, new.percent), done=max(self.done, new.done))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Which worker has the job, and until when it need not say so again. It stays when the job has ended."""

    worker: str
    number: int
    """Rises at every claim; who speaks with an older one has lost the job."""
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What is to be known of a job at its end."""

    message: str = ""
    problem: Mapping[str, Any] | None = None
    """Of a failed job: the exception document."""
    results: Mapping[str, Any] | None = None
    """Output id: value or link."""
    progress: Progress | None = None
    """How far it came; None: as was told last. One write says both, because a job may be written only so often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One execution of a process. All times are seconds since 1970 by the store's clock, exact to a millisecond."""

    id: str
    process: str
    owner: str
    request: Request = field(default_factory=Request)
    title: str = ""
    labels: tuple[str, ...] = ()
    """Words of the owner, for searching."""
    key: str | None = None
    """Idempotency key: the same one of the same owner means the same job."""
    continues: str | None = None
    """The earlier job whose output and journal this one takes up."""
    status: Status = "accepted"
    message: str = ""
    progress: Progress = field(default_factory=Progress)
    created: float = 0.0
    """When it was accepted; the store sets it."""
    updated: float = 0.0
    """When its status, message or progress was last written."""
    started: float | None = None
    """When the first worker claimed it."""
    finished: float | None = None
    lease: Lease | None = None
    """None until the first claim."""
    attempts: int = 0
    """How many workers fell silent while they held it."""
    lost: Lease | None = field(default=None, compare=False)
    """In what a claim gives back: the lease of the worker that fell silent, where it takes the job over."""
    problem: Mapping[str, Any] | None = None
    results: Mapping[str, Any] | None = None
    expires: float | None = None
    """When it may be forgotten; None: never, or not ended."""

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.status in ENDED

    @property
    def number(self) -> int:
        """The lease number of the latest claim, 0 before the first."""
        return self.lease.number if self.lease else 0

    def duration_s(self, now: float) -> float | None:
        """Seconds from start to end, or to now; None while it waits, and if it never started."""
        if self.started is None or self.status == "accepted":
            return None
        return (now if self.finished is None else self.finished) - self.started


def problem_of(message: str, *, status: int = 500) -> dict[str, Any]:
    """The exception document of a job that failed; below 500 it was the request that was wrong."""
    kind, title = ("job-failed", "The job failed") if status >= 500 else ("job-refused", REFUSED)
    return {"type": f"urn:tilepipe:problem:{kind}", "title": title, "status": status, "detail": message}


def claimable(job: Job, now: float) -> bool:
    """Whether a worker may have the job: it waits, or the worker that had it fell silent."""
    if job.status == "accepted":
        return True
    return job.status == "running" and job.lease is not None and job.lease.until < now


def claimed(job: Job, worker: str, *, now: float, lease_s: float) -> Job:
    """The job in the hands of *worker*.

    Raises:
        MoveRefused: if it has ended, or another worker holds it.
    """
    if not claimable(job, now):
        raise MoveRefused(f"job {job.id!r} is {job.status} and cannot be claimed; claim another one")
    return replace(
        job,
        status="running",
        started=now if job.started is None else job.started,
        updated=now,
        lease=Lease(worker=worker, number=job.number + 1, until=now + lease_s),
        attempts=job.attempts + (job.status == "running"),
        lost=job.lease if job.status == "running" else None,
    )


def beaten(
    job: Job,
    *,
    number: int,
    now: float,
    lease_s: float,
    progress: Progress | None = None,
    message: str | None = None,
) -> Job:
    """The job after a sign of life of the worker that holds it; None leaves progress or message as they are.

    Raises:
        LeaseLost: if another worker holds it by now.
        MoveRefused: if it does not run.
    """
    if job.lease is None or number != job.number:
        raise LeaseLost(job.id, number=number, held=job.number)
    if job.status != "running":
        raise MoveRefused(f"job {job.id!r} is {job.status}; its worker has to stop")
    told = progress is not None or message is not None
    return replace(
        job,
        lease=replace(job.lease, until=now + lease_s),
        updated=now if told else job.updated,
        progress=job.progress.onto(progress) if progress else job.progress,
        message=job.message if message is None else message,
    )


def moved(
    job: Job, to: Status, *, expect: Collection[Status], now: float, number: int | None = None, end: End | None = None
) -> Job:
    """The job in its next state.

    Args:
        job: as it is now.
        to: where it goes.
        expect: the states in which the caller believes it to be.
        now: the store's time.
        number: the lease number of the worker that asks; None: it is no worker who asks.
        end: what is to be known of it.

    Raises:
        LeaseLost: if another worker holds it by now.
        MoveRefused: if it is in another state, or may not go there from its state.
    """
    if number is not None and number != job.number:
        raise LeaseLost(job.id, number=number, held=job.number)
    if job.status not in expect:
        raise MoveRefused(f"job {job.id!r} is {job.status}, not {' or '.join(sorted(expect))}; read it again")
    if to not in MOVES[job.status]:
        allowed = ", ".join(sorted(MOVES[job.status])) or "nothing, it has ended"
        raise MoveRefused(f"job {job.id!r} is {job.status} and cannot become {to}; it can become: {allowed}")
    if job.status == "running" and to != "dismissed" and number is None:
        raise MoveRefused(f"job {job.id!r} is running; only the worker that holds it can say that it is {to}")
    end = end or End(message=job.message)
    progress = replace(job.progress.onto(end.progress) if end.progress else job.progress, eta_s=None)
    return replace(
        job,
        status=to,
        message=end.message,
        problem=end.problem,
        results=end.results,
        updated=now,
        finished=now if to in ENDED else None,
        progress=replace(progress, percent=100) if to == "successful" else progress,
        lease=replace(job.lease, until=now) if job.lease else None,
    )


def words_of(*texts: str) -> tuple[str, ...]:
    """The words by which a text is found: letters and digits, in small letters, each once, sorted."""
    return tuple(sorted({word for text in texts for word in re.findall(r"[^\W_]+", text.casefold())}))


def clean(text: str) -> str:
    """The text less what no store can keep: halves of surrogate pairs, which JSON can carry."""
    return text.encode("utf-8", "replace").decode()
