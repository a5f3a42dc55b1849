"""What a job has made so far, and the report of it at its end."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tilepipe.outcome import Failure, Outcome
from tilepipe.tally import Tally

__all__ = ["Count"]

FAILURES = 100
"""Failed tiles that a report names."""


@dataclass(slots=True)
class Count:
    """The tiles of a job by what became of them, and what they cost."""

    total: int
    """Planned."""
    tally: Tally = field(default_factory=Tally)
    failures: deque[Failure] = field(default_factory=deque)
    """The first of them."""

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        self.tally.add(outcome)
        self.failures.extend(outcome.failures[: FAILURES - len(self.failures)])

    @property
    def made(self) -> int:
        """Tiles that are settled for good."""
        return self.tally.written + self.tally.empty + self.tally.kept

    @property
    def is_complete(self) -> bool:
        """Whether each tile is made."""
        return self.made >= self.total

    def figures(self) -> dict[str, int]:
        """How far it is, for whoever watches."""
        return {
            "done": self.made,
            "new": self.tally.written + self.tally.empty,
            "failed": self.tally.failed,
            "blocked": self.tally.blocked,
            "total": self.total,
            "bytes": self.tally.bytes,
        }

    def words(self) -> str:
        """One line of it all; what did not occur is left out."""
        return f"tiles: {self.tally.words().removesuffix(', 0 failed')}"

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
                "written": self.tally.written,
                "empty": self.tally.empty,
                "kept": self.tally.kept,
                "failed": self.tally.failed,
                "blocked": self.tally.blocked,
            },
            "bytes": self.tally.bytes,
            "seconds": round(self.tally.seconds, 3),
            "peak_bytes": self.tally.peak_bytes,
            "failures": [{"tile": list(failure.tile), "reason": told(failure.reason)} for failure in self.failures],
        }
