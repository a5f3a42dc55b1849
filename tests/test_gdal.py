import os
import time

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.env import get_gdal_config

from tilepipe.gdal import CACHE_BYTES, OPTIONS, session


def test_the_block_cache_has_the_size_asked_for():
    with session(cache_bytes=12345678):
        assert get_gdal_config("GDAL_CACHEMAX") == 12345678
    with session():
        assert get_gdal_config("GDAL_CACHEMAX") == CACHE_BYTES


def test_every_option_holds_inside_and_none_outside():
    with session():
        inside = {name: rasterio.env.getenv().get(name) for name in OPTIONS}

    assert inside == dict(OPTIONS)
    assert not rasterio.env.hasenv()


def test_sessions_may_lie_in_each_other():
    with session():
        with session():
            pass
        assert rasterio.env.getenv()["GDAL_NUM_THREADS"] == "1"


def test_entering_is_cheap_enough_for_every_task():
    start = time.perf_counter()
    for _ in range(100):
        with session():
            pass

    assert (time.perf_counter() - start) / 100 < 0.005


@pytest.fixture
def with_sidecars(tmp_path):
    path = str(tmp_path / "a.tif")
    profile = {"driver": "GTiff", "width": 64, "height": 64, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", crs="EPSG:3857", transform=Affine(1, 0, 0, 0, -1, 64), **profile) as dataset:
        dataset.write(np.arange(64 * 64, dtype="uint8").reshape(1, 64, 64))
    with rasterio.Env(TIFF_USE_OVR="YES"), rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2], rasterio.enums.Resampling.average)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="NO"), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(np.eye(64, dtype=bool))
    with open(f"{path}.aux.xml", "w") as file:
        file.write('<PAMDataset><Metadata><MDI key="COLOUR">blue</MDI></Metadata></PAMDataset>')
    return path


def test_sidecars_are_found(with_sidecars):
    with session(), rasterio.open(with_sidecars) as dataset:
        assert dataset.overviews(1) == [2]
        assert (dataset.dataset_mask() > 0).sum() == 64
        assert dataset.tags()["COLOUR"] == "blue"


def test_reading_writes_nothing_beside_the_file(with_sidecars):
    before = sorted(os.listdir(os.path.dirname(with_sidecars)))

    with session(), rasterio.open(with_sidecars) as dataset:
        dataset.read(masked=True)

    assert sorted(os.listdir(os.path.dirname(with_sidecars))) == before
