"""What became of a task and its tiles."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tilepipe.geo.branch import bit_of, bits, tile_at
from tilepipe.geo.pyramid import Tile
from tilepipe.outputs.protocol import Part

__all__ = ["Failure", "Outcome", "State"]

State = Literal["written", "empty", "failed", "blocked"]
"""Blocked: an overview above a tile that failed; it is not made, so that no hole is hidden in it."""


class Failure(NamedTuple):
    """Why a tile could not be made."""

    tile: Tile
    reason: str
    """One line for people."""
    detail: str
    """Traceback of the process, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The tiles of one task, as bits of `geo.branch`, and what they cost."""

    root: Tile
    depth: int
    written: int = 0
    empty: int = 0
    blocked: int = 0
    kept: int = 0
    """Made by an earlier run and still good."""
    failures: tuple[Failure, ...] = ()
    parts: tuple[tuple[Part, ...], ...] = ()
    """For each written tile in the order of its bit, the objects it consists of."""
    seconds: float = 0.0
    peak_bytes: int = 0
    """The most memory its worker has used so far; 0 where nothing was run."""

    @property
    def failed(self) -> int:
        """The tiles that could not be made, as bits."""
        return sum(1 << bit_of(self.root, failure.tile) for failure in self.failures)

    @property
    def made(self) -> int:
        """The tiles whose place in the output is settled now, as bits."""
        return self.written | self.empty

    @property
    def bytes(self) -> int:
        """Bytes written."""
        return sum(part.size for parts in self.parts for part in parts)

    @property
    def count(self) -> int:
        """How many tiles this speaks of."""
        return (self.made | self.blocked | self.kept | self.failed).bit_count()

    def tiles(self, mask: int) -> Iterator[Tile]:
        """The tiles of some of the bits."""
        return (tile_at(self.root, bit) for bit in bits(mask))

    def root_state(self) -> State | None:
        """What became of the root; None where it was not to be made."""
        if self.written & 1:
            return "written"
        if self.empty & 1:
            return "empty"
        if self.blocked & 1:
            return "blocked"
        return "failed" if self.failed & 1 else None
