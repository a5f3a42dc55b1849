"""The loop with the real plan, tasks and schedule over an executor that ends tasks in any order."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from tilepipe.errors import RunFailed, WorkerLost
from tilepipe.geo.branch import bits, tile_at
from tilepipe.geo.geometry import Area
from tilepipe.geo.pyramid import global_pyramid
from tilepipe.loop import loop
from tilepipe.outcome import Failure, Outcome
from tilepipe.outputs.protocol import Part
from tilepipe.plan import Plan

PYRAMID = global_pyramid("WebMercatorQuad")


@dataclass
class Paper:
    """A journal on paper."""

    known: object = None
    replaces: bool = False
    outcomes: list = field(default_factory=list)

    def add(self, outcome):
        self.outcomes.append(outcome)

    def keep(self):
        pass


@dataclass
class Theatre:
    """An executor that only pretends: tasks end in the order of *random*, and *fate* decides what becomes of a tile."""

    slots: int
    random: Random
    fate: object = lambda tile: "written"
    killers: dict = field(default_factory=dict)
    under_way: list = field(default_factory=list)
    most: int = 0
    started: list = field(default_factory=list)
    ended: list = field(default_factory=list)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.under_way.clear()

    def share(self, value, *, calls):
        self.stop = value.stop

    def submit(self, call, task, *, priority):
        future = Future()
        self.under_way.append((future, task))
        self.most = max(self.most, len(self.under_way))
        self.started.append(task)
        return future

    def wait(self, futures):
        future, task = self.under_way.pop(self.random.randrange(len(self.under_way)))
        assert future in futures
        tiles = [tile_at(task.root, bit) for bit in bits(task.make)]
        killer = next((tile for tile in tiles if self.killers.get(tile)), None)
        if killer is not None:
            self.killers[killer] -= 1
            future.set_exception(WorkerLost("the worker ended"))
        else:
            self.ended.append(task)
            future.set_result(self.outcome(task))
        return {future}

    def outcome(self, task):
        masks = dict.fromkeys(["written", "empty"], 0)
        failures = []
        for bit in bits(task.make):
            tile = tile_at(task.root, bit)
            fate = self.fate(tile)
            if fate == "failed":
                failures.append(Failure(tile, f"tile {tile}: no", ""))
            else:
                masks[fate] |= 1 << bit
        parts = tuple((Part(1, 1),) for _ in bits(masks["written"]))
        return Outcome(root=task.root, depth=task.depth, parts=parts, failures=tuple(failures), **masks)


def made(executor):
    return [tile_at(task.root, bit) for task in executor.ended for bit in bits(task.make)]


def planned(plan):
    return [tile_at(branch.root, bit) for branch in plan.branches() for bit in bits(branch.tiles)]


def run(plan, executor, *, stop=True, journal=None):
    return loop(SimpleNamespace(stages={}), plan, executor=executor, journal=journal or Paper(), stop=stop)


@st.composite
def plans(draw):
    least = draw(st.integers(0, 4))
    zooms = tuple(range(least, draw(st.integers(least, 5)) + 1))
    below = draw(st.integers(0, 6))
    half = 10.0 ** draw(st.integers(4, 7))
    x, y = draw(st.floats(-1e7, 1e7)), draw(st.floats(-1e7, 1e7))
    return Plan(
        pyramid=PYRAMID,
        area=Area(shapely.box(x - half, y - half, x + half, y + half)),
        zooms=zooms,
        reduced=frozenset(zoom for zoom in zooms if zoom < below and zoom + 1 in zooms),
        depth=draw(st.integers(0, 3)),
    )


@settings(deadline=None)
@given(plan=plans(), slots=st.integers(1, 7), random=st.randoms(use_true_random=False))
def test_each_tile_is_made_once_and_never_before_its_children_ended(plan, slots, random):
    executor = Theatre(slots, random)
    ended_at = {}

    for turn, _ in enumerate(run(plan, executor)):
        for task in executor.ended[len(ended_at) :]:
            ended_at[task] = turn

    assert sorted(made(executor)) == sorted(planned(plan))
    assert executor.most <= slots
    owner = {tile_at(task.root, bit): task for task in executor.ended for bit in bits(task.make)}
    place = {task: turn for turn, task in enumerate(executor.ended)}
    begun = {task: turn for turn, task in enumerate(executor.started)}
    for tile, task in owner.items():
        if tile.zoom in plan.reduced:
            for child in plan.pyramid.children(tile):
                if child in owner and owner[child] != task:
                    assert place[owner[child]] < place[task]
                    assert begun[owner[child]] < begun[task]


@settings(deadline=None)
@given(plan=plans(), random=st.randoms(use_true_random=False))
def test_overviews_read_back_exactly_the_written_tiles_of_other_tasks(plan, random):
    executor = Theatre(3, random, fate=lambda tile: "empty" if (tile.row + tile.col) % 3 == 0 else "written")

    list(run(plan, executor))

    tiles = set(made(executor))
    for task in executor.ended:
        own = {tile_at(task.root, bit) for bit in bits(task.make)}
        wanted = {
            child
            for tile in own
            if tile.zoom in plan.reduced
            for child in plan.pyramid.children(tile)
            if child in tiles - own and executor.fate(child) == "written"
        }
        assert {tile_at(task.root, bit) for bit in bits(task.read)} == wanted


@settings(deadline=None)
@given(plan=plans(), random=st.randoms(use_true_random=False), victims=st.integers(1, 5))
def test_lost_workers_cost_no_tile(plan, random, victims):
    tiles = planned(plan)
    killers = {random.choice(tiles): 2 for _ in range(victims)}
    executor = Theatre(3, random, killers=killers)

    list(run(plan, executor))

    assert sorted(made(executor)) == sorted(tiles)


@settings(deadline=None)
@given(plan=plans(), random=st.randoms(use_true_random=False))
def test_a_tile_that_takes_every_worker_down_is_named_and_the_rest_is_made(plan, random):
    tiles = planned(plan)
    killer = random.choice([tile for tile in tiles if tile.zoom == plan.zooms[-1]])
    executor = Theatre(3, random, killers={killer: 10**6})
    journal = Paper()

    with pytest.raises(RunFailed, match=rf"1 tile failed:\ntile {killer}: the worker ended; 3 workers"):
        list(run(plan, executor, stop=False, journal=journal))

    above = {killer.parent(killer.zoom - zoom) for zoom in plan.zooms if zoom < killer.zoom}
    blocked = {tile for outcome in journal.outcomes for tile in outcome.tiles(outcome.blocked)}
    chained = set()
    for tile in sorted(above, reverse=True):
        if tile.zoom not in plan.reduced:
            break
        chained.add(tile)
    assert blocked == chained
    assert sorted(made(executor)) == sorted(set(tiles) - blocked - {killer})


@settings(deadline=None)
@given(plan=plans(), random=st.randoms(use_true_random=False))
def test_the_first_failure_stops_the_run(plan, random):
    executor = Theatre(2, random, fate=lambda tile: "failed")
    outcomes = []

    with pytest.raises(RunFailed):
        outcomes.extend(run(plan, executor, stop=True))

    assert len(executor.ended) == 1


def test_leaving_the_loop_ends_what_is_under_way():
    plan = Plan(pyramid=PYRAMID, area=Area(None), zooms=(3, 4), reduced=frozenset({3}), depth=0)
    executor = Theatre(4, Random(1))
    outcomes = run(plan, executor)

    next(outcomes)
    assert executor.under_way
    outcomes.close()

    assert not executor.under_way


def test_what_waits_is_bounded_by_what_is_under_way():
    plan = Plan(pyramid=PYRAMID, area=Area(None), zooms=tuple(range(9)), reduced=frozenset(range(8)), depth=1)
    executor = Theatre(8, Random(3))
    outcomes = run(plan, executor)
    held = 0

    for _ in outcomes:
        schedule = outcomes.gi_yieldfrom.gi_frame.f_locals["self"].schedule
        held = max(held, len(schedule))

    assert held <= 8 * 5
