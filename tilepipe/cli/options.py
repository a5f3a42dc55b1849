"""Options that several commands share."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, runtime_checkable

import click

from tilepipe.bind import load_cluster
from tilepipe.executors.protocol import Executor
from tilepipe.pipeline import Pipeline
from tilepipe.plan import Plan, Share
from tilepipe.plugins import find, names
from tilepipe.selection import Selection, cut_for, make_plan

__all__ = [
    "crew_of",
    "executor_options",
    "make_executor",
    "making_options",
    "memory_option",
    "named_executor",
    "open_executor",
    "parse_part",
    "parse_size",
    "parse_zooms",
    "part_option",
    "planned_for",
    "recipe_arguments",
    "selection_options",
]

MOST_PARTS = 99_999

Command = TypeVar("Command", bound=Callable[..., Any])

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


@runtime_checkable
class HasDashboard(Protocol):
    """An executor that can be watched."""

    @property
    def dashboard(self) -> str:
        """Address of a page that shows it at work; empty where there is none."""
        ...


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


def parse_part(ctx: click.Context, param: click.Parameter, value: str | None) -> Share | None:
    """A share as `3/16`: the third of sixteen."""
    del ctx, param
    if value is None:
        return None
    number, slash, of = value.partition("/")
    if not (slash and value.isascii() and number.isdecimal() and of.isdecimal()):
        raise click.BadParameter(f"{value!r} is no part; write 3/16 for the third of sixteen")
    if not 1 <= int(of) <= MOST_PARTS:
        raise click.BadParameter(f"{value} is one of {of} parts; there may be 1 to {MOST_PARTS}")
    if not 1 <= int(number) <= int(of):
        raise click.BadParameter(f"there is no part {value}; they are 1/{of} to {of}/{of}")
    return Share(int(number), int(of))


def named_executor(executor: str | None, *, scheduler: str | None, cluster: Any) -> str | None:
    """The name of the executor that was asked for, also by naming a cluster; None where it is left to us.

    Raises:
        click.UsageError: a cluster is named for an executor that has none.
    """
    if scheduler is None and cluster is None:
        return executor
    if executor not in {None, "dask"}:
        raise click.UsageError(f"the executor {executor!r} runs on this machine; leave out --scheduler and --cluster")
    return "dask"


@contextmanager
def open_executor(
    executor: str | None = None, *, workers: int | None = None, scheduler: str | None = None, cluster: Any = None
) -> Iterator[Executor]:
    """The executor that the options of `executor_options` ask for; what it opened is closed after the block.

    Args:
        executor: its name; None for `dask` where a cluster is named, else for processes of this machine.
        workers: how many; None for the cores this may use, or what the cluster has.
        scheduler: address of a Dask scheduler.
        cluster: the path of a file with a mapping as under `cluster` of a recipe, or such a mapping.

    Raises:
        ClusterError: the cluster cannot be reached or started.
        RecipeError: there is no such executor, or the file is not right.
    """
    name = named_executor(executor, scheduler=scheduler, cluster=cluster) or "processes"
    opened: Executor
    if name == "dask":
        where = scheduler or (load_cluster(cluster) if isinstance(cluster, str) else cluster)
        opened = find("executors", name)(workers, cluster=where)
    else:
        opened = make_executor(name, workers)
    if isinstance(opened, HasDashboard) and opened.dashboard:
        click.echo(f"dashboard: {opened.dashboard}", err=True)
    with opened:
        yield opened


def crew_of(executor: str | None, workers: int | None) -> int:
    """How many calls would run at once, without starting anything.

    Raises:
        RecipeError: there is no such executor.
    """
    if executor is not None and executor not in names("executors"):
        find("executors", executor)
    return 1 if executor == "sequential" else workers or len(os.sched_getaffinity(0))


def make_executor(name: str, workers: int | None) -> Executor:
    """The executor of that name on this machine; one that takes time to start does so while the recipe is opened."""
    executor: Executor = find("executors", name)(workers or len(os.sched_getaffinity(0)))
    return executor


def planned_for(
    pipeline: Pipeline,
    selection: Selection,
    *,
    executor: Executor | None,
    workers: int | None,
    part: Share | None = None,
) -> tuple[Executor, Plan]:
    """The executor, chosen by the number of tasks where none is asked for, and a plan in tasks of a size for it."""
    plan = make_plan(pipeline, selection, slots=workers or len(os.sched_getaffinity(0)), part=part)
    if executor is None:
        executor = make_executor("sequential" if plan.count_branches() <= 1 else "processes", workers)
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

executor_options = _together(
    click.option(
        "-e",
        "--executor",
        help="sequential, threads, processes, dask, or a plug-in's; default: processes, sequential for a single task.",
    ),
    click.option("-w", "--workers", type=click.IntRange(1), help="How many; default: the cores this may use."),
    click.option("--scheduler", metavar="ADDRESS", help="Run on the Dask cluster of this scheduler."),
    click.option("--cluster", type=click.Path(), help="Run on the Dask cluster that this YAML file describes."),
)
"""For any click command: hand what they give to `open_executor`."""

memory_option = click.option(
    "--max-memory",
    callback=parse_size,
    metavar="SIZE",
    help="Refuse to start when the run is projected to need more, as 8G.",
)

part_option = click.option(
    "--part",
    callback=parse_part,
    metavar="I/N",
    help="Only the Ith of N shares, beside others in a job array; `tilepipe finish` does what is left.",
)

making_options = _together(
    click.option("--accept-changes", is_flag=True, help="Keep tiles that another recipe or process made."),
    click.option(
        "--on-error",
        type=click.Choice(["stop", "skip"]),
        default="stop",
        show_default=True,
        help="What to do when a tile fails; an overview above a skipped tile is not made.",
    ),
    click.option(
        "--retries",
        type=click.IntRange(0),
        default=2,
        show_default=True,
        help="After passing faults of inputs and storage.",
    ),
    click.option(
        "--log-file", type=click.Path(), help="Keep a line of every task, and the tracebacks of failed tiles."
    ),
)
