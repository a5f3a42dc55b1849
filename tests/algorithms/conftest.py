import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

Masked = np.ma.MaskedArray
Gdaldem = Callable[..., Masked]


@pytest.fixture
def gdaldem(tmp_path: Path) -> Gdaldem:
    """`gdaldem(mode, elevation, resolution, *options)`: what GDAL's own program makes of an array."""
    if shutil.which("gdaldem") is None:
        pytest.skip("gdaldem is not installed")

    def run(mode: str, elevation: Masked, resolution: float, *options: str) -> Masked:
        source, target = tmp_path / "elevation.tif", tmp_path / "result.tif"
        nodata = np.nan if elevation.dtype.kind == "f" else np.iinfo(elevation.dtype).max
        height, width = elevation.shape
        with rasterio.open(
            source,
            "w",
            driver="GTiff",
            height=height,
            width=width,
            count=1,
            dtype=elevation.dtype,
            nodata=nodata,
            crs="EPSG:32616",
            transform=Affine(resolution, 0, 500_000, 0, -resolution, 4_000_000),
        ) as file:
            file.write(elevation.filled(nodata), 1)
        subprocess.run(["gdaldem", mode, source, target, "-q", *options], check=True, capture_output=True)
        with rasterio.open(target) as file:
            return file.read(1, masked=True)

    return run


@pytest.fixture
def hills() -> Callable[..., Masked]:
    """`hills(dtype, shape)`: rough ground of 100 to 900 metres, every dtype with the same holes."""

    def make(dtype: str = "float32", shape: tuple[int, int] = (47, 64)) -> Masked:
        rng = np.random.default_rng(7)
        row, col = np.indices(shape)
        ground = 500 + 200 * np.sin(row / 9) + 150 * np.cos(col / 7 + row / 20) + rng.normal(scale=8, size=shape)
        mask = np.zeros(shape, dtype=bool)
        # Single, wide, at an edge, at a corner, along an edge.
        mask[5, 5] = mask[20:24, 30:40] = mask[0, 50] = mask[-1, -1] = mask[30:, 0] = True
        ground[mask] = 0
        if dtype == "uint8":
            ground /= 4
        return np.ma.MaskedArray(ground.astype(dtype), mask=mask)

    return make


@pytest.fixture
def real_dem() -> Callable[[str], tuple[Masked, float]]:
    """`real_dem(name)`: a real elevation model and its resolution in metres, degrees counted as 111120 of them."""
    folder = os.environ.get("TILEPIPE_TEST_DATA")
    if not folder:
        pytest.skip("TILEPIPE_TEST_DATA names no folder of test data")

    def read(name: str) -> tuple[Masked, float]:
        with rasterio.open(f"{folder}/dem/{name}.tif") as file:
            metres = 111_120 if file.crs.is_geographic else 1
            return file.read(1, masked=True)[-1200:, -1200:], file.res[0] * metres

    return read
