"""A run on an output from its first to its last step: journal, loop, index."""

import hashlib
import json
import os
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from tilepipe.errors import PlanError, StorageError
from tilepipe.executors.protocol import Executor
from tilepipe.identity import Identity
from tilepipe.index.files import write_index
from tilepipe.journal import Journal
from tilepipe.loop import loop
from tilepipe.outcome import Outcome
from tilepipe.part import refuse_missing
from tilepipe.pipeline import Pipeline
from tilepipe.plan import Plan
from tilepipe.process import title
from tilepipe.resume import Wish, open_journal
from tilepipe.selection import Selection

__all__ = ["run"]

KERNEL_PX = 8
"""How far a resampling of an input may look beyond the buffer, in pixels of the tile."""


def run(
    pipeline: Pipeline,
    plan: Plan,
    *,
    selection: Selection,
    executor: Executor,
    overwrite: bool = False,
    accept_changes: bool = False,
    stop: bool = True,
    retries: int = 2,
    finishing: bool = False,
) -> Generator[Outcome, None, None]:
    """Make the tiles of *plan* that are not there yet, and the index of all that are.

    Leaving the iterator early ends what is under way; what was made is noted, and the index is written. A tile that
    fails, and the overviews above it that are not made therefore, lose the files they had. Where *plan* is one part's
    share, others may run at the same time, and what is left to do when all have run stays to be done.

    Args:
        pipeline: what to make tiles from.
        plan: which tiles.
        selection: how the plan came to be: whether it is all that the recipe asks for.
        executor: where.
        overwrite: make tiles again that are there.
        accept_changes: keep tiles that another recipe or process made.
        stop: whether to end at the first failed tile, or to go on without it.
        retries: how often a passing fault of an input or a storage is tried again.
        finishing: refuse to start while tiles are missing that parts make.

    Yields:
        What became of each task.

    Raises:
        JournalError: another run holds the output, or another recipe made it.
        PlanError: overviews are asked for of tiles that were never made, or parts have not run.
        RunFailed: after the last outcome, when tiles failed.
    """
    whole = selection.everything
    identity = _identity(pipeline)
    wish = Wish(plan=plan, whole=whole, overwrite=overwrite, accept=accept_changes)
    with open_journal(output=pipeline.output, storage=pipeline.storage, identity=identity, wish=wish) as journal:
        _check_sources(plan, journal, pipeline)
        if finishing:
            refuse_missing(plan, of=journal.of, lookup=journal.known, failed=stop, recipe=pipeline.name)
        journal.begin(identity)
        kept = True
        try:
            made = loop(pipeline, plan, executor=executor, journal=journal, stop=stop, retries=retries)
            yield from _without_unmade(pipeline, made)
            if whole and plan.share is None:
                _remove_stale(pipeline, journal, plan, everything=journal.over == "all")
            if whole or plan.share is not None:
                journal.end()
        except StorageError:
            kept = False
            raise
        finally:
            if kept and plan.share is None:
                _index(pipeline, journal)


def _identity(pipeline: Pipeline) -> Identity:
    """All that decides what is in a tile."""
    pyramid = pipeline.pyramid
    layout = {
        "pyramid": asdict(pyramid),
        "metatile": pipeline.output.metatile,
        "dtype": pipeline.dtype,
        "bands": pipeline.bands,
        "nodata": repr(pipeline.nodata),
    }
    return Identity(
        recipe={key: value for key, value in pipeline.document.items() if key != "cluster"},
        process=f"{pipeline.process.name} {pipeline.process.checksum}",
        code=pipeline.process.source,
        layout=layout,
        zooms={str(zoom): _zoom_facts(pipeline, zoom) for zoom in pipeline.zooms},
        margin_px=pipeline.buffer_px + KERNEL_PX,
        around=pyramid.bounds.right - pyramid.bounds.left if pyramid.wraps else None,
    )


def _zoom_facts(pipeline: Pipeline, zoom: int) -> dict[str, Any]:
    stage = pipeline.stages[zoom]
    filled = ""
    if "${" in json.dumps(pipeline.document):
        values = repr((dict(stage.parameters), dict(stage.inputs), stage.output.format, stage.clamp))
        filled = hashlib.sha256(values.encode()).hexdigest()[:16]
    return {
        "role": "overview" if zoom in pipeline.reduced else "process",
        "values": filled,
        "inputs": {
            name: {"files": dict(source.fingerprint()), "extents": [list(extent) for extent in stage.extents[name]]}
            for name, source in stage.inputs.items()
        },
    }


def _check_sources(plan: Plan, journal: Journal, pipeline: Pipeline) -> None:
    """Refuse to make overviews of a zoom at which nothing was ever made."""
    made = journal.known.zooms() if journal.known is not None else set()
    for zoom in sorted(plan.zooms):
        if zoom in pipeline.reduced and zoom + 1 not in made | set(plan.zooms):
            raise PlanError(f"zoom {zoom} is made from zoom {zoom + 1}, which has not been made; add --zoom {zoom + 1}")


def _without_unmade(pipeline: Pipeline, outcomes: Generator[Outcome, None, None]) -> Generator[Outcome, None, None]:
    """The outcomes, once the old files of unmade tiles are gone: among new ones they would pass for good."""
    with closing(outcomes):
        for outcome in outcomes:
            for tile in outcome.tiles(outcome.failed | outcome.blocked):
                # What can neither be written nor removed was told as a failure before.
                with suppress(StorageError):
                    pipeline.output.delete(tile)
            yield outcome


def _remove_stale(pipeline: Pipeline, journal: Journal, plan: Plan, *, everything: bool) -> None:
    """Remove tiles that are out of date and that the recipe does not make any more.

    With *everything* made again that is whatever was not; else only what lies outside of all inputs: with another
    area or other zooms, the rest may still be wanted.
    """
    if journal.known is None or not (everything or pipeline.area is None):
        return
    for tile, _ in list(journal.known.stale()):
        if everything or tile.zoom in plan.zooms:
            pipeline.output.delete(tile)
            journal.drop(tile)


def _index(pipeline: Pipeline, journal: Journal) -> None:
    storage = pipeline.storage
    filler = write_index(
        output=pipeline.output,
        storage=storage,
        limits=journal.limits(),
        fillers=journal.fillers,
        name=os.path.basename(storage.root) or "tiles",
        title=title(pipeline.process),
        created=datetime.fromtimestamp(journal.begun, tz=UTC),
    )
    if filler is not None:
        journal.note_filler(filler)
