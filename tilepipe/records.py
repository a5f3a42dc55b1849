"""The lines of a journal: which objects hold them, and what each says.

A line is a JSON mapping whose first key says its kind: `run` (what a run made tiles from), `task` (what became of
one), `forget` (tiles that count as not made from here on), `drop` (a tile that was removed) or `filler` (a file that
stands for nothing).
"""

import base64
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import shapely

from tilepipe.errors import JournalError
from tilepipe.geo.geometry import Area
from tilepipe.geo.pyramid import Tile
from tilepipe.known import Known
from tilepipe.outcome import Failure, Outcome
from tilepipe.outputs.protocol import Part
from tilepipe.storage import LocalStorage

__all__ = ["FOLDER", "decode", "encode", "forgetting", "key", "last_run", "merge", "numbers", "read", "tell"]

FOLDER = ".tilepipe/journal"


def numbers(storage: LocalStorage) -> list[int]:
    """The numbers of the objects there are, in their order."""
    return sorted(int(entry.key.rsplit("/", 1)[1].split(".")[0]) for entry in storage.list(FOLDER))


def key(number: int) -> str:
    """The name of an object."""
    return f"{FOLDER}/{number:010}.jsonl"


def merge(storage: LocalStorage, segments: Sequence[int]) -> None:
    """Put objects together under the name of the last; read twice, a record says the same as once."""
    texts = [storage.get(key(number)) or b"" for number in segments]
    storage.put(key(segments[-1]), b"".join(texts))
    for number in segments[:-1]:
        storage.delete(key(number))


def read(storage: LocalStorage, segments: Sequence[int], *, only: bytes = b"") -> Iterator[dict[str, Any]]:
    """The records in their order; with *only*, those that start so."""
    for number in segments:
        for line in (storage.get(key(number)) or b"").splitlines():
            if not line.startswith(only):
                continue
            try:
                yield json.loads(line)
            except ValueError as error:
                raise JournalError(
                    f"{storage.root}/{key(number)} is not a journal: {error}; start over with another output.path"
                ) from error


def last_run(storage: LocalStorage, segments: Sequence[int]) -> dict[str, Any]:
    """What the last run was made from."""
    last: dict[str, Any] = {}
    for record in read(storage, segments, only=b'{"run"'):
        last = record
    if not last:
        raise JournalError(f"{storage.root}/{FOLDER} tells of no run; remove it to start over")
    return last


def tell(storage: LocalStorage, segments: Sequence[int], known: Known) -> None:
    """Tell *known* the whole story."""
    for record in read(storage, segments):
        if "task" in record:
            known.add(decode(record), at=record["at"])
        elif "forget" in record:
            wkt = record["forget"]["area"]
            area = Area(None if wkt is None else shapely.from_wkt(wkt))
            known.forget(area, zooms=record["forget"]["zooms"], margin_px=record["forget"]["margin_px"])
        elif "drop" in record:
            known.drop(Tile(*record["drop"]))
        elif "filler" in record:
            known.fillers.add(Tile(*record["filler"]))


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


def forgetting(area: Area, zooms: tuple[int, ...] | None, margin_px: float) -> dict[str, Any]:
    """The line from which on tiles do not count; the arguments are those of `Known.forget`."""
    wkt = None if area.geometry is None else shapely.to_wkt(area.geometry, rounding_precision=-1)
    return {"forget": {"area": wkt, "zooms": zooms, "margin_px": margin_px}}
