"""What changed between two runs never mixes, never hides a hole, and never takes away what is still good."""

import os
import time

import numpy as np
import pytest

from contracts.images import write_image
from tilepipe.errors import JournalError, PlanError, RunFailed
from tilepipe.geo.pyramid import Tile

GRID = {"crs": "EPSG:32632", "bounds": [500_000, 5_199_360, 500_640, 5_200_000], "resolution": 10}


@pytest.fixture
def copying(project):
    """One image for coarse zooms and another one for fine ones."""
    for name, value in (("coarse", 20), ("fine", 40)):
        write_image(project.folder / f"{name}.tif", np.full((64, 64), value, "uint8"), nodata=0)
    project.process("def execute(image): return None if image.is_empty() else image.read(1)")
    project.document |= {
        "inputs": {"image": {"zoom<=1": "coarse.tif", "zoom>1": "fine.tif"}},
        "pyramid": {"grid": GRID, "tile_size": 16, "metatile": 1},
        "overviews": None,
        "zooms": [0, 2],
    }
    return project


def touch(path):
    os.utime(path, (time.time() + 60, time.time() + 60))


def test_fewer_zooms_take_nothing_away(copying):
    copying.run()
    before = copying.files()

    made, _ = copying.changed(zooms=[0, 1]).run()
    again, _ = copying.run()

    assert made == again == set()
    assert copying.files() == before


def test_a_changed_input_of_a_zoom_that_is_not_made_now_is_seen_when_it_is(copying):
    copying.run()
    touch(copying.folder / "fine.tif")

    first, _ = copying.changed(zooms=[0, 1]).run()
    second, _ = copying.run()

    assert first == set()
    assert {tile.zoom for tile in second} == {2}


def test_a_changed_input_takes_nothing_away_outside_of_a_smaller_area(copying):
    copying.run()
    before = copying.files()
    touch(copying.folder / "fine.tif")

    copying.changed(area={"bounds": [500_000, 5_199_900, 500_100, 5_200_000], "crs": "EPSG:32632"}).run()

    assert copying.files() == before


def test_a_zoom_that_the_process_makes_now_is_not_kept_as_an_overview(project):
    project.document["overviews"] = {"resampling": "average"}
    project.run()

    made, kept = project.changed(zooms=[0, 3]).run()

    assert {tile.zoom for tile in made} == {0, 1, 2, 3}
    assert kept == set()


def test_another_value_of_a_variable_is_a_change(project, monkeypatch):
    project.document["parameters"] = {"offset": "${OFFSET}"}
    project.process(
        (project.folder / "mine.py")
        .read_text()
        .replace("offset: int", "offset: str")
        .replace("+ offset", "+ int(offset)")
    )
    monkeypatch.setenv("OFFSET", "3")
    project.run()
    assert project.run()[0] == set()
    monkeypatch.setenv("OFFSET", "9")

    with pytest.raises(JournalError, match=r"what \$\{\.\.\.\} stands for at zoom 4"):
        project.run()


FAILING = """
import numpy as np
from tilepipe import Grid, Tile

def execute(tile: Tile, grid: Grid):
    if tile == (4, 5, 6):
        raise ValueError("no")
    return np.full(grid.shape, 9, "uint8")
"""


def test_no_later_run_hides_a_failed_tile_in_its_overviews(project):
    project.process(FAILING)
    above = {Tile(4, 5, 6).parent(levels) for levels in range(1, 5)}
    with pytest.raises(RunFailed):
        project.run(stop=False)

    made, _ = project.run(zooms=[0, 1, 2, 3])
    blocked = [set(outcome.tiles(outcome.blocked)) for outcome in project.outcomes(zooms=[0, 1, 2, 3])]

    assert made == set()
    assert set().union(*blocked) == above
    # At the first zoom with data, 1, lies the blank tile that older readers look at.
    assert {f"{tile}.tif" for tile in above} & project.files().keys() == {"1/0/0.tif"}


def test_a_failed_tile_is_tried_again_and_its_overviews_follow(project):
    project.process(FAILING)
    with pytest.raises(RunFailed):
        project.run(stop=False)
    project.process(FAILING.replace("(4, 5, 6)", "None"))

    made, _ = project.run(accept=True)

    assert made == {Tile(4, 5, 6)} | {Tile(4, 5, 6).parent(levels) for levels in range(1, 5)}


def test_another_dtype_cannot_be_accepted(project):
    project.run()

    with pytest.raises(JournalError, match=r"output dtype: 'uint8' -> 'int16'"):
        project.changed(output__dtype="int16").run(accept=True)


def test_a_refused_run_leaves_the_journal_as_it_was(project):
    project.run(zooms=[4])
    other = project.changed(output__tags={"A": "B"})
    with pytest.raises(PlanError, match="zoom 2 is made from zoom 3"):
        other.run(zooms=[2], accept=True)

    assert project.run(zooms=[4])[0] == set()


def test_an_accepted_other_file_keeps_what_was_made_of_the_first(copying):
    copying.run()
    write_image(copying.folder / "other.tif", np.full((64, 64), 60, "uint8"), nodata=0)

    made, _ = copying.changed(inputs__image={"zoom<=1": "coarse.tif", "zoom>1": "other.tif"}).run(accept=True)

    assert made == set()


def test_a_clipped_buffer_meets_tiles_without_data(copying):
    copying.document["pyramid"] |= {"edge": "clip", "pixelbuffer": 8}
    copying.document["area"] = {"bounds": [500_000, 5_199_360, 500_640, 5_200_000], "crs": "EPSG:32632"}
    write_image(copying.folder / "fine.tif", np.full((14, 14), 40, "uint8"), nodata=0, left=500_020, top=5_199_980)

    copying.run()

    assert {name for name in copying.files() if name.startswith("2/")} == {"2/0/0.tif"}


def test_a_part_made_again_leaves_the_rest_in_the_item(copying):
    copying.run()
    before = (copying.out / "stac.json").read_text()
    touch(copying.folder / "fine.tif")

    copying.run(tile=(2, 0, 0))

    assert (copying.out / "stac.json").read_text() == before
