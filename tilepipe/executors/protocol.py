"""What an executor must promise."""

from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Any, Protocol, Self, TypeVar

__all__ = ["Executor"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """Somewhere to run calls; it knows nothing of tiles.

    Leaving the `with` block leaves nothing running: what waits is cancelled, what runs is ended.
    """

    @property
    def slots(self) -> int:
        """How many calls are worth having under way at once."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def share(self, value: object) -> None:
        """Hand *value* to every worker once, also to those that come later; to be called once, before `submit`."""
        ...

    def submit(self, call: Callable[[Any, Item], Result], item: Item) -> "Future[Result]":
        """Start `call(value, item)` on some worker, where *value* is what was shared.

        The future raises what the call raises, or WorkerLost when the worker that held it ended.
        """
        ...

    def wait(self, futures: "Collection[Future[Result]]", timeout_s: float | None = None) -> "set[Future[Result]]":
        """Those of *futures* that are done, after at least one is; none when the time is over first."""
        ...
