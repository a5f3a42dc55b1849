"""Whether a request is let in: judged by its process, by the engine's rules, and by the fence around what it names."""

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from tilepipe.recipe.geometry import WKT
from tilepipe_hub.errors import BadRequest
from tilepipe_hub.fence import callback_refusal, crs_refusal, crs_texts, data_refusal, link_place
from tilepipe_hub.fetch import fetch, reachable
from tilepipe_hub.processes.catalog import Catalog, Entry
from tilepipe_hub.processes.describe import describe
from tilepipe_hub.processes.document import data_files, make_recipe_document, references
from tilepipe_hub.processes.echo import echo
from tilepipe_hub.processes.given import Fetched, Link, Value
from tilepipe_hub.processes.inputs import Checked, links_to_fetch
from tilepipe_hub.processes.limits import Limits
from tilepipe_hub.processes.request import check_request, place_of
from tilepipe_hub.processes.values import Problem
from tilepipe_hub.settings import Settings
from tilepipe_hub.work import Work

__all__ = ["Prepared", "admit", "keep_files"]

RANGES = {
    f"{sign}int{bits}": (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
"""Of the whole numbers that pixels may be."""

MOST_LINKS = 20
"""That one request has read at once, so that nobody makes the service call many for one call."""

Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A request that may be run."""

    entry: Entry
    checked: Checked
    work: Work
    """With a folder for a job of its own."""
    body: Mapping[str, Any]


def admit(
    entry: Entry, body: Any, *, settings: Settings, catalog: Catalog, resolve: Resolve, may_deploy: bool
) -> Prepared:
    """The request, when nothing is wrong with it.

    Args:
        entry: the process.
        body: of the request, as read from JSON.
        settings: limits, secrets and the fence.
        catalog: where the process of a recipe is looked up.
        resolve: the addresses of a host and port.
        may_deploy: whether the sender may run code of their own.

    Raises:
        BadRequest: something in it is wrong; all of it is told.
    """
    limits = Limits(depth=settings.limits.depth, items=settings.limits.items)
    description = describe(entry)
    links = links_to_fetch(description, body, limits=limits)
    checked = check_request(
        entry,
        body,
        catalog=catalog,
        description=description,
        limits=limits,
        fetched=_fetch(links, settings, resolve),
        secrets=settings.secrets,
        may_deploy=may_deploy,
    )
    if isinstance(checked, list):
        raise BadRequest(checked)
    work = _work(entry, checked, settings=settings, catalog=catalog)
    problems = [
        *_callback_problems(checked, settings, resolve),
        *(_link_problems(checked) if work.recipe is None else ()),
        *(
            Problem(place_of(entry, checked, path), words)
            for path, words in _recipe_problems(work.recipe or {}, _uploads(settings, work.folder), settings, resolve)
        ),
        *_label_problems(body),
    ]
    if problems:
        raise BadRequest(list(dict.fromkeys(problems)))
    return Prepared(entry=entry, checked=checked, work=work, body=body)


def keep_files(prepared: Prepared, settings: Settings) -> None:
    """Write what was sent within the request where its recipe looks for it."""
    folder = _uploads(settings, prepared.work.folder)
    for name, content in data_files(prepared.entry, prepared.checked).items():
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)


def _uploads(settings: Settings, folder: str) -> str:
    return os.path.join(os.path.abspath(settings.folders.uploads), folder)


def _fetch(links: Sequence[Link], settings: Settings, resolve: Resolve) -> dict[str, Fetched | str]:
    if len(links) > MOST_LINKS:
        raise BadRequest([("/inputs", f"has {len(links)} links to be read at once, of at most {MOST_LINKS}")])
    limits = settings.limits
    found: dict[str, Fetched | str] = {}
    for link in links:
        content = fetch(
            link.href, settings.fence, most_bytes=limits.fetch_bytes, timeout_s=limits.fetch_s, resolve=resolve
        )
        told = content if isinstance(content, str) else Fetched(content=content[0], media_type=content[1])
        found[link.pointer] = told
    return found


def _work(entry: Entry, checked: Checked, *, settings: Settings, catalog: Catalog) -> Work:
    work = Work(
        kind="echo" if entry.kind == "echo" else "recipe",
        folder=uuid4().hex,
        asked={
            name: {"media_type": how.media_type, "transmission": how.transmission}
            for name, how in checked.outputs.items()
        },
        response=checked.response,
        is_old=checked.is_old,
    )
    if entry.kind == "echo":
        todo = echo(checked)
        results = {name: _given_back(value) for name, value in todo.results.items()}
        return replace(work, results=results, pause_s=todo.pause_s, fails=todo.fails)
    output = os.path.join(os.path.abspath(settings.folders.outputs), work.folder)
    data = _uploads(settings, work.folder)
    return replace(work, recipe=make_recipe_document(entry, checked, output=output, data=data, catalog=catalog))


def _callback_problems(checked: Checked, settings: Settings, resolve: Resolve) -> Iterator[Problem]:
    for name, link in checked.subscriber.items():
        refusal = callback_refusal(link, settings.fence) or _unreachable(link, settings, resolve)
        if refusal is not None:
            yield Problem(f"/subscriber/{name}", refusal)


def _link_problems(checked: Checked) -> Iterator[Problem]:
    for given in checked.links():
        if isinstance(place := link_place(given.href), str):
            yield Problem(given.pointer, place)


def _recipe_problems(
    recipe: Mapping[str, Any], uploads: str, settings: Settings, resolve: Resolve
) -> Iterator[tuple[tuple[str, ...], str]]:
    """What a recipe may not read, and lacks, by the keys to it."""
    for path, name in references(recipe):
        if name.startswith(f"{uploads}{os.sep}") or (path == ("area",) and WKT.match(name)):
            continue
        refusal = data_refusal(name, settings.fence) or _unreachable(name, settings, resolve)
        if refusal is not None:
            yield path, refusal
    for path, text in crs_texts(recipe):
        if (refusal := crs_refusal(text)) is not None:
            yield path, refusal
    if (lack := _nodata_refusal(recipe)) is not None:
        yield ("output", "nodata"), lack


def _nodata_refusal(recipe: Mapping[str, Any]) -> str | None:
    """What a GeoTIFF of whole numbers lacks; where values differ by zoom, the engine looks for itself."""
    output = recipe.get("output", {})
    dtype, nodata = output.get("dtype"), output.get("nodata", math.nan)
    form = output.get("format") or "gtiff"
    if form != "gtiff" or not isinstance(dtype, str) or not isinstance(nodata, int | float) or dtype not in RANGES:
        return None
    low, high = RANGES[dtype]
    if low <= nodata <= high and nodata == int(nodata):
        return None
    found = "is missing" if "nodata" not in output else f"is {nodata}"
    return f"{found}; {dtype} takes a whole number from {low} to {high}, or null where all counts"


def _unreachable(link: str, settings: Settings, resolve: Resolve) -> str | None:
    """Why the host of an address may not be spoken to, for the addresses that it has now."""
    place = link_place(link) if link.startswith(("http://", "https://")) else ""
    if isinstance(place, str):
        return None
    found = reachable(place, settings.fence, resolve=resolve)
    return found if isinstance(found, str) else None


def _given_back(value: Value) -> dict[str, Any]:
    """A value as `tilepipe_hub.work` wants results."""
    if value.link is not None:
        link = {"href": value.link}
        return {**link, "type": value.media_type} if value.media_type else link
    return {"value": value.value, "mediaType": value.media_type}


def _label_problems(body: Mapping[str, Any]) -> Iterator[Problem]:
    """Mistakes in what an owner may call a job."""
    title, labels = body.get("title", ""), body.get("labels", [])
    if not isinstance(title, str) or len(title) > 200:
        yield Problem("/title", "takes text of at most 200 letters")
    few = isinstance(labels, list) and len(labels) <= 20
    if not few or not all(isinstance(label, str) and len(label) <= 100 for label in labels):
        yield Problem("/labels", "takes a list of at most 20 texts of at most 100 letters")
