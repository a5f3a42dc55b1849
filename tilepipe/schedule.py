"""When a task may start: it is held until all it needs is done."""

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

__all__ = ["Schedule"]

Key = TypeVar("Key", bound=Hashable)
Held = TypeVar("Held")
Result = TypeVar("Result")


class Schedule(Generic[Key, Held, Result]):
    """A countdown for each thing that waits.

    Things come in an order in which each follows what it needs, so what is kept is bounded by what is under way and
    what waits for it.
    """

    def __init__(self) -> None:
        self._under_way: set[Key] = set()
        self._done: dict[Key, Result] = {}
        self._waiting: dict[int, tuple[Held, dict[Key, Result | None], int]] = {}
        self._waiters: dict[Key, int] = {}
        self._next = 0

    def start(self, key: Key) -> None:
        """Say that the result of *key* will come."""
        self._under_way.add(key)

    def expects(self, key: Key) -> bool:
        """Whether *key* was started and nobody has asked for its result yet."""
        return key in self._under_way or key in self._done

    def hold(self, held: Held, needs: Iterable[Key]) -> list[tuple[Held, dict[Key, Result]]]:
        """Hold *held* until each of *needs*, all started before, is done; what may go on now."""
        results: dict[Key, Result | None] = {}
        open_needs = 0
        for key in needs:
            if key in self._done:
                results[key] = self._done.pop(key)
            else:
                results[key] = None
                self._waiters[key] = self._next
                open_needs += 1
        self._waiting[self._next] = (held, results, open_needs)
        self._next += 1
        return self._released(self._next - 1)

    def done(self, key: Key, result: Result) -> list[tuple[Held, dict[Key, Result]]]:
        """Keep the result of *key* for the one that waits for it; what may go on now."""
        self._under_way.discard(key)
        waiter = self._waiters.pop(key, None)
        if waiter is None:
            self._done[key] = result
            return []
        held, results, open_needs = self._waiting[waiter]
        results[key] = result
        self._waiting[waiter] = (held, results, open_needs - 1)
        return self._released(waiter)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def _released(self, waiter: int) -> list[tuple[Held, dict[Key, Result]]]:
        held, results, open_needs = self._waiting[waiter]
        if open_needs:
            return []
        del self._waiting[waiter]
        return [(held, {key: result for key, result in results.items() if result is not None})]
