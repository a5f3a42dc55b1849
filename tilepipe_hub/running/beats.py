"""When a worker speaks to the store about a job, and what it hears back.

It says that it lives every `beat_s`. What there is to tell goes with that, and sooner, but never more than twice a
second. While the store is away, what was not told waits. Until `held_until` the job is ours for certain: that is
reckoned from before the call that prolonged the lease, so no other worker can have been given it by then.
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

APART_S = 0.5
"""Between two writes of one job."""
LISTEN_S = 1.0
"""Between two looks whether the job was dismissed."""
LINES = 10_000
"""Of a job's log; what a job prints beyond is left out."""
AGAIN_S = 0.2
"""After the store was found away."""


class Beats:
    """A thread that speaks for one job."""

    def __init__(self, store: Store, job: Job, *, lease_s: float, beat_s: float, held_until: float) -> None:
        self._store = store
        self._job = job
        self._lease_s = lease_s
        self._beat_s = beat_s
        self._news = threading.Condition()
        self._progress: Progress | None = None
        self._lines: list[str] = []
        self._told = 0
        self._closed = False
        self.held_until = held_until
        """Moment of the monotonic clock."""
        self.heard: Signal = "continue"
        self._thread = threading.Thread(target=self._run, name=f"beats-{job.id}", daemon=True)
        self._thread.start()

    def tell(self, progress: Progress | None = None, lines: Iterable[str] = ()) -> None:
        """Have this written when it is time; of several progresses only the last is."""
        with self._news:
            self._progress = progress or self._progress
            for line in lines:
                self._told += 1
                if self._told <= LINES:
                    self._lines.append(line)
                elif self._told == LINES + 1:
                    self._lines.append(f"the log ends here, after {LINES:,} lines")
            self._news.notify()

    @property
    def takes_lines(self) -> bool:
        """Whether the log has not ended."""
        return self._told <= LINES

    def close(self) -> list[str]:
        """Say what is left to say if the store is there, and no more; lines of the log that it did not take."""
        with self._news:
            self._closed = True
            self._news.notify()
        self._thread.join()
        if self.heard == "continue" and (self._progress or self._lines):
            self._beat()
        return self._lines if self.heard == "continue" else []

    def _run(self) -> None:
        beaten = listened = time.monotonic()
        while self.heard == "continue":
            with self._news:
                while not self._closed and (wait := self._wait(beaten, listened)) > 0:
                    self._news.wait(wait)
                if self._closed:
                    return
            listened = time.monotonic()
            if not self._is_due(beaten) and not self._is_dismissed():
                continue
            beaten = listened
            if not self._beat():
                with self._news:
                    self._news.wait_for(lambda: self._closed, AGAIN_S)

    def _is_dismissed(self) -> bool:
        """Whether the job's owner has no more use for it, which is looked for more often than is written."""
        query = Query(text=self._job.id, statuses={"dismissed"}, limit=10)
        try:
            return any(job.id == self._job.id for job in self._store.find(query).jobs)
        except StoreError:
            return False

    def _is_due(self, beaten: float) -> bool:
        """Whether it is time to write."""
        has_news = self._progress is not None or bool(self._lines)
        return time.monotonic() - beaten >= (APART_S if has_news else self._beat_s)

    def _wait(self, beaten: float, listened: float) -> float:
        """Seconds until there is something to do."""
        has_news = self._progress is not None or bool(self._lines)
        write = beaten + (APART_S if has_news else self._beat_s)
        return min(write, listened + LISTEN_S) - time.monotonic()

    def _beat(self) -> bool:
        """One sign of life with all there is to tell; False where the store did not answer."""
        with self._news:
            progress, self._progress = self._progress, None
            lines, self._lines = self._lines, []
        began = time.monotonic()
        try:
            self.heard = self._store.beat(
                self._job.id, number=self._job.number, lease_s=self._lease_s, progress=progress
            )
            if self.heard != "continue":
                return True
            progress, self.held_until = None, began + self._lease_s
            # The log asks for no lease number, so it is written only when the job was ours a moment ago.
            if lines:
                self._store.log(self._job.id, lines)
        except NoSuchJob:
            self.heard = "lost"
        except StoreError as error:
            log.warning("job %s: %s", self._job.id, error)
            with self._news:
                self._progress, self._lines = self._progress or progress, lines + self._lines
            return False
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
