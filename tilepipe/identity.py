"""All that decides what is in a tile, and which tiles are out of date because some of it changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import shapely
import shapely.affinity
from shapely.geometry.base import BaseGeometry

from tilepipe.errors import JournalError
from tilepipe.geo.geometry import Area, boxes
from tilepipe.geo.grid import Bounds
from tilepipe.recipe import describe_changes

__all__ = ["Identity", "compare", "differs", "outdated", "record"]

SELECTS = ("zooms", "area")
"""Keys of the recipe that say which tiles are made, not what is in them."""

Facts = Mapping[str, Any]
"""What JSON can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a run makes tiles from."""

    recipe: Facts
    process: str
    """Name and checksum of the process code."""
    code: str
    """The code itself, for people."""
    layout: Facts
    """Grid, size of tiles, dtype, bands and nodata: what all files of an output have in common."""
    zooms: Mapping[str, Facts]
    """For each zoom of the recipe its `role` (process or overview), a checksum of the `values` that environment
    variables gave it, and its `inputs`: for each the `files` with a text that changes with them, and the `extents`."""
    margin_px: int
    """How far outside a tile a process may look."""
    around: float | None
    """Width of the world in units of the crs where it wraps."""


def compare(before: Facts, now: Identity, *, accept: bool, whole: bool, part: bool = False) -> bool:
    """Whether the files are of another layout than before, so that none of them can stay.

    Args:
        before: the record of the last run.
        now: this run.
        accept: keep tiles of another recipe.
        whole: make all tiles again.
        part: others may be at work on the same output.

    Raises:
        JournalError: the tiles there were made by another recipe, process or layout, and nobody said what to do.
    """
    moved = [f"output {change}" for change in describe_changes(before["layout"], now.layout)]
    if moved and (part or not whole):
        raise JournalError(_refusal(moved, "its files are of another kind; --overwrite alone starts over"))
    changes = [] if accept or whole else _changes(before, now)
    if changes:
        raise JournalError(
            _refusal(changes, "--overwrite without a selection makes all tiles again, --accept-changes keeps them")
        )
    return bool(moved)


def differs(before: Facts, now: Identity) -> bool:
    """Whether another recipe or process made what is there."""
    return bool(_changes(before, now))


def _changes(before: Facts, now: Identity) -> list[str]:
    changes = describe_changes(before["recipe"], now.recipe, ignore=SELECTS)
    if before["process"] != now.process:
        changes.append(f"the code of the process: {before['process']} -> {now.process}")
    for zoom, facts in _common(before, now):
        if facts[0]["values"] != facts[1]["values"]:
            changes.append(f"what ${{...}} stands for at zoom {zoom}")
    return changes


def outdated(before: Facts, now: Identity) -> Iterator[tuple[Area, tuple[int, ...], float]]:
    """Where, at which zooms and with which margin in pixels tiles do not count any more.

    A file that another path took the place of is a change of the recipe, which was refused or accepted before.
    """
    for zoom, (old, new) in _common(before, now):
        if old["role"] != new["role"]:
            yield Area(None), (zoom,), 0
        for name, source in new["inputs"].items():
            known = old["inputs"].get(name)
            if known is None:
                continue
            shared = known["files"].keys() & source["files"].keys()
            if any(known["files"][path] != source["files"][path] for path in shared):
                reach = [Bounds(*extent) for extent in (*source["extents"], *known["extents"])]
                area = _everywhere(boxes(reach), now.around)
                yield area, (zoom,), now.margin_px
                # An overview above tiles that are not made any more has none to follow.
                for levels, above in enumerate(_overviews_of(zoom, now), start=1):
                    yield area, (above,), now.margin_px / 2**levels


def record(now: Identity, before: Facts | None) -> dict[str, Any]:
    """What the next run is told of this one; of zooms that are not in it, what was known before."""
    earlier = before["zooms"] if before else {}
    return {
        "recipe": now.recipe,
        "process": now.process,
        "layout": now.layout,
        "zooms": {**earlier, **now.zooms},
    }


def _common(before: Facts, now: Identity) -> Iterator[tuple[int, tuple[Facts, Facts]]]:
    """The zooms of both runs."""
    for zoom, facts in now.zooms.items():
        if zoom in before["zooms"]:
            yield int(zoom), (before["zooms"][zoom], facts)


def _overviews_of(zoom: int, now: Identity) -> Iterator[int]:
    """The zooms that are made from *zoom*, step by step."""
    while (facts := now.zooms.get(str(zoom - 1))) and facts["role"] == "overview":
        zoom -= 1
        yield zoom


def _everywhere(reach: BaseGeometry, around: float | None) -> Area:
    """Where an input lies, and on a globe also as a buffer sees it from the other side."""
    if around is None:
        return Area(reach)
    shifted = [shapely.affinity.translate(reach, turn * around) for turn in (-1, 1)]
    return Area(shapely.union_all([reach, *shifted]))


def _refusal(changes: list[str], remedy: str) -> str:
    listed = "\n".join(f"  {change}" for change in changes)
    return f"the output was made by another recipe:\n{listed}\n{remedy}"
