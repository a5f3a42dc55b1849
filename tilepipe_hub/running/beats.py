"""When a worker speaks to the store about a job, and what it hears back.

It says that it lives every `beat_s`. What there is to tell goes with that, and sooner, but a job is written at most
twice within any second, whatever there is to tell: its claim and the signs of life lie a second apart, and its end may
come at any moment between. While the store is away, what was not told waits. Until `held_until` the job is ours for
certain: that is reckoned from before the call that prolonged the lease, so no other worker can have been given it by
then.
"""

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import replace

from tilepipe_hub.errors import NoSuchJob, StoreError
from tilepipe_hub.job import Job, Progress
from tilepipe_hub.store.protocol import Query, Signal, Store

__all__ = ["LINES", "Beats", "progress_of"]

log = logging.getLogger(__name__)

APART_S = 1.0
"""Between the answer to one write of a job and the next: the store's moments of the two lie further apart still."""
FIRST_S = 0.2
"""Before the log is begun: a small job has ended by then, and should not have to share its processor with the store."""
LISTEN_S = 1.0
"""Between two looks whether the job was dismissed."""
LINES = 10_000
"""Of a job's log; what a job prints beyond is left out."""
AGAIN_S = 0.2
"""After the store was found away."""


class Beats:
    """A thread that speaks for one job."""

    def __init__(
        self, store: Store, job: Job, *, lease_s: float, beat_s: float, held_until: float, opening: Iterable[str] = ()
    ) -> None:
        self._store = store
        self._job = job
        self._lease_s = lease_s
        self._beat_s = beat_s
        self._news = threading.Condition()
        self._carried = time.monotonic()
        """When progress may last have been written."""
        self._progress: Progress | None = None
        self._lines: list[str] = []
        self._opening = list(opening)
        """Lines of the log above all others, for which nothing has to wait."""
        self._told = 0
        self._closed = False
        self.held_until = held_until
        """Moment of the monotonic clock."""
        self.heard: Signal = "continue"
        self._thread = threading.Thread(target=self._run, name=f"beats-{job.id}", daemon=True)

    def start(self) -> None:
        """Begin; may be called again."""
        if self._thread.ident is None:
            self._thread.start()

    def tell(self, progress: Progress | None = None, lines: Iterable[str] = ()) -> None:
        """Have this written when it is time; of several progresses only the last is."""
        with self._news:
            had_news = self._has_news
            self._progress = progress or self._progress
            for line in lines:
                self._told += 1
                if self._told <= LINES:
                    self._lines.append(line)
                elif self._told == LINES + 1:
                    self._lines.append(f"the log ends here, after {LINES:,} lines")
            if not had_news:
                self._news.notify()

    @property
    def takes_lines(self) -> bool:
        """Whether the log has not ended."""
        return self._told <= LINES

    def close(self) -> list[str]:
        """Write down what is left of the log if the store is there, and no more; lines that it did not take.

        Progress that was not told goes with the end of the job.
        """
        with self._news:
            self._closed = True
            self._news.notify()
        if self._thread.ident is not None:
            self._thread.join()
        if self.heard == "continue" and self._lines:
            self._log()
        return [*self._opening, *self._lines] if self.heard == "continue" else []

    @property
    def _has_news(self) -> bool:
        return self._progress is not None or bool(self._lines)

    def _run(self) -> None:
        beaten = listened = time.monotonic()
        with self._news:
            if self._news.wait_for(lambda: self._closed, FIRST_S):
                return
            later, self._lines = self._lines, []
        self._log()
        with self._news:
            self._lines = later + self._lines
        while self.heard == "continue":
            with self._news:
                while not self._closed and (wait := self._wait(beaten, listened)) > 0:
                    self._news.wait(wait)
                if self._closed:
                    return
            listened = time.monotonic()
            if not self._is_due(beaten) and not self._is_dismissed():
                continue
            while not self._beat():
                with self._news:
                    if self._news.wait_for(lambda: self._closed, AGAIN_S):
                        return
            beaten = time.monotonic()
            if self.heard == "continue":
                self._log()

    def _is_dismissed(self) -> bool:
        """Whether the job's owner has no more use for it, which is looked for more often than is written."""
        query = Query(text=self._job.id, statuses={"dismissed"}, limit=10)
        try:
            return any(job.id == self._job.id for job in self._store.find(query).jobs)
        except StoreError:
            return False

    def _is_due(self, beaten: float) -> bool:
        """Whether it is time to write."""
        return time.monotonic() - beaten >= (APART_S if self._has_news else self._beat_s)

    def _wait(self, beaten: float, listened: float) -> float:
        """Seconds until there is something to do."""
        write = beaten + (APART_S if self._has_news else self._beat_s)
        return min(write, listened + LISTEN_S) - time.monotonic()

    def _log(self) -> None:
        """Write down the lines there are; that asks for no lease number, so only while the job is ours for certain."""
        with self._news:
            lines, self._lines, self._opening = [*self._opening, *self._lines], [], []
        try:
            if lines and time.monotonic() < self.held_until:
                self._store.log(self._job.id, lines)
                lines = []
        except NoSuchJob:
            self.heard = "lost"
        except StoreError as error:
            log.warning("job %s: %s", self._job.id, error)
        with self._news:
            self._lines = lines + self._lines

    def _beat(self) -> bool:
        """One sign of life, with progress if it is time for that; False where the store did not answer."""
        began = time.monotonic()
        progress: Progress | None = None
        with self._news:
            # A call that failed may have had its effect.
            if began - self._carried >= APART_S:
                progress, self._progress = self._progress, None
        try:
            self.heard = self._store.beat(
                self._job.id, number=self._job.number, lease_s=self._lease_s, progress=progress
            )
        except StoreError as error:
            log.warning("job %s: %s", self._job.id, error)
            with self._news:
                self._progress = self._progress or progress
            return False
        finally:
            if progress is not None:
                self._carried = time.monotonic()
        if self.heard == "continue":
            self.held_until = began + self._lease_s
        return True


def progress_of(figures: dict[str, int], *, seconds: float, before: Progress) -> Progress:
    """How far a job is, of what its process tells."""
    total = max(0, figures["total"])
    settled = figures["done"] + figures["failed"] + figures["blocked"]
    rate = figures["new"] / seconds if seconds > 0 and figures["new"] else before.rate
    left = max(0, total - settled)
    return replace(
        before,
        # All of it is only done when it has been said to be.
        percent=min(99, 100 * settled // total) if total else 0,
        done=figures["done"],
        total=total,
        failed=figures["failed"],
        rate=rate,
        eta_s=left / rate if rate else None,
    )
