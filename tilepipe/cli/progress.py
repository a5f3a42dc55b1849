"""How a run is shown while it goes on: a bar on a terminal, a line now and then elsewhere."""

import sys
from contextlib import AbstractContextManager
from importlib import import_module
from types import TracebackType
from typing import Protocol, Self

import click

from tilepipe.outcome import Outcome
from tilepipe.tally import Tally

__all__ = ["Lines", "Shown", "watch"]

LINE_EVERY_S = 10.0


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
