"""The JSON Schema of a recipe, for editors that complete and check as one types."""

import ast
import inspect
from itertools import pairwise
from textwrap import dedent
from typing import Any

from tilepipe import plugins
from tilepipe.recipe.checks import INPUT, ONE_RASTER
from tilepipe.recipe.geometry import Area, OwnGrid, Section
from tilepipe.recipe.sections import GRIDS, OutputSection, Overviews, PyramidSection, RecipeFile, Zooms

__all__ = ["json_schema"]

Schema = dict[str, Any]

CONDITION = r"^zoom\s*(<=|>=|<|>|=)\s*\d{1,4}$|^zoom\s+\d{1,4}\s*-\s*\d{1,4}$"
LIKE_A_CONDITION = r"^[zZ][oO][oO][mM](\s*[<>=!]|\s+\d)"
ARGUMENT = r"^[^\W\d]\w*$"
PLAIN = {"type": ["string", "number", "boolean", "null"]}
GRID_FORMS = (["like"], ["crs", "bounds", "resolution"], ["crs", "bounds", "shape"])
FOR_FORMATS = {
    "dtype": "Type of the pixels, such as `uint8` or `float32`.",
    "bands": "How many bands there are.",
    "nodata": "The value of pixels without data.",
    "tags": "Texts to store with each file.",
    "options": "Creation options of the format.",
}


def json_schema() -> Schema:
    """A JSON Schema (2020-12) that recipes which load fulfil, and that names the keys, defaults and their meaning.

    What needs more than one value to be judged, such as whether `overviews.below` is among the zooms, is left to
    `load_recipe`.
    """
    schema = RecipeFile.model_json_schema()
    parts, keys = schema["$defs"], schema["properties"]
    _explain(schema, RecipeFile)
    for model in (Area, Overviews, OwnGrid, PyramidSection, Zooms):
        _explain(parts[model.__name__], model)
    parts |= {
        "Value": _value("Value", differs=True),
        "Fixed": _value("Fixed", differs=False),
        "Input": _per_zoom_or(_input(), "Input"),
        "Clamp": _per_zoom_or({"type": "boolean"}, "Clamp"),
        "OutputSection": _output(),
    }
    parts["OwnGrid"]["oneOf"] = [{"required": form, "maxProperties": len(form)} for form in GRID_FORMS]
    parts["Area"]["oneOf"] = [{"required": [key]} for key in parts["Area"]["properties"] if key != "crs"]
    keys["parameters"] |= _arguments("Value")
    keys["inputs"] |= _arguments("Input")
    keys["output"] = _part("OutputSection") | {"description": keys["output"]["description"]}
    name, own = parts["PyramidSection"]["properties"]["grid"].pop("oneOf")
    parts["PyramidSection"]["properties"]["grid"]["anyOf"] = [name | {"enum": list(GRIDS)}, own]
    tidy: Schema = _tidy(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "tilepipe recipe", **tidy}


def _explain(schema: Schema, model: type[Section]) -> None:
    """Give each key the text that stands beneath its field; pydantic would read it at every start of a command."""
    (definition,) = ast.parse(dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 - it is the source of a class
    for field, beneath in pairwise(definition.body):
        match field, beneath:
            case ast.AnnAssign(target=ast.Name(id=key)), ast.Expr(value=ast.Constant(value=str(meaning))):
                if key in schema["properties"]:
                    schema["properties"][key]["description"] = meaning


def _arguments(values: str) -> Schema:
    """A mapping of names to *values*; nothing at all is none."""
    return {
        "type": ["object", "null"],
        "propertyNames": {"pattern": ARGUMENT},
        "additionalProperties": _part(values),
    }


def _part(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _per_zoom(name: str) -> Schema:
    return {
        "type": "object",
        "description": "Differs by zoom: `zoom<=8`, `zoom<8`, `zoom>8`, `zoom>=8`, `zoom=8` or `zoom 9-11`.",
        "minProperties": 1,
        "patternProperties": {CONDITION: _part(name)},
        "additionalProperties": False,
    }


def _per_zoom_or(value: Schema, name: str) -> Schema:
    return {"anyOf": [value, _per_zoom(name)]}


def _value(item: str, *, differs: bool) -> Schema:
    mapping = {
        "type": "object",
        "propertyNames": {"not": {"pattern": LIKE_A_CONDITION}},
        "additionalProperties": _part(item),
    }
    kinds = [PLAIN, {"type": "array", "items": _part(item)}, mapping]
    return {"anyOf": [*kinds, _per_zoom(item)] if differs else kinds}


def _input() -> Schema:
    options = {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"not": {"pattern": LIKE_A_CONDITION}},
        "properties": {
            "format": _per_zoom_or({"enum": list(plugins.names("inputs"))}, "Value")
            | {"description": "Name of an input format.", "default": INPUT}
        },
        "additionalProperties": _part("Value"),
    }
    return {"anyOf": [{"type": "string", "minLength": 1, "description": "A path."}, options]}


def _output() -> Schema:
    section = OutputSection.model_json_schema()
    _explain(section, OutputSection)
    keys = section["properties"]
    keys["format"]["enum"] = list(plugins.names("formats"))
    keys["clamp"] = _part("Clamp") | {key: keys["clamp"][key] for key in ("description", "default")}
    for key, meaning in FOR_FORMATS.items():
        keys[key] = _part("Fixed" if key in ONE_RASTER else "Value") | {"description": meaning}
    return section | {
        "additionalProperties": _part("Value"),
        "propertyNames": {"not": {"pattern": LIKE_A_CONDITION}},
    }


def _tidy(schema: Any) -> Any:
    """Without the titles, which only repeat keys, and with descriptions on one line."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {key: _tidy(item) for key, item in schema.items() if not (key == "title" and isinstance(item, str))}
    if isinstance(schema.get("description"), str):
        tidy["description"] = " ".join(schema["description"].split())
    return tidy
