"""Copy of a raster, on another grid, in another format or in another unit."""

from numpy.ma import MaskedArray

from tilepipe import TileInput
from tilepipe.algorithms.scaling import scaled


def execute(
    raster: TileInput,
    *,
    bands: list[int] | None = None,
    scale_ratio: float = 1.0,
    scale_offset: float = 0.0,
) -> MaskedArray | None:
    """The input's pixels, times *scale_ratio* plus *scale_offset*.

    Args:
        raster: any raster.
        bands: numbers from 1, in the order they are wanted; all bands where nothing is said.
        scale_ratio: what each value is multiplied with.
        scale_offset: what is added then.
    """
    if raster.is_empty():
        return None
    return scaled(raster.read(bands), ratio=scale_ratio, offset=scale_offset)
