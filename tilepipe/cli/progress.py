"""How a run is shown while it goes on: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tilepipe.outcome import Outcome

__all__ = ["Tally", "watch"]

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


@contextmanager
def watch(total: int, *, console: Console, tally: Tally, failures: bool) -> Iterator["Bar | Lines"]:
    """Something to hand each outcome to, which counts in *tally* and, with *failures*, tells why tiles failed."""
    if console.is_terminal:
        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:.1f} tiles/s"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=console) as progress:
            yield Bar(progress, total, tally=tally, failures=failures)
    else:
        yield Lines(console, total, tally=tally, failures=failures)


class Bar:
    """A bar with rate and remaining time."""

    def __init__(self, progress: Progress, total: int, *, tally: Tally, failures: bool) -> None:
        self.tally = tally
        self._failures = failures
        self._progress = progress
        self._task = progress.add_task("", total=total, rate=0.0)

    def show(self, outcome: Outcome) -> None:
        """Take in an outcome."""
        self.tally.add(outcome)
        for failure in outcome.failures if self._failures else ():
            self._progress.console.print(failure.reason, markup=False, highlight=False)
        self._progress.update(
            self._task, completed=self.tally.done, description=self.tally.words(), rate=self.tally.rate
        )


class Lines:
    """A line every few seconds."""

    def __init__(self, console: Console, total: int, *, tally: Tally, failures: bool) -> None:
        self.tally = tally
        self._failures = failures
        self._console = console
        self._total = total
        self._next = LINE_EVERY_S

    def show(self, outcome: Outcome) -> None:
        """Take in an outcome."""
        tally = self.tally
        tally.add(outcome)
        for failure in outcome.failures if self._failures else ():
            self._say(failure.reason)
        if tally.seconds >= self._next:
            self._next = tally.seconds + LINE_EVERY_S
            left_s = (self._total - tally.done) / max(tally.rate, 1e-9)
            self._say(
                f"{tally.done:,} of {self._total:,} tiles, {tally.rate:.1f} tiles/s, "
                f"about {left_s:,.0f} s left: {tally.words()}"
            )

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
