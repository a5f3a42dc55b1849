"""How pixels become the bytes of a PNG file, and pixels again, without loss."""

import math
from dataclasses import dataclass

import numpy as np

from tilepipe.errors import OutputError
from tilepipe.formats.fitting import check_fit, fitted
from tilepipe.formats.image import check_kind, colors_of, read_image, write_image
from tilepipe.geo.grid import Grid
from tilepipe.geo.raster import Raster

__all__ = ["PNG"]

END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
"""GDAL reads what comes before a cut and says nothing, so the last bytes have to be looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PNG:
    """Grey, grey with alpha, RGB or RGBA.

    Missing pixels of grey and RGB are transparent by their value: the file declares nodata as the transparent colour
    and keeps the bands it has.

    Raises:
        ValueError: one of the fields is wrong.
    """

    dtype: str = "uint8"
    """uint8 or uint16."""
    bands: int = 1
    """1 (grey), 2 (grey, alpha), 3 (red, green, blue) or 4 (red, green, blue, alpha)."""
    nodata: float | None = math.nan
    """Value of missing pixels, None where every pixel counts; to be said with 1 or 3 bands.

    With 2 or 4 bands alpha alone says what is transparent, and missing pixels are 0 in all bands.
    """
    zlevel: int = 6
    """Effort of the compression, from 1 to 9."""

    extension = "png"
    media_type = "image/png"
    exact = True

    def __post_init__(self) -> None:
        check_kind("PNG", dtype=self.dtype, dtypes=("uint8", "uint16"), bands=self.bands, counts=(1, 2, 3, 4))
        if not self.colors:
            object.__setattr__(self, "nodata", fitted(self.nodata, np.dtype(self.dtype)))
        elif self.nodata is None or math.isnan(self.nodata):
            object.__setattr__(self, "nodata", None)
        else:
            raise ValueError(
                f"nodata is {self.nodata:g}, but band {self.bands} of {self.bands} is alpha and says what is "
                f"transparent; leave nodata away, or make it {self.bands - 1} bands"
            )
        if not 1 <= self.zlevel <= 9:
            raise ValueError(f"zlevel is {self.zlevel}; it goes from 1 (fast) to 9 (small)")

    @property
    def colors(self) -> tuple[str, ...]:
        return colors_of(self.bands)

    def encode(self, raster: Raster) -> bytes:
        check_fit(raster, bands=self.bands, dtype=self.dtype, nodata=self.nodata)
        tags = {}
        if self.bands == 3 and self.nodata is not None:
            tags["NODATA_VALUES"] = " ".join([str(self.nodata)] * 3)
        options = {"zlevel": str(self.zlevel)}
        return write_image(raster.pixels, driver="PNG", options=options, nodata=self.nodata, tags=tags)

    def decode(self, payload: bytes, grid: Grid) -> Raster:
        if not payload.endswith(END):
            raise OutputError(f"not a whole PNG of {len(payload)} bytes: its end is missing")
        dtype = np.dtype(self.dtype)
        pixels = read_image(payload, grid, driver="PNG", counts=[self.bands], like=dtype, nodata=self.nodata)
        return Raster(pixels=pixels, grid=grid, nodata=self.nodata)
