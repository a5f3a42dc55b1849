"""How pixels become the bytes of a JPEG file, and nearly the same pixels again."""

from dataclasses import dataclass

import numpy as np

from tilepipe.errors import OutputError
from tilepipe.formats.fitting import check_fit
from tilepipe.formats.image import check_kind, read_image, write_image
from tilepipe.geo.grid import Grid
from tilepipe.geo.raster import Raster

__all__ = ["JPEG"]

END = b"\xff\xd9"


@dataclass(frozen=True, slots=True, kw_only=True)
class JPEG:
    """Grey or RGB, with loss and without transparency.

    Raises:
        ValueError: one of the fields is wrong.
    """

    dtype: str = "uint8"
    """uint8."""
    bands: int = 3
    """1 (grey) or 3 (red, green, blue)."""
    nodata: float | None = None
    """None: every pixel counts, and missing ones are black."""
    quality: int = 75
    """From 1 (small) to 100 (fine)."""

    extension = "jpg"
    media_type = "image/jpeg"
    exact = False
    colors = ()

    def __post_init__(self) -> None:
        check_kind("JPEG", dtype=self.dtype, dtypes=("uint8",), bands=self.bands, counts=(1, 3))
        if self.nodata is not None:
            raise ValueError(
                f"nodata is {self.nodata:g}, but JPEG changes values and has no transparency; use format png or webp "
                "where pixels are missing, or leave nodata away: then they are black"
            )
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality is {self.quality}; it goes from 1 (small) to 100 (fine)")

    def encode(self, raster: Raster) -> bytes:
        check_fit(raster, bands=self.bands, dtype=self.dtype, nodata=None)
        return write_image(raster.pixels, driver="JPEG", options={"quality": str(self.quality)})

    def decode(self, payload: bytes, grid: Grid) -> Raster:
        if not payload.endswith(END):
            raise OutputError(f"not a whole JPEG of {len(payload)} bytes: its end is missing")
        pixels = read_image(payload, grid, driver="JPEG", counts=[self.bands], like=np.dtype(self.dtype))
        return Raster(pixels=pixels, grid=grid, nodata=None)
