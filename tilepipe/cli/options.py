"""Options that several commands share."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from tilepipe.executors.protocol import Executor
from tilepipe.pipeline import Pipeline
from tilepipe.plan import Plan
from tilepipe.plugins import find
from tilepipe.selection import Selection, cut_for, make_plan

__all__ = [
    "make_executor",
    "memory_option",
    "parse_size",
    "parse_zooms",
    "planned_for",
    "recipe_arguments",
    "selection_options",
    "worker_options",
]

Command = TypeVar("Command", bound=Callable[..., Any])

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


def parse_zooms(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[int, ...]:
    """Zooms as `7`, `5-9` or `5,7`, given once or several times."""
    del ctx, param
    zooms: list[int] = []
    for text in ",".join(value).split(",") if value else ():
        first, dash, last = text.strip().partition("-")
        try:
            span = range(int(first), int(last if dash else first) + 1)
        except ValueError as error:
            raise click.BadParameter(f"{text!r} is no zoom; write 7, 5-9 or 5,7") from error
        if not span:
            raise click.BadParameter(f"{text!r} goes down; write the smaller zoom first")
        zooms.extend(span)
    return tuple(sorted(set(zooms)))


def parse_size(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Bytes as `2G`, `500MB` or `2GiB`."""
    del ctx, param
    if value is None:
        return None
    text = value.strip().upper().removesuffix("B")
    number = text.rstrip("KMGTI")
    try:
        return int(float(number) * UNITS[text[len(number) :]])
    except (KeyError, OverflowError, ValueError) as error:
        raise click.BadParameter(f"{value!r} is no size; write 2G, 500MB or 2GiB") from error


def make_executor(name: str, workers: int | None) -> Executor:
    """The executor of that name; one that takes time to start does so while the recipe is opened."""
    executor: Executor = find("executors", name)(workers or len(os.sched_getaffinity(0)))
    return executor


def planned_for(
    pipeline: Pipeline, selection: Selection, *, executor: Executor | None, workers: int | None
) -> tuple[Executor, Plan]:
    """The executor, chosen by the number of tasks where none is asked for, and a plan in tasks of a size for it."""
    plan = make_plan(pipeline, selection, slots=workers or len(os.sched_getaffinity(0)))
    if executor is None:
        executor = make_executor("sequential" if plan.count_branches() == 1 else "processes", workers)
    return executor, cut_for(plan, executor.workers)


def _together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


recipe_arguments = _together(
    click.argument("recipe", type=click.Path()),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override a value of the recipe, as output.path=out.",
    ),
)

selection_options = _together(
    click.option("-z", "--zoom", "zooms", multiple=True, callback=parse_zooms, help="Only these zooms: 7, 5-9 or 5,7."),
    click.option(
        "-b", "--bounds", type=float, nargs=4, metavar="LEFT BOTTOM RIGHT TOP", help="Only what touches this rectangle."
    ),
    click.option("-a", "--area", help="Only what touches this WKT or vector file."),
    click.option("-p", "--point", type=float, nargs=2, metavar="X Y", help="Only the tiles around this point."),
    click.option("-t", "--tile", type=int, nargs=3, metavar="ZOOM ROW COL", help="Only this tile."),
    click.option("--crs", default="EPSG:4326", show_default=True, help="What bounds, area and point are given in."),
)

worker_options = _together(
    click.option(
        "-e",
        "--executor",
        help="sequential, threads or processes, or a plug-in's; default: processes, sequential for a single task.",
    ),
    click.option("-w", "--workers", type=click.IntRange(1), help="How many; default: the cores this may use."),
)

memory_option = click.option(
    "--max-memory",
    callback=parse_size,
    metavar="SIZE",
    help="Refuse to start when the run is projected to need more, as 8G.",
)
