"""Which tiles are made, in which branches, in which order.

The tiles that touch the area form a tree. It is walked depth first, and a branch comes after the branches below it,
so that its overviews can be made. The walk is lazy: it holds one path through the tree and yields as it goes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from tilepipe.errors import PlanError
from tilepipe.geo.branch import bits, children_of, full, tile_at
from tilepipe.geo.geometry import Area, Indices
from tilepipe.geo.pyramid import Pyramid, Tile

__all__ = ["LARGEST_DEPTH", "Branch", "Plan", "Share", "depth_for"]

LARGEST_DEPTH = 3
"""64 leaves: enough to share the cost of a task, few enough to lose when a worker is killed."""

BATCH = 1 << 14
"""Tiles that are held against the area at once while counting."""


class Branch(NamedTuple):
    """A root and the planned tiles down to *depth* zooms below it."""

    root: Tile
    depth: int
    tiles: int
    """Bits of `geo.branch`."""

    def each(self) -> Iterator[Tile]:
        """The tiles themselves."""
        return (tile_at(self.root, bit) for bit in bits(self.tiles))


class Share(NamedTuple):
    """One of several shares that the branches are dealt out to, as cards are: neighbours go to different hands.

    So a share has its part of what is dense and of what is empty. What neighbours read in common lies within a branch.
    """

    number: int
    """From 1."""
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


class Band(NamedTuple):
    """Zooms that are made together in one branch."""

    root: int
    leaf: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A set of tiles, not one of which exists until it is walked to."""

    pyramid: Pyramid
    area: Area
    zooms: tuple[int, ...]
    """The zooms to make, in rising order."""
    reduced: frozenset[int] = frozenset()
    """Those of them that are made from the zoom below in the tree, whose number is one higher."""
    depth: int = LARGEST_DEPTH
    """Zooms below the root of a branch."""
    share: Share | None = None
    """Which of the branches count; None for all."""

    def __post_init__(self) -> None:
        if not self.zooms or list(self.zooms) != sorted(set(self.zooms)):
            raise PlanError(f"zooms {list(self.zooms)} are not a rising list with at least one entry")

    def branches(self) -> Iterator[Branch]:
        """Every planned tile in exactly one branch; a branch after those below it."""
        share = self.share or Share(1, 1)
        return (branch for _, branch in self.deal(share.of, only=share.number))

    def deal(self, of: int, *, only: int | None = None) -> Iterator[tuple[int, Branch]]:
        """Every branch, or those of *only* one share, with the number of the share it belongs to among *of*."""
        bands = self._bands()
        planned = [self._planned(band) for band in bands]
        turns = [count() for _ in bands]
        for place, tile, inside in self._roots(bands):
            # Each band begins with another share, so that those of few branches do not all go to the first.
            number = (next(turns[place]) + place) % of + 1
            if only is None or number == only:
                depth = bands[place].leaf - bands[place].root
                tiles = self._bits(tile, depth, inside=inside) & planned[place]
                if tiles:
                    yield number, Branch(tile, depth, tiles)

    def count(self) -> Mapping[int, int]:
        """How many tiles there are at each zoom; parts of the tree that lie inside the area are not walked."""
        if self.share is not None:
            return _counts_of_share(self)
        return _counts(self.pyramid, self.area, self.zooms)

    def count_branches(self) -> int:
        """How many branches there are."""
        roots = [band.root for band in self._bands()]
        counts = replace(self, zooms=tuple(sorted(roots)), reduced=frozenset(), share=None).count()
        if self.share is None:
            return sum(counts.values())
        share = self.share
        return sum(
            (counts[root] - 1 - (share.number - 1 - place) % share.of) // share.of + 1
            for place, root in enumerate(roots)
        )

    def base(self) -> "Plan | None":
        """The part of this whose branches read none of the others' tiles; None where there is no such branch."""
        zooms: set[int] = set()
        for band in self._bands():
            if band.leaf in self.reduced:
                break
            zooms.update(range(band.root, band.leaf + 1))
        kept = tuple(zoom for zoom in self.zooms if zoom in zooms)
        return replace(self, zooms=kept, reduced=self.reduced & zooms) if kept else None

    def _bands(self) -> list[Band]:
        """The zooms cut to the depth of a branch, finest first.

        A root may lie at a zoom that is not planned, so that tiles of a single zoom too come in branches. A band that
        starts on another one's roots spans one zoom less, so that it too ends in at most 4**depth tiles.
        """
        bands: list[Band] = []
        remaining = list(self.zooms)
        while remaining:
            leaf = remaining[-1]
            rests = leaf in self.reduced and bool(bands)
            root = max(0, leaf - self.depth + (rests and self.depth > 0))
            bands.append(Band(root, leaf))
            remaining = [zoom for zoom in remaining if zoom < root]
        return bands

    def _roots(self, bands: list[Band]) -> Iterator[tuple[int, Tile, bool]]:
        """The root of each branch, the place of its band, and whether it is known to lie in the area."""
        for tile, inside in self._top(bands[-1].root):
            yield from self._walk(bands, tile, inside=inside)

    def _walk(self, bands: list[Band], tile: Tile, *, inside: bool) -> Iterator[tuple[int, Tile, bool]]:
        lower = bands[:-1]
        if lower:
            for below, below_inside in self._descend(tile, lower[-1].root, inside=inside):
                yield from self._walk(lower, below, inside=below_inside)
        yield len(lower), tile, inside

    def _planned(self, band: Band) -> int:
        """The bits of the zooms of a band that are planned."""
        levels = (zoom - band.root for zoom in self.zooms if band.root <= zoom <= band.leaf)
        return sum(full(level) ^ (full(level - 1) if level else 0) for level in levels)

    def _top(self, zoom: int) -> Iterator[tuple[Tile, bool]]:
        rows, cols = _matrix(self.pyramid, 0)
        for row, col in zip(rows.tolist(), cols.tolist(), strict=True):
            yield from self._descend(Tile(0, row, col), zoom, inside=self.area.geometry is None)

    def _descend(self, tile: Tile, zoom: int, *, inside: bool) -> Iterator[tuple[Tile, bool]]:
        """The planned tiles of *zoom* under *tile* in Z-order, and whether each is known to lie in the area."""
        if tile.zoom == zoom:
            if inside or self._touches(tile):
                yield tile, inside
            return
        step = min(LARGEST_DEPTH, zoom - tile.zoom)
        rows, cols, all_inside = self._expand(tile, step, inside=inside)
        for row, col, child_inside in zip(rows.tolist(), cols.tolist(), all_inside, strict=True):
            child = Tile(tile.zoom + step, row, col)
            if child.zoom == zoom:
                yield child, child_inside
            else:
                yield from self._descend(child, zoom, inside=child_inside)

    def _expand(self, tile: Tile, levels: int, *, inside: bool) -> tuple[Indices, Indices, list[bool]]:
        """Planned tiles *levels* below *tile* in Z-order."""
        rows, cols = np.array([tile.row]), np.array([tile.col])
        for zoom in range(tile.zoom, tile.zoom + levels):
            rows, cols = _children(self.pyramid, zoom, rows, cols)
            if not inside:
                touched = self.area.touched(self.pyramid, zoom + 1, rows, cols)
                rows, cols = rows[touched], cols[touched]
        if inside:
            return rows, cols, [True] * len(rows)
        return rows, cols, self.area.inside(self.pyramid, tile.zoom + levels, rows, cols).tolist()

    def _bits(self, root: Tile, depth: int, *, inside: bool) -> int:
        """The planned tiles of a branch."""
        if inside and self._fits(root, depth):
            return full(depth)
        mask, found = 1, [0]
        rows, cols = np.array([root.row]), np.array([root.col])
        for level in range(1, depth + 1):
            zoom = root.zoom + level
            places = np.array([place for bit in found for place in children_of(bit)])
            rows, cols = _quarters(rows, cols)
            kept = _within(self.pyramid, zoom, rows, cols)
            if not inside:
                kept[kept] = self.area.touched(self.pyramid, zoom, rows[kept], cols[kept])
            rows, cols, found = rows[kept], cols[kept], places[kept].tolist()
            mask |= sum(1 << bit for bit in found)
        return mask

    def _touches(self, tile: Tile) -> bool:
        return bool(self.area.touched(self.pyramid, tile.zoom, np.array([tile.row]), np.array([tile.col]))[0])

    def _fits(self, root: Tile, depth: int) -> bool:
        """Whether the whole branch lies in the matrix."""
        rows, cols = self.pyramid.matrix_shape(root.zoom + depth)
        return (root.row + 1) << depth <= rows and (root.col + 1) << depth <= cols


@lru_cache(maxsize=4)
def _counts(pyramid: Pyramid, area: Area, zooms: tuple[int, ...]) -> Mapping[int, int]:
    """How many tiles touch *area* at each zoom; kept, for a run asks for them more than once."""
    counts = dict.fromkeys(zooms, 0)
    last = zooms[-1]
    pending = [(0, *_matrix(pyramid, 0))]
    while pending:
        zoom, rows, cols = pending.pop()
        touched = area.touched(pyramid, zoom, rows, cols)
        rows, cols = rows[touched], cols[touched]
        if zoom == last:
            counts[zoom] += len(rows)
            continue
        inside = area.inside(pyramid, zoom, rows, cols)
        for below in (known for known in zooms if known >= zoom):
            counts[below] += _descendants(pyramid, zoom, rows[inside], cols[inside], below)
        rows, cols = rows[~inside], cols[~inside]
        if zoom in counts:
            counts[zoom] += len(rows)
        rows, cols = _children(pyramid, zoom, rows, cols)
        pending.extend((zoom + 1, rows[at : at + BATCH], cols[at : at + BATCH]) for at in range(0, len(rows), BATCH))
    return MappingProxyType(counts)


@lru_cache(maxsize=4)
def _counts_of_share(plan: Plan) -> Mapping[int, int]:
    """How many tiles of a share there are at each zoom: its branches have to be walked."""
    counts = dict.fromkeys(plan.zooms, 0)
    for branch in plan.branches():
        for level in range(branch.depth + 1):
            zoom = branch.root.zoom + level
            if zoom in counts:
                counts[zoom] += (branch.tiles & (full(level) ^ (full(level - 1) if level else 0))).bit_count()
    return MappingProxyType(counts)


def _matrix(pyramid: Pyramid, zoom: int) -> tuple[Indices, Indices]:
    rows, cols = np.indices(pyramid.matrix_shape(zoom)).reshape(2, -1)
    return rows, cols


def _children(pyramid: Pyramid, zoom: int, rows: Indices, cols: Indices) -> tuple[Indices, Indices]:
    rows, cols = _quarters(rows, cols)
    kept = _within(pyramid, zoom + 1, rows, cols)
    return rows[kept], cols[kept]


def _descendants(pyramid: Pyramid, zoom: int, rows: Indices, cols: Indices, below: int) -> int:
    """How many tiles of the zoom *below* lie under the given ones."""
    height, width = pyramid.matrix_shape(below)
    levels = below - zoom
    tall = np.minimum((rows + 1) << levels, height) - (rows << levels)
    wide = np.minimum((cols + 1) << levels, width) - (cols << levels)
    return int((tall * wide).sum())


def _within(
    pyramid: Pyramid, zoom: int, rows: Indices, cols: Indices
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    height, width = pyramid.matrix_shape(zoom)
    return np.asarray((rows < height) & (cols < width))


def _quarters(rows: Indices, cols: Indices) -> tuple[Indices, Indices]:
    """The four children of each tile, in Z-order."""
    return (
        np.repeat(2 * rows, 4) + np.tile([0, 0, 1, 1], len(rows)),
        np.repeat(2 * cols, 4) + np.tile([0, 1, 0, 1], len(cols)),
    )


def depth_for(leaves: int, slots: int) -> int:
    """The depth of branches that leaves a few tasks for each of *slots* workers when there are *leaves* tiles."""
    depth = LARGEST_DEPTH
    while depth and leaves < 4 * slots << 2 * depth:
        depth -= 1
    return depth
