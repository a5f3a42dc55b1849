"""Work that needs no process of its own: to wait, and to give back what is known already."""

import time
from collections.abc import Mapping
from typing import Any

from tilepipe_hub.job import problem_of
from tilepipe_hub.running.child import Message

__all__ = ["Pausing"]


class Pausing:
    """The work of the process `echo`: satisfies `Undertaking`."""

    def __init__(self, pause_s: float, *, results: Mapping[str, Any], fails: bool) -> None:
        self._ends = time.monotonic() + pause_s
        self._results = results
        self._fails = fails
        self._over = False

    def hear(self, timeout_s: float) -> list[Message]:
        left = self._ends - time.monotonic()
        if self._over or left > 0:
            time.sleep(max(0.0, min(left, timeout_s)))
            return []
        self._over = True
        if not self._fails:
            return [{"kind": "end", "status": "successful", "message": "", "results": self._results}]
        problem = problem_of("failed as asked")
        return [{"kind": "end", "status": "failed", "message": "failed as asked", "problem": problem}]

    @property
    def has_ended(self) -> bool:
        return self._over

    def how_it_ended(self) -> str:
        return "was stopped"

    def hold_until(self, moment: float) -> None:
        """Nothing is written, so nothing can be written too late."""

    def pause(self) -> None:
        """Nothing is done that could wait."""

    def stop(self) -> None:
        self._over = True

    def kill(self) -> None:
        self._over = True

    def reap(self) -> None:
        """There is nothing to wait for."""
