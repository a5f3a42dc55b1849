"""What a second run on an output makes, keeps, refuses and removes."""

import json
import os
import subprocess
import sys
import time

import pytest

from tilepipe.errors import JournalError, PlanError
from tilepipe.geo.pyramid import Tile
from tilepipe.lock import hold

LEAF = Tile(4, 5, 6)


def above(tile):
    return {tile.parent(levels) for levels in range(1, tile.zoom + 1)}


def touch(path, payload):
    """Change a file, and let it be clear that it was changed after the run."""
    path.write_bytes(payload)
    os.utime(path, (time.time() + 60, time.time() + 60))


def test_a_finished_plan_runs_nothing(project):
    made, _ = project.run()
    before = project.files()

    again, kept = project.run()

    assert (again, kept) == (set(), made)
    assert project.files() == before
    assert len(made) == 1 + 4 + 16 + 64 + 256


def test_empty_tiles_are_remembered(project):
    project.process("def execute(): return None")
    made, _ = project.run()

    again, kept = project.run()

    assert project.files() == {}
    assert (again, kept) == (set(), made)


@pytest.mark.parametrize("damage", ["removed", "truncated", "emptied", "foreign"])
def test_a_damaged_tile_is_made_again_with_the_overviews_above_it(project, damage):
    project.run()
    before = project.files()
    path = project.path(LEAF)
    payload = path.read_bytes()
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes({"truncated": payload[:-9], "emptied": b"", "foreign": b"not a tile at all"}[damage])

    made, _ = project.run()

    assert made == {LEAF} | above(LEAF)
    assert project.files() == before


def test_a_tile_of_the_same_size_with_other_bytes_is_made_again(project):
    project.run()
    before = project.files()
    payload = bytearray(before[f"{LEAF}.tif"])
    payload[-1] ^= 1
    touch(project.path(LEAF), bytes(payload))

    made, _ = project.run()

    assert LEAF in made
    assert project.files() == before


def test_a_tile_that_was_only_touched_is_kept(project):
    project.run()
    touch(project.path(LEAF), project.path(LEAF).read_bytes())

    made, _ = project.run()

    assert made == set()


def test_a_file_where_an_empty_tile_belongs_is_removed(project):
    project.run()
    before = project.files()
    empty = Tile(4, 0, 4)
    assert f"{empty}.tif" not in before
    project.path(empty).write_bytes(b"foreign")

    made, _ = project.run()

    assert empty in made
    assert project.files() == before


def test_a_moved_output_is_still_good(project, tmp_path):
    project.run()
    (tmp_path / "elsewhere").mkdir()
    subprocess.run(["cp", "-r", project.out, tmp_path / "elsewhere"], check=True)

    made, _ = project.changed(output__path="elsewhere/out").run(accept=True)

    assert made == set()


def test_overwrite_makes_all_again(project):
    made, _ = project.run()

    assert project.run(overwrite=True) == (made, set())


def test_a_tile_that_became_empty_is_removed_on_overwrite(project):
    project.run()
    project.process("def execute(): return None")

    project.run(overwrite=True)

    assert project.files() == {}
    assert not (project.out / "stac.json").exists()


def test_overwriting_a_region_makes_it_and_the_overviews_above_it_and_nothing_else(project):
    project.run()
    before = project.files()

    made, _ = project.run(overwrite=True, tile=LEAF, zooms=[0, 1, 2, 3, 4])

    assert made == {LEAF} | above(LEAF)
    assert project.files() == before


def test_overviews_follow_when_only_the_base_was_made_again(project):
    project.run()
    project.run(overwrite=True, tile=LEAF)

    made, _ = project.run()

    assert made == above(LEAF)


def test_zooms_may_be_made_one_after_the_other(project):
    first, _ = project.run(zooms=[4])
    second, _ = project.run(zooms=[2, 3])
    third, kept = project.run()

    assert {tile.zoom for tile in first} == {4}
    assert {tile.zoom for tile in second} == {2, 3}
    assert {tile.zoom for tile in third} == {0, 1}
    assert kept == first | second


def test_overviews_of_a_zoom_that_was_never_made_are_refused(project):
    with pytest.raises(PlanError, match="zoom 3 is made from zoom 4, which has not been made; add --zoom 4"):
        project.run(zooms=[3])


def test_a_region_made_later_is_seen_in_the_overviews(project):
    project.run(bounds=[-170, 10, -100, 60])
    project.run()
    pieces = project.files()

    other = project.changed(output__path="other")
    other.run()

    whole = {path.name: path.read_bytes() for path in (project.folder / "other").glob("0/*/*.tif")}
    assert whole["0.tif"] == pieces["0/0/0.tif"]


def test_a_changed_recipe_is_refused_key_by_key(project):
    project.run()

    with pytest.raises(JournalError, match=r"(?s)another recipe:\n  parameters: unset -> .*offset.*--accept-changes"):
        project.changed(parameters__offset=9).run()


def test_a_changed_process_is_refused(project):
    project.run()
    project.process("def execute(): return None")

    with pytest.raises(JournalError, match=r"the code of the process: mine\.py \w+ -> mine\.py \w+"):
        project.run()


def test_accepted_changes_keep_what_is_there(project):
    project.run()

    made, _ = project.changed(parameters__offset=9).run(accept=True)

    assert made == set()


def test_another_area_or_other_zooms_are_no_change(project):
    project.changed(zooms=[2, 4]).run()

    made, _ = project.changed(area=[0, 0, 50, 50]).run()

    assert {tile.zoom for tile in made} == {0, 1}


def test_a_changed_recipe_with_overwrite_leaves_nothing_of_the_old_one(project):
    project.run()
    smaller = project.changed(parameters__offset=9, area=[10, 10, 40, 40])

    made, _ = smaller.run(overwrite=True)

    assert {f"{tile}.tif" for tile in made} >= set(project.files())


def test_overwriting_a_region_with_a_changed_recipe_would_mix_and_is_refused(project):
    project.run()

    with pytest.raises(JournalError, match="--overwrite without a selection"):
        project.changed(parameters__offset=9).run(overwrite=True, tile=LEAF)


def test_another_tile_layout_is_refused_and_starts_over_on_overwrite(project):
    project.run()
    other = project.changed(pyramid__metatile=2)

    with pytest.raises(JournalError, match=r"output pyramid\.metatile: 1 -> 2"):
        other.run(accept=True)
    other.run(overwrite=True)

    fresh = other.changed(output__path="fresh")
    fresh.run()
    assert project.files() == {
        str(path.relative_to(project.folder / "fresh")): path.read_bytes()
        for path in (project.folder / "fresh").glob("[0-9]*/*/*.tif")
    }


def test_starting_over_leaves_alone_what_is_not_a_tile_of_the_output(project):
    project.run()
    foreign = project.out / "7" / "notes.txt"
    foreign.parent.mkdir()
    foreign.write_text("not a tile")

    project.changed(pyramid__metatile=2).run(overwrite=True)

    assert foreign.read_text() == "not a tile"


def test_an_interrupted_overwrite_goes_on(project):
    whole, _ = project.run()
    outcomes = project.outcomes(overwrite=True)
    first = next(outcomes)
    outcomes.close()

    made, _ = project.run()

    assert made == whole - set(first.tiles(first.made))


def test_leaving_the_loop_keeps_what_was_made(project):
    outcomes = project.outcomes()
    first, second = next(outcomes), next(outcomes)
    outcomes.close()
    done = set(first.tiles(first.made)) | set(second.tiles(second.made))

    made, kept = project.run()

    assert kept == done
    assert not made & done
    assert (project.out / "stac.json").exists()


def test_a_second_run_at_once_is_refused_and_the_first_is_named(project):
    project.run()
    refusal = rf"another run holds .* \(pid {os.getpid()}, host here\); wait for it"
    with hold(str(project.out / ".tilepipe"), {"pid": os.getpid(), "host": "here"}):
        with_lock = pytest.raises(JournalError, match=refusal)
        with with_lock:
            project.run()


HOLDER = """
import sys, time
from tilepipe.lock import hold
with hold(sys.argv[1], {"pid": 1}):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_run_needs_nobody(project):
    project.run()
    lock = project.out / ".tilepipe"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, lock], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(JournalError, match="another run holds"):
        project.run()

    holder.kill()
    holder.communicate()

    assert project.run()[0] == set()


def test_the_journal_is_put_together_and_says_the_same(project):
    for _ in range(3):
        project.run(overwrite=True)
    journal = project.out / ".tilepipe/journal"

    project.run()
    before = sorted(journal.iterdir())
    made, _ = project.run()

    assert len(before) <= 2
    assert made == set()


def test_the_recipe_and_the_code_lie_beside_the_output(project):
    project.run()

    assert json.loads((project.out / ".tilepipe/recipe.json").read_text()) == project.document
    assert (project.out / ".tilepipe/process.py").read_text() == (project.folder / "mine.py").read_text()


def test_a_damaged_journal_is_named(project):
    project.run()
    (segment,) = (project.out / ".tilepipe/journal").glob("*1.jsonl")
    segment.write_bytes(segment.read_bytes()[:40])

    with pytest.raises(JournalError, match=r"0000000001\.jsonl is not a journal"):
        project.run()
