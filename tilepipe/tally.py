"""What has become of the tiles of a run, for whoever shows it."""

import time
from dataclasses import dataclass, field

from tilepipe.outcome import Outcome

__all__ = ["Tally"]


@dataclass(slots=True)
class Tally:
    """What has become of the tiles so far."""

    written: int = 0
    empty: int = 0
    kept: int = 0
    failed: int = 0
    blocked: int = 0
    bytes: int = 0
    peak_bytes: int = 0
    started: float = field(default_factory=time.monotonic)

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        self.written += outcome.written.bit_count()
        self.empty += outcome.empty.bit_count()
        self.kept += outcome.kept.bit_count()
        self.failed += len(outcome.failures)
        self.blocked += outcome.blocked.bit_count()
        self.bytes += outcome.bytes
        self.peak_bytes = max(self.peak_bytes, outcome.peak_bytes)

    @property
    def done(self) -> int:
        """Tiles of which something became."""
        return self.written + self.empty + self.kept + self.failed + self.blocked

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.started

    @property
    def rate(self) -> float:
        """Tiles a second, without those that were there before."""
        return (self.done - self.kept) / max(self.seconds, 1e-9)

    def words(self) -> str:
        """One line of it all; what did not occur is left out, but never what failed."""
        counts = [("written", self.written), ("empty", self.empty), ("kept", self.kept), ("blocked", self.blocked)]
        shown = [f"{count:,} {name}" for name, count in counts if count or name == "written"]
        return ", ".join([*shown, f"{self.failed:,} failed"])

    def summary(self) -> str:
        """One line for the end of a run."""
        return f"{self.words()}: {self.bytes / 1e6:,.1f} MB in {self.seconds:,.1f} s, {self.rate:,.1f} tiles/s"
