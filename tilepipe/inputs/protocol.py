"""What an input must promise."""

from collections.abc import Mapping
from typing import Protocol

from tilepipe.geo.grid import Bounds, Grid
from tilepipe.geo.raster import Masked

__all__ = ["Input"]


class Input(Protocol):
    """Data that a process reads tile by tile.

    An input is its parameters: it pickles without handles, opens what it needs on first use in each worker, and
    may be read from several threads at once.
    """

    def extents(self, crs: str) -> tuple[Bounds, ...]:
        """The rectangles in *crs*, at least one, outside of which there is no data.

        What lies across the line along which *crs* cuts the globe open gives one on each side of it. Tiles that touch
        none of them are not planned.

        Raises:
            InputError: the data cannot be opened, or has no place on earth.
        """
        ...

    def fingerprint(self) -> Mapping[str, str]:
        """What the data is made of: each file's path, and a text that changes when the file does."""
        ...

    def shape(self) -> tuple[int, str]:
        """Number of bands and dtype of what `read` returns when nothing else is asked for."""
        ...

    def read(self, grid: Grid, *, bands: int | list[int] | None = None, resampling: str | None = None) -> Masked:
        """Pixels on *grid*, masked where there is no data and everywhere outside of it.

        Args:
            grid: where the pixels are wanted, in any crs.
            bands: numbers from 1; None reads all of the recipe's.
            resampling: a name of `rasterio.enums.Resampling`; None takes the recipe's.

        Returns:
            `(band, row, col)`, or `(row, col)` for a single number.

        Raises:
            InputError: the data cannot be read, or has no such band; `passing` where trying again may help.
        """
        ...
