"""How a process is described to people on a terminal: what it takes and gives, and how a request may begin."""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from tilepipe_hub.client.records import Process
from tilepipe_hub.client.telling import table_of

__all__ = ["alternatives", "description_of", "is_file"]

LONGEST = 160
"""Letters of what is said of one input."""


def description_of(process: Process) -> str:
    """A process in some lines: its texts, its inputs and outputs, and an example."""
    parts = ["\n".join(filter(None, [f"{process.id}  {process.title}", process.description]))]
    for words, described in (("inputs", process.inputs), ("outputs", process.outputs)):
        rows = [row for name, item in described.items() for row in _rows(name, _mapping(item), given=words == "inputs")]
        if rows:
            parts.append(f"{words}\n{table_of(rows)}")
    if process.inputs:
        parts.append(f"example\n  {_example(process)}")
    return "\n\n".join(parts)


def alternatives(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The forms that a value may have."""
    parts = schema.get("oneOf") or schema.get("anyOf")
    return [part for part in _list(parts) if isinstance(part, dict)] or [schema]


def is_file(schema: Mapping[str, Any]) -> bool:
    """Whether text for this input is a file in base64, as no form of it is plain text."""
    texts = [part for part in alternatives(schema) if part.get("type") == "string"]
    return bool(texts) and all(part.get("contentEncoding") in {"binary", "base64"} for part in texts)


def _rows(name: str, about: Mapping[str, Any], *, given: bool) -> Iterator[tuple[str, ...]]:
    """An input or output, and below it the fields it has where it is an object."""
    schema = _mapping(about.get("schema"))
    text = about.get("description") or about.get("title") or schema.get("description")
    need = "required" if given and about.get("minOccurs", 1) else _default(schema)
    several = ", may be repeated" if given and about.get("maxOccurs", 1) != 1 else ""
    yield f"  {name}", f"{_kind(schema)}{several}", need, _told(text, schema)
    objects = [part for part in alternatives(schema) if isinstance(part.get("properties"), dict)]
    if not given or is_file(schema) or len(objects) != 1:
        return
    for key, field in objects[0]["properties"].items():
        part = _mapping(field)
        need = "required" if key in objects[0].get("required", ()) else _default(part)
        yield f"    {name}.{key}", _kind(part), need, _told(part.get("description"), part)


def _kind(schema: Mapping[str, Any]) -> str:
    if is_file(schema):
        return "file"
    kinds = [_plain_kind(part) for part in ([schema] if "type" in schema else alternatives(schema))]
    return " or ".join(dict.fromkeys(filter(None, kinds)))


def _plain_kind(schema: Mapping[str, Any]) -> str:
    kind, form = str(schema.get("type", "")), schema.get("format")
    if kind == "object" and isinstance(form, str):
        return form
    if kind == "array":
        inner = _mapping(schema.get("items")).get("type")
        return f"list of {inner}" if inner else "list"
    return " ".join(filter(None, [kind, _range(schema)]))


def _range(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    above = "above" if schema.get("exclusiveMinimum") is True else "from"
    below = "below" if schema.get("exclusiveMaximum") is True else "to"
    bounds = [f"{above} {least:g}" if _is_number(least) else "", f"{below} {most:g}" if _is_number(most) else ""]
    return " ".join(filter(None, bounds))


def _default(schema: Mapping[str, Any]) -> str:
    if "default" not in schema:
        return ""
    text = json.dumps(schema["default"])
    return f"default {text}" if len(text) <= 40 else ""


def _told(text: Any, schema: Mapping[str, Any]) -> str:
    """What is said of a value, on one line, with the words it may be where they are not said."""
    said = " ".join(str(text or "").split())
    choices = [str(item) for part in alternatives(schema) for item in _list(part.get("enum"))]
    missing = any(choice not in said for choice in choices)
    words = f"one of {', '.join(dict.fromkeys(choices))}" if missing else ""
    if words and len(said) <= LONGEST:
        said = said.rstrip(".")
    said = said if len(said) <= LONGEST else f"{said[:LONGEST]} ..."
    return f"{said}: {words}" if said and words else said or words


def _example(process: Process) -> str:
    words = ["tilepipe hub submit", shlex.quote(process.id)]
    for name, item in process.inputs.items():
        about = _mapping(item)
        if about.get("minOccurs", 1):
            words += ["-i", shlex.quote(f"{name}={_word(_mapping(about.get('schema')))}")]
    return " ".join(words)


def _word(schema: Mapping[str, Any]) -> str:
    if is_file(schema):
        return "/data/file.tif"
    if "example" in schema or "default" in schema:
        found = schema.get("example", schema.get("default"))
        return found if isinstance(found, str) else json.dumps(found)
    choices = _list(schema.get("enum"))
    return str(choices[0]) if choices else str(schema.get("type", "value")).upper()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
