"""Overviews of tiles that are not kept as they were made."""

import pytest

from engine.conftest import Project
from tilepipe.executors.pool import Threads

NOISE = """
import numpy as np
from tilepipe import Grid, Tile

def execute(tile: Tile, grid: Grid):
    if (tile.row + tile.col) % 5 == 4:
        return None
    return np.random.default_rng([tile.row, tile.col]).integers(0, 256, (3, *grid.shape), dtype="uint8")
"""


@pytest.fixture(
    params=[{"format": "jpeg"}, {"format": "webp"}, {"format": "webp", "lossless": True}, {"format": "png"}]
)
def project(request, tmp_path):
    nodata = {"nodata": 0} if request.param["format"] == "png" else {}
    project = Project(tmp_path).changed(
        zooms=[0, 3], overviews__below=3, output={"path": "out", "bands": 3, **nodata, **request.param}
    )
    project.process(NOISE)
    return project


def test_the_bytes_do_not_depend_on_how_many_workers_there_are(project):
    project.run()
    wanted = project.files()

    with Threads(4) as executor:
        project.run(executor=executor, overwrite=True)

    assert len(wanted) > 50
    assert project.files() == wanted


def test_a_run_that_goes_on_makes_the_same_bytes(project):
    project.run()
    wanted = project.files()
    lost = [name for name in wanted if name.startswith(("0/", "1/", "2/2/", "3/7/"))]
    for name in lost:
        (project.out / name).unlink()

    project.run()

    assert project.files() == wanted
