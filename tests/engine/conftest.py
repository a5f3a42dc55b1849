"""Small recipes, run in this process, and what they leave behind."""

import copy
import os
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tilepipe.bind import open_pipeline
from tilepipe.executors.inline import Inline
from tilepipe.plan import Share
from tilepipe.recipe import make_recipe
from tilepipe.run import run
from tilepipe.selection import make_plan, select

STRIPES = """
import numpy as np
from tilepipe import Grid, Tile

def execute(tile: Tile, grid: Grid, offset: int = 1):
    if (tile.row + tile.col) % 5 == 4:
        return None
    rows, cols = np.indices(grid.shape)
    return ((rows + 2 * cols + 7 * tile.row + 13 * tile.col + offset) % 250 + 1).astype("uint8")
"""


@dataclass
class Project:
    """A folder with a recipe in it."""

    folder: Path
    document: dict = field(
        default_factory=lambda: {
            "process": "mine.py",
            "pyramid": {"grid": "WebMercatorQuad", "tile_size": 16, "metatile": 1},
            "zooms": [0, 4],
            "overviews": {"below": 4, "resampling": "average"},
            "output": {"path": "out", "dtype": "uint8", "nodata": 0},
        }
    )

    def process(self, text):
        (self.folder / "mine.py").write_text(textwrap.dedent(text))

    def changed(self, **changes):
        """The same project with dotted keys, dots as two underscores, set to other values."""
        document = copy.deepcopy(self.document)
        for dotted, value in changes.items():
            *path, last = dotted.split("__")
            place = document
            for key in path:
                place = place.setdefault(key, {})
            place[last] = value
        return Project(self.folder, document)

    def pipeline(self):
        return open_pipeline(make_recipe(self.document, folder=str(self.folder), name="recipe"))

    def outcomes(
        self,
        *,
        executor=None,
        overwrite=False,
        accept=False,
        stop=True,
        retries=0,
        part=None,
        finishing=False,
        **selection,
    ):
        pipeline = self.pipeline()
        chosen = select(pipeline, **selection)
        engine = executor or Inline()
        plan = make_plan(pipeline, chosen, slots=engine.workers, part=part and Share(*part))
        return run(
            pipeline,
            plan,
            selection=chosen,
            executor=engine,
            overwrite=overwrite,
            accept_changes=accept,
            stop=stop,
            retries=retries,
            finishing=finishing,
        )

    def run(self, **how):
        """Run to the end; the tiles that were made, and the tiles that were kept."""
        made, kept = set(), set()
        for outcome in self.outcomes(**how):
            made |= set(outcome.tiles(outcome.made))
            kept |= set(outcome.tiles(outcome.kept))
        return made, kept

    def finish(self, **how):
        """What the command of that name does; the tiles that were made, and those that were kept."""
        return self.run(finishing=True, **how)

    @property
    def out(self):
        return self.folder / "out"

    def files(self):
        """Every tile's bytes by its name."""
        return {
            str(path.relative_to(self.out)): path.read_bytes()
            for path in self.out.glob("*/*/*.*")
            if path.relative_to(self.out).parts[0].isdigit()
        }

    def path(self, tile):
        return self.out / f"{tile}.tif"

    def age(self):
        """Let what is there look an hour old, journal and all."""
        for path in self.out.glob("[0-9]*/*/*.tif"):
            os.utime(path, (path.stat().st_atime - 3600, path.stat().st_mtime - 3600))


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path)
    project.process(STRIPES)
    return project
