"""One input on one tile's grid: what a process gets as an argument."""

from dataclasses import dataclass, field

import numpy as np

from tilepipe.errors import InputError
from tilepipe.geo.grid import Bounds, Grid
from tilepipe.geo.raster import Masked
from tilepipe.inputs.protocol import Input

__all__ = ["TileInput"]


@dataclass(slots=True)
class TileInput:
    """An input, cut to the tile that is being processed, buffer included.

    Nothing is read before it is asked for, and nothing at all off the input's extents. Every array handed out belongs
    to the process, which may change it in place.
    """

    name: str
    """As in the recipe and in the process's signature."""
    source: Input
    grid: Grid
    """Where the pixels lie, the buffer included."""
    extents: tuple[Bounds, ...]
    """Of the source, in the grid's crs."""
    _kept: Masked | None = field(default=None, init=False, repr=False)

    def read(self, bands: int | list[int] | None = None, resampling: str | None = None) -> Masked:
        """Pixels on the tile's grid, masked where there is no data.

        Args:
            bands: numbers from 1, counted in the order of the recipe's `bands` where it has them; None reads all.
            resampling: a name of `rasterio.enums.Resampling`; None takes the recipe's.

        Returns:
            `(band, row, col)`, or `(row, col)` for a single number.

        Raises:
            InputError: the data cannot be read, or has no such band.
        """
        if not self._reached():
            return self._nothing(bands)
        if self._kept is None or resampling is not None:
            return self.source.read(self.grid, bands=bands, resampling=resampling)
        kept = self._kept
        wanted = self._places(bands, kept.shape[0])
        if wanted is not None and kept.shape[0] > 1:
            chosen = kept[wanted]
            return chosen.copy() if isinstance(wanted, int) else chosen
        # Handed over and forgotten, not copied: a second read, which is rare, pays for itself.
        self._kept = None
        return kept if wanted is None else kept[wanted]

    def is_empty(self) -> bool:
        """Whether there is no pixel with data on the tile, its buffer included.

        What is read to find out is kept for the next `read`.

        Raises:
            InputError: the data cannot be read.
        """
        if not self._reached():
            return True
        if self._kept is None:
            self._kept = self.source.read(self.grid)
        mask = np.ma.getmask(self._kept)
        return isinstance(mask, np.ndarray) and bool(mask.all())

    def _reached(self) -> bool:
        return any(map(self.grid.bounds.intersects, self.extents))

    def _nothing(self, bands: int | list[int] | None) -> Masked:
        count, dtype = self.source.shape()
        wanted = self._places(bands, count)
        layers = (count,) if wanted is None else () if isinstance(wanted, int) else (len(wanted),)
        shape = layers + self.grid.shape
        return np.ma.MaskedArray(np.zeros(shape, dtype=dtype), mask=np.ones(shape, dtype=bool))

    def _places(self, bands: int | list[int] | None, count: int) -> int | list[int] | None:
        """Band numbers as indices of an array."""
        if bands is None:
            return None
        for band in [bands] if isinstance(bands, int) else bands:
            if not 1 <= band <= count:
                raise InputError(
                    f"input {self.name}: band {band} was asked for, but there are {count}, counted from 1 in the order "
                    "of the recipe's `bands`; ask for one of them or change the recipe"
                )
        return bands - 1 if isinstance(bands, int) else [band - 1 for band in bands]
