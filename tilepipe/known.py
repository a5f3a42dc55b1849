"""What earlier runs made and whether it is still there, in a few bytes a tile."""

import struct
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from tilepipe.geo.geometry import Area
from tilepipe.geo.pyramid import Pyramid, Tile
from tilepipe.outcome import Outcome, State
from tilepipe.outputs.protocol import Part, Stored
from tilepipe.outputs.tile_directory import TileDirectory
from tilepipe.task import Made

__all__ = ["Known"]

UNKNOWN, WRITTEN, EMPTY, STALE, FAILED, BLOCKED = range(6)
"""Stale: written by an earlier run and not good any more; its objects may still be there."""

STATES: Mapping[int, State] = {WRITTEN: "written", EMPTY: "empty", FAILED: "failed", BLOCKED: "blocked"}

CLOCKS_S = 2.0
"""Clocks of a machine and of a storage differ; an object younger than its record by more than this is looked into."""

INDEXED_ROWS = 4096
"""Rows whose columns can be looked up at once; the walk comes back to a row while it is near it."""


@dataclass(slots=True)
class Row:
    """The tiles of one row of one zoom, in the order in which they were made."""

    cols: "array[int]" = field(default_factory=lambda: array("Q"))
    turns: "array[int]" = field(default_factory=lambda: array("I"))
    states: bytearray = field(default_factory=bytearray)
    parts: bytearray = field(default_factory=bytearray)
    index: dict[int, int] | None = None
    """Column to the place of its latest entry."""
    checked: bool = False


class Known:
    """The tiles of an output that need not be made again.

    A tile counts only while its objects lie in the storage with the size they were written with, and, when something
    touched them later, with the same checksum.
    """

    def __init__(self, *, output: TileDirectory, pyramid: Pyramid, objects: int, fillers: set[Tile]) -> None:
        """*objects* is the number of files a tile of *output* has, *fillers* are those that stand for nothing."""
        self._output = output
        self._pyramid = pyramid
        self._packed = struct.Struct(f"<{2 * objects}I")
        self._rows: dict[tuple[int, int], Row] = {}
        self._indexed: list[Row] = []
        self._times: array[float] = array("d")
        self._parts_of: array[int] = array("I")
        """For each turn the part that it belongs to, 0 for a whole run."""
        self._since = 0
        """The turn at which the first of the parts began that may run side by side; their order says nothing."""
        self._part = 0
        self.fillers = fillers

    def begin(self, part: int, *, beside: bool) -> None:
        """Take what comes from here on as made by a part (0: a whole run), *beside* the part before it or after."""
        self._part = part
        if not beside:
            self._since = len(self._times)

    def add(self, outcome: Outcome, *, at: float) -> None:
        """Take in what became of a task at time *at*."""
        turn = len(self._times)
        self._times.append(at)
        self._parts_of.append(self._part)
        for tile, parts in zip(outcome.tiles(outcome.written), outcome.parts, strict=True):
            self._append(tile, turn, WRITTEN, parts)
        for tile in outcome.tiles(outcome.empty):
            self._append(tile, turn, EMPTY, ())
        for failure in outcome.failures:
            self._append(failure.tile, turn, FAILED, ())
        for tile in outcome.tiles(outcome.blocked):
            self._append(tile, turn, BLOCKED, ())

    def forget(
        self,
        area: Area,
        *,
        zooms: Iterable[int] | None = None,
        margin_px: float = 0,
        made_by: Collection[int] | None = None,
    ) -> None:
        """Count the tiles that touch *area*, at *zooms* or at all, as not made.

        Args:
            area: where.
            zooms: at which zooms; None for all.
            margin_px: how much larger the tiles count.
            made_by: of the tiles that parts made side by side, only those of these parts; of older tiles, all.
        """
        wanted = None if zooms is None else set(zooms)
        for (zoom, number), row in self._rows.items():
            if wanted is not None and zoom not in wanted:
                continue
            index = self._index(row)
            cols = np.fromiter(index, dtype=np.int64, count=len(index))
            touched = area.touched(self._pyramid, zoom, np.full_like(cols, number), cols, margin_px)
            for col in cols[touched].tolist():
                if made_by is None or self._concerned(row.turns[index[col]], made_by):
                    _spoil(row, index[col])

    def forget_tiles(self, tiles: Iterable[Tile]) -> None:
        """Count some tiles as not made."""
        for tile in tiles:
            row = self._rows.get((tile.zoom, tile.row))
            if row is not None and tile.col in self._index(row):
                _spoil(row, self._index(row)[tile.col])

    def __call__(self, tiles: Iterable[Tile]) -> Mapping[Tile, Made]:
        """What became of those of *tiles* that are good, or of which is known that they could not be made."""
        made = {}
        for tile in tiles:
            row = self._rows.get((tile.zoom, tile.row))
            if row is None:
                continue
            index = self._index(row)
            if not row.checked:
                self._check(tile.zoom, tile.row, row)
            place = index.get(tile.col)
            if place is not None and row.states[place] in STATES:
                made[tile] = Made(STATES[row.states[place]], row.turns[place])
        return made

    def drop(self, tile: Tile) -> None:
        """Know nothing of a tile any more."""
        row = self._rows.get((tile.zoom, tile.row))
        if row is not None and tile.col in self._index(row):
            row.states[self._index(row)[tile.col]] = UNKNOWN

    def zooms(self) -> set[int]:
        """Zooms at which anything is known."""
        return {zoom for zoom, _ in self._rows}

    def written(self) -> Iterator[tuple[Tile, tuple[Part, ...]]]:
        """Every tile that holds data."""
        return self._latest(WRITTEN)

    def stale(self) -> Iterator[tuple[Tile, tuple[Part, ...]]]:
        """Every tile that was written, is not good any more, and was not made again."""
        return self._latest(STALE)

    def _concerned(self, turn: int, parts: Collection[int]) -> bool:
        return turn < self._since or self._parts_of[turn] in parts

    def _latest(self, state: int) -> Iterator[tuple[Tile, tuple[Part, ...]]]:
        for (zoom, number), row in self._rows.items():
            for col, place in self._index(row).items():
                if row.states[place] == state:
                    yield Tile(zoom, number, col), self._parts(row, place)

    def _append(self, tile: Tile, turn: int, state: int, parts: tuple[Part, ...]) -> None:
        row = self._rows.setdefault((tile.zoom, tile.row), Row())
        if row.index is not None:
            row.index[tile.col] = len(row.cols)
        row.cols.append(tile.col)
        row.turns.append(turn)
        row.states.append(state)
        facts = [number for part in parts for number in part] or [0] * (self._packed.size // 4)
        row.parts += self._packed.pack(*facts)

    def _parts(self, row: Row, place: int) -> tuple[Part, ...]:
        numbers = self._packed.unpack_from(row.parts, place * self._packed.size)
        return tuple(Part(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True))

    def _index(self, row: Row) -> dict[int, int]:
        if row.index is None:
            if len(self._indexed) >= INDEXED_ROWS:
                for other in self._indexed:
                    other.index = None
                self._indexed.clear()
            row.index = {col: place for place, col in enumerate(row.cols)}
            self._indexed.append(row)
        return row.index

    def _check(self, zoom: int, number: int, row: Row) -> None:
        """Compare a row with what is stored; whatever differs is not good."""
        row.checked = True
        places = {
            Tile(zoom, number, col): place
            for col, place in self._index(row).items()
            if row.states[place] in {WRITTEN, EMPTY}
        }
        for tile, objects in self._output.stored(places).items():
            place = places[tile]
            if not self._agrees(tile, self._parts(row, place), objects, self._times[row.turns[place]]):
                row.states[place] = STALE

    def _agrees(self, tile: Tile, parts: tuple[Part, ...], objects: tuple[Stored | None, ...], at: float) -> bool:
        young = False
        for piece, part, found in zip(self._output.pieces(tile), parts, objects, strict=True):
            if found is None or (not part.size and piece in self.fillers):
                if part.size:
                    return False
            elif found.size != part.size:
                return False
            else:
                young = young or found.modified > at + CLOCKS_S
        return not young or self._output.checksum(tile) == tuple(part.crc for part in parts)


def _spoil(row: Row, place: int) -> None:
    row.states[place] = STALE if row.states[place] in {WRITTEN, STALE} else UNKNOWN
