"""What a job has made so far, and the report of it at its end."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tilepipe.outcome import Failure, Outcome

__all__ = ["Count"]

FAILURES = 100
"""Failed tiles that a report names."""


@dataclass(slots=True)
class Count:
    """The tiles of a job by what became of them, and what they cost."""

    total: int
    """Planned."""
    written: int = 0
    empty: int = 0
    kept: int = 0
    failed: int = 0
    blocked: int = 0
    bytes: int = 0
    peak_bytes: int = 0
    failures: deque[Failure] = field(default_factory=deque)
    """The first of them."""
    begun: float = field(default_factory=time.monotonic)

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        self.written += outcome.written.bit_count()
        self.empty += outcome.empty.bit_count()
        self.kept += outcome.kept.bit_count()
        self.failed += len(outcome.failures)
        self.blocked += outcome.blocked.bit_count()
        self.bytes += outcome.bytes
        self.peak_bytes = max(self.peak_bytes, outcome.peak_bytes)
        self.failures.extend(outcome.failures[: FAILURES - len(self.failures)])

    @property
    def made(self) -> int:
        """Tiles that are settled for good."""
        return self.written + self.empty + self.kept

    @property
    def is_complete(self) -> bool:
        """Whether each tile is made."""
        return self.made >= self.total

    def figures(self) -> dict[str, int]:
        """How far it is, for whoever watches."""
        return {
            "done": self.made,
            "new": self.written + self.empty,
            "failed": self.failed,
            "blocked": self.blocked,
            "total": self.total,
            "bytes": self.bytes,
        }

    def words(self) -> str:
        """One line of it all; what did not occur is left out."""
        counts = [
            ("written", self.written),
            ("empty", self.empty),
            ("kept", self.kept),
            ("blocked", self.blocked),
            ("failed", self.failed),
        ]
        shown = [f"{count:,} {name}" for name, count in counts if count or name == "written"]
        return f"tiles: {', '.join(shown)}"

    def report(self, process: str, version: str, *, told: Callable[[str], str]) -> dict[str, Any]:
        """The report as `processes.outputs` describes it.

        Args:
            process: its name.
            version: of the engine.
            told: makes words for the owner of those of an error.
        """
        return {
            "process": process,
            "version": version,
            "complete": self.is_complete,
            "tiles": {
                "written": self.written,
                "empty": self.empty,
                "kept": self.kept,
                "failed": self.failed,
                "blocked": self.blocked,
            },
            "bytes": self.bytes,
            "seconds": round(time.monotonic() - self.begun, 3),
            "peak_bytes": self.peak_bytes,
            "failures": [{"tile": list(failure.tile), "reason": told(failure.reason)} for failure in self.failures],
        }
