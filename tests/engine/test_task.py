from hypothesis import given
from hypothesis import strategies as st

from tilepipe.geo.branch import bits, children_of, full, level_of, tile_at
from tilepipe.geo.pyramid import Tile
from tilepipe.plan import Branch
from tilepipe.task import Made, Task, block, split, task_for

ROOT = Tile(4, 3, 9)
REDUCED = frozenset({3, 4, 5, 6})
"""Zooms 4 to 6 of the branch are overviews, 7 is the base."""


def never(tile):
    return False


WHOLE = full(3)


def fresh(tiles=WHOLE, remade=never, depth=3):
    return task_for(Branch(ROOT, depth, tiles), reduced=REDUCED, lookup=None, remade=remade)


def again(made, tiles=WHOLE, remade=never, depth=3):
    def lookup(asked):
        return {tile: made[tile] for tile in asked if tile in made}

    return task_for(Branch(ROOT, depth, tiles), reduced=REDUCED, lookup=lookup, remade=remade)


def all_made(turn=0, state="written"):
    return {tile_at(ROOT, bit): Made(state, turn) for bit in bits(full(4))}


def test_the_first_run_makes_the_whole_branch_and_reads_nothing():
    need = fresh()

    assert need.task == Task(ROOT, 3, full(3), 0)
    assert (need.roots, need.kept) == ((), 0)


def test_a_finished_branch_is_kept():
    need = again(all_made())

    assert (need.task.make, need.kept) == (0, full(3))


def test_what_is_known_to_be_empty_is_kept():
    assert again(all_made(state="empty")).task.make == 0


def test_a_missing_tile_takes_the_overviews_above_it_along_and_their_other_children_are_read():
    made = all_made()
    del made[tile_at(ROOT, 30)]

    task = again(made).task

    assert set(bits(task.make)) == {30, 7, 1, 0}
    expected = {child for bit in (7, 1, 0) for child in children_of(bit)} - {30, 7, 1}
    assert set(bits(task.read)) == expected


def test_empty_children_are_not_read():
    made = all_made(state="empty")
    del made[ROOT]

    assert again(made).task == Task(ROOT, 3, 1, 0)


def test_an_overview_older_than_a_child_is_made_again():
    made = all_made(turn=5)
    made[tile_at(ROOT, 30)] = Made("written", 6)

    assert set(bits(again(made).task.make)) == {7, 1, 0}


def test_leaves_wait_for_the_branches_below_that_this_run_makes():
    need = fresh(depth=1, tiles=full(1), remade=lambda tile: tile.zoom == 6)

    assert set(need.roots) == {tile_at(ROOT, bit) for bit in bits(full(2)) if level_of(bit) == 2}


def test_overviews_are_made_again_when_a_branch_below_them_is():
    made = all_made()

    need = again(made, depth=1, tiles=full(1), remade=lambda tile: tile == tile_at(ROOT, 8))

    assert set(bits(need.task.make)) == {1, 0}
    assert need.roots == (tile_at(ROOT, 8),)


def test_written_roots_are_read_and_empty_ones_are_not():
    task = Task(ROOT, 0, 1, 0)
    states = {tile_at(ROOT, 1): "written", tile_at(ROOT, 2): "empty"}

    assert block(task, states) == (Task(ROOT, 0, 1, 0b10), 0)


def test_a_failed_root_blocks_all_that_stands_above_it_and_nothing_else():
    task = Task(ROOT, 1, full(1), 0)
    states = {tile_at(ROOT, 5): "failed", tile_at(ROOT, 9): "blocked", tile_at(ROOT, 13): "written"}

    left, blocked = block(task, states)

    assert set(bits(blocked)) == {0, 1, 2}
    assert set(bits(left.make)) == {3, 4}
    assert left.read == 1 << 13


masks = st.integers(0, full(3)).filter(bool)


@given(make=masks, read=st.integers(0, full(4)))
def test_splitting_loses_no_tile_and_makes_none_twice(make, read):
    task = Task(ROOT, 3, make, read & ~make)

    tiles = [tile_at(need.task.root, bit) for need in split(task, reduced=REDUCED) for bit in bits(need.task.make)]

    assert sorted(tiles) == sorted(tile_at(ROOT, bit) for bit in bits(make))


@given(make=masks, read=st.integers(0, full(4)))
def test_a_split_task_reads_what_the_whole_would_and_waits_for_the_rest(make, read):
    task = Task(ROOT, 3, make, read & ~make)

    for need in split(task, reduced=REDUCED):
        reads = {tile_at(need.task.root, bit) for bit in bits(need.task.read)}
        own = {tile_at(need.task.root, bit) for bit in bits(need.task.make)}
        assert reads <= {tile_at(ROOT, bit) for bit in bits(task.read)}
        assert not reads & own
        for root in need.roots:
            assert root.parent() == need.task.root
            assert root in {tile_at(ROOT, bit) for bit in bits(make)}


def test_splitting_again_and_again_ends_at_single_tiles():
    pending, single = [Task(ROOT, 3, full(3), 0)], []
    while pending:
        task = pending.pop()
        if task.make.bit_count() == 1:
            single.append(tile_at(task.root, next(bits(task.make))))
        else:
            pending.extend(need.task for need in split(task, reduced=REDUCED))

    assert sorted(single) == sorted(tile_at(ROOT, bit) for bit in bits(full(3)))
