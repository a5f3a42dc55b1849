"""The lines of a journal: which objects hold them, in which order, and what each says.

A line is a JSON mapping whose first key says its kind: `run` (what a run made tiles from), `task` (what became of
one), `forget` (tiles that count as not made from here on), `drop` (a tile that was removed), `filler` (a file that
stands for nothing) or `end` (a part that made all of its share).
"""

import base64
import json
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple, Self

import shapely

from tilepipe.errors import JournalError
from tilepipe.geo.geometry import Area
from tilepipe.geo.pyramid import Pyramid, Tile
from tilepipe.known import Known
from tilepipe.outcome import Failure, Outcome
from tilepipe.outputs.protocol import Part
from tilepipe.plan import Plan, Share
from tilepipe.storage import LocalStorage

__all__ = [
    "FOLDER",
    "Key",
    "decode",
    "encode",
    "forgetting",
    "forgetting_share",
    "keys",
    "merge",
    "read",
    "signature",
    "tell",
]

FOLDER = ".tilepipe/journal"


KINDS = {
    "run": {"part", "plan", "over", "begun"},
    "task": {"written", "empty", "blocked", "failed", "objects", "parts", "seconds", "peak_bytes", "at"},
    "forget": set[str](),
    "drop": set[str](),
    "filler": set[str](),
    "end": set[str](),
}
"""What a line of each kind has besides."""


class Key(NamedTuple):
    """The place of an object in the story.

    Objects of a whole run each have a chapter of their own. The parts of a run, which write at the same time, share
    one, in which each has its own row.
    """

    chapter: int
    part: int = 0
    serial: int = 0

    def __str__(self) -> str:
        row = f"-{self.part:05}-{self.serial:08}" if self.part else ""
        return f"{FOLDER}/{self.chapter:010}{row}.jsonl"

    @classmethod
    def of(cls, name: str) -> Self:
        """The key of that name."""
        return cls(*map(int, name.rpartition("/")[2].removesuffix(".jsonl").split("-")))

    def next(self) -> Self:
        """The next object of the same run."""
        return self._replace(serial=self.serial + 1) if self.part else self._replace(chapter=self.chapter + 1)


def keys(storage: LocalStorage) -> list[Key]:
    """The objects there are, in their order."""
    return sorted(Key.of(entry.key) for entry in storage.list(FOLDER))


def merge(storage: LocalStorage, objects: Sequence[Key], into: Key) -> None:
    """Put objects together as the last of them, or one after it; read twice, a record says the same as once."""
    storage.put(str(into), b"".join(storage.get(str(key)) or b"" for key in objects))
    for key in objects:
        if key != into:
            storage.delete(str(key))


def read(
    storage: LocalStorage, objects: Sequence[Key], *, only: tuple[bytes, ...] = (b"",)
) -> Iterator[dict[str, Any]]:
    """The records in their order, those whose lines begin with one of *only*.

    Raises:
        FileNotFoundError: an object is gone: whoever writes it has put it together with others.
        JournalError: an object is damaged, or written by another version.
    """
    for key in objects:
        text = storage.get(str(key))
        if text is None:
            raise FileNotFoundError(str(key))
        for line in text.splitlines():
            if not line.startswith(only):
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise JournalError(
                    f"{storage.root}/{key} is not a journal: {error}; start over with another output.path"
                ) from error
            kind = next(iter(record), "")
            if not KINDS.get(kind, {""}) <= record.keys():
                raise JournalError(
                    f"{storage.root}/{key} has a line {kind!r} of another version of tilepipe; "
                    "go on with that version, or start over with another output.path"
                )
            yield record


def signature(plan: Plan) -> dict[str, Any]:
    """What parts of one run have in common, so that no tile belongs to two of them."""
    assert plan.share is not None  # noqa: S101 - only parts are asked
    return {"of": plan.share.of, "zooms": [*plan.zooms], "depth": plan.depth, "area": _spelled(plan.area)}


def tell(storage: LocalStorage, objects: Sequence[Key], known: Known, *, without: Collection[int] = ()) -> None:
    """Tell *known* the whole story, of the parts *without* in the last chapter only what they say of others' tiles.

    Raises:
        FileNotFoundError: an object is gone: whoever writes it has put it together with others.
    """
    last = objects[-1].chapter
    plan: Mapping[str, Any] | None = None
    for key in objects:
        brief = key.chapter == last and key.part in without
        for record in read(storage, [key], only=(b'{"run"', b'{"forget"') if brief else (b"",)):
            if "task" in record:
                known.add(decode(record), at=record["at"])
            elif "run" in record:
                known.begin(record["part"], beside=record["part"] > 0 and record["plan"] == plan)
                plan = record["plan"]
            elif "forget" in record:
                _forget(known, record["forget"])
            elif "drop" in record:
                known.drop(Tile(*record["drop"]))
            elif "filler" in record:
                known.fillers.add(Tile(*record["filler"]))


def _forget(known: Known, facts: Mapping[str, Any]) -> None:
    if "share" not in facts:
        made_by = None if facts["made_by"] is None else frozenset(facts["made_by"])
        known.forget(
            _read(facts["area"]),
            zooms=facts["zooms"],
            margin_px=facts["margin_px"],
            made_by=made_by,
        )
        return
    plan = Plan(
        pyramid=Pyramid(**facts["pyramid"]),
        area=_read(facts["area"]),
        zooms=tuple(facts["zooms"]),
        depth=facts["depth"],
        reduced=frozenset(facts["reduced"]),
        share=Share(*facts["share"]),
    )
    for branch in plan.branches():
        known.forget_tiles(branch.each())


def encode(outcome: Outcome, at: float) -> dict[str, Any]:
    """The line of a task that ended at time *at*."""
    numbers = [number for parts in outcome.parts for part in parts for number in part]
    return {
        "task": [*outcome.root, outcome.depth],
        "written": f"{outcome.written:x}",
        "empty": f"{outcome.empty:x}",
        "blocked": f"{outcome.blocked:x}",
        "failed": [[*failure] for failure in outcome.failures],
        "objects": len(outcome.parts[0]) if outcome.parts else 0,
        "parts": base64.b64encode(struct.pack(f"<{len(numbers)}I", *numbers)).decode(),
        "seconds": round(outcome.seconds, 4),
        "peak_bytes": outcome.peak_bytes,
        "at": at,
    }


def decode(record: Mapping[str, Any]) -> Outcome:
    """What became of the task of a line."""
    zoom, row, col, depth = record["task"]
    packed = base64.b64decode(record["parts"])
    numbers = struct.unpack(f"<{len(packed) // 4}I", packed)
    flat = [Part(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)]
    step = record["objects"] or 1
    return Outcome(
        root=Tile(zoom, row, col),
        depth=depth,
        written=int(record["written"], 16),
        empty=int(record["empty"], 16),
        blocked=int(record["blocked"], 16),
        failures=tuple(Failure(Tile(*tile), reason, detail) for tile, reason, detail in record["failed"]),
        parts=tuple(tuple(flat[at : at + step]) for at in range(0, len(flat), step)),
        seconds=record["seconds"],
        peak_bytes=record["peak_bytes"],
    )


def forgetting(
    area: Area, *, zooms: tuple[int, ...] | None, margin_px: float, made_by: Collection[int] | None
) -> dict[str, Any]:
    """The line from which on tiles do not count; the arguments are those of `Known.forget`."""
    return {
        "forget": {
            "area": _spelled(area),
            "zooms": zooms,
            "margin_px": margin_px,
            "made_by": None if made_by is None else sorted(made_by),
        }
    }


def forgetting_share(plan: Plan) -> dict[str, Any]:
    """The line from which on the tiles of a share do not count."""
    assert plan.share is not None  # noqa: S101 - only parts are asked
    return {
        "forget": {
            "share": [*plan.share],
            "pyramid": asdict(plan.pyramid),
            "area": _spelled(plan.area),
            "zooms": [*plan.zooms],
            "reduced": sorted(plan.reduced),
            "depth": plan.depth,
        }
    }


def _spelled(area: Area) -> str | None:
    return None if area.geometry is None else shapely.to_wkt(area.geometry, rounding_precision=-1)


def _read(wkt: str | None) -> Area:
    return Area(None if wkt is None else shapely.from_wkt(wkt))
