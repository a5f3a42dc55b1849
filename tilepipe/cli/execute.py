"""`tilepipe execute` and `tilepipe finish`: make the tiles of a recipe, at once or in parts."""

import logging
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import click

from tilepipe.bind import cluster_of, open_pipeline
from tilepipe.cli.options import (
    executor_options,
    making_options,
    memory_option,
    named_executor,
    open_executor,
    part_option,
    planned_for,
    recipe_arguments,
    selection_options,
)
from tilepipe.cli.progress import watch
from tilepipe.errors import ClusterError, RunFailed, StorageError
from tilepipe.gdal import session
from tilepipe.index.files import ITEM
from tilepipe.memory import refuse_above, refuse_crowded, worker_bytes
from tilepipe.outcome import Outcome
from tilepipe.plan import Share
from tilepipe.recipe import load_recipe
from tilepipe.run import run
from tilepipe.selection import select
from tilepipe.tally import Tally

__all__ = ["execute", "finish"]

log = logging.getLogger("tilepipe")


@click.command()
@recipe_arguments
@selection_options
@part_option
@executor_options
@memory_option
@click.option("--overwrite", is_flag=True, help="Make tiles again that are there.")
@making_options
def execute(part: Share | None, overwrite: bool, **options: Any) -> None:
    """Make the tiles of RECIPE that are not there yet, and the STAC item of them all."""
    _make(part=part, overwrite=overwrite, **options)


@click.command()
@recipe_arguments
@selection_options
@executor_options
@memory_option
@making_options
def finish(**options: Any) -> None:
    """Make what the parts of RECIPE left: the overviews above them, and the STAC item of all tiles."""
    _make(finishing=True, **options)


def _make(
    *,
    recipe: str,
    settings: tuple[str, ...],
    executor: str | None,
    workers: int | None,
    scheduler: str | None,
    cluster: str | None,
    max_memory: int | None,
    accept_changes: bool,
    on_error: str,
    retries: int,
    log_file: str | None,
    part: Share | None = None,
    overwrite: bool = False,
    finishing: bool = False,
    **selection: Any,
) -> None:
    with _log_to(log_file), session(), ExitStack() as stack:
        source = load_recipe(recipe, settings=settings)
        where = cluster if scheduler or cluster or executor not in {None, "dask"} else cluster_of(source)
        name = named_executor(executor, scheduler=scheduler, cluster=where)
        named = None
        if name is not None:
            named = stack.enter_context(open_executor(name, workers=workers, scheduler=scheduler, cluster=where))
        pipeline = open_pipeline(source)
        chosen = select(pipeline, **selection)
        engine, plan = planned_for(pipeline, chosen, executor=named, workers=workers, part=part)
        # This also asks the inputs for the bands they are to give, so a wrong number is found now.
        worker = worker_bytes(pipeline, plan.depth)
        if max_memory is not None:
            refuse_above(max_memory, worker=worker, workers=engine.workers)
        if engine.worker_limit is not None:
            refuse_crowded(engine.worker_limit, worker=worker)
        outcomes = run(
            pipeline,
            plan,
            selection=chosen,
            executor=engine,
            overwrite=overwrite,
            accept_changes=accept_changes,
            stop=on_error == "stop",
            retries=retries,
            finishing=finishing,
        )
        # Where the first failure ends the run, the error at the end is all there is to tell.
        _show(outcomes, total=sum(plan.count().values()), failures=on_error == "skip")
        click.echo(pipeline.storage.root)
        if part is None and pipeline.storage.get(ITEM) is not None:
            click.echo(f"{pipeline.storage.root}/{ITEM}")


def _show(outcomes: Generator[Outcome, None, None], *, total: int, failures: bool) -> None:
    """Show a run until it ends, and what became of the tiles, also of one that failed or was interrupted."""
    tally = Tally()
    try:
        with closing(outcomes), watch(total, tally=tally, failures=failures) as shown:
            for outcome in outcomes:
                shown.show(outcome)
                _note(outcome)
    except (ClusterError, RunFailed, StorageError, KeyboardInterrupt):
        click.echo(tally.summary())
        raise
    click.echo(tally.summary())


@contextmanager
def _log_to(path: str | None) -> Iterator[None]:
    """Keep the log in a file; without one, nowhere, for the failures are shown already."""
    try:
        handler = logging.NullHandler() if path is None else logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(
            f"{path} cannot be written: {error.strerror}; name a file in a folder that is there",
            param_hint="--log-file",
        ) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()


def _note(outcome: Outcome) -> None:
    log.info(
        "branch %s: %d written, %d empty, %d kept, %d blocked, %d failed, %.3f s, %d bytes, peak %d bytes",
        outcome.root,
        outcome.written.bit_count(),
        outcome.empty.bit_count(),
        outcome.kept.bit_count(),
        outcome.blocked.bit_count(),
        len(outcome.failures),
        outcome.seconds,
        outcome.bytes,
        outcome.peak_bytes,
    )
    for failure in outcome.failures:
        log.error("%s\n%s", failure.reason, failure.detail)
