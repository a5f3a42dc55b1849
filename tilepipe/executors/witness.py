"""Which call took a worker down: what workers told of themselves before they ended."""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Note", "Witness"]

REMEMBERED = 64
"""Calls started last, for each worker; far more than it has threads."""


class Note(NamedTuple):
    """What a worker tells of itself."""

    run: str
    worker: str
    call: int
    """Number of the task that starts; -1 where only the memory is told."""
    memory_bytes: int
    limit_bytes: int
    """0 where there is none."""


@dataclass(slots=True)
class _Told:
    started: deque[int] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    peak_bytes: int = 0
    limit_bytes: int = 0


@dataclass(slots=True)
class Witness:
    """Remembers the notes of all workers."""

    told: dict[str, _Told] = field(default_factory=dict)

    def hear(self, note: Note) -> None:
        """Remember a note."""
        told = self.told.setdefault(note.worker, _Told())
        told.peak_bytes = max(told.peak_bytes, note.memory_bytes)
        told.limit_bytes = note.limit_bytes
        if note.call >= 0:
            told.started.append(note.call)

    def ran(self, worker: str, held: Collection[int], *, silent: Collection[int]) -> set[int]:
        """Of the tasks that a worker held when it ended, those it had begun.

        One that ended before it could tell is taken to have begun what was given to it first.

        Args:
            worker: its address.
            held: numbers of the tasks.
            silent: those of them that begin without waiting until that was told.
        """
        told = self.told.get(worker, _Told())
        return set(told.started).intersection(held) or set(sorted(silent)[:1])

    def memory(self, worker: str) -> tuple[int | None, int | None]:
        """The most memory a worker was seen to take and what it was allowed, in bytes; None where not known."""
        told = self.told.get(worker, _Told())
        return told.peak_bytes or None, told.limit_bytes or None

    def forget(self, worker: str) -> None:
        """Drop what a worker told that is gone."""
        self.told.pop(worker, None)
