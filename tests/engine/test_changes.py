"""What changed between two runs never mixes, never hides a hole, and never takes away what is still good."""

import os
import time
from concurrent.futures import Future

import numpy as np
import pytest

from contracts.images import write_image
from tilepipe.errors import JournalError, PlanError, RunFailed, WorkerLost
from tilepipe.executors.inline import Inline
from tilepipe.geo.branch import bits, tile_at
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


@pytest.mark.parametrize(
    ("word", "other"), [('"part":', '"older":'), ('"written":', '"older":'), ('{"task":', '{"newer":')], ids=repr
)
def test_a_journal_of_another_version_is_refused_by_name(project, word, other):
    project.run()
    path = next(
        path for path in sorted(project.folder.glob("out/.tilepipe/journal/*.jsonl")) if word in path.read_text()
    )
    path.write_text(path.read_text().replace(word, other))

    with pytest.raises(JournalError, match=rf"{path.name} has a line .* of another version of tilepipe; go on with"):
        project.run()


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


@pytest.fixture
def failing_again(project):
    """An output in which all is good, and then one tile cannot be made any more."""
    project.process(FAILING.replace("(4, 5, 6)", "None"))
    project.run()
    project.process(FAILING.replace("9", "8"))
    return project


def test_a_tile_that_fails_where_a_good_one_lay_leaves_no_old_file(failing_again):
    with pytest.raises(RunFailed):
        failing_again.run(overwrite=True, stop=False)

    fresh = failing_again.changed(output__path="fresh")
    with pytest.raises(RunFailed):
        fresh.run(stop=False)
    assert failing_again.files() == {
        str(path.relative_to(failing_again.folder / "fresh")): path.read_bytes()
        for path in (failing_again.folder / "fresh").glob("[0-9]*/*/*.tif")
    }
    assert not failing_again.path("4/5/6").exists()


def test_a_run_that_stops_at_a_failed_tile_leaves_no_old_file_of_it(failing_again):
    with pytest.raises(RunFailed):
        failing_again.run(overwrite=True, stop=True)

    assert not failing_again.path("4/5/6").exists()
    assert failing_again.path("4/15/15").exists()


def test_a_tile_that_takes_workers_down_leaves_no_old_file(failing_again):
    class Killed(Inline):
        def submit(self, call, item, **how):
            if Tile(4, 5, 6) in {tile_at(item.root, bit) for bit in bits(item.make)}:
                future = Future()
                future.set_exception(WorkerLost("the worker ended"))
                return future
            return super().submit(call, item, **how)

    failing_again.process(FAILING.replace("(4, 5, 6)", "None").replace("9", "8"))
    with pytest.raises(RunFailed, match="tile 4/5/6: the worker ended"):
        failing_again.run(overwrite=True, stop=False, executor=Killed())

    assert not failing_again.path("4/5/6").exists()
    assert not failing_again.path("3/2/3").exists()


def test_a_tile_that_failed_where_a_good_one_lay_is_made_by_the_next_run(failing_again):
    with pytest.raises(RunFailed):
        failing_again.run(overwrite=True, stop=False)
    failing_again.process(FAILING.replace("(4, 5, 6)", "None").replace("9", "8"))

    made, _ = failing_again.run(accept=True)

    assert made == {Tile(4, 5, 6)} | {Tile(4, 5, 6).parent(levels) for levels in range(1, 5)}


def test_an_input_that_shrank_leaves_no_overview_of_what_is_gone(copying):
    copying.document |= {"inputs": {"image": "fine.tif"}, "overviews": {"below": 2}}
    copying.run()
    write_image(copying.folder / "fine.tif", np.full((16, 64), 40, "uint8"), nodata=0)

    copying.run()

    fresh = copying.changed(output__path="fresh")
    fresh.run()
    assert copying.files().keys() == {
        str(path.relative_to(copying.folder / "fresh")) for path in (copying.folder / "fresh").glob("[0-9]*/*/*.tif")
    }
