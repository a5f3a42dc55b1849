"""What halving costs: nanoseconds of CPU a source pixel, beside gdaladdo's arithmetic and a plain NumPy version.

Every result is compared with the other two before anything is timed. One core; the systems take turns, and a figure
is the best of the rounds, since another process on the machine can only add to it. The first line is the one to
watch: uint8, nodata 0, average, holes in a quarter of the pixels.
"""

import argparse
import platform
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import MemoryFile

from tilepipe.geo.halve import CASCADE, halve
from tilepipe.geo.raster import Pixels

DTYPES = ("uint8", "int16", "uint16", "int32", "float32", "float64")
NODATA = 0


def relief(dtype: str, *, size: int, holes: bool) -> Pixels:
    """A smooth surface with noise, `(1, size, size)`, positive; with *holes*, a quarter of it is missing."""
    random = np.random.default_rng(0)
    wave = np.sin(np.linspace(0, 20, size, dtype=np.float32))
    surface = 60 + 25 * np.outer(wave, wave) + random.integers(0, 30, (size, size), dtype=np.uint8)
    pixels = surface.astype(dtype)[np.newaxis]
    if holes:
        step = size // 8
        rows, cols = np.indices((8, 8))
        for row, col in zip(*np.nonzero((rows + 2 * cols) % 4 == 0), strict=True):
            middle, radius = np.array([row + 0.5, col + 0.5]) * step, step // 2
            y, x = np.ogrid[row * step : (row + 1) * step, col * step : (col + 1) * step]
            disc = np.hypot(y - middle[0], x - middle[1]) < radius
            pixels[0, row * step : (row + 1) * step, col * step : (col + 1) * step][disc] = NODATA
    return pixels


def plain_average(pixels: Pixels) -> Pixels:
    """What one writes first: strided views, float64, masks."""
    four = [pixels[:, row::2, col::2] for row in (0, 1) for col in (0, 1)]
    total = np.zeros(four[0].shape)
    count = np.zeros(four[0].shape, np.uint8)
    for corner in four:
        valid = corner != NODATA
        total += np.where(valid, corner, 0)
        count += valid
    mean = total / np.maximum(count, 1)
    if pixels.dtype.kind in "iu":
        mean = np.floor(mean + 0.5)
    return np.where(count == 0, NODATA, mean).astype(pixels.dtype)


class GdalOverview:
    """One level of overviews in memory, uncompressed: the least that gdaladdo has to do."""

    def __init__(self, pixels: Pixels, method: str) -> None:
        bands, height, width = pixels.shape
        self.method = Resampling[method]
        self.memory = MemoryFile()
        with self.memory.open(
            driver="GTiff",
            count=bands,
            height=height,
            width=width,
            dtype=pixels.dtype,
            nodata=NODATA,
            transform=Affine(1, 0, 0, 0, -1, height),
            crs="EPSG:3857",
        ) as dataset:
            dataset.write(pixels)

    def build(self) -> None:
        with rasterio.open(self.memory.name, "r+") as dataset:
            dataset.build_overviews([2], self.method)

    def read(self) -> Pixels:
        with rasterio.open(self.memory.name, OVERVIEW_LEVEL=0) as dataset:
            level: Pixels = dataset.read()
        return level

    def close(self) -> None:
        self.memory.close()


def cpu_s(call: Callable[[], object]) -> float:
    before = time.process_time()
    call()
    return time.process_time() - before


def verify(ours: Pixels, theirs: Pixels, name: str) -> None:
    """Stop unless the two are equal within one unit of rounding, or a millionth."""
    near: NDArray[np.bool_] = np.isclose(ours, theirs, rtol=1e-6, atol=1 if ours.dtype.kind in "iu" else 0)
    if not near.all():
        raise SystemExit(f"{name}: {int((~near).sum())} of {near.size} pixels differ; nothing was timed")


def headline(*, size: int, rounds: int) -> None:
    pixels = relief("uint8", size=size, holes=True)
    gdal = GdalOverview(pixels, "average")
    gdal.build()
    ours = halve(pixels, nodata=NODATA, method="average")
    verify(ours, gdal.read(), "gdaladdo average")
    verify(ours, plain_average(pixels), "plain average")
    systems: dict[str, Callable[[], object]] = {
        "halve": lambda: halve(pixels, nodata=NODATA, method="average"),
        "gdaladdo": gdal.build,
        "plain NumPy": lambda: plain_average(pixels),
    }
    best = dict.fromkeys(systems, np.inf)
    for _ in range(rounds):
        for name, call in systems.items():
            best[name] = min(best[name], cpu_s(call))
    gdal.close()
    figures = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in best.items())
    print(f"average of {size} x {size} uint8, nodata 0: {figures} CPU ({platform.machine()}, one core)")


def table(*, size: int, rounds: int) -> None:
    print(f"\nns of CPU a source pixel, {size} x {size}; full, with holes (gdaladdo with holes)")
    print("".join(f"{name:>20}" for name in ("", *CASCADE)))
    for dtype in DTYPES:
        cells = [f"{dtype:>20}"]
        full, pierced = (relief(dtype, size=size, holes=holes) for holes in (False, True))
        for method in CASCADE:
            calls: list[Callable[[], Pixels | None]] = [
                partial(halve, pixels, nodata=NODATA, method=method) for pixels in (full, pierced)
            ]
            gdal = GdalOverview(pierced, method) if method in ("nearest", "average", "mode", "rms") else None
            if gdal:
                gdal.build()
                verify(halve(pierced, nodata=NODATA, method=method), gdal.read(), f"{dtype} {method}")
                calls.append(gdal.build)
            figures = [f"{min(cpu_s(call) for _ in range(rounds)) * 1e9 / size**2:.1f}" for call in calls]
            cells.append(f"{figures[0]}, {figures[1]}{f' ({figures[2]})' if gdal else '':>9}".rjust(20))
            if gdal:
                gdal.close()
        print("".join(cells), flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--size", type=int, default=8192, help="side of the raster of the first line, in pixels")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--table", action="store_true", help="every method and dtype too, on a quarter of the side")
    chosen = arguments.parse_args()
    headline(size=chosen.size, rounds=chosen.rounds)
    if chosen.table:
        table(size=chosen.size // 4, rounds=chosen.rounds)


if __name__ == "__main__":
    main()
