"""What a run goes on from: what was made before it, less what is out of date."""

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from tilepipe import records
from tilepipe.errors import OutputError
from tilepipe.geo.geometry import Area
from tilepipe.geo.pyramid import Pyramid
from tilepipe.identity import Identity, compare, differs, outdated
from tilepipe.journal import Journal
from tilepipe.known import Known
from tilepipe.lock import hold
from tilepipe.outputs.tile_directory import TileDirectory
from tilepipe.plan import Plan
from tilepipe.standing import Standing, standing
from tilepipe.storage import LocalStorage

__all__ = ["Wish", "open_journal"]

ZOOMS = 31
"""Zooms that an output may have."""


class Wish(NamedTuple):
    """What a run is to do with what is there."""

    plan: Plan
    whole: bool
    """Whether these are all tiles of the recipe, or one part's share of them all."""
    overwrite: bool = False
    """Make them again."""
    accept: bool = False
    """Keep tiles of another recipe."""

    @property
    def starts_over(self) -> bool:
        """Whether nothing of what is there is to stay."""
        return self.overwrite and self.whole


@contextmanager
def open_journal(*, output: TileDirectory, storage: LocalStorage, identity: Identity, wish: Wish) -> Iterator[Journal]:
    """Take hold of an output and read what was made of it.

    Args:
        output: where the tiles are.
        storage: the output's folder.
        identity: what this run makes tiles from.
        wish: which tiles this run makes.

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
    share = wish.plan.share
    holder: dict[str, str | int] = {
        **({} if share is None else {"part": str(share)}),
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    with hold(folder, holder, part=None if share is None else f"{share.number}-of-{share.of}"):
        if share is None:
            storage.sweep()
        journal = _opened(output, storage, identity, wish)
        try:
            yield journal
        finally:
            if journal.has_begun:
                journal.flush()


def _opened(output: TileDirectory, storage: LocalStorage, identity: Identity, wish: Wish) -> Journal:
    share = wish.plan.share
    while True:
        journal = Journal(
            storage=storage,
            output=output,
            begun=time.time(),
            replaces=_has_tiles(storage),
            last=records.Key(0) if share is None else records.Key(1, share.number),
            plan=None if share is None else records.signature(wish.plan),
        )
        try:
            objects = records.keys(storage)
            if objects:
                _resume(journal, objects, identity, wish)
        except FileNotFoundError:
            # Another part has put its objects together since they were listed.
            continue
        return journal


def _resume(journal: Journal, objects: list[records.Key], identity: Identity, wish: Wish) -> None:
    """Go on with what earlier runs made, or start over."""
    storage, share = journal.storage, wish.plan.share
    told = standing(storage, objects)
    beside = share is not None and told.plan == journal.plan
    journal.begun, journal.of = told.begun, told.plan["of"] if told.plan else 0
    _place(journal, objects, beside=beside)
    own = told.runs.get(share.number) if share is not None and beside else None
    goes_on = own is not None and _goes_on(own, told, identity)
    compared = [own["run"]] if own is not None and goes_on and wish.overwrite else [facts for facts, _ in told.groups()]
    for made_from in compared:
        if compare(made_from, identity, accept=wish.accept, whole=wish.starts_over, part=share is not None):
            _clear(journal, objects, made_from["layout"])
            return
    journal.before = {"zooms": told.zooms()}
    known = journal.known = Known(
        output=journal.output, pyramid=journal.output.pyramid, objects=journal.output.objects, fillers=journal.fillers
    )
    others = told.runs.keys() - {share.number} if share is not None and beside else set()
    records.tell(storage, objects, known, without=others)
    if share is not None:
        known.begin(share.number, beside=beside)
    if own is not None:
        journal.over = own["over"] if goes_on or own["over"] == "all" else None
    elif share is None and told.starts_over:
        journal.over = "all"
    if wish.overwrite and not goes_on:
        _overwrite(journal, known, wish, changed=any(differs(facts, identity) for facts, _ in told.groups()))
    _forget_outdated(journal, known, identity, told=told, own=own)


def _goes_on(own: Mapping[str, Any], told: Standing, identity: Identity) -> bool:
    """Whether a part was ended while it overwrote its share with the same recipe, so that it has to go on with that."""
    return own["over"] is not None and own["part"] not in told.ended and not differs(own["run"], identity)


def _place(journal: Journal, objects: list[records.Key], *, beside: bool) -> None:
    """Where in the story this run writes, and which objects it puts together first."""
    end, part = objects[-1], journal.last.part
    if not part:
        journal.last, journal.earlier = records.Key(end.chapter), objects
        return
    chapter = end.chapter if end.part and beside else end.chapter + 1
    journal.earlier = [key for key in objects if (key.chapter, key.part) == (chapter, part)]
    journal.last = journal.earlier[-1] if journal.earlier else records.Key(chapter, part)


def _overwrite(journal: Journal, known: Known, wish: Wish, *, changed: bool) -> None:
    """Count what is to be made again as not made."""
    plan = wish.plan
    if plan.share is None or (wish.whole and changed):
        area, zooms = (Area(None), None) if wish.whole else (plan.area, plan.zooms)
        made_by = None if plan.share is None else {plan.share.number}
        known.forget(area, zooms=zooms, made_by=made_by)
        journal.note(records.forgetting(area, zooms=zooms, margin_px=0, made_by=made_by))
        journal.over = "all" if wish.whole else journal.over
        return
    for branch in plan.branches():
        known.forget_tiles(branch.each())
    journal.note(records.forgetting_share(plan))
    journal.over = "share"


def _forget_outdated(
    journal: Journal, known: Known, identity: Identity, *, told: Standing, own: Mapping[str, Any] | None
) -> None:
    """Count tiles of changed inputs as not made: a part its own and older ones, a whole run those of each part."""
    groups = told.groups() if own is None else [(own["run"], {own["part"]})]
    for made_from, parts in groups:
        made_by = {journal.last.part} if journal.last.part else parts if len(groups) > 1 else None
        for area, zooms, margin in outdated(made_from, identity):
            known.forget(area, zooms=zooms, margin_px=margin, made_by=made_by)
            journal.note(records.forgetting(area, zooms=zooms, margin_px=margin, made_by=made_by))


def _clear(journal: Journal, objects: list[records.Key], facts: Mapping[str, Any]) -> None:
    """Remove the tiles that were made under another layout, and the story of them; nothing that others put there."""
    before = replace(journal.output, pyramid=Pyramid(**facts["pyramid"]), metatile=facts["metatile"])
    known = Known(output=before, pyramid=before.pyramid, objects=before.objects, fillers=set())
    records.tell(journal.storage, objects, known)
    for tile, _ in (*known.written(), *known.stale()):
        before.delete(tile)
    for filler in known.fillers:
        journal.storage.delete(before.key(filler))
    journal.storage.remove(records.FOLDER)
    journal.earlier = []


def _has_tiles(storage: LocalStorage) -> bool:
    """Whether there are folders of zooms, whoever made them."""
    return any(os.path.isdir(os.path.join(storage.root, str(zoom))) for zoom in range(ZOOMS))
