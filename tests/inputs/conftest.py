"""Small raster files, made on the spot."""

import warnings

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning

from tilepipe.geo.grid import Grid

NATIVE = Affine(10, 0, 1000, 0, -10, 5000)


@pytest.fixture
def write(tmp_path):
    """Write an array `(band, row, col)` as a GeoTIFF; returns its path."""

    def make(
        pixels, *, name="a.tif", transform=NATIVE, crs="EPSG:3857", mask=None, alpha=False, overviews=(), **options
    ):
        pixels = np.atleast_3d(pixels) if pixels.ndim == 3 else pixels[np.newaxis]
        path = str(tmp_path / name)
        placed = {} if transform is None else {"transform": transform}
        profile = {
            "driver": "GTiff",
            "count": pixels.shape[0],
            "height": pixels.shape[1],
            "width": pixels.shape[2],
            "dtype": options.pop("dtype", pixels.dtype),
            "crs": crs,
        }
        outside = options.pop("msk", False)
        with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK="NO" if outside else "YES"):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, "w", **{**profile, **placed, **options}) as dataset:
                if alpha:
                    dataset.colorinterp = [*dataset.colorinterp[:-1], ColorInterp.alpha]
                dataset.write(pixels)
                if mask is not None:
                    dataset.write_mask(mask)
            if overviews:
                with rasterio.open(path, "r+") as dataset:
                    dataset.build_overviews(list(overviews), Resampling.average)
        return path

    return make


@pytest.fixture
def noise():
    """Pixels no resampling leaves as they are."""

    def make(*shape, dtype="float32"):
        values = np.random.default_rng(5).uniform(1, 250, shape)
        return values.astype(dtype)

    return make


@pytest.fixture
def native():
    """The grid on which `write` puts its pixels."""

    def make(height, width, **changes):
        given = {"crs": "EPSG:3857", "left": 1000, "top": 5000, "resolution": 10, "height": height, "width": width}
        return Grid(**{**given, **changes})

    return make
