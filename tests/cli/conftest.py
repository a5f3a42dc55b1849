"""A folder with a recipe, a process and a raster, for users who make mistakes in it."""

import copy
import json
import os
import re
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import rasterio
from affine import Affine

from tilepipe.cli.main import main

RECIPE = {
    "process": "mine.py",
    "inputs": {"dem": "dem.tif"},
    "pyramid": {"grid": {"like": "dem"}, "tile_size": 16, "metatile": 1},
    "zooms": [0, 2],
    "overviews": {"below": 2, "resampling": "average"},
    "output": {"path": "out", "dtype": "uint8", "nodata": 0},
}

PROCESS = """import os, signal, sys
import numpy as np
from tilepipe import Tile, TileInput
from tilepipe.errors import InputError
MET = []
def execute(dem: TileInput, tile: Tile, *, factor: float = 1.0):
    if tile == (2, 1, 3):
        {fault}
    return dem.read() * factor
"""


GRID = Affine(10, 0, 0, 0, -10, 640)


class Said(NamedTuple):
    """What came of a command."""

    code: int
    out: str
    err: str


@dataclass
class Desk:
    """Where a user works; calls run in this process."""

    folder: Path
    capture: pytest.CaptureFixture

    def recipe(self, **changes):
        """Write the recipe with dotted keys, dots as two underscores, set to other values; None removes a key."""
        document = copy.deepcopy(RECIPE)
        for dotted, value in changes.items():
            *path, last = dotted.split("__")
            place = document
            for key in path:
                place = place.setdefault(key, {})
            place[last] = value
            if value is None:
                del place[last]
        (self.folder / "recipe.yaml").write_text(json.dumps(document, indent=1))

    def process(self, fault="pass"):
        """Write the process; *fault* is what happens at tile 2/1/3."""
        (self.folder / "mine.py").write_text(PROCESS.format(fault=fault))

    def raster(self, *, crs="EPSG:3857", transform=GRID):
        """Write the input: 64 x 64 pixels from 1 to 250."""
        values = (np.arange(64 * 64) % 250 + 1).astype("float32").reshape(64, 64)
        form = {"driver": "GTiff", "dtype": "float32", "width": 64, "height": 64, "count": 1}
        blocks = {"tiled": True, "blockxsize": 16, "blockysize": 16}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            with rasterio.open(self.folder / "dem.tif", "w", crs=crs, transform=transform, **form, **blocks) as file:
                file.write(values, 1)

    def tilepipe(self, *arguments):
        """A command; what GDAL itself says on the channels is heard too."""
        self.capture.readouterr()
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        return Said(code, *self.capture.readouterr())

    def execute(self, *options):
        return self.tilepipe("execute", "recipe.yaml", "-e", "sequential", *options)

    def refuses(self, message, *arguments):
        """A command that ends with one message, which says *message*, and changes nothing."""
        before = {path: path.is_file() and path.read_bytes() for path in self.folder.rglob("*")}

        code, out, err = self.tilepipe(*arguments) if arguments else self.execute()

        assert (code, out) == (2, ""), err
        assert re.search(message, err), err
        assert err.startswith(("error: ", "Usage: "))
        assert err.rpartition("\n\nError: ")[2].count("\n") == 1
        assert {path: path.is_file() and path.read_bytes() for path in self.folder.rglob("*")} == before

    def shell(self, script, *, within=()):
        """A script in which `tilepipe` is the command, in a process of its own."""
        script = f'tilepipe() {{ "{sys.executable}" -m tilepipe "$@"; }}\n{script}'
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        command = [*within, "sh", "-c", script]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def tiles(self, out="out"):
        """The bytes of each tile by its name."""
        root = self.folder / out
        return {str(path.relative_to(root)): path.read_bytes() for path in root.glob("[0-9]*/*/*.tif")}

    def whole(self, reference):
        """The tiles that are there; each is as it is in *reference*, the tiles of a run without mistakes."""
        found = self.tiles()
        for name in [name for name in found if found[name] != reference[name]]:
            # Where the topmost overview is missing lies a blank tile, for readers that look there first.
            assert name == "0/0/0.tif"
            with rasterio.open(self.folder / "out" / name) as blank:
                assert not blank.read().any()
            del found[name]
        return found.keys()


@pytest.fixture
def desk(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    desk = Desk(tmp_path, capfd)
    desk.recipe()
    desk.process()
    desk.raster()
    return desk
