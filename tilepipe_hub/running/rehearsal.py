"""What the process of a job does while it has none: a job of one tile, by which all is loaded that a first one loads.

The libraries open their databases, register their drivers and set up their tables when they are first used, which takes
longer than a small job. Nothing of it may be heard of later, and no code but ours is run.
"""

import os
import shutil
import tempfile
import warnings
from contextlib import suppress

import numpy as np
import rasterio
from affine import Affine
from rasterio.errors import RasterioError

from tilepipe.gdal import session
from tilepipe_hub.running.execution import execution
from tilepipe_hub.running.order import Order

__all__ = ["rehearse"]

PIXELS = np.ones((1, 64, 64), np.uint8)
PROFILE = {
    "driver": "GTiff",
    "height": 64,
    "width": 64,
    "count": 1,
    "dtype": "uint8",
    "nodata": 0,
    "crs": "EPSG:3857",
    "transform": Affine(10_000, 0, 0, 0, -10_000, 640_000),
}


def rehearse(folder: str) -> None:
    """Run a job that leaves nothing behind in *folder*; what goes wrong is for a real one to say."""
    place = tempfile.mkdtemp(prefix="rehearsal-", dir=folder)
    try:
        with warnings.catch_warnings(), suppress(OSError, ValueError, RasterioError):
            warnings.simplefilter("ignore")
            order = Order(job="rehearsal", recipe=_recipe(place), folder=os.path.join(place, "tiles"))
            for _ in execution(order, told=str):
                pass
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _recipe(place: str) -> dict[str, object]:
    """One tile of the most usual kind, of a raster that is made for it."""
    path = os.path.join(place, "input.tif")
    with session(), rasterio.open(path, "w", **PROFILE) as file:
        file.write(PIXELS)
    return {
        "process": "convert",
        "inputs": {"raster": path},
        "pyramid": {"grid": "WebMercatorQuad", "metatile": 1},
        "zooms": {"min": 5, "max": 5},
        "output": {"dtype": "uint8", "bands": 1, "nodata": 0},
    }
