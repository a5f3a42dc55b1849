"""How a run is shown while it goes on: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import import_module
from types import TracebackType
from typing import Protocol, Self

import click

from tilepipe.outcome import Outcome

__all__ = ["Lines", "Shown", "Tally", "watch"]

LINE_EVERY_S = 10.0


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


class Shown(AbstractContextManager["Shown"], Protocol):
    """Something to hand each outcome to."""

    def show(self, outcome: Outcome) -> None:
        """Take in an outcome."""
        ...


def watch(total: int, *, tally: Tally, failures: bool) -> Shown:
    """What shows a run of *total* tiles; it counts in *tally* and, with *failures*, tells why tiles failed."""
    if sys.stderr.isatty():
        # Drawing takes longer to import than a small run takes, so it is loaded where there is something to draw on.
        bar: Shown = import_module("tilepipe.cli.bar").Bar(total, tally=tally, failures=failures)
        return bar
    return Lines(total, tally=tally, failures=failures)


class Lines:
    """A line every few seconds."""

    def __init__(self, total: int, *, tally: Tally, failures: bool) -> None:
        self._tally = tally
        self._failures = failures
        self._total = total
        self._next = LINE_EVERY_S

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Nothing is left to do: each line is said at once."""

    def show(self, outcome: Outcome) -> None:
        """Take in an outcome."""
        tally = self._tally
        tally.add(outcome)
        for failure in outcome.failures if self._failures else ():
            click.echo(failure.reason, err=True)
        if tally.seconds >= self._next:
            self._next = tally.seconds + LINE_EVERY_S
            left_s = (self._total - tally.done) / max(tally.rate, 1e-9)
            click.echo(
                f"{tally.done:,} of {self._total:,} tiles, {tally.rate:.1f} tiles/s, "
                f"about {left_s:,.0f} s left: {tally.words()}",
                err=True,
            )
