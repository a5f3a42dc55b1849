"""The tiles of one branch of the tile tree as the bits of one integer.

Level k of a branch holds the 4**k tiles k zooms below its root. Bit 0 is the root; the levels follow each other, and
within a level the tiles stand in Z-order, so that the four children of bit n are the bits 4n+1 to 4n+4.
"""

from collections.abc import Iterator

from tilepipe.geo.pyramid import Tile

__all__ = ["bit_of", "bits", "children_of", "full", "level_of", "level_start", "parent_of", "tile_at"]


def level_start(level: int) -> int:
    """The first bit of *level*."""
    return ((1 << 2 * level) - 1) // 3


def full(depth: int) -> int:
    """Every tile of a branch of *depth* levels below its root."""
    return (1 << level_start(depth + 1)) - 1


def level_of(bit: int) -> int:
    """The level that *bit* belongs to."""
    return ((3 * bit + 1).bit_length() - 1) // 2


def parent_of(bit: int) -> int:
    """The bit of the tile above that of *bit*."""
    return (bit - 1) // 4


def children_of(bit: int) -> range:
    """The bits of the four tiles below that of *bit*: top left, top right, bottom left, bottom right."""
    return range(4 * bit + 1, 4 * bit + 5)


def bits(mask: int) -> Iterator[int]:
    """The bits that are set, lowest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def bit_of(root: Tile, tile: Tile) -> int:
    """The bit of *tile* in the branch of *root*."""
    level = tile.zoom - root.zoom
    return level_start(level) + _interleave(tile.row - (root.row << level), tile.col - (root.col << level))


def tile_at(root: Tile, bit: int) -> Tile:
    """The tile of *bit* in the branch of *root*."""
    level = level_of(bit)
    row, col = OFFSETS[bit] if bit < len(OFFSETS) else _separate(bit - level_start(level))
    return Tile(root.zoom + level, (root.row << level) + row, (root.col << level) + col)


def _interleave(row: int, col: int) -> int:
    """Z-order place of a row and column."""
    place = 0
    for shift in range(max(row, col).bit_length()):
        place |= (col >> shift & 1) << 2 * shift | (row >> shift & 1) << 2 * shift + 1
    return place


def _separate(place: int) -> tuple[int, int]:
    """Row and column of a place in Z-order."""
    row = col = 0
    for shift in range((place.bit_length() + 1) // 2):
        col |= (place >> 2 * shift & 1) << shift
        row |= (place >> 2 * shift + 1 & 1) << shift
    return row, col


OFFSETS = [_separate(bit - level_start(level_of(bit))) for bit in range(level_start(5))]
"""Row and column within its level of each bit of the first five levels: more than a task ever spans."""
