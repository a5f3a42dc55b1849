"""What the tiles of an output were made from, by the last word of each run that still counts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tilepipe import records
from tilepipe.errors import JournalError
from tilepipe.storage import LocalStorage

__all__ = ["Standing", "standing"]


@dataclass(slots=True, kw_only=True)
class Standing:
    """The last whole run, or the parts that came after it."""

    runs: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """The record of the last run of each part; 0 is a whole run."""
    ended: set[int] = field(default_factory=set)
    """Parts that made all of their share."""
    plan: Mapping[str, Any] | None = None
    """What the parts have in common."""
    begun: float = 0.0
    """When the first run began, in seconds since 1970."""

    @property
    def starts_over(self) -> bool:
        """Whether everything was to be made again and what nobody made may still be there."""
        return any(run["over"] == "all" and (part or part not in self.ended) for part, run in self.runs.items())

    def zooms(self) -> dict[str, Any]:
        """All that is known of what zooms were made from."""
        return {zoom: facts for run in self.runs.values() for zoom, facts in run["run"]["zooms"].items()}

    def groups(self) -> list[tuple[Mapping[str, Any], set[int]]]:
        """What tiles were made from, each with the parts that made them so."""
        groups: dict[str, tuple[Mapping[str, Any], set[int]]] = {}
        for part, run in self.runs.items():
            groups.setdefault(json.dumps(run["run"], sort_keys=True), (run["run"], set()))[1].add(part)
        return list(groups.values())


def standing(storage: LocalStorage, objects: Sequence[records.Key]) -> Standing:
    """What the journal says in the end.

    Raises:
        FileNotFoundError: an object is gone: whoever writes it has put it together with others.
        JournalError: the journal tells of no run.
    """
    told = Standing()
    for record in records.read(storage, objects, only=(b'{"run"', b'{"end"')):
        if "end" in record:
            told.ended.add(record["end"])
            continue
        part = record["part"]
        if not (part and record["plan"] == told.plan):
            told.runs.clear()
            told.ended.clear()
        told.runs[part] = record
        told.ended.discard(part)
        told.plan = record["plan"]
        told.begun = min(told.begun or record["begun"], record["begun"])
    if not told.runs:
        raise JournalError(f"{storage.root}/{records.FOLDER} tells of no run; remove it to start over")
    return told
