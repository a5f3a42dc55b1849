"""A run drawn on a terminal: a bar with rate and remaining time."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tilepipe.outcome import Outcome
from tilepipe.tally import Tally

__all__ = ["Bar"]


class Bar:
    """A bar that moves with each outcome."""

    def __init__(self, total: int, *, tally: Tally, failures: bool) -> None:
        self._tally = tally
        self._failures = failures
        self._progress = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:.1f} tiles/s"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("", total=total, rate=0.0)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._progress.stop()

    def show(self, outcome: Outcome) -> None:
        """Take in an outcome."""
        self._tally.add(outcome)
        for failure in outcome.failures if self._failures else ():
            self._progress.console.print(failure.reason, markup=False, highlight=False)
        self._progress.update(
            self._task, completed=self._tally.done, description=self._tally.words(), rate=self._tally.rate
        )
