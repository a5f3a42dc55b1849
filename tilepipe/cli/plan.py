"""`tilepipe plan`: what a recipe would make."""

import json
from typing import Any

import click
import numpy as np

from tilepipe.bind import open_pipeline
from tilepipe.cli.options import (
    crew_of,
    executor_options,
    memory_option,
    named_executor,
    part_option,
    recipe_arguments,
    selection_options,
)
from tilepipe.gdal import session
from tilepipe.memory import refuse_above, worker_bytes
from tilepipe.pipeline import Pipeline
from tilepipe.plan import Plan, Share
from tilepipe.recipe import load_recipe
from tilepipe.selection import make_plan, select

__all__ = ["plan"]


@click.command()
@recipe_arguments
@selection_options
@part_option
@executor_options
@memory_option
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def plan(
    recipe: str,
    settings: tuple[str, ...],
    executor: str | None,
    workers: int | None,
    scheduler: str | None,
    cluster: str | None,
    max_memory: int | None,
    as_json: bool,
    part: Share | None,
    **selection: Any,
) -> None:
    """Show what RECIPE would make: tiles, pixels and bytes at each zoom, tasks, and memory; nothing is written.

    No cluster is asked: the figures are for --workers of them.
    """
    named_executor(executor, scheduler=scheduler, cluster=cluster)
    with session():
        pipeline = open_pipeline(load_recipe(recipe, settings=settings))
        crew = crew_of(executor, workers)
        planned = make_plan(pipeline, select(pipeline, **selection), slots=crew, part=part)
        if executor is None and planned.count_branches() <= 1:
            crew = 1
        facts = describe(pipeline, planned, crew)
        click.echo(json.dumps(facts, indent=1) if as_json else words(facts))
        if max_memory is not None:
            refuse_above(max_memory, worker=facts["memory"]["worker_bytes"], workers=crew)


def describe(pipeline: Pipeline, planned: Plan, slots: int) -> dict[str, Any]:
    """The figures of a plan."""
    zooms = {}
    for zoom, tiles in planned.count().items():
        rows, cols = pipeline.pyramid.tile_shape(zoom)
        pixels = tiles * rows * cols
        zooms[zoom] = {
            "tiles": tiles,
            "pixels": pixels,
            "bytes": pixels * pipeline.bands * np.dtype(pipeline.dtype).itemsize,
            "made_by": "overview" if zoom in planned.reduced else "process",
        }
    worker = worker_bytes(pipeline, planned.depth)
    return {
        "zooms": zooms,
        "tiles": sum(int(facts["tiles"]) for facts in zooms.values()),
        "tasks": planned.count_branches(),
        "memory": {"workers": slots, "worker_bytes": worker, "all_bytes": worker * slots},
    }


def words(facts: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [f"{'zoom':>4} {'tiles':>15} {'pixels':>20} {'bytes unpacked':>22}  made by"]
    lines.extend(
        f"{zoom:>4} {row['tiles']:>15,} {row['pixels']:>20,} {row['bytes']:>22,}  {row['made_by']}"
        for zoom, row in facts["zooms"].items()
    )
    memory = facts["memory"]
    lines.append(
        f"{facts['tiles']:,} tiles in {facts['tasks']:,} tasks; {memory['workers']} workers of "
        f"{memory['worker_bytes'] / 1e6:,.0f} MB, {memory['all_bytes'] / 1e6:,.0f} MB in all"
    )
    return "\n".join(lines)
