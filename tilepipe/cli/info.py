"""`tilepipe info`: what a Dask scheduler has."""

import importlib
import json
from typing import Any

import click

from tilepipe.errors import RecipeError

__all__ = ["info"]

UNITS = ("B", "kB", "MB", "GB", "TB")


@click.command()
@click.option("--scheduler", required=True, metavar="ADDRESS", help="As tcp://host:8786.")
@click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")
def info(scheduler: str, as_json: bool) -> None:
    """Show what the Dask scheduler at ADDRESS has: workers, threads, memory, versions, and the tasks it holds."""
    try:
        module = importlib.import_module("tilepipe.executors.scheduler_facts")
    except ImportError as error:
        raise RecipeError(
            f"a scheduler is asked through Dask: {error}; pip install -e '.[dask]' in a checkout"
        ) from error
    facts = module.describe(scheduler)
    click.echo(json.dumps(facts, indent=1) if as_json else words(facts))


def words(facts: dict[str, Any]) -> str:
    """The facts for people."""
    workers = facts["workers"]
    lines = [
        f"scheduler  {facts['scheduler']}, {_versions(facts['versions']['scheduler'])}",
        f"dashboard  {facts['dashboard'] or 'none'}",
        f"tasks      {', '.join(f'{count} {state}' for state, count in facts['tasks'].items()) or 'none'}",
        f"workers    {len(workers)}, {facts['threads']} threads, {_size(facts['memory_limit'])}",
    ]
    here = facts["versions"]["here"]
    for worker in workers:
        memory = f"{_size(worker['memory'])} of {_size(worker['memory_limit'])}"
        lines.append(f"  {worker['address']}  {worker['threads']} threads  {memory}  {_versions(worker['versions'])}")
        unlike = [f"{name} {number}" for name, number in here.items() if worker["versions"].get(name) != number]
        if unlike:
            lines.append(f"    unlike here: {', '.join(unlike)}")
    return "\n".join(lines)


def _versions(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in found.items())


def _size(count: int | None) -> str:
    """Bytes in the unit that fits."""
    if not count:
        return "no limit" if count is None else "0 B"
    size, power = float(count), 0
    while size >= 1000 and power < len(UNITS) - 1:
        size, power = size / 1000, power + 1
    return f"{size:.3g} {UNITS[power]}"
