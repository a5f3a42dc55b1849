"""How long a short command takes as a whole process: the help page, and a recipe of one tile."""

import os
import sys
from collections.abc import Iterator

import numpy as np
import rasterio
from figure import Figure, against, main
from measure import Command, compare, demand
from peers import ours, process, tilepipe
from rasterio.transform import from_origin
from terrain import DATA, HALF_WORLD

__all__ = ["figures"]

PEER = "import rasterio"
OUT = os.path.join(DATA, "out", "one")


def _world() -> str:
    """Path of 256^2 pixels that are tile 0/0/0."""
    path = os.path.join(DATA, "world.tif")
    os.makedirs(DATA, exist_ok=True)
    pixels = np.random.default_rng(9).integers(1, 255, (256, 256), dtype=np.uint8)
    place = from_origin(-HALF_WORLD, HALF_WORLD, HALF_WORLD / 128, HALF_WORLD / 128)
    profile = {"driver": "GTiff", "width": 256, "height": 256, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", crs="EPSG:3857", transform=place, **profile) as file:
        file.write(pixels, 1)
    return path


def _one_tile() -> Command:
    recipe = {
        "process": process("convert"),
        "inputs": {"raster": {"format": "raster_file", "path": _world()}},
        "pyramid": {"grid": "WebMercatorQuad", "metatile": 1},
        "zooms": {"min": 0, "max": 0},
        "output": {"format": "gtiff", "path": OUT, "dtype": "uint8", "bands": 1, "nodata": 0},
    }
    return tilepipe("one", recipe, "-e", "sequential")


def _check() -> None:
    with rasterio.open(os.path.join(OUT, "0", "0", "0.tif")) as made, rasterio.open(_world()) as source:
        demand((made.read() == source.read()).all(), "the tile is not the image")


def figures(rounds: int) -> Iterator[Figure]:
    """Both by `python -c "import rasterio"`, which any program with rasterio takes at least."""
    peer = Command(name=PEER, steps=((sys.executable, "-c", PEER),))
    page = Command(name="tilepipe", steps=((ours(), "--help"),))
    runs = compare([page, peer], rounds=rounds, check=lambda: None)
    yield from against(runs, PEER, work="tilepipe --help", data="-", wall=1.0)
    runs = compare([_one_tile(), peer], rounds=rounds, check=_check)
    yield from against(runs, PEER, work="one tile", data="256^2 uint8", wall=2.5)


if __name__ == "__main__":
    main(figures, rounds=15)
