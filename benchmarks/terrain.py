"""The data of the benchmarks: 8192^2 pixels of made-up mountains on the pixel grid of WebMercatorQuad's zoom 12.

Also reads pyramids back, whoever wrote them, so that they can be compared pixel by pixel.
"""

import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin

__all__ = ["DATA", "HALF_WORLD", "HERE", "ZOOMS", "dem", "halved", "image", "level"]

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, ".data")
ZOOMS = range(7, 13)
SIDE = 8192
HALF_WORLD = 20037508.342789244
RESOLUTION = 2 * HALF_WORLD / (256 << ZOOMS[-1])
# Multiples of the 32 metatiles of 1024 px that one of zoom 7 covers, so that every overview starts on a tile's corner.
TOP_PX, LEFT_PX = 352 * 1024, 544 * 1024

Pixels = NDArray[Any]


def dem() -> str:
    """Path of the elevation model: float32 metres in steps of a centimetre, -9999 where there is none.

    Amplitudes fall with the power 1.8 of the frequency, as they do in mountains.
    """
    return _kept("dem.tif", _mountains, nodata=-9999.0)


def image() -> str:
    """Path of the uint8 image: the same mountains lit from the east with a little noise, 0 where there is nothing."""
    return _kept("image.tif", _lit, nodata=0)


def _kept(name: str, make: Callable[[], Pixels], *, nodata: float) -> str:
    path = os.path.join(DATA, name)
    if not os.path.exists(path):
        os.makedirs(DATA, exist_ok=True)
        pixels = make()
        left, top = LEFT_PX * RESOLUTION - HALF_WORLD, HALF_WORLD - TOP_PX * RESOLUTION
        profile = {
            "driver": "GTiff",
            "height": SIDE,
            "width": SIDE,
            "count": 1,
            "dtype": pixels.dtype.name,
            "nodata": nodata,
            "crs": "EPSG:3857",
            "transform": from_origin(left, top, RESOLUTION, RESOLUTION),
            "tiled": True,
            "blockxsize": 512,
            "blockysize": 512,
            "compress": "deflate",
        }
        with rasterio.open(path + ".part", "w", **profile) as file:
            file.write(pixels, 1)
        os.replace(path + ".part", path)
    return path


def _mountains() -> Pixels:
    noise = np.random.default_rng(7).standard_normal((SIDE, SIDE), dtype=np.float32)
    spectrum = np.fft.rfft2(noise)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)).astype(np.float32)
    frequency[0, 0] = np.inf
    heights = np.fft.irfft2(spectrum * frequency**-1.8, s=noise.shape)
    heights = np.round(1500 + 600 * heights / heights.std(), 2).astype(np.float32)
    return np.where(_missing(), np.float32(-9999), heights)


def _lit() -> Pixels:
    with rasterio.open(dem()) as file:
        heights = file.read(1)
    noise = np.random.default_rng(8).integers(-2, 3, heights.shape)
    lit = np.clip(128 + 12 * np.gradient(heights, axis=1) + noise, 1, 255).astype(np.uint8)
    return np.where(_missing(), np.uint8(0), lit)


def _missing() -> NDArray[np.bool_]:
    """A round lake across several tiles and one whole metatile."""
    row, col = np.ogrid[:SIDE, :SIDE]
    lake: NDArray[np.bool_] = (row - 3000) ** 2 + (col - 5100) ** 2 < 700**2
    return lake | ((row < 1024) & (col >= SIDE - 1024))


def level(directory: str, zoom: int, *, tile_px: int = 1024, name: str = "{zoom}/{row}/{col}.tif") -> Pixels:
    """Band 1 of one zoom of a tile directory, cut to the data's extent; 0 where there is no tile.

    Args:
        directory: root of the pyramid.
        zoom: of `ZOOMS`.
        tile_px: side of a tile in pixels.
        name: of a tile below *directory*; the order of its three fields may differ.

    Returns:
        uint8 `(row, col)`, 8192 pixels a side at the largest zoom, half as many at each one below.
    """
    shift = ZOOMS[-1] - zoom
    top, left, side = TOP_PX >> shift, LEFT_PX >> shift, SIDE >> shift
    pixels = np.zeros((side, side), dtype=np.uint8)
    for row in range(top // tile_px, -(-(top + side) // tile_px)):
        for col in range(left // tile_px, -(-(left + side) // tile_px)):
            path = os.path.join(directory, name.format(zoom=zoom, row=row, col=col))
            if os.path.exists(path):
                y, x = row * tile_px - top, col * tile_px - left
                with (
                    warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning),
                    rasterio.open(path) as file,
                ):
                    tile = file.read(1)
                part = pixels[max(y, 0) : y + tile_px, max(x, 0) : x + tile_px]
                part[:] = tile[max(-y, 0) :, max(-x, 0) :][: part.shape[0], : part.shape[1]]
    return pixels


def halved(pixels: Pixels) -> Pixels:
    """Rounded means of 2x2 pixels; zeros do not count, four of them stay zero."""
    blocks = pixels.reshape(pixels.shape[0] // 2, 2, -1, 2)
    count = np.count_nonzero(blocks, axis=(1, 3))
    means: Pixels = np.floor(blocks.sum(axis=(1, 3), dtype=np.float32) / np.maximum(count, 1) + 0.5)
    return means.astype(np.uint8)
