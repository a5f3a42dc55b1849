"""Calls run one after the other, where they are submitted."""

from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Any, Self, TypeVar

__all__ = ["Inline"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Inline:
    """No worker at all: best for finding errors, and for what is too small to share."""

    workers = 1
    worker_limit = None
    slots = 1

    def __init__(self, workers: int = 1) -> None:
        """*workers* is there so that all executors are made alike; more than one changes nothing."""
        self._value: object = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._value = None

    def share(self, value: object, *, calls: int) -> None:
        self._value = value

    def submit(self, call: Callable[[Any, Item], Result], item: Item, *, priority: int = 0) -> Future[Result]:
        future: Future[Result] = Future()
        future.set_result(call(self._value, item))
        return future

    def wait(self, futures: Collection[Future[Result]]) -> set[Future[Result]]:
        return set(futures)
