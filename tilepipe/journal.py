"""What a run made, kept beside the output in `.tilepipe/`, so that the next run makes only what is missing.

The journal is a row of small objects, each a few JSON records, written only by the run loop and never changed.
In the order of their names they tell the whole story: which recipe, process and inputs a run had, what became of
each task, and from when on some tiles count as not made.
"""

import json
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tilepipe import records
from tilepipe.errors import OutputError
from tilepipe.geo.geometry import Area
from tilepipe.geo.pyramid import Pyramid, Tile
from tilepipe.identity import Identity, compare, outdated, record
from tilepipe.index.extent import Limits
from tilepipe.known import Known
from tilepipe.lock import hold
from tilepipe.outcome import Outcome
from tilepipe.outputs.protocol import Part
from tilepipe.outputs.tile_directory import TileDirectory
from tilepipe.storage import LocalStorage

__all__ = ["Journal", "open_journal"]

SHARE = 20
"""Writing records may take one part in this many of a run's time, so that a far-off storage does not hold it up."""

MERGED = 512
"""Objects of one run that are put together into one."""

ZOOMS = 31
"""Zooms that an output may have."""


@dataclass(slots=True, kw_only=True)
class Journal:
    """The story of an output, open for the length of one run."""

    storage: LocalStorage
    output: TileDirectory
    known: Known | None = None
    """None where nothing was made before: then nothing needs to be looked up."""
    before: Mapping[str, Any] | None = None
    """What the last run was made from."""
    begun: float
    """When the first run began, in seconds since 1970."""
    replaces: bool = False
    """Whether something may be stored already where a tile is to be made."""
    fillers: set[Tile] = field(default_factory=set)
    """Files that stand for nothing."""
    segment: int = 0
    """Number of the last object written."""
    first: int = 1
    """Number of the first object that may be put together with later ones."""
    pending: list[str] = field(default_factory=list)
    has_begun: bool = False
    flushed_at: float = 0.0
    flush_s: float = 0.0
    _limits: dict[int, Limits] = field(default_factory=dict)

    def begin(self, now: Identity) -> None:
        """Note what this run makes tiles from; nothing is written before."""
        self.note({"run": record(now, self.before), "begun": self.begun, "at": time.time()})
        self.flush()
        self.storage.put(".tilepipe/process.py", now.code.encode())
        self.storage.put(".tilepipe/recipe.json", json.dumps(now.recipe, indent=1).encode())
        self.has_begun = True

    def add(self, outcome: Outcome) -> None:
        """Note what became of a task, to be written at the next flush."""
        at = time.time()
        self.note(records.encode(outcome, at))
        if self.known is not None:
            self.known.add(outcome, at=at)
        else:
            for tile, parts in zip(outcome.tiles(outcome.written), outcome.parts, strict=True):
                _extend(self._limits, self.output.pieces(tile), parts)

    def keep(self) -> None:
        """Write what was noted, or leave it for a while where writing takes long."""
        if time.monotonic() - self.flushed_at >= SHARE * self.flush_s:
            self.flush()

    def drop(self, tile: Tile) -> None:
        """Note that nothing is stored for a tile any more."""
        if self.known is not None:
            self.known.drop(tile)
        self.note({"drop": tile})

    def note_filler(self, tile: Tile) -> None:
        """Note that the file of *tile* stands for nothing."""
        self.fillers.add(tile)
        self.note({"filler": tile})

    def note(self, record: Mapping[str, Any]) -> None:
        """Keep a record for the next flush."""
        self.pending.append(json.dumps(record))

    def limits(self) -> dict[int, Limits]:
        """For each zoom, where the files lie that hold data."""
        if self.known is None:
            return dict(self._limits)
        limits: dict[int, Limits] = {}
        # Out of date is not gone: a run of a part of the output leaves the rest to be seen.
        for tile, parts in (*self.known.written(), *self.known.stale()):
            _extend(limits, self.output.pieces(tile), parts)
        return limits

    def flush(self) -> None:
        """Write what is pending as one object."""
        if not self.pending:
            return
        started = time.monotonic()
        self.segment += 1
        self.storage.put(records.key(self.segment), ("\n".join(self.pending) + "\n").encode())
        self.pending.clear()
        if self.segment - self.first >= MERGED:
            records.merge(self.storage, range(self.first, self.segment + 1))
            self.first = self.segment + 1
        self.flushed_at = time.monotonic()
        self.flush_s = self.flushed_at - started


@contextmanager
def open_journal(
    *,
    output: TileDirectory,
    storage: LocalStorage,
    identity: Identity,
    overwrite: Area | None = None,
    overwrite_zooms: tuple[int, ...] | None = None,
    accept_changes: bool = False,
) -> Iterator[Journal]:
    """Take hold of an output and read what was made of it.

    Args:
        output: where the tiles are.
        storage: the output's folder.
        identity: what this run makes tiles from.
        overwrite: tiles that touch it are made again.
        overwrite_zooms: only these of them; None starts the whole output over.
        accept_changes: keep tiles of another recipe.

    Raises:
        JournalError: another run holds the output, or it was made by another recipe or process.
        StorageError: the journal cannot be read or written.
    """
    folder = os.path.join(storage.root, ".tilepipe")
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        place = folder if os.path.isdir(storage.root) else storage.root
        raise OutputError(f"{place} cannot be made: {error.strerror}; choose another output.path") from error
    holder: dict[str, str | int] = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    with hold(os.path.join(folder, "lock"), holder):
        storage.sweep()
        journal = Journal(storage=storage, output=output, begun=time.time(), replaces=_has_tiles(storage))
        numbers = records.numbers(storage)
        over = None if overwrite is None else (overwrite if overwrite_zooms is not None else Area(None))
        if numbers:
            _resume(journal, numbers, identity, over, overwrite_zooms, accept=accept_changes)
        try:
            yield journal
        finally:
            if journal.has_begun:
                journal.flush()


def _resume(
    journal: Journal,
    numbers: list[int],
    identity: Identity,
    overwrite: Area | None,
    zooms: tuple[int, ...] | None,
    *,
    accept: bool,
) -> None:
    """Go on with what earlier runs made, or start over."""
    storage = journal.storage
    before = records.last_run(storage, numbers)
    journal.segment, journal.first = numbers[-1], numbers[-1] + 1
    journal.begun = before["begun"]
    whole = overwrite is not None and zooms is None
    if compare(before["run"], identity, accept=accept, whole=whole):
        _clear(journal, numbers, before["run"]["layout"])
        return
    journal.before = before["run"]
    known = journal.known = Known(
        output=journal.output, pyramid=journal.output.pyramid, objects=journal.output.objects, fillers=journal.fillers
    )
    records.tell(storage, numbers, known)
    again = [] if overwrite is None else [(overwrite, zooms, 0)]
    for area, at_zooms, margin in (*again, *outdated(before["run"], identity)):
        known.forget(area, zooms=at_zooms, margin_px=margin)
        journal.note(records.forgetting(area, at_zooms, margin))
    if len(numbers) > 1:
        records.merge(storage, numbers)


def _clear(journal: Journal, numbers: list[int], facts: Mapping[str, Any]) -> None:
    """Remove the tiles that were made under another layout, and the story of them; nothing that others put there."""
    before = replace(journal.output, pyramid=Pyramid(**facts["pyramid"]), metatile=facts["metatile"])
    known = Known(output=before, pyramid=before.pyramid, objects=before.objects, fillers=set())
    records.tell(journal.storage, numbers, known)
    for tile, _ in (*known.written(), *known.stale()):
        before.delete(tile)
    for filler in known.fillers:
        journal.storage.delete(before.key(filler))
    journal.storage.remove(records.FOLDER)


def _has_tiles(storage: LocalStorage) -> bool:
    """Whether there are folders of zooms, whoever made them."""
    return any(os.path.isdir(os.path.join(storage.root, str(zoom))) for zoom in range(ZOOMS))


def _extend(limits: dict[int, Limits], pieces: Iterable[Tile], parts: Iterable[Part]) -> None:
    """Widen *limits* to the pieces that hold data."""
    for piece, part in zip(pieces, parts, strict=True):
        if part.size:
            own = Limits(piece.row, piece.row, piece.col, piece.col)
            limits[piece.zoom] = limits[piece.zoom].union(own) if piece.zoom in limits else own
