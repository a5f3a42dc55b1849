"""An input on a globe: what lies beyond the right edge is read at the left one, and the other way round."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tilepipe.geo.grid import Bounds, Grid
from tilepipe.geo.raster import Masked
from tilepipe.inputs.protocol import Input

__all__ = ["Wrapped"]


@dataclass(frozen=True, slots=True)
class Wrapped:
    """Reads grids that leave the world in the west or the east."""

    source: Input
    world: Bounds
    """The whole pyramid, in the crs of the grids."""

    def extents(self, crs: str) -> tuple[Bounds, ...]:
        return self.source.extents(crs)

    def fingerprint(self) -> Mapping[str, str]:
        return self.source.fingerprint()

    def shape(self) -> tuple[int, str]:
        return self.source.shape()

    def read(self, grid: Grid, *, bands: int | list[int] | None = None, resampling: str | None = None) -> Masked:
        around = round((self.world.right - self.world.left) / grid.resolution)
        start = round((grid.left - self.world.left) / grid.resolution)
        pieces = []
        col = 0
        while col < grid.width:
            turn = (start + col) // around
            width = min(grid.width - col, (turn + 1) * around - start - col)
            piece = grid.window(row=0, col=col - turn * around, height=grid.height, width=width)
            pieces.append(self.source.read(piece, bands=bands, resampling=resampling))
            col += width
        if len(pieces) == 1:
            return pieces[0]
        whole: Masked = np.ma.concatenate(pieces, axis=-1)  # type: ignore[no-untyped-call] # NumPy has no types for it
        return whole
