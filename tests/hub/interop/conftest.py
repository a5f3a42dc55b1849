"""Hubs for programs of others: one for anybody, one that asks for tokens; each with a finished pyramid."""

import numpy as np
import pytest
import rasterio
from affine import Affine

from hub.routes.serving import hash_of, serving

TOKEN = "token-ann"


@pytest.fixture(scope="package")
def dem(tmp_path_factory):
    """A model of 200 x 300 pixels on the grid of zoom 10, with a hole."""
    numbers = np.random.default_rng(7)
    pixels = numbers.integers(1, 250, (1, 200, 300), dtype="uint8")
    pixels[:, 40:90, 60:150] = 0
    side = 40075016.685578488 / 256 / 2**10
    path = tmp_path_factory.mktemp("data") / "dem.tif"
    profile = {"driver": "GTiff", "dtype": "uint8", "width": 300, "height": 200, "count": 1, "nodata": 0}
    origin = -20037508.342789244
    place = Affine(side, 0, origin + 131 * 1024 * side, 0, -side, -origin - 90 * 1024 * side)
    with rasterio.open(path, "w", crs="EPSG:3857", transform=place, **profile) as file:
        file.write(pixels)
    return str(path)


@pytest.fixture(scope="package")
def inputs(dem):
    """What is posted to convert for tiles of 64 pixels on three levels."""
    return {
        "raster": {"href": dem},
        "pyramid": {"value": {"grid": "WebMercatorQuad", "tile_size": 64, "metatile": 1, "pixelbuffer": 0}},
        "zooms": {"value": {"min": 10, "max": 12}},
        "overviews": {"value": {"below": 12, "resampling": "nearest"}},
        "output": {"value": {"dtype": "uint8", "bands": 1, "nodata": 0}},
    }


@pytest.fixture(scope="package")
def hub(tmp_path_factory, dem):
    """Anybody may run jobs."""
    with serving(tmp_path_factory.mktemp("hub"), fence={"input_roots": [dem.rpartition("/")[0]]}) as hub:
        yield hub


@pytest.fixture(scope="package")
def town(tmp_path_factory, dem):
    """Only who has a token."""
    tokens = [{"sha256": hash_of(TOKEN), "owner": "ann", "role": "run"}]
    fence = {"input_roots": [dem.rpartition("/")[0]]}
    folder = tmp_path_factory.mktemp("town")
    with serving(folder, auth={"tokens": tokens, "failures": 1000}, fence=fence) as hub:
        yield hub


@pytest.fixture(scope="package")
def done(hub, inputs):
    """Address of a finished job that anybody may see."""
    return _made(hub, inputs, hub.client)


@pytest.fixture(scope="package")
def owned(town, inputs):
    """Address of a finished job that only its owner may see."""
    return _made(town, inputs, town.as_(TOKEN))


def _made(hub, inputs, client):
    job = hub.submit(inputs, "convert", client=client)
    info = hub.ended(job, client)
    assert info["status"] == "successful", info
    return job
