"""The systems: where they are installed, how they are called, and recipes that ask all of them for the same.

mapchete is installed on first use into a virtual environment of its own, and told to write plain GeoTIFFs, because its
default adds overviews inside each tile. With two workers each system runs in the executor that was its fastest on two
cores: threads for tilepipe, processes for mapchete (threads took as long and less memory, Dask twice as long).
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from measure import Command
from terrain import DATA, HERE, ZOOMS

__all__ = ["mapchete", "mapchete_pyramid", "ours", "process", "program", "scratch", "tilepipe", "tilepipe_pyramid"]

MAPCHETE = "mapchete==2026.7.0"
BLOCKS = {"blockxsize": 512, "blockysize": 512, "compress": "deflate", "predictor": 2}

Recipe = Mapping[str, Any]


def tilepipe_pyramid(path: str, *, buffer_px: int) -> Recipe:
    """The recipe but for process and inputs: metatiles of 1024 px, five levels of averages, GeoTIFF below *path*."""
    return {
        "pyramid": {"grid": "WebMercatorQuad", "tile_size": 256, "metatile": 4, "pixelbuffer": buffer_px},
        "zooms": {"min": ZOOMS[0], "max": ZOOMS[-1]},
        "overviews": {"below": ZOOMS[-1], "resampling": "average"},
        "output": {
            "format": "gtiff",
            "path": path,
            "dtype": "uint8",
            "bands": 1,
            "nodata": 0,
            "metatile": 4,
            "options": BLOCKS,
        },
    }


def mapchete_pyramid(path: str, *, buffer_px: int) -> Recipe:
    """The same for mapchete."""
    output = {"format": "GTiff", "path": path, "dtype": "uint8", "bands": 1, "nodata": 0, "metatiling": 4}
    return {
        "pyramid": {"grid": "mercator", "tile_size": 256, "metatiling": 4, "pixelbuffer": buffer_px},
        "zoom_levels": {"min": ZOOMS[0], "max": ZOOMS[-1]},
        "baselevels": {"min": ZOOMS[-1], "max": ZOOMS[-1], "lower": "average"},
        "output": {**output, "driver": "GTiff", "tiled": True, **BLOCKS},
    }


def tilepipe(name: str, recipe: Recipe, *options: str) -> Command:
    """`tilepipe execute` of *recipe*, kept as `.data/NAME.yaml`; its output is removed before each run."""
    path = scratch(f"{name}.yaml", json.dumps(recipe, indent=1))
    return Command(name="tilepipe", steps=((ours(), "execute", path, *options),), clears=recipe["output"]["path"])


def mapchete(name: str, recipe: Recipe, *, concurrency: str = "processes") -> Command:
    """`mapchete execute` of *recipe*, kept as `.data/NAME.mapchete`, with two workers.

    *concurrency* is one of mapchete's executors: `processes`, `threads`, `dask`, or `none` for one after the other.
    """
    path = scratch(f"{name}.mapchete", json.dumps(recipe, indent=1))
    options = ("--overwrite", "--concurrency", concurrency, "-w", "2", "--no-pbar")
    return Command(
        name="mapchete",
        steps=((_installed(), "execute", path, *options),),
        clears=recipe["output"]["path"],
    )


def ours() -> str:
    """The command beside the Python that runs the benchmark.

    Raises:
        SystemExit: tilepipe is not installed there.
    """
    path = os.path.join(os.path.dirname(sys.executable), "tilepipe")
    if not os.path.exists(path):
        raise SystemExit(f"{path} does not exist; install tilepipe with: {sys.executable} -m pip install -e .")
    return path


def process(name: str) -> str:
    """Path of one of the processes that come with tilepipe."""
    return os.path.join(os.path.dirname(HERE), "processes", f"{name}.py")


def program(name: str) -> str:
    """Path of one of GDAL's programs.

    Raises:
        SystemExit: it is not installed.
    """
    path = shutil.which(name)
    if path is None:
        raise SystemExit(f"{name} is not on the PATH; on Debian, install it with: apt install gdal-bin python3-gdal")
    return path


def _installed() -> str:
    """Path of mapchete's command."""
    folder = os.path.join(HERE, ".venvs", "mapchete")
    command = os.path.join(folder, "bin", "mapchete")
    if not os.path.exists(command):
        print(f"installing {MAPCHETE} into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([os.path.join(folder, "bin", "pip"), "install", "--quiet", MAPCHETE], check=True)
    return command


def scratch(name: str, text: str) -> str:
    """Path of a file with *text* among the data; recipes are JSON, which is YAML too."""
    os.makedirs(os.path.join(DATA, "out"), exist_ok=True)
    path = os.path.join(DATA, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path
