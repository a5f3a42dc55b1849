"""What an output must promise."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from tilepipe.geo.pyramid import Tile
from tilepipe.geo.raster import Raster

__all__ = ["Output", "Part", "Stored"]


class Part(NamedTuple):
    """One object that holds a tile or a piece of it."""

    size: int
    """Bytes; 0 where the piece is empty and no object was written."""
    crc: int
    """CRC-32 of the bytes; 0 where no object was written."""


class Stored(NamedTuple):
    """One object as it lies in the storage now."""

    size: int
    modified: float
    """Seconds since 1970."""


class Output(Protocol):
    """Where tiles go, under which names.

    An output is its parameters: it pickles, and workers write through it side by side. Writing a tile twice is
    writing it once.
    """

    def write(self, tile: Tile, raster: Raster) -> tuple[Part, ...]:
        """Keep the tile and remove pieces of it that were there before and are empty now.

        Returns:
            One entry for each object the tile may consist of, always as many, row by row.

        Raises:
            OutputError: the raster does not fit the format.
            StorageError: the bytes cannot be kept.
        """
        ...

    def read(self, tile: Tile) -> Raster | None:
        """The tile as it was written, or None where nothing is stored.

        Raises:
            OutputError: what is stored is not a tile of this output.
            StorageError: the bytes cannot be had.
        """
        ...

    def delete(self, tile: Tile) -> None:
        """Remove whatever is stored for the tile; nothing stored is no error."""
        ...

    def stored(self, tiles: Iterable[Tile]) -> Mapping[Tile, tuple[Stored | None, ...]]:
        """What is stored for each of *tiles* now, in the order of `write`'s parts."""
        ...

    def checksum(self, tile: Tile) -> tuple[int, ...]:
        """CRC-32 of each object stored for the tile, 0 where there is none."""
        ...

    def finish(self) -> None:
        """Complete the output; may be called again."""
        ...
