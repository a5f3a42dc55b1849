"""Seconds and memory of `tilepipe plan` for the world inside a coast of 500 vertices.

Single tiles of 256 pixels, the smallest there are by default: the plan down to zoom 14 has some 10^8 of them.
"""

import json
import math
import os
import subprocess
from collections.abc import Iterator
from statistics import median

import numpy as np
import shapely
from figure import Figure, main
from measure import Command, Run, demand, run
from peers import ours, scratch
from terrain import DATA, HALF_WORLD

__all__ = ["figures"]

VERTICES = 500
CHECKED_ZOOM = 7
DEEP_S = 120.0


def _coast() -> list[tuple[float, float]]:
    """A closed ring in metres: an island across most of the world, with bays of several sizes."""
    angles = [2 * math.pi * step / VERTICES for step in range(VERTICES)]
    waves = [sum(math.sin(n * angle + n) / n for n in (3, 7, 17, 41)) for angle in angles]
    reach = [HALF_WORLD * (0.75 + 0.3 * wave) for wave in waves]
    ring = [(far * math.cos(angle), far * math.sin(angle)) for far, angle in zip(reach, angles, strict=True)]
    return [*ring, ring[0]]


def _plan(zoom: int) -> Command:
    recipe = {
        "process": scratch("nothing.py", '"""Nothing."""\n\n\ndef execute():\n    return None\n'),
        "pyramid": {"grid": "WebMercatorQuad", "metatile": 1},
        "zooms": {"min": 0, "max": zoom},
        "overviews": {"below": zoom, "resampling": "average"},
        "area": {"geojson": {"type": "Polygon", "coordinates": [_coast()]}, "crs": "EPSG:3857"},
        "output": {
            "format": "gtiff",
            "path": os.path.join(DATA, "out", "plan"),
            "dtype": "uint8",
            "bands": 1,
            "nodata": 0,
        },
    }
    path = scratch(f"plan-{zoom}.yaml", json.dumps(recipe))
    return Command(name="tilepipe", steps=((ours(), "plan", "--json", path),))


def _check(zoom: int) -> int:
    """Tiles of the plan, once those of one zoom agree with a count of our own."""
    said = subprocess.run(_plan(zoom).steps[0], check=True, stdout=subprocess.PIPE)
    plan = json.loads(said.stdout)
    tiles = 2**CHECKED_ZOOM
    edges = np.linspace(-HALF_WORLD, HALF_WORLD, tiles + 1)
    left, bottom = (corner.ravel() for corner in np.meshgrid(edges[:-1], edges[:-1]))
    side = 2 * HALF_WORLD / tiles
    touched = shapely.intersects(shapely.Polygon(_coast()), shapely.box(left, bottom, left + side, bottom + side)).sum()
    planned = plan["zooms"][str(CHECKED_ZOOM)]["tiles"]
    demand(planned == touched, f"{planned} tiles are planned at zoom {CHECKED_ZOOM}, {touched} touch the area")
    return int(plan["tiles"])


def figures(rounds: int) -> Iterator[Figure]:
    """Seconds and megabytes down to zoom 14; megabytes down to zoom 20, or as far as two minutes lead."""
    data = f"zooms 0-14, {_check(14):.2g} tiles"
    runs = [run(_plan(14)) for _ in range(rounds)]
    peak = median(_megabytes(runs))
    yield Figure(work="plan", value=median(r.wall_s for r in runs), unit="s", target=2.0, data=data)
    yield Figure(work="plan, memory", value=peak, unit="MB", target=200.0, data=data)
    deep = run(_plan(20), timeout_s=DEEP_S)
    ended = "whole" if deep.finished else f"stopped after {DEEP_S:g} s"
    yield Figure(
        work="plan, memory",
        value=deep.peak_bytes / 1e6,
        unit="MB",
        peer="zooms 0-14",
        peer_value=peak,
        ratios=(deep.peak_bytes / 1e6 / peak,),
        target=1.2,
        data=f"zooms 0-20, {ended}",
    )


def _megabytes(runs: list[Run]) -> list[float]:
    return [r.peak_bytes / 1e6 for r in runs]


if __name__ == "__main__":
    main(figures)
