"""What an executor must promise."""

from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Any, Protocol, Self, TypeVar

__all__ = ["Executor"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """Somewhere to run calls; it knows nothing of tiles.

    Leaving the `with` block leaves nothing running: what waits is cancelled, what runs is ended, or told to end by
    `executors.stop` where it cannot be.
    """

    @property
    def workers(self) -> int:
        """How many calls can run at once, or will be able to once all workers are there."""
        ...

    @property
    def worker_limit(self) -> int | None:
        """The memory that is there for each call, in bytes; a worker that takes more is ended. None: no limit."""
        ...

    @property
    def slots(self) -> int:
        """How many calls are worth having under way at once; changes as workers come and go."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def share(self, value: object, *, calls: int) -> None:
        """Hand *value* to every worker once, also to those that come later; to be called once, before `submit`.

        Args:
            value: what every call gets; it pickles.
            calls: about how many calls there will be, so that no more workers are asked for.
        """
        ...

    def submit(self, call: Callable[[Any, Item], Result], item: Item, *, priority: int = 0) -> "Future[Result]":
        """Start `call(value, item)` on some worker, where *value* is what was shared.

        The future raises what the call raises, or WorkerLost when the worker that ran it ended. It is settled in
        `wait` at the latest, so it is only looked at after that.

        Args:
            call: a function of a module, so that workers can import it.
            item: what this call is about; it pickles, and so does what the call returns.
            priority: of the calls that wait, the one with the highest number starts first.
        """
        ...

    def wait(self, futures: "Collection[Future[Result]]") -> "set[Future[Result]]":
        """Those of *futures* that are done, after at least one is."""
        ...
