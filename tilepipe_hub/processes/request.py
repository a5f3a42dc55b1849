"""Whether a request may be run as it is: judged by the description, by the engine's own rules, and by who sends it."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tilepipe.errors import nearest
from tilepipe.recipe.checks import problems as recipe_problems
from tilepipe.recipe.values import shown
from tilepipe_hub.processes.catalog import Catalog, Entry
from tilepipe_hub.processes.describe import EXAMPLES, RECIPE_KEYS, argument_ids, describe
from tilepipe_hub.processes.document import image_ending, make_recipe_document, texts
from tilepipe_hub.processes.engine import area_of
from tilepipe_hub.processes.given import Fetched, Value
from tilepipe_hub.processes.inputs import LIMITS, Checked, check_inputs
from tilepipe_hub.processes.limits import Limits
from tilepipe_hub.processes.signature import Argument, Signature
from tilepipe_hub.processes.values import Problem, pointed

__all__ = ["check_request", "place_of"]

NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""What stands for a secret in a recipe; it is filled in on a worker, never here."""

CODE = re.compile(r"[\n;()]|\bimport\b")


def check_request(
    entry: Entry,
    request: Any,
    *,
    catalog: Catalog,
    description: Mapping[str, Any] | None = None,
    limits: Limits = LIMITS,
    fetched: Mapping[str, Fetched | str] | None = None,
    secrets: Collection[str] = (),
    may_deploy: bool = False,
) -> Checked | list[Problem]:
    """What *request* asks of a process of the catalog, or all that is wrong with it.

    Beside what `check_inputs` does, values are judged as the engine will, and the recipe that comes of them is checked.

    Args:
        entry: the process.
        request: the body of the request, as read from JSON.
        catalog: where the process of a recipe is looked up.
        description: of the process; None: it is made here.
        limits: beyond these nothing is looked at.
        fetched: as for `check_inputs`.
        secrets: the names that may stand as `${NAME}` in what is sent: a worker fills in what they mean, so any other
            one would let the sender read the worker's environment.
        may_deploy: whether the sender may run code of their own, which is what a recipe can name.
    """
    checked = check_inputs(description or describe(entry), request, limits=limits, fetched=fetched)
    if isinstance(checked, list):
        return _in_recipe_words(checked, request, catalog) if entry.kind == "recipe" else checked
    if entry.kind == "echo":
        return checked
    wrong = list(_secret_problems(checked, secrets))
    if entry.kind == "recipe":
        wrong += _whole_recipe_problems(checked, catalog, may_deploy=may_deploy)
    else:
        assert entry.signature is not None  # noqa: S101 - what is over tiles has one
        wrong += _value_problems(entry.signature, checked)
    if not wrong:
        document = make_recipe_document(entry, checked, output="output", data="data", catalog=catalog)
        wrong = [Problem(place_of(entry, checked, path), message) for path, message in recipe_problems(document)]
    return list(dict.fromkeys(wrong)) or checked


def _secret_problems(checked: Checked, secrets: Collection[str]) -> Iterator[Problem]:
    for values in checked.inputs.values():
        for value in values:
            for path, text in texts(value.value if value.link is None else value.link):
                for name in NAME.findall(text):
                    if name not in secrets:
                        offered = f"those offered here are {', '.join(sorted(secrets)) or 'none'}"
                        yield Problem(pointed(value.pointer, *path), f"names the secret ${{{name}}}; {offered}")


def _value_problems(signature: Signature, checked: Checked) -> Iterator[Problem]:
    """What the engine would not take, and the schemas cannot say."""
    for name, argument in argument_ids(signature).items():
        for value in checked.inputs.get(name, ()):
            if argument.kind == "parameter" and (reason := argument.misfit(value.value)) is not None:
                yield Problem(value.pointer, f"is not what the process takes; it {reason}")
            elif argument.kind == "input" and isinstance(value.value, str) and image_ending(value.value) is None:
                yield Problem(
                    value.pointer,
                    "is no image that can come within a request; give a link {href: ..., type: ...}, or a TIFF, PNG, "
                    "JPEG, JPEG 2000, HDF5 or netCDF file in base64",
                )
    for value in checked.inputs.get("area", ()):
        try:
            area_of(value.value)
        except ValueError as error:
            yield Problem(value.pointer, str(error))


def _whole_recipe_problems(checked: Checked, catalog: Catalog, *, may_deploy: bool) -> Iterator[Problem]:
    value = checked.inputs["recipe"][0]
    recipe = value.value
    yield from _format_problems(recipe.get("inputs") or {}, pointed(value.pointer, "inputs"))
    name, pointer = recipe["process"], pointed(value.pointer, "process")
    known = {entry.id: entry for entry in catalog.entries() if entry.kind == "tiles"}
    if name in known:
        yield from _argument_problems(known[name], value)
    elif CODE.search(name):
        yield Problem(pointer, "is Python code; deploy it as a process, then give its id")
    elif not may_deploy:
        kind = "a path" if "/" in name or "\\" in name or name.endswith(".py") else "no process of this service"
        yield Problem(pointer, f"is {kind}; give the id of a process: {nearest(name, known)}")


def _format_problems(value: Any, pointer: str) -> Iterator[Problem]:
    """Formats of inputs that are no names, at any zoom; the recipe's checks look them up as they are."""
    for key, item in value.items() if isinstance(value, dict) else ():
        if key == "format" and not isinstance(item, str | dict):
            yield Problem(pointed(pointer, key), f"is {shown(item)}; it takes the name of an input format")
        yield from _format_problems(item, pointed(pointer, key))


def _argument_problems(entry: Entry, value: Value) -> Iterator[Problem]:
    """Names that the function of a recipe does not take, and those that it lacks."""
    assert entry.signature is not None  # noqa: S101 - what is over tiles has one
    arguments: dict[str, Argument] = {item.name: item for item in entry.signature.arguments}
    given: set[str] = set()
    for section in ("inputs", "parameters"):
        names = value.value.get(section) or {}
        given |= names.keys() if isinstance(names, dict) else set()
        for name in names:
            if name not in arguments and not entry.signature.is_open:
                place = pointed(value.pointer, section, name)
                yield Problem(place, f"process {entry.id} takes no such argument; {nearest(name, arguments)}")
    for name, argument in arguments.items():
        if argument.required and name not in given:
            section = "inputs" if argument.kind == "input" else "parameters"
            yield Problem(pointed(value.pointer, section, name), f"is missing; process {entry.id} needs it")


def _in_recipe_words(found: list[Problem], request: Any, catalog: Catalog) -> list[Problem]:
    """The mistakes within a recipe as the recipe's own checks tell them, which name the choices better."""
    pointer = "/inputs/recipe"
    if not all(item.pointer.startswith(f"{pointer}/") for item in found):
        return found
    raw = request["inputs"]["recipe"]
    if isinstance(raw, dict) and "value" in raw:
        raw, pointer = raw["value"], f"{pointer}/value"
    # Pydantic's own words for places start with <, so a key that does has no place there.
    if not isinstance(raw, dict) or "href" in raw or any(key.startswith("<") for key in raw):
        return found
    if any(_format_problems(raw.get("inputs"), "")):
        return found
    own = {(key,): message for key, message in _hub_problems(raw, catalog)}
    document = {key: value for key, value in raw.items() if key in RECIPE_KEYS}
    output = raw.get("output", {})
    document["output"] = {**output, "path": "output"} if isinstance(output, dict) else output
    told = [(path, message) for path, message in recipe_problems(document) if path not in own]
    return [
        Problem(pointed(pointer, *path), message) for path, message in dict.fromkeys([*told, *own.items()])
    ] or found


def _hub_problems(recipe: Mapping[str, Any], catalog: Catalog) -> Iterator[tuple[str, str]]:
    """Keys of a recipe of which the service has rules of its own, and what is wrong with them."""
    for key in recipe:
        if key == "cluster":
            yield key, "is for the service to say; leave it out"
        elif key not in RECIPE_KEYS:
            yield key, f"unknown key; {nearest(key, RECIPE_KEYS)}"
    if "process" not in recipe:
        names = sorted(entry.id for entry in catalog.entries() if entry.kind == "tiles")
        yield "process", f"is missing; give the id of a process of this service: {', '.join(names)}"
    if "output" not in recipe:
        yield "output", f"is missing; write, for example, {json.dumps(EXAMPLES['output'])}"


def place_of(entry: Entry, checked: Checked, path: tuple[str, ...]) -> str:
    """Where in the request stands what is at *path* in the recipe that is made of it; a pointer."""
    if entry.kind == "recipe":
        return pointed(checked.inputs["recipe"][0].pointer, *path)
    assert entry.signature is not None  # noqa: S101 - what is over tiles has one
    section, *rest = path or ("",)
    if section in {"inputs", "parameters"} and rest:
        name, *rest = rest
        section = next((key for key, item in argument_ids(entry.signature).items() if item.name == name), name)
    if section == "area" and rest[:1] == ["geojson"]:
        # A request has GeoJSON as it is, see `area_of`.
        rest = rest[1:]
    values = checked.inputs.get(section, ())
    return pointed(values[0].pointer if values else pointed("/inputs", section), *rest)
