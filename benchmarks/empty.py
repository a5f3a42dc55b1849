"""What a tile costs when there is nothing in it: a process that returns nothing, on 16,384 tiles and on 64.

The difference of the two runs by the difference of the tiles is the engine's own cost a tile, without its start.
"""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from statistics import median
from typing import NamedTuple

from figure import Figure, main
from measure import Command, Run, compare, demand, run
from peers import mapchete, scratch, tilepipe
from terrain import DATA

__all__ = ["figures"]

FEW, MANY = 3, 7
TILES: int = 4**MANY - 4**FEW
PIXELS = {"dtype": "uint8", "bands": 1, "nodata": 0}


NOTHING = '"""Nothing."""\n\n\ndef execute():\n    return {}\n'


class Way(NamedTuple):
    """One way of running, as each system calls it."""

    name: str
    ours: tuple[str, ...]
    theirs: str
    target_ms: float = 0.05


WAYS = (
    Way("in sequence", ("-e", "sequential"), "none"),
    Way("2 processes", ("-e", "processes", "-w", "2"), "processes"),
    Way("2 Dask workers", ("-e", "dask", "-w", "2"), "dask", 0.15),
)


def _ours(zoom: int, way: Way) -> Command:
    recipe = {
        "process": scratch("nothing.py", NOTHING.format("None")),
        "pyramid": {"grid": "WebMercatorQuad", "metatile": 1},
        "zooms": {"min": zoom, "max": zoom},
        "output": {"format": "gtiff", "path": os.path.join(DATA, "out", f"empty-{zoom}"), **PIXELS},
    }
    return replace(tilepipe(f"empty-{zoom}", recipe, *way.ours), name=f"tilepipe {zoom}")


def _theirs(zoom: int, way: Way) -> Command:
    recipe = {
        "process": scratch("nothing_mapchete.py", NOTHING.format('"empty"')),
        "pyramid": {"grid": "mercator"},
        "zoom_levels": zoom,
        "input": None,
        "output": {"format": "GTiff", "path": os.path.join(DATA, "out", f"empty-mapchete-{zoom}"), **PIXELS},
    }
    return mapchete(f"empty-{zoom}", recipe, concurrency=way.theirs)


def _check() -> None:
    for zoom in (FEW, MANY):
        again = [*_ours(zoom, WAYS[0]).steps[0]]
        said = subprocess.run(again, check=True, stdout=subprocess.PIPE, text=True).stdout
        demand(
            f"0 written, {4**zoom:,} kept, 0 failed" in said, f"of {4**zoom:,} empty tiles, a second run says: {said}"
        )


def _marginal_ms(few: Run, many: Run) -> float:
    return 1000 * (many.wall_s - few.wall_s) / TILES


def figures(rounds: int) -> Iterator[Figure]:
    """Milliseconds a tile, in sequence, with two processes and on Dask; the peer, which takes minutes, runs once."""
    for way in WAYS:
        runs = compare([_ours(FEW, way), _ours(MANY, way)], rounds=rounds, check=_check)
        ours = [_marginal_ms(*pair) for pair in zip(*runs.values(), strict=True)]
        theirs = _marginal_ms(run(_theirs(FEW, way)), run(_theirs(MANY, way)))
        yield Figure(
            work=f"empty tile, {way.name}",
            value=median(ours),
            unit="ms",
            peer="mapchete",
            peer_value=theirs,
            ratios=tuple(ms / theirs for ms in ours),
            target=way.target_ms,
            absolute=True,
            data=f"{4**MANY:,} tiles",
        )


if __name__ == "__main__":
    main(figures)
