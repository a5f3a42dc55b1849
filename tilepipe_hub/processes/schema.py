"""JSON Schemas in the few words that OGC API - Processes 1.0 knows: OpenAPI 3.0's, with nothing left to look up.

Pydantic and editors write JSON Schema 2020-12. Readers of process descriptions refuse whatever is not in their list of
words, so each schema is said again in those: a reference becomes what it stands for, a union with null `nullable`, a
constant an enumeration of one. What cannot be said becomes looser, never stricter.
"""

import ast
import inspect
import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from textwrap import dedent
from typing import Any

__all__ = ["WORDS", "Schema", "field_texts", "is_json", "narrowed"]

Schema = dict[str, Any]

NESTED = ("allOf", "anyOf", "oneOf", "not", "items", "properties", "additionalProperties")
PLAIN = (
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "deprecated",
    "description",
    "enum",
    "example",
    "format",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "nullable",
    "pattern",
    "readOnly",
    "uniqueItems",
    "writeOnly",
)
WORDS = frozenset(
    (*NESTED, *PLAIN, "default", "exclusiveMaximum", "exclusiveMinimum", "required", "title", "type"),
)
"""All keys that a schema in a process description may have."""

NULLS: tuple[object, ...] = ({"type": "null"}, {"const": None}, {"enum": [None]})


def narrowed(schema: Mapping[str, Any]) -> Schema:
    """*schema* in WORDS alone, without `$ref`.

    Args:
        schema: JSON Schema 2020-12; its `$ref`s point to its own `$defs`.

    Returns:
        A new schema that every value of the old one fulfils. Where a reference leads back to itself, and where order
        matters within an array, it says less.
    """
    return _narrowed(schema, schema.get("$defs", {}), ())


def field_texts(plugin: type) -> dict[str, str]:
    """What stands beneath each field of a class, on one line; nothing where its source is not at hand."""
    try:
        (definition,) = ast.parse(dedent(inspect.getsource(plugin))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}
    texts = {}
    for field, beneath in pairwise(getattr(definition, "body", ())):
        match field, beneath:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                texts[name] = " ".join(text.split())
    return texts


def is_json(value: object) -> bool:
    """Whether *value* can be written as JSON that every reader takes, which has no NaN."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _narrowed(schema: Any, definitions: Mapping[str, Any], above: tuple[str, ...]) -> Schema:
    if not isinstance(schema, Mapping):
        return {} if schema else {"not": {}}
    if "$ref" in schema:
        name = str(schema["$ref"]).rsplit("/", 1)[-1]
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        if name in above or name not in definitions:
            return {"description": beside["description"]} if "description" in beside else {}
        return _narrowed({**definitions[name], **beside}, definitions, (*above, name))
    out = _plain(schema)

    def below(part: Any) -> Schema:
        return _narrowed(part, definitions, above)

    _add_items(out, schema, below)
    _add_properties(out, schema, below)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            out = _with_choice(out, key, [below(part) for part in schema[key] if part not in NULLS])
            if any(part in NULLS for part in schema[key]):
                out["nullable"] = True
    if "allOf" in schema:
        out["allOf"] = [below(part) for part in schema["allOf"]]
    if "not" in schema:
        out["not"] = below(schema["not"])
    return out


def _plain(schema: Mapping[str, Any]) -> Schema:
    """What is said of a value without a word about others."""
    out: Schema = {key: schema[key] for key in PLAIN if key in schema and is_json(schema[key])}
    if "const" in schema:
        out["enum"] = [schema["const"]]
    if None in out.get("enum", ()):
        out["nullable"] = True
    if isinstance(examples := schema.get("examples"), list) and examples and is_json(examples[0]):
        out["example"] = examples[0]
    if schema.get("default") is not None and is_json(schema["default"]):
        out["default"] = schema["default"]
    _add_bounds(out, schema)
    _add_type(out, schema.get("type"))
    return out


def _with_choice(out: Schema, key: str, parts: Sequence[Schema]) -> Schema:
    """*out*, and one of *parts*; a single one becomes part of it."""
    different = [part for place, part in enumerate(parts) if part not in parts[:place]]
    if len(different) == 1:
        return {**different[0], **out}
    if not different or {} in different:
        return out
    # A key may be in use already where several types were said at once.
    return {**out, "allOf": [{key: different}]} if key in out else {**out, key: different}


def _add_bounds(out: Schema, schema: Mapping[str, Any]) -> None:
    for key, exclusive, stricter in (
        ("minimum", "exclusiveMinimum", max),
        ("maximum", "exclusiveMaximum", min),
    ):
        bound = schema.get(exclusive)
        if isinstance(bound, bool):
            out[exclusive] = bound
        elif isinstance(bound, int | float) and math.isfinite(bound) and stricter(out.get(key, bound), bound) == bound:
            out |= {key: bound, exclusive: True}


def _add_type(out: Schema, kind: Any) -> None:
    kinds = [kind] if isinstance(kind, str) else list(kind or ())
    named = [name for name in kinds if name != "null"]
    if len(named) < len(kinds):
        out["nullable"] = True
        if not named:
            out["enum"] = [None]
    if len(named) == 1:
        out["type"] = named[0]
    elif named:
        out["anyOf"] = [{"type": name} for name in named]


def _add_items(out: Schema, schema: Mapping[str, Any], below: Any) -> None:
    if "prefixItems" in schema:
        first = [below(part) for part in schema["prefixItems"]]
        out["items"] = _with_choice({}, "anyOf", first)
        out.setdefault("minItems", len(first))
        if schema.get("items", True) is False:
            out.setdefault("maxItems", len(first))
    elif "items" in schema:
        out["items"] = below(schema["items"])
    elif out.get("type") == "array":
        out["items"] = {}


def _add_properties(out: Schema, schema: Mapping[str, Any], below: Any) -> None:
    if "properties" in schema:
        out["properties"] = {name: below(part) for name, part in schema["properties"].items()}
    if schema.get("required"):
        out["required"] = list(schema["required"])
    rest = schema.get("additionalProperties")
    if isinstance(rest, bool):
        out["additionalProperties"] = rest
    elif rest is not None:
        out["additionalProperties"] = below(rest)
    if "patternProperties" in schema:
        # Which keys the patterns mean cannot be said; any key may then have any of the values.
        patterns = [below(part) for part in schema["patternProperties"].values()]
        parts = patterns if rest is False else [*patterns, out.get("additionalProperties", {})]
        out["additionalProperties"] = _with_choice({}, "anyOf", [part for part in parts if part is not True])
        if True in parts:
            out["additionalProperties"] = True
