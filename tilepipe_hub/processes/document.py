"""Which recipe a checked request means, and what it reads."""

import base64
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tilepipe_hub.processes.catalog import Catalog, Entry
from tilepipe_hub.processes.describe import argument_ids, defaults
from tilepipe_hub.processes.engine import ENGINE, area_of
from tilepipe_hub.processes.given import Value
from tilepipe_hub.processes.inputs import Checked

__all__ = ["data_files", "image_ending", "make_recipe_document", "references", "texts"]

MAGIC = {
    b"II*\0": "tif",
    b"MM\0*": "tif",
    b"II+\0": "tif",
    b"MM\0+": "tif",
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpg",
    b"\0\0\0\x0cjP  \r\n\x87\n": "jp2",
    b"\x89HDF\r\n\x1a\n": "h5",
    b"CDF": "nc",
}
"""How files begin that hold their pixels themselves; others, such as virtual rasters, name files of this machine."""
PLACES = ("crs", "format", "resampling")
"""Options of inputs that name no place."""


def make_recipe_document(
    entry: Entry, checked: Checked, *, output: str, data: str = "", catalog: Catalog | None = None
) -> dict[str, Any]:
    """The recipe to run, for `tilepipe.recipe.make_recipe`; every `${NAME}` in it as it was sent.

    Args:
        entry: the process, not `echo`.
        checked: what `check_request` returned for it.
        output: the folder for the tiles.
        data: the folder in which what `data_files` returns will lie.
        catalog: where the process of a recipe is looked up.
    """
    if entry.kind == "recipe":
        recipe = dict(checked.value("recipe"))
        named = catalog.find(recipe["process"]) if catalog is not None else None
        if named is not None:
            recipe["process"] = named.reference
        return {**recipe, "output": {**recipe["output"], "path": output}}
    assert entry.signature is not None  # noqa: S101 - what is over tiles has one
    ids = argument_ids(entry.signature)
    given = {name: checked.inputs[name][0] for name in checked.inputs}
    start = defaults(entry.signature)
    sections = {name: given[name].value for name in ENGINE if name in given and given[name].value is not None}
    if "area" in sections:
        sections["area"] = area_of(sections["area"])
    for name in start:
        sections[name] = {**start[name], **sections.get(name, {})}
    return {
        "process": entry.reference,
        "parameters": {
            argument.name: given[name].value
            for name, argument in ids.items()
            if argument.kind == "parameter" and name in given
        },
        "inputs": {
            argument.name: _data(name, given[name], data)
            for name, argument in ids.items()
            if argument.kind == "input" and name in given
        },
        **sections,
        "output": {**sections.get("output", {}), "path": output},
    }


def data_files(entry: Entry, checked: Checked) -> dict[str, bytes]:
    """The files that were sent within the request, by their names in the folder *data* of `make_recipe_document`."""
    return {
        _file_name(name, value): base64.b64decode(value.value)
        for name, value in _data_values(entry, checked)
        if isinstance(value.value, str)
    }


def references(document: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each place in a recipe that names data, as the keys to it, and the name; for a fence around what is read.

    Whatever is text below `inputs` is such a name, but for options that are known to name none.
    """
    for name, value in document.get("inputs", {}).items():
        yield from texts(value, "inputs", name, without=PLACES)
    area = document.get("area")
    if isinstance(area, str):
        yield ("area",), area
    elif isinstance(area, dict) and isinstance(area.get("path"), str):
        yield ("area", "path"), area["path"]


def texts(value: Any, *path: str, without: Collection[str] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each text in *value*, which lies at *path*, with its own path, but for what lies below the keys *without*."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in without:
                yield from texts(item, *path, key, without=without)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from texts(item, *path, str(place), without=without)


def image_ending(text: str) -> str | None:
    """The end of the name of a file that is given in base64; None where it holds no image of its own."""
    start = base64.b64decode(text[:64])
    return next((ending for magic, ending in MAGIC.items() if start.startswith(magic)), None)


def _data(name: str, value: Value, folder: str) -> Any:
    """An input as a recipe has it."""
    if value.link is not None:
        return value.link
    if isinstance(value.value, str):
        return f"{folder}/{_file_name(name, value)}"
    return value.value


def _data_values(entry: Entry, checked: Checked) -> Iterator[tuple[str, Value]]:
    for name, argument in argument_ids(entry.signature).items() if entry.signature else ():
        if argument.kind == "input":
            for value in checked.inputs.get(name, ()):
                yield name, value


def _file_name(name: str, value: Value) -> str:
    return f"{name}.{image_ending(value.value)}"
