"""When the end of a job is told, by which worker, and how often it is tried.

What is to be told lies in the store, put there by the write that ended the job. Any worker takes it, for as long as one
call may last; so a call outlives its worker, whether that is killed, drained or cut off. The price is that a receiver
may be called twice: after it heard, the worker may die before it has said so.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tilepipe_hub.errors import NoSuchJob, StoreError
from tilepipe_hub.job import Job
from tilepipe_hub.store.protocol import Call, Store

__all__ = ["Telling"]

log = logging.getLogger(__name__)

AT_ONCE = 4
LOOK_S = 1.0
"""Between two looks for calls that are due: those of others, of dismissed jobs, and those to be tried again."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 3600.0
CLOSING_S = 5.0
"""For calls that are due or under way when the worker ends."""
SILENCE = "the worker that made the last call fell silent"


@dataclass(slots=True, kw_only=True)
class Telling:
    """The calls of one worker, each in a thread."""

    store: Store
    tell: Callable[[Job], str | None]
    """Makes one call; says why it was not heard, None where it was."""
    attempts: int
    """Of all workers together."""
    lease_s: float
    """Longer than a call takes."""
    _ends: float = float("inf")
    _news: threading.Event = field(default_factory=threading.Event)
    _free: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(AT_ONCE))
    _taking: threading.Thread | None = None

    def start(self) -> None:
        """Take calls from now on."""
        # Threads that nobody has to wait for: what they leave undone is in the store.
        self._taking = threading.Thread(target=self._take, name="calls", daemon=True)
        self._taking.start()

    def wake(self) -> None:
        """There may be a call."""
        self._news.set()

    def close(self) -> None:
        """Make what is due now, for a moment; the rest is for others."""
        self._ends = time.monotonic() + CLOSING_S
        self._news.set()
        if self._taking is not None:
            self._taking.join(CLOSING_S)
        for _ in range(AT_ONCE):
            self._free.acquire(timeout=max(0.0, self._ends - time.monotonic()))

    def _take(self) -> None:
        last = False
        while not last:
            self._news.clear()
            last = self._ends < float("inf")
            while time.monotonic() < self._ends and self._take_one():
                pass
            if not last:
                self._news.wait(LOOK_S)

    def _take_one(self) -> bool:
        """Take a call and start it; False where none is due, all hands are full, or the store is away."""
        if not self._free.acquire(timeout=LOOK_S):
            return False
        call = None
        try:
            call = self.store.take_call(lease_s=self.lease_s)
        except StoreError as error:
            log.warning("%s", error)
        finally:
            if call is None:
                self._free.release()
        if call is None:
            return False
        threading.Thread(target=self._make, args=(call,), name=f"call-{call.job.id}", daemon=True).start()
        return True

    def _make(self, call: Call) -> None:
        try:
            # A receiver that fells its callers must not fell them for ever.
            reason = self.tell(call.job) if call.tries <= self.attempts else SILENCE
            self._settle(call, reason)
            if reason is not None:
                log.warning("job %s: callback %d of %d: %s", call.job.id, call.tries, self.attempts, reason)
        finally:
            self._free.release()

    def _settle(self, call: Call, reason: str | None) -> None:
        """Say in the store what became of a call, for as long as it is ours."""
        ends = time.monotonic() + self.lease_s
        while not self._is_settled(call, reason) and time.monotonic() < ends:
            time.sleep(LOOK_S / 2)

    def _is_settled(self, call: Call, reason: str | None) -> bool:
        try:
            self._write(call, reason)
        except StoreError as error:
            log.warning("job %s: %s", call.job.id, error)
            return False
        return True

    def _write(self, call: Call, reason: str | None) -> None:
        if reason is not None and call.tries < self.attempts:
            # Not a secret: the pauses of many calls are only to differ.
            pause = _pause_s(call.tries) * random.uniform(0.5, 1.5)  # noqa: S311
            self.store.retry_call(call.job.id, tries=call.tries, after_s=pause)
            return
        if reason is not None:
            # The owner of the job reads its log, the operator that of the worker.
            log.warning("job %s: nobody is told of its end any more", call.job.id)
            with suppress(NoSuchJob):
                words = f"the end was told to nobody: callback {self.attempts} of {self.attempts}: {reason}"
                self.store.log(call.job.id, [words])
        self.store.end_call(call.job.id)


def _pause_s(tries: int) -> float:
    """After the first try and each that follows; also a million tries are no overflow."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 4.0 ** min(tries - 1, 20))
