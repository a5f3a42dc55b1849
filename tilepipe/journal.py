"""What a run made, kept beside the output in `.tilepipe/`, so that the next run makes only what is missing.

The journal is a row of small objects, each a few JSON records, written only by the run loop and never changed.
In the order of their names they tell the whole story: which recipe, process and inputs a run had, what became of
each task, and from when on some tiles count as not made. Parts of a run that write side by side have a row each.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tilepipe import records
from tilepipe.geo.branch import level_start
from tilepipe.geo.pyramid import Tile
from tilepipe.identity import Identity, record
from tilepipe.index.extent import Limits
from tilepipe.known import Known
from tilepipe.outcome import Outcome
from tilepipe.outputs.protocol import Part
from tilepipe.outputs.tile_directory import TileDirectory
from tilepipe.storage import LocalStorage

__all__ = ["Journal"]

SHARE = 20
"""Writing records may take one part in this many of a run's time, so that a far-off storage does not hold it up."""

MERGED = 512
"""Objects of one run that are put together into one."""


@dataclass(slots=True, kw_only=True)
class Journal:
    """The story of an output, open for the length of one run."""

    storage: LocalStorage
    output: TileDirectory
    known: Known | None = None
    """None where nothing was made before: then nothing needs to be looked up."""
    before: Mapping[str, Any] | None = None
    """What the last run was made from."""
    last: records.Key
    """The last object of this run, or the one that its first comes after."""
    earlier: list[records.Key] = field(default_factory=list)
    """Objects that this run puts together before it writes its own."""
    plan: Mapping[str, Any] | None = None
    """What parts of one run have in common; None for a whole run."""
    over: str | None = None
    """What is made again of what is there: `all`, or the `share` of a part; None where nothing is."""
    of: int = 0
    """How many parts the last run consisted of that came in parts."""
    begun: float
    """When the first run began, in seconds since 1970."""
    replaces: bool = False
    """Whether something may be stored already where a tile is to be made."""
    fillers: set[Tile] = field(default_factory=set)
    """Files that stand for nothing."""
    written: list[records.Key] = field(default_factory=list)
    """Objects that may be put together with later ones."""
    pending: list[str] = field(default_factory=list)
    has_begun: bool = False
    flushed_at: float = 0.0
    flush_s: float = 0.0
    _limits: dict[int, Limits] = field(default_factory=dict)

    def begin(self, now: Identity) -> None:
        """Note what this run makes tiles from; nothing is written before."""
        if len(self.earlier) > 1:
            into = self.earlier[-1] if self.earlier[-1].part == self.last.part else self.last.next()
            records.merge(self.storage, self.earlier, into)
            self.last = into
        part = self.last.part
        run = {"run": record(now, self.before), "part": part, "plan": self.plan, "over": self.over}
        line = json.dumps({**run, "begun": self.begun, "at": time.time()})
        # What a part forgets, it forgets as that part; a whole run speaks of what the parts before it made.
        self.pending.insert(0 if part else len(self.pending), line)
        if self.known is not None and not part:
            self.known.begin(0, beside=False)
        self.flush()
        self.storage.put(".tilepipe/process.py", now.code.encode())
        self.storage.put(".tilepipe/recipe.json", json.dumps(now.recipe, indent=1).encode())
        self.has_begun = True

    def end(self) -> None:
        """Note that all was made that was to be made again."""
        if self.over is not None:
            self.note({"end": self.last.part})

    def add(self, outcome: Outcome) -> None:
        """Note what became of a task, to be written at the next flush."""
        at = time.time()
        self.note(records.encode(outcome, at))
        if self.known is not None:
            self.known.add(outcome, at=at)
        elif not self._spans(outcome):
            for tile, parts in zip(outcome.tiles(outcome.written), outcome.parts, strict=True):
                _extend(self._limits, self.output.pieces(tile), parts)

    def _spans(self, outcome: Outcome) -> bool:
        """Whether files all over the branch would lie within the limits: most do, and looking at each takes long."""
        files = self.output.pyramid.metatile // self.output.metatile
        for level in range(outcome.depth + 1):
            if outcome.written >> level_start(level) & (1 << 4**level) - 1:
                row, col = (index * files << level for index in (outcome.root.row, outcome.root.col))
                last = (files << level) - 1
                limits = self._limits.get(outcome.root.zoom + level)
                if limits is None or not limits.covers(Limits(row, row + last, col, col + last)):
                    return False
        return True

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
        self.last = self.last.next()
        self.storage.put(str(self.last), ("\n".join(self.pending) + "\n").encode())
        self.pending.clear()
        self.written.append(self.last)
        if len(self.written) >= MERGED:
            records.merge(self.storage, self.written, self.last)
            self.written.clear()
        self.flushed_at = time.monotonic()
        self.flush_s = self.flushed_at - started


def _extend(limits: dict[int, Limits], pieces: Iterable[Tile], parts: Iterable[Part]) -> None:
    """Widen *limits* to the pieces that hold data."""
    for piece, part in zip(pieces, parts, strict=True):
        if part.size:
            own = Limits(piece.row, piece.row, piece.col, piece.col)
            limits[piece.zoom] = limits[piece.zoom].union(own) if piece.zoom in limits else own
