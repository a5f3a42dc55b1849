"""A recipe of 256 calls and five zooms of overviews, run in this process or by a command of its own."""

import json
import subprocess
import sys
import textwrap
import time

from tilepipe import records
from tilepipe.bind import open_pipeline
from tilepipe.executors.inline import Inline
from tilepipe.recipe import make_recipe
from tilepipe.run import run
from tilepipe.selection import cut_for, make_plan, select

RECIPE = {
    "process": "mine.py",
    "parameters": {"seconds": 0.02},
    "pyramid": {"grid": "WebMercatorQuad", "tile_size": 64, "metatile": 2},
    "zooms": [0, 5],
    "overviews": {"below": 5, "resampling": "average"},
    "output": {"path": "out", "dtype": "uint8", "nodata": 0, "metatile": 1},
}

PROCESS = """
import os, time
import numpy as np
from tilepipe import Grid, Tile

def execute(tile: Tile, grid: Grid, seconds: float = 0.0, log: str = "", hungry: list | None = None,
    raises: list | None = None):
    if log:
        with open(log, "a") as lines:
            lines.write(f"{tile}\\n")
    time.sleep(seconds)
    if raises and list(tile) == raises:
        raise ValueError('asked for')
    if hungry and list(tile) == hungry:
        kept = [np.ones(1 << 24, dtype="uint8") for _ in range(256)]
    if (tile.row + tile.col) % 5 == 4:
        return None
    return np.random.default_rng(tile.row * 100 + tile.col).integers(1, 255, grid.shape, dtype="uint8")
"""

TILES = 256
"""Calls of the process at the finest zoom of the recipe."""


class Project:
    """A folder with a recipe, run here or by a command of its own."""

    def __init__(self, folder, **parameters):
        self.folder = folder
        (folder / "mine.py").write_text(textwrap.dedent(PROCESS))
        self.log = folder / "calls.log"
        self.document = {**RECIPE, "parameters": {**RECIPE["parameters"], "log": str(self.log), **parameters}}

    def outcomes(self, executor, *, stop=True, path="out", **changes):
        document = {**self.document, **changes, "output": {**self.document["output"], "path": path}}
        pipeline = open_pipeline(make_recipe(document, folder=str(self.folder)))
        selection = select(pipeline)
        plan = cut_for(make_plan(pipeline, selection, slots=executor.workers), executor.workers)
        return run(pipeline, plan, selection=selection, executor=executor, stop=stop, retries=0)

    def reference(self):
        """The tiles of a run in sequence."""
        quick = {**self.document["parameters"], "seconds": 0.0, "log": "", "hungry": None}
        for _ in self.outcomes(Inline(), path="reference", parameters=quick):
            pass
        return self.tiles("reference")

    def command(self, *options):
        (self.folder / "recipe.yaml").write_text(json.dumps(self.document))
        return subprocess.Popen(
            [sys.executable, "-m", "tilepipe", "execute", "recipe.yaml", *map(str, options)],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def tiles(self, path="out"):
        root = self.folder / path
        return {str(file.relative_to(root)): file.read_bytes() for file in root.glob("[0-9]*/*/*.tif")}

    def calls(self):
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0

    def known(self):
        """How many calls the journal tells of."""
        lines = [line for file in self.folder.glob("out/.tilepipe/journal/*") for line in file.read_text().splitlines()]
        outcomes = [records.decode(record) for record in map(json.loads, lines) if "task" in record]
        return len({tile for outcome in outcomes for tile in outcome.tiles(outcome.made) if tile.zoom == 5})

    def await_calls(self, count):
        limit = time.monotonic() + 60
        while self.calls() < count:
            assert time.monotonic() < limit, f"{self.calls()} calls"
            time.sleep(0.02)


def ended(process, *, code=0):
    """What a command said, once it has ended as it should."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    return out
