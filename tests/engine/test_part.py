"""A run in parts makes what a whole run makes, and never loses, mixes or repeats anything on the way."""

import json
import os
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.images import write_image
from tilepipe.errors import JournalError, PlanError, RunFailed
from tilepipe.geo.geometry import Area
from tilepipe.geo.pyramid import global_pyramid
from tilepipe.part import refuse_missing, share_of
from tilepipe.plan import Plan, Share

from .test_plan import plans

COUNTED = """
import numpy as np
from tilepipe import Grid, Tile

def execute(tile: Tile, grid: Grid, offset: int = 1):
    with open({log!r}, "a") as log:
        log.write(f"{{tile}}\\n")
    if {fault}:
        raise ValueError("no")
    if (tile.row + tile.col) % 5 == 4:
        return None
    rows, cols = np.indices(grid.shape)
    return ((rows + 2 * cols + 7 * tile.row + 13 * tile.col + offset) % 250 + 1).astype("uint8")
"""


def each(plan):
    return [tile for branch in plan.branches() for tile in branch.each()]


@settings(deadline=None, max_examples=60)
@given(plan=plans(), of=st.integers(1, 9))
def test_every_branch_that_needs_no_other_goes_to_exactly_one_part(plan, of):
    base = plan.base()
    if base is None:
        with pytest.raises(PlanError, match="are overviews, which parts leave to `tilepipe finish`"):
            share_of(plan, Share(1, of))
        return

    shares = [share_of(plan, Share(number, of)) for number in range(1, of + 1)]
    dealt = Counter(branch for share in shares for branch in share.branches())

    (depth,) = {share.depth for share in shares}
    (zooms,) = {share.zooms for share in shares}
    whole = Plan(pyramid=plan.pyramid, area=plan.area, zooms=zooms, reduced=shares[0].reduced, depth=depth)
    assert dealt == Counter(whole.branches())
    assert set(each(whole)) <= set(each(plan))
    assert {zoom for zoom in plan.zooms if zoom >= min(zooms)} == set(zooms)
    for tile in each(whole):
        assert tile.zoom not in plan.reduced or tile.zoom + 1 in zooms
    for share in shares:
        assert share.count() == {zoom: sum(tile.zoom == zoom for tile in each(share)) for zoom in zooms}
        assert share.count_branches() == len(list(share.branches()))


@settings(deadline=None, max_examples=60)
@given(plan=plans(), of=st.integers(1, 9))
def test_parts_differ_by_one_branch_a_band_at_most(plan, of):
    if plan.base() is None:
        return
    counts = Counter()
    for number in range(1, of + 1):
        for branch in share_of(plan, Share(number, of)).branches():
            counts[branch.root.zoom, number] += 1

    for zoom in {zoom for zoom, _ in counts}:
        own = [counts[zoom, number] for number in range(1, of + 1)]
        assert max(own) - min(own) <= 1


@pytest.mark.parametrize("workers", range(4))
def test_parts_do_not_depend_on_the_workers(workers):
    world = {"pyramid": global_pyramid("WebMercatorQuad"), "area": Area(None), "zooms": tuple(range(7))}
    one, other = (Plan(**world, reduced=frozenset(range(6)), depth=depth) for depth in (3, workers))

    assert share_of(one, Share(2, 5)) == share_of(other, Share(2, 5))


def test_a_part_of_a_hundred_million_tiles_begins_at_once():
    zooms = tuple(range(15))
    plan = Plan(pyramid=global_pyramid("WebMercatorQuad"), area=Area(None), zooms=zooms, reduced=frozenset(range(14)))
    begun = time.perf_counter()

    branch = next(share_of(plan, Share(700, 1000)).branches())

    assert branch.depth == 3
    assert time.perf_counter() - begun < 0.5


def test_what_is_missing_is_told_part_by_part():
    world = {"pyramid": global_pyramid("WebMercatorQuad"), "area": Area(None), "zooms": (0, 1, 2, 3)}
    plan = Plan(**world, reduced=frozenset({0, 1, 2}))
    said = r"""^64 tiles have not been made:
  part 1/4: 16 tiles
  part 2/4: 16 tiles
  part 3/4: 16 tiles
  part 4/4: 16 tiles
run `tilepipe execute r.yaml --part 1/4` and so on, as an array of 1-4; parts and finish take the same selection$"""

    with pytest.raises(PlanError, match=said):
        refuse_missing(plan, of=4, lookup=None, failed=True, recipe="r.yaml")


@pytest.fixture
def counted(project):
    log(project).touch()
    set_process(project)
    project.document |= {"zooms": [0, 3], "overviews": {"below": 3}}
    return project


def set_process(project, *, fault=False, version=""):
    project.process(COUNTED.format(log=str(log(project)), fault=fault) + version)


def log(project):
    return project.folder / "log.txt"


def calls(project):
    """How often execute() was called for each tile, since the last time."""
    lines = log(project).read_text().split()
    log(project).write_text("")
    return Counter(lines)


def whole(project):
    """The tiles of a run that is not in parts."""
    fresh = project.changed(output__path="fresh")
    fresh.run()
    calls(project)
    return {str(path.relative_to(project.folder / "fresh")): path.read_bytes() for path in fresh_tiles(project)}


def fresh_tiles(project):
    return (project.folder / "fresh").glob("[0-9]*/*/*.tif")


def item(folder):
    facts = json.loads((folder / "stac.json").read_text())
    facts.pop("id")
    facts["properties"].pop("datetime")
    return facts


@pytest.mark.parametrize(("of", "zoom"), [(1, 3), (3, 4), (70, 3)])
def test_parts_and_finish_make_what_a_whole_run_makes(counted, of, zoom):
    counted.document |= {"zooms": [0, zoom], "overviews": {"below": zoom}}
    reference = whole(counted)

    for number in range(of, 0, -1):
        counted.run(part=(number, of))
    counted.finish()

    assert set(calls(counted).values()) == {1}
    assert counted.files() == reference
    assert item(counted.out) == item(counted.folder / "fresh")
    twin = (counted.out / "stac.vrt").read_text()
    assert twin == (counted.folder / "fresh/stac.vrt").read_text()


def test_parts_leave_the_index_to_finish(counted):
    for number in (1, 2):
        counted.run(part=(number, 2))

    assert not (counted.out / "stac.json").exists()


def test_finishing_twice_makes_nothing(counted):
    counted.run(part=(1, 1))
    counted.finish()

    made, kept = counted.finish()

    assert not made
    assert len(kept) == sum(4**zoom for zoom in range(4))


def test_a_part_goes_on_where_it_was(counted):
    outcomes = counted.outcomes(part=(1, 2))
    begun = [next(outcomes) for _ in range(3)]
    done = {tile for outcome in begun for tile in outcome.tiles(outcome.made)}
    outcomes.close()

    made, kept = counted.run(part=(1, 2))

    assert kept == done
    assert not made & kept
    assert set(calls(counted).values()) == {1}


def test_finish_names_the_parts_that_are_missing_and_changes_nothing(counted):
    counted.run(part=(1, 4))
    counted.run(part=(3, 4))
    before = {path: path.stat().st_mtime_ns for path in counted.out.rglob("*") if path.is_file()}
    said = r"32 tiles have not been made:\n  part 2/4: 16 tiles\n  part 4/4: 16 tiles\nrun .*--part 2/4.*array of 2,4;"

    with pytest.raises(PlanError, match=said):
        counted.finish()

    lock = counted.out / ".tilepipe/lock"
    after = {path: path.stat().st_mtime_ns for path in counted.out.rglob("*") if path.is_file()}
    assert {path: at for path, at in after.items() if path != lock}.items() <= before.items()


def test_finish_before_any_part_says_what_to_run(counted):
    with pytest.raises(PlanError, match=r"64 tiles have not been made; run `tilepipe execute recipe --part 1/N`"):
        counted.finish()


def test_a_whole_run_goes_on_with_what_parts_made(counted):
    reference = whole(counted)
    counted.run(part=(2, 3))

    counted.run()

    assert set(calls(counted).values()) == {1}
    assert counted.files() == reference


def test_a_part_keeps_what_a_whole_run_made(counted):
    outcomes = counted.outcomes()
    for _ in range(3):
        next(outcomes)
    outcomes.close()

    for number in (1, 2, 3):
        counted.run(part=(number, 3))
    counted.finish()

    assert set(calls(counted).values()) == {1}


def test_parts_of_another_number_keep_what_is_there(counted):
    counted.run(part=(1, 2))
    for number in (5, 4, 3, 2, 1):
        counted.run(part=(number, 5))
    counted.finish()

    assert set(calls(counted).values()) == {1}


def test_parts_of_a_selection_are_finished_with_it(counted):
    bounds = (-180, 0, 0, 85)
    for number in (1, 2):
        counted.run(part=(number, 2), bounds=bounds)
    counted.finish(bounds=bounds)
    assert len(calls(counted)) == 16

    with pytest.raises(PlanError, match="48 tiles have not been made"):
        counted.finish()


def test_parts_of_a_single_zoom_are_as_good(counted):
    for number in (1, 2):
        counted.run(part=(number, 2), zooms=[3])

    made, _ = counted.finish()

    assert {tile.zoom for tile in made} == {0, 1, 2}


def test_a_part_of_overviews_is_refused(counted):
    with pytest.raises(PlanError, match=r"zooms 1, 2 are overviews, which parts leave to `tilepipe finish`"):
        counted.run(part=(1, 2), zooms=[1, 2])


def test_two_parts_run_at_once_but_not_the_same_one_twice(counted):
    first, second = counted.outcomes(part=(1, 2)), counted.outcomes(part=(2, 2))
    next(first)
    next(second)

    with pytest.raises(JournalError, match=rf"another run holds .*part-1-of-2 \(part 1/2, pid {os.getpid()}, "):
        counted.run(part=(1, 2))
    for other in (counted.outcomes(), counted.outcomes(finishing=True)):
        with pytest.raises(JournalError, match=r"another run holds .*lock \(part [12]/2, pid .*; wait for it or stop"):
            next(other)
    list(first)
    list(second)
    counted.finish()
    assert set(calls(counted).values()) == {1}


def test_a_whole_run_keeps_parts_out(counted):
    outcomes = counted.outcomes()
    next(outcomes)

    with pytest.raises(JournalError, match=r"another run holds .*lock \(pid"):
        counted.run(part=(1, 2))
    outcomes.close()


def test_locks_of_parts_are_not_left_behind_by_finish(counted):
    counted.run(part=(1, 1))
    counted.finish()

    assert not list((counted.out / ".tilepipe").glob("part-*"))


@pytest.mark.parametrize("first", [1, 2])
def test_a_recipe_that_changed_between_parts_is_refused_key_by_key(counted, first):
    counted.run(part=(first, 2))
    changed = counted.changed(parameters__offset=9)

    for again in ({"part": (1, 2)}, {"part": (2, 2)}, {}, {"finishing": True}):
        with pytest.raises(JournalError, match=r"another recipe:\n  parameters: unset -> .*offset.*9"):
            changed.run(**again)


def test_another_layout_is_refused_also_with_overwrite(counted):
    counted.run(part=(1, 2))
    changed = counted.changed(output__dtype="uint16")

    with pytest.raises(JournalError, match=r"dtype: 'uint8' -> 'uint16'\nits files are of another kind"):
        changed.run(part=(1, 2), overwrite=True)


def test_overwriting_parts_make_their_own_share_again_and_the_overviews_follow(counted):
    counted.run()
    calls(counted)

    made, _ = counted.run(part=(2, 3), overwrite=True)
    again, _ = counted.finish()

    assert sum(tile.zoom == 3 for tile in made) == len(calls(counted))
    assert again
    assert {tile.zoom for tile in again} == {0, 1, 2} - {tile.zoom for tile in made}


def test_an_overwriting_part_that_was_ended_goes_on_and_one_that_had_ended_begins_anew(counted):
    counted.run()
    calls(counted)
    outcomes = counted.outcomes(part=(1, 2), overwrite=True)
    for _ in range(5):
        next(outcomes)
    outcomes.close()

    counted.run(part=(1, 2), overwrite=True)
    share = calls(counted)
    counted.run(part=(1, 2), overwrite=True)

    assert set(share.values()) == {1}
    assert calls(counted) == share


def test_an_overwriting_part_that_was_ended_is_missing(counted):
    counted.run()
    outcomes = counted.outcomes(part=(2, 2), overwrite=True)
    next(outcomes)
    outcomes.close()

    with pytest.raises(PlanError, match=r"have not been made:\n  part 2/2: \d+ tiles\nrun"):
        counted.finish()


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
def test_a_changed_recipe_never_mixes_with_what_was_there(counted, order):
    counted.run()
    changed = counted.changed(parameters__offset=9)
    reference = whole(changed)

    for number in order[:2]:
        changed.run(part=(number, 3), overwrite=True)
    with pytest.raises(PlanError, match=rf"have not been made:\n  part {order[2]}/3: \d+ tiles\nrun"):
        changed.finish()
    changed.run(part=(order[2], 3), overwrite=True)
    changed.finish()

    assert changed.files() == reference
    assert set(calls(changed).values()) == {1}


def test_parts_of_an_old_recipe_among_new_ones_are_refused(counted):
    counted.run(part=(1, 3))
    counted.run(part=(2, 3))
    changed = counted.changed(parameters__offset=9)
    reference = whole(changed)
    changed.run(part=(1, 3), overwrite=True)
    changed.run(part=(3, 3), overwrite=True)

    with pytest.raises(JournalError, match="another recipe:\n  parameters: "):
        changed.finish()

    changed.run(part=(2, 3), overwrite=True)
    changed.finish()
    assert changed.files() == reference


def test_what_a_recipe_does_not_make_any_more_goes_when_all_parts_overwrite_it(counted):
    counted.run()
    smaller = counted.changed(area=[-180, 0, 0, 85], parameters__offset=9)
    reference = whole(smaller)

    for number in (1, 2):
        smaller.run(part=(number, 2), overwrite=True)
    smaller.finish()

    assert smaller.files() == reference


def test_it_goes_also_when_a_part_is_called_once_more_without_need(counted):
    counted.run()
    smaller = counted.changed(area=[-180, 0, 0, 85], parameters__offset=9)
    reference = whole(smaller)
    smaller.run(part=(1, 1), overwrite=True)

    smaller.run(part=(1, 1))
    smaller.finish()

    assert smaller.files() == reference


def test_a_whole_overwrite_that_was_ended_still_removes_what_nobody_makes_any_more(counted):
    counted.run()
    smaller = counted.changed(area=[-180, 0, 0, 85])
    reference = whole(smaller)
    outcomes = smaller.outcomes(overwrite=True)
    next(outcomes)
    outcomes.close()

    smaller.run()

    assert smaller.files() == reference


def test_changes_may_be_accepted(counted):
    counted.run(part=(1, 2))
    changed = counted.changed(parameters__offset=9)

    changed.run(part=(2, 2), accept=True)
    changed.finish(accept=True)

    assert set(calls(counted).values()) == {1}


def test_finish_stops_at_failed_tiles_or_goes_on_without_them(counted):
    set_process(counted, fault="tile == (3, 0, 1)")
    for number in (1, 2):
        try:
            counted.run(part=(number, 2), stop=False)
        except RunFailed:
            failing = number
    said = rf"1 tile has not been made:\n  part {failing}/2: 1 tile, 1 of them failed\nrun .*--on-error skip"

    with pytest.raises(PlanError, match=said):
        counted.finish()
    with pytest.raises(RunFailed, match="1 tile failed"):
        counted.finish(stop=False)

    assert not counted.path("2/0/0").exists()
    assert counted.path("2/0/1").exists()


COPY = """
def execute(image):
    with open({log!r}, "a") as log:
        log.write("{{image}}\\n")
    return None if image.is_empty() else image.read(1)
"""


@pytest.fixture
def imaged(project):
    project.process(COPY.format(log=str(log(project))))
    project.document |= {
        "inputs": {"image": "image.tif"},
        "pyramid": {
            "grid": {"crs": "EPSG:32632", "bounds": [500_000, 5_198_720, 501_280, 5_200_000], "resolution": 10},
            "tile_size": 16,
            "metatile": 1,
        },
        "zooms": [0, 3],
        "overviews": {"below": 3},
    }
    set_image(project, 3)
    return project


def set_image(project, value):
    path = project.folder / "image.tif"
    write_image(path, np.full((128, 128), value, "uint8"), nodata=0, left=500_000.0)
    os.utime(path, (time.time() + value, time.time() + value))


@pytest.mark.parametrize("before", [[], [1], [1, 2], [2, 3], [1, 2, 3], ["all"]])
def test_inputs_that_change_between_parts_are_never_mixed(imaged, before):
    for number in before:
        imaged.run(part=None if number == "all" else (number, 3))
    set_image(imaged, 7)
    reference = whole(imaged)

    imaged.run(part=(2, 3))
    if before:
        with pytest.raises(PlanError, match=r"have not been made:\n  part 1/3: \d+ tiles\n  part 3/3: \d+ tiles"):
            imaged.finish()
    calls(imaged)
    for number in (3, 1, 2):
        imaged.run(part=(number, 3))
    imaged.finish()

    assert imaged.files() == reference


def test_a_part_that_saw_the_new_input_is_not_made_again(imaged):
    imaged.run(part=(1, 2))
    set_image(imaged, 7)
    _, kept = imaged.run(part=(2, 2))
    assert not kept

    made, _ = imaged.run(part=(1, 2))
    again, _ = imaged.run(part=(2, 2))
    finished, _ = imaged.finish()

    assert made
    assert not again
    assert not any(tile.zoom == 3 for tile in finished)


def test_the_journals_of_parts_are_put_together_and_say_the_same(counted, monkeypatch):
    monkeypatch.setattr("tilepipe.journal.MERGED", 3)
    for number in (1, 2):
        counted.run(part=(number, 2))
    counted.finish()
    journal = counted.out / ".tilepipe/journal"

    made, kept = counted.run(part=(1, 2))

    assert not made
    assert kept
    assert len(list(journal.iterdir())) < 20


def test_a_merge_that_was_killed_half_way_changes_nothing(counted):
    """Put the objects of all parts together as a whole run does, and leave the old ones as a killed one would."""
    counted.run()
    changed = counted.changed(parameters__offset=9)
    for number in (1, 2):
        changed.run(part=(number, 2), overwrite=True)
    journal = counted.out / ".tilepipe/journal"
    objects = sorted(journal.iterdir())
    text = b"".join(path.read_bytes() for path in objects)
    chapter = int(objects[-1].name[:10]) + 1
    (journal / f"{chapter:010}.jsonl").write_bytes(text)
    calls(counted)

    made, kept = changed.finish()

    assert not calls(counted)
    assert sum(tile.zoom == 3 for tile in kept) == 64
    assert not any(tile.zoom == 3 for tile in made)


def test_a_grid_that_an_input_moved_is_refused_also_where_a_part_goes_on(imaged):
    imaged.document["pyramid"]["grid"] = {"like": "image"}
    imaged.run()
    outcomes = imaged.outcomes(part=(1, 2), overwrite=True)
    next(outcomes)
    outcomes.close()
    write_image(imaged.folder / "image.tif", np.full((128, 128), 9, "uint8"), nodata=0, left=500_640.0)

    with pytest.raises(JournalError, match=r"output pyramid.*\nits files are of another kind"):
        imaged.run(part=(1, 2), overwrite=True)
