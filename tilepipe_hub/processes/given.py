"""One value of an execute request: in which of the forms it was given, and whether it is what an input takes."""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tilepipe.recipe.values import shown
from tilepipe_hub.processes.values import Problem, mistakes, pointed

__all__ = ["DATA", "Fetched", "Link", "Value", "alternatives", "checked_value", "given_value", "is_binary"]
__all__ += ["media_types", "wants_content"]

ENCODINGS = {"base64", "binary", "utf-8", "utf8", "7bit", "8bit"}
DATA = "give a link {href: ...} to an absolute path or an address that the service may read, or the file in base64"
FREE = {"application/json", "text/plain"}
"""Media types that values have where a description names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One value of an input, without what it was wrapped in."""

    value: Any = None
    """As JSON has it; base64 where the input takes bytes; nothing where there is a link."""
    media_type: str | None = None
    """Where the request, or the description, says one."""
    link: str | None = None
    """Where the data is, if it was not given itself and is for the process to open."""
    pointer: str
    """Where the value stands in the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Something the request points to."""

    href: str
    media_type: str | None
    pointer: str
    """Where the value stands in the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a link led to."""

    content: bytes
    media_type: str | None = None


def given_value(raw: Any, pointer: str) -> Value | Problem:
    """*raw* without what it is wrapped in: a link, a qualified value, or itself.

    An object that has `href` is a link, one that has `value` is qualified; every other object is taken for the value.
    """
    if not isinstance(raw, dict) or not raw.keys() & {"href", "value"}:
        return Value(value=raw, pointer=pointer)
    media_type, wrong = _said(raw)
    if wrong is not None:
        return Problem(pointer, wrong)
    if "value" in raw:
        return Value(value=raw["value"], media_type=media_type, pointer=pointed(pointer, "value"))
    if not isinstance(raw["href"], str) or not raw["href"].strip():
        return Problem(pointed(pointer, "href"), f"is {shown(raw['href'])}; it takes the address of the data")
    return Value(link=raw["href"], media_type=media_type, pointer=pointer)


def _said(raw: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The media type that a link or a qualified value has, and what is wrong with what it is wrapped in."""
    form = raw.get("format")
    around = {**form, **raw} if isinstance(form, dict) else raw
    media_type = around.get("mediaType", around.get("type"))
    encoding = around.get("encoding", "binary")
    if "href" in raw and "value" in raw:
        return None, "has both href and value; keep one"
    if media_type is not None and not isinstance(media_type, str):
        return None, f"has the media type {shown(media_type)}; write text such as application/json"
    if not isinstance(encoding, str) or encoding.lower() not in ENCODINGS:
        return None, f"has the encoding {shown(encoding, kinds=False)}; binary data is given in base64"
    return media_type, None


def wants_content(value: Value, schema: Mapping[str, Any]) -> bool:
    """Whether *value* is a link whose content has to be looked at, because it is no file that a process opens."""
    return value.link is not None and not any(is_binary(part) for part in _meant(value, schema))


def media_types(schema: Mapping[str, Any]) -> list[str]:
    """Those that a schema names, in its order."""
    named = (part.get("contentMediaType") for part in alternatives(schema))
    return list(dict.fromkeys(name for name in named if name))


def checked_value(
    value: Value, schema: Mapping[str, Any], fetched: Mapping[str, Fetched | str]
) -> tuple[Value, list[Problem]]:
    """*value* as a process gets it, and what is wrong with it.

    Args:
        value: as given.
        schema: of the input.
        fetched: for the pointers of links, what they led to, or why nothing could be had.
    """
    meant = _meant(value, schema)
    if not meant:
        known = media_types(schema) or sorted(FREE)
        return value, [Problem(value.pointer, f"has the media type {value.media_type}; it takes {', '.join(known)}")]
    if wants_content(value, schema):
        content = fetched.get(value.pointer, "it was not fetched")
        if isinstance(content, str):
            return value, [Problem(value.pointer, f"the link cannot be followed: {content}")]
        try:
            value = replace(value, link=None, value=_decoded(content, value, meant))
        except ValueError as error:
            return value, [Problem(value.pointer, f"the link leads to what is no value of this input: {error}")]
    if value.link is not None:
        return value, []
    forms = [{key: item for key, item in part.items() if key != "contentMediaType"} for part in meant]
    forms = [form for place, form in enumerate(forms) if form not in forms[:place]]
    choice = "anyOf" if "anyOf" in schema else "oneOf"
    form = forms[0] if len(forms) == 1 else {choice: forms, "nullable": schema.get("nullable", False)}
    problems = list(mistakes(value.value, form, value.pointer))
    if not problems:
        problems = list(_binary_mistakes(value, forms))
    if isinstance(value.value, float) and value.value.is_integer() and schema.get("type") == "integer":
        value = replace(value, value=int(value.value))
    return value, problems


def alternatives(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The forms a value may have."""
    parts: list[Mapping[str, Any]] = schema.get("oneOf") or schema.get("anyOf") or []
    # Null is said beside the choice, so each part has to say it too.
    nullable = {"nullable": True} if schema.get("nullable") else {}
    beside = schema.keys() - {"oneOf", "anyOf", "description", "default", "nullable", "title"}
    return [{**part, **nullable} for part in parts] if parts and not beside else [schema]


def _meant(value: Value, schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The forms that have the value's media type; all of them where it says none."""
    parts = alternatives(schema)
    if value.media_type is None:
        return parts
    asked = _plain_type(value.media_type)
    named = [part for part in parts if _plain_type(part.get("contentMediaType", "")) == asked]
    if named:
        return named
    return [part for part in parts if _takes(part, asked)]


def _takes(part: Mapping[str, Any], media_type: str) -> bool:
    """Whether a form without the media type may have it: its kind of JSON, or any where none is said."""
    known = _plain_type(part.get("contentMediaType", ""))
    if not known and part.get("type") == "object":
        return media_type == "application/json" or media_type.endswith("+json")
    if not known:
        return media_type in FREE
    return known.endswith("+json") and media_type == "application/json"


def _plain_type(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def is_binary(part: Mapping[str, Any]) -> bool:
    """Whether a form of a value is a file."""
    return part.get("contentEncoding") in {"binary", "base64"} or part.get("format") in {"byte", "binary"}


def _decoded(content: Fetched, value: Value, meant: list[Mapping[str, Any]]) -> Any:
    """The value that a file holds: its text where text is wanted, else JSON."""
    text = content.content.decode("utf-8-sig")
    said = _plain_type(value.media_type or content.media_type or "")
    if said == "text/plain" and any(part.get("type") == "string" for part in meant):
        return text
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("JSON of too many levels") from error
    except ValueError:
        if any(part.get("type") == "string" for part in meant):
            return text
        raise


def _binary_mistakes(value: Value, forms: list[dict[str, Any]]) -> Iterator[Problem]:
    text = value.value
    if not isinstance(text, str) or not any(is_binary(form) for form in forms):
        return
    if any(form.get("type") == "string" and not is_binary(form) for form in forms):
        return
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        yield Problem(value.pointer, f"is {shown(text)}, which is no base64; {DATA}")
