"""A process as clients see it: the process description of OGC API - Processes 1.0."""

from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import metadata
from typing import Any

from tilepipe.recipe import json_schema
from tilepipe_hub.processes import echo
from tilepipe_hub.processes.catalog import Entry
from tilepipe_hub.processes.engine import BUFFER_PX, ENGINE, data_schema, engine_schemas
from tilepipe_hub.processes.outputs import TILE_OUTPUTS
from tilepipe_hub.processes.schema import Schema, narrowed
from tilepipe_hub.processes.signature import Argument, Signature

__all__ = ["EXAMPLES", "RECIPE_KEYS", "argument_ids", "defaults", "describe", "summary"]

CONTROL = ("sync-execute", "async-execute", "dismiss")
TRANSMISSION = ("value", "reference")
EXECUTE = "http://www.opengis.net/def/rel/ogc/1.0/execute"
PROFILE = "https://www.opengis.net/def/profile/OGC/0/ogc-process-description"
RECIPE_KEYS = ("process", "parameters", "inputs", "pyramid", "zooms", "area", "overviews", "output")
"""Sections of a recipe that a request may have."""
KEPT = 256
"""Of how many processes inputs and outputs are kept once they are described."""
EXAMPLES: Mapping[str, Any] = {
    "zooms": {"min": 6, "max": 9},
    # Loses nothing of any data and may be changed; whole numbers cannot be had without nodata.
    "output": {"dtype": "float32", "nodata": -9999},
}
"""What to begin with where a request has to say it, by the input of the engine."""
RECIPE: Mapping[str, Any] = {
    "process": "hillshade",
    "inputs": {"dem": "/data/dem.tif"},
    "pyramid": {"grid": "WebMercatorQuad"},
    **EXAMPLES,
}
TITLES = {
    "zooms": "Zooms",
    "area": "Area",
    "pyramid": "Pyramid",
    "overviews": "Overviews",
    "output": "Output",
}


def summary(entry: Entry, *, base_url: str = "") -> dict[str, Any]:
    """A process as the list of processes has it.

    Args:
        entry: which.
        base_url: the service's address without a slash at its end; links start with it.
    """
    here = f"{base_url}/processes/{entry.id}"
    return {
        "id": entry.id,
        **_about(entry),
        "jobControlOptions": list(CONTROL),
        "outputTransmission": list(TRANSMISSION),
        "mutable": entry.mutable,
        "links": [
            {"rel": "self", "href": f"{here}?f=json", "type": "application/json", "title": "Process description"},
            {"rel": "alternate", "href": f"{here}?f=html", "type": "text/html", "title": "Process description"},
            {"rel": EXECUTE, "href": f"{here}/execution", "type": "application/json", "title": "Execution"},
            {"rel": "profile", "href": PROFILE},
        ],
    }


def describe(entry: Entry, *, base_url: str = "") -> dict[str, Any]:
    """The whole description of a process, as plain JSON to be read, not changed; arguments as for `summary`."""
    return {**summary(entry, base_url=base_url), **_forms(entry)}


def argument_ids(signature: Signature) -> dict[str, Argument]:
    """The arguments of a function by the id that requests know them by, which is their name.

    Where the engine has an input of that name, `process_` stands before it.
    """
    return {
        f"process_{argument.name}" if argument.name in ENGINE else argument.name: argument
        for argument in signature.arguments
    }


def defaults(signature: Signature) -> dict[str, dict[str, Any]]:
    """What the sections pyramid, overviews and output are before a request says anything.

    Without a word of the process: the pixel grid of its first input, so that nothing is resampled.
    """
    data = next((item.name for item in signature.arguments if item.kind == "input" and item.required), None)
    grid = {"like": data} if data is not None else "WebMercatorQuad"
    said = {name: dict(values) for name, values in signature.recipe.items()}
    return {**said, "pyramid": {"grid": grid, "pixelbuffer": BUFFER_PX, **said.get("pyramid", {})}}


def _about(entry: Entry) -> dict[str, Any]:
    if entry.kind == "echo":
        return echo.ABOUT
    if entry.kind == "recipe":
        return {
            "version": metadata.version("tilepipe"),
            "title": "Run a recipe",
            "description": "Runs a whole recipe, given as JSON. Its process is the id of one of this service's "
            "processes; where its tiles lie is for the service to say, so output.path counts for nothing.",
            "keywords": ["recipe", "tiles", "raster"],
        }
    assert entry.signature is not None  # noqa: S101 - what is over tiles has one
    said = entry.signature
    about = {"version": said.version, "title": said.title, "keywords": [*said.keywords, "tiles", "raster"]}
    return {**about, "description": said.text} if said.text else about


@lru_cache(maxsize=KEPT)
def _forms(entry: Entry) -> Mapping[str, Any]:
    """What goes in and what comes out, which every request is judged by."""
    return {"inputs": _inputs(entry), "outputs": _outputs(entry)}


def _inputs(entry: Entry) -> dict[str, Any]:
    if entry.kind == "echo":
        return echo.INPUTS
    if entry.kind == "recipe":
        about = "A recipe, as the file has it."
        return {"recipe": _input("Recipe", _recipe_schema(), required=True, text=about)}
    assert entry.signature is not None  # noqa: S101 - what is over tiles has one
    arguments = {name: _argument(item) for name, item in argument_ids(entry.signature).items()}
    return {**arguments, **_engine_inputs(entry.signature)}


def _outputs(entry: Entry) -> dict[str, Any]:
    return echo.OUTPUTS if entry.kind == "echo" else TILE_OUTPUTS


def _argument(argument: Argument) -> dict[str, Any]:
    title = argument.name.replace("_", " ")
    if argument.kind == "parameter":
        return _input(title, argument.schema, required=argument.required, text=argument.text)
    return _input(title, data_schema(), required=argument.required, text=argument.text)


def _input(title: str, schema: Schema, *, required: bool, text: str) -> dict[str, Any]:
    about = {"title": title, "minOccurs": int(required), "maxOccurs": 1, "schema": schema}
    return {**about, "description": text} if text else about


def _engine_inputs(signature: Signature) -> dict[str, Any]:
    start = defaults(signature)
    found = {}
    for name, schema in engine_schemas().items():
        said = start.get(name, {})
        own = dict(schema)
        text = own.pop("description", "")
        if said and "properties" in own:
            own["properties"] = {
                key: {**part, "default": said[key]} if key in said else part for key, part in own["properties"].items()
            }
            own["required"] = [key for key in own.get("required", ()) if key not in said]
            if not own["required"]:
                del own["required"]
        required = _is_required(name, start)
        if required:
            own["example"] = {**EXAMPLES[name], **said}
        found[name] = _input(TITLES[name], own, required=required, text=text)
    return found


def _is_required(name: str, start: Mapping[str, Any]) -> bool:
    """Whether a job cannot be told without it."""
    if name == "output":
        return "dtype" not in start.get("output", {})
    grid = start["pyramid"]["grid"]
    return name == "zooms" and (isinstance(grid, str) or "shape" in grid)


@cache
def _recipe_schema() -> Schema:
    schema = narrowed(json_schema())
    schema.pop("description", None)
    schema["properties"] = {key: part for key, part in schema["properties"].items() if key in RECIPE_KEYS}
    schema["properties"]["process"] = {"type": "string", "description": "Id of a process of this service."}
    output = dict(schema["properties"]["output"])
    output["required"] = [key for key in output.get("required", ()) if key != "path"]
    schema["properties"]["output"] = {key: part for key, part in output.items() if part != []}
    return {**schema, "contentMediaType": "application/json", "example": dict(RECIPE)}
