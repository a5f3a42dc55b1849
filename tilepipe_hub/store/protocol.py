"""What a store of jobs must promise.

Its calls are synchronous: workers are plain loops, SQLite knows nothing else, and routes run them in threads, where a
slow store holds up one request and never the event loop.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, Self

from tilepipe_hub.job import End, Job, Progress, Status

__all__ = ["LINE_CHARS", "Call", "Cursor", "Line", "Page", "Query", "Signal", "Store"]

LINE_CHARS = 10_000
"""What is longer is cut."""

Signal = Literal["continue", "stop", "lost"]
"""What a worker hears: go on; stop, the job was dismissed; stop and say no more, another has it or it is gone."""


class Cursor(NamedTuple):
    """The last job of a page."""

    created: float
    id: str


class Call(NamedTuple):
    """The end of a job, which somebody who subscribed is still to be told."""

    job: Job
    tries: int
    """How often it was taken, this time with it."""


class Line(NamedTuple):
    """One line of a job's log."""

    number: int
    """Counts from 1 without gaps."""
    time: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which jobs; what is left empty does not matter, all else must hold."""

    types: Collection[str] = ()
    """All jobs are of type `process`."""
    processes: Collection[str] = ()
    statuses: Collection[Status] = ()
    owner: str | None = None
    created_from: float | None = None
    """Seconds since 1970; both ends belong to the interval."""
    created_to: float | None = None
    min_duration_s: float | None = None
    """Seconds from start to end, or to now for a running job; jobs that wait have no duration."""
    max_duration_s: float | None = None
    text: str = ""
    """Each word must be one of id, process, title or labels; case does not matter."""
    limit: int = 100
    after: Cursor | None = None


class Page(NamedTuple):
    """Jobs, the newest first."""

    jobs: tuple[Job, ...]
    next: Cursor | None
    """Where the next page starts; None after the last one."""


class Store(Protocol):
    """Jobs that survive their processes. Every call may come from any thread, process or host, at the same time.

    Each change is whole or not at all, and kept when the call returns. Times are of one clock, the store's; what the
    clocks of its callers say does not matter. A call waits for a store that is away, up to the patience that was set
    when it was opened, and then raises StoreError.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def close(self) -> None:
        """Let go of files and connections; may be called again."""
        ...

    def add(self, job: Job, *, most: int | None = None) -> Job:
        """Keep a new job, accepted now, and give back what is kept.

        Where a job of the same owner and idempotency key is there already, that one comes back, with its own id.

        Args:
            job: the job.
            most: how many jobs of its owner may wait or run; however many are added with it at the same moment, there
                are never more. None: any number.

        Raises:
            QuotaReached: if there are as many, and this one is not there already.
        """
        ...

    def get(self, job_id: str) -> Job:
        """The job as it is.

        Raises:
            NoSuchJob: if there is none.
        """
        ...

    def keyed(self, owner: str, key: str) -> Job | None:
        """The job of an owner and an idempotency key; None where there is none."""
        ...

    def find(self, query: Query) -> Page:
        """Jobs without their request, problem and results, the newest first.

        Paging on neither repeats nor leaves out a job, whatever comes or goes meanwhile.
        """
        ...

    def move(
        self, job_id: str, to: Status, *, expect: Collection[Status], number: int | None = None, end: End | None = None
    ) -> Job:
        """Send a job into its next state, by the rules of `job.moved`, and give it back.

        Raises:
            NoSuchJob: if there is none.
            LeaseLost: if *number* is not that of the latest claim.
            MoveRefused: if it is in another state than expected, or may not go there.
        """
        ...

    def claim(self, worker: str, *, lease_s: float) -> Job | None:
        """Give *worker* a job: one whose worker fell silent, or the oldest of those owners who have the fewest running.

        No job is given to two workers at once. The lease number in the job is what the worker has to show from now on.
        Where `attempts` is high, the job is what fells its workers; the worker decides whether to run it. Whose lease
        ran out says `lost`.
        """
        ...

    def beat(
        self,
        job_id: str,
        *,
        number: int,
        lease_s: float,
        progress: Progress | None = None,
        message: str | None = None,
    ) -> Signal:
        """Say that the worker lives, have the lease prolonged, and hear what to do.

        Progress and message are written when given; how often is the caller's choice. Progress never goes back.
        """
        ...

    def take_call(self, *, lease_s: float) -> Call | None:
        """Give away the call that is due longest; for *lease_s* nobody else gets it, and then it is due again.

        A job has a call from the `move` that ends it, where its request has a link for that end, until `end_call`.
        """
        ...

    def retry_call(self, job_id: str, *, tries: int, after_s: float) -> None:
        """Have a call made again, not before *after_s*; does nothing where it was taken again, or ended, since."""
        ...

    def end_call(self, job_id: str) -> None:
        """Have a call not made any more; does nothing where there is none."""
        ...

    def log(self, job_id: str, lines: Sequence[str]) -> None:
        """Append to the job's log.

        Raises:
            NoSuchJob: if there is no such job.
        """
        ...

    def logs(self, job_id: str, *, after: int = 0, limit: int = 1000) -> tuple[Line, ...]:
        """Lines numbered higher than *after*, in order; none where there is no such job."""
        ...

    def counts(self, owner: str | None = None) -> Mapping[Status, int]:
        """How many jobs are in each of the five states, of one owner or of all."""
        ...

    def remove(self, job_id: str) -> bool:
        """Forget an ended job and its log; False where there is none, or it has not ended."""
        ...

    def expire(self, limit: int = 100) -> tuple[str, ...]:
        """Forget up to *limit* jobs that ended long enough ago, and say which, so that their outputs can go too."""
        ...
