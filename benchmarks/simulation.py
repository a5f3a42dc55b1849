"""How well the run loop keeps 400 workers at work: a whole run in simulated time, by the time that an ideal one takes.

Plan, tasks, schedule, loop, journal and index are the real ones; the executor only pretends. What the run says of its
tiles is held against what whole arrays of places say.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
from figure import Figure, machine
from measure import alone, demand
from numpy.typing import NDArray
from shapely import box
from shapely.geometry import mapping
from terrain import HALF_WORLD
from theatre import Land, Theatre, chance, fates, flags, land, places

from tilepipe.bind import open_pipeline
from tilepipe.errors import RunFailed
from tilepipe.outcome import Outcome
from tilepipe.recipe import make_recipe
from tilepipe.run import run
from tilepipe.schedule import Schedule
from tilepipe.selection import make_plan, select

__all__ = ["figures", "simulate"]

FEW, WORKERS = 10**6, 400
STATES = ("written", "empty", "failed", "blocked")
STRIP = 64
"""Rows of places that are looked at together."""

Numbers = NDArray[Any]


@dataclass(slots=True)
class Tally:
    """How many tiles there are of each state, and the sum of a number for each of their places."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))

    def add(self, state: str, zoom: Numbers | int, rows: Numbers, cols: Numbers) -> None:
        self.counts[state] += rows.size
        self.sums[state] = (self.sums[state] + int(chance(zoom, rows, cols, 5).sum(dtype=np.uint64))) % 2**64

    def take(self, outcome: Outcome) -> None:
        for state in STATES:
            mask = getattr(outcome, state)
            if mask:
                self.add(state, *places(outcome.root, flags(mask)))


def expected(place: Land) -> Tally:
    """The same from whole arrays, a zoom at a time."""
    tally = Tally()
    top, left = place.top, place.left
    states = np.zeros((place.side, place.side), dtype=np.uint8)
    for first in range(0, place.side, STRIP):
        at: Any = np.indices(states[first : first + STRIP].shape)
        empty, failed = fates(place, at[0] + top + first, at[1] + left)
        states[first : first + STRIP] = np.where(empty, 2, np.where(failed, 3, 1))
    for zoom in range(place.zoom, -1, -1):
        for first in range(0, len(states), STRIP):
            for number, state in enumerate(STATES, start=1):
                at = np.nonzero(states[first : first + STRIP] == number)
                tally.add(state, zoom, at[0] + top + first, at[1] + left)
        pads = [(start % 2, (start + size) % 2) for start, size in zip((top, left), states.shape, strict=True)]
        padded = np.pad(states, pads)
        quads = np.stack([padded[row::2, col::2] for row in (0, 1) for col in (0, 1)])
        states = np.where((quads >= 3).any(axis=0), 4, np.where((quads == 1).any(axis=0), 1, 2)).astype(np.uint8)
        top, left = top // 2, left // 2
    return tally


def _recipe(folder: str, place: Land) -> Mapping[str, Any]:
    with open(os.path.join(folder, "nothing.py"), "w", encoding="utf-8") as file:
        file.write('"""Nothing."""\n\n\ndef execute():\n    return None\n')
    # Half a tile from the edges of those that are to be made: no doubt which ones are touched.
    tile = 2 * HALF_WORLD / (1 << place.zoom)
    left, top = (place.left + 0.5) * tile - HALF_WORLD, HALF_WORLD - (place.top + 0.5) * tile
    across = (place.side - 1) * tile
    area = mapping(box(left, top - across, left + across, top))
    return {
        "process": "nothing.py",
        "pyramid": {"grid": "WebMercatorQuad", "metatile": 1},
        "zooms": {"min": 0, "max": place.zoom},
        "overviews": {"below": place.zoom, "resampling": "average"},
        "area": {"geojson": area, "crs": "EPSG:3857"},
        "output": {"format": "gtiff", "path": "out", "dtype": "uint8", "bands": 1, "nodata": 0},
    }


def _run(outcomes: Generator[Outcome, None, None], tally: Tally) -> int:
    """Take a run to its end; the most tasks that waited for others at once."""
    most = 0
    plain = Schedule.hold

    def watched(schedule: Schedule[Any, Any, Any], held: Any, needs: Iterable[Any]) -> list[tuple[Any, dict[Any, Any]]]:
        nonlocal most
        released = plain(schedule, held, needs)
        most = max(most, len(schedule))
        return released

    with mock.patch.object(Schedule, "hold", watched), suppress(RunFailed):
        for outcome in outcomes:
            tally.take(outcome)
    return most


def simulate(tiles: int, workers: int, folder: str) -> Mapping[str, float]:
    """Run the plan of about *tiles* tiles with its output in *folder*; what it took.

    Raises:
        SystemExit: the outcomes are not those that the places of the tiles lead to.
    """
    place = land(tiles)
    theatre, tally = Theatre(workers, place), Tally()
    pipeline = open_pipeline(make_recipe(_recipe(folder, place), folder=folder, name="simulation"))
    selection = select(pipeline)
    plan = make_plan(pipeline, selection, slots=theatre.slots)
    started, busy = time.perf_counter(), time.process_time()
    outcomes = run(pipeline, plan, selection=selection, executor=theatre, stop=False)
    held = _run(outcomes, tally)
    took, cpu = time.perf_counter() - started, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    wanted = expected(place)
    demand(tally == wanted, f"the outcomes tell of {tally.counts} tiles, their places of {wanted.counts}")
    journal = os.path.join(folder, "out", ".tilepipe", "journal")
    return {
        "tiles": sum(tally.counts.values()),
        "tasks": theatre.ended,
        "failed": tally.counts["failed"],
        "blocked": tally.counts["blocked"],
        "makespan_s": theatre.last_s,
        "ideal_s": max(theatre.useful_s / workers, theatre.chain_s),
        "chain_s": theatre.chain_s,
        "redone": theatre.lost_s / theatre.useful_s,
        "real_s": took,
        "cpu_s": cpu,
        "held": held,
        "peak_bytes": peak,
        "journal_bytes": sum(entry.stat().st_size for entry in os.scandir(journal)),
        "journal_objects": len(os.listdir(journal)),
    }


def _measured(tiles: int, workers: int) -> Mapping[str, float]:
    """The same in a process of its own, whose memory is this run's alone."""
    command = [sys.executable, os.path.abspath(__file__), "--tiles", str(tiles), "--workers", str(workers), "--json"]
    return dict(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


def figures(rounds: int, *, tiles: int = FEW, workers: int = WORKERS) -> Iterator[Figure]:
    """Makespan by the ideal one, what the loop and the pretence take together, memory, held tasks and journal."""
    runs = [_measured(tiles, workers) for _ in range(rounds)]
    data = f"{runs[0]['tiles']:.2g} tiles, {workers} workers"
    yield Figure(
        work=f"simulation, {runs[0]['redone']:.1%} done again",
        value=median(told["makespan_s"] for told in runs),
        unit="s",
        peer="ideal",
        peer_value=median(told["ideal_s"] for told in runs),
        ratios=tuple(told["makespan_s"] / told["ideal_s"] for told in runs),
        target=1.05,
        data=data,
    )
    others: Mapping[str, tuple[str, Callable[[Mapping[str, float]], float]]] = {
        "loop a task, cpu": ("ms", lambda told: 1000 * told["cpu_s"] / told["tasks"]),
        "memory": ("MB", lambda told: told["peak_bytes"] / 1e6),
        "most tasks that wait for others": ("tasks", lambda told: told["held"]),
        "journal a tile": ("B", lambda told: told["journal_bytes"] / told["tiles"]),
    }
    for name, (unit, of) in others.items():
        yield Figure(work=f"simulation, {name}", value=median(map(of, runs)), unit=unit, data=data)


def main() -> None:
    """Command line: prints a line a figure, or all facts of one run as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiles", type=lambda text: int(float(text)), default=FEW, help="about how many tiles")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--rounds", type=int, default=1, help="how often it runs (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="one run in this process, all that is known of it")
    asked = parser.parse_args()
    if asked.json:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(simulate(asked.tiles, asked.workers, folder)))
        return
    with alone():
        for figure in figures(asked.rounds, tiles=asked.tiles, workers=asked.workers):
            print(" | ".join((*figure.cells(), machine())), flush=True)


if __name__ == "__main__":
    main()
