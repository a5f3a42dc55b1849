"""How pixels become the bytes of a WebP file, and the same or nearly the same pixels again."""

from dataclasses import dataclass

import numpy as np

from tilepipe.errors import OutputError
from tilepipe.formats.fitting import check_fit
from tilepipe.formats.image import check_kind, colors_of, read_image, write_image
from tilepipe.geo.grid import Grid
from tilepipe.geo.raster import Pixels, Raster

__all__ = ["WebP"]

HEADER = 8
"""Bytes in front of those that the header counts."""
OPAQUE = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class WebP:
    """RGB or RGBA, with loss unless *lossless*.

    Raises:
        ValueError: one of the fields is wrong.
    """

    dtype: str = "uint8"
    """uint8."""
    bands: int = 3
    """3 (red, green, blue) or 4 (red, green, blue, alpha)."""
    nodata: float | None = None
    """None: with 4 bands alpha alone says what is transparent, and missing pixels are 0 in all bands; with 3 they are
    black."""
    lossless: bool = False
    quality: int = 75
    """From 1 (small) to 100 (fine); without loss, the effort of the compression."""

    extension = "webp"
    media_type = "image/webp"

    def __post_init__(self) -> None:
        check_kind("WebP", dtype=self.dtype, dtypes=("uint8",), bands=self.bands, counts=(3, 4))
        if self.nodata is not None:
            raise ValueError(
                f"nodata is {self.nodata:g}, but WebP shows missing pixels by alpha alone; make it 4 bands and leave "
                "nodata away, or use format png"
            )
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality is {self.quality}; it goes from 1 (small) to 100 (fine)")

    @property
    def exact(self) -> bool:
        return self.lossless

    @property
    def colors(self) -> tuple[str, ...]:
        return colors_of(self.bands)

    def encode(self, raster: Raster) -> bytes:
        check_fit(raster, bands=self.bands, dtype=self.dtype, nodata=None)
        # Without `exact`, which takes a number, the colours of transparent pixels would be others.
        how = {"lossless": "YES", "exact": "1"} if self.lossless else {"lossless": "NO"}
        return write_image(raster.pixels, driver="WEBP", options={"quality": str(self.quality), **how})

    def decode(self, payload: bytes, grid: Grid) -> Raster:
        if int.from_bytes(payload[4:HEADER], "little") + HEADER != len(payload):
            raise OutputError(f"not a whole WebP of {len(payload)} bytes")
        # Of RGBA that is opaque everywhere, WebP drops the alpha.
        counts = [self.bands, 3]
        pixels = read_image(payload, grid, driver="WEBP", counts=counts, like=np.dtype(self.dtype))
        return Raster(pixels=_with_alpha(pixels, self.bands), grid=grid, nodata=None)


def _with_alpha(pixels: Pixels, bands: int) -> Pixels:
    if pixels.shape[0] == bands:
        return pixels
    return np.concatenate([pixels, np.full((1, *pixels.shape[1:]), OPAQUE, pixels.dtype)])
