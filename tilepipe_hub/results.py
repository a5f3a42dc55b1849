"""In which shape results are given back: within a document, or as they are; as values, or as links to them.

Results are what `tilepipe_hub.work` says; what was asked for is `Work.asked`.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["LARGE_BYTES", "Part", "Reader", "Result", "as_document", "as_link", "as_part", "chosen", "is_reference"]

Result = Mapping[str, Any]

LARGE_BYTES = 1_000_000
"""Of a file that goes as a link where the request leaves it to the service."""

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """How files and links of one job are had."""

    read: Callable[[str], bytes]
    size: Callable[[str], int]
    base: str
    """Address of the job, without a slash at its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One output as it is."""

    content: bytes
    media_type: str


def chosen(results: Mapping[str, Result], asked: Mapping[str, Any]) -> dict[str, Result]:
    """The results that were asked for and are there, in the order of asking."""
    return {name: results[name] for name in asked if name in results}


def is_reference(result: Result, transmission: str | None, reader: Reader) -> bool:
    """Whether a result goes as a link."""
    if "href" in result:
        return True
    if transmission is None and "file" in result:
        return reader.size(result["file"]) > LARGE_BYTES
    return transmission == "reference"


def as_link(name: str, result: Result, reader: Reader) -> dict[str, str]:
    """The link to a result: to its file, or to the value itself."""
    if "href" in result:
        return {key: result[key] for key in ("href", "type") if result.get(key)}
    media_type = result.get("mediaType") or _plain_type(result.get("value"))
    if "file" in result:
        return {"href": f"{reader.base}/output/{result['file']}", "type": media_type}
    return {"href": f"{reader.base}/results/{name}", "type": media_type}


def as_document(
    results: Mapping[str, Result], asked: Mapping[str, Mapping[str, str | None]], reader: Reader
) -> dict[str, Any]:
    """The results document: for each output its value, a qualified value, or a link."""
    return {
        name: as_link(name, result, reader)
        if is_reference(result, asked[name].get("transmission"), reader)
        else _within(result, reader)
        for name, result in chosen(results, asked).items()
    }


def as_part(result: Result, reader: Reader) -> Part:
    """A result that is no link elsewhere, as bytes."""
    media_type = result.get("mediaType")
    if "file" in result:
        return Part(content=reader.read(result["file"]), media_type=media_type or "application/octet-stream")
    value = result["value"]
    if isinstance(value, str):
        if media_type and is_binary(media_type):
            return Part(content=base64.b64decode(value), media_type=media_type)
        return Part(content=value.encode(), media_type=media_type or TEXT)
    return Part(content=json.dumps(value).encode(), media_type=media_type or JSON)


def is_binary(media_type: str) -> bool:
    """Whether what is of this type is no text."""
    kind = media_type.partition(";")[0].strip().lower()
    return not (kind.startswith("text/") or kind.endswith(("json", "xml")) or kind == "application/x-yaml")


def _within(result: Result, reader: Reader) -> Any:
    media_type = result.get("mediaType")
    if "file" in result:
        part = as_part(result, reader)
        kind = part.media_type.partition(";")[0]
        if kind.endswith("json"):
            return {"value": json.loads(part.content), "mediaType": part.media_type}
        if is_binary(kind):
            content = base64.b64encode(part.content).decode()
            return {"value": content, "mediaType": part.media_type, "encoding": "base64"}
        return {"value": part.content.decode("utf-8", "replace"), "mediaType": part.media_type}
    value = result["value"]
    if isinstance(value, Mapping):
        # A bounding box may stand as it is; every other object has to say what it is.
        return value if "bbox" in value and "type" not in value else {"value": value, "mediaType": media_type or JSON}
    if isinstance(value, str) and media_type and media_type != "text/plain":
        encoded = {"encoding": "base64"} if is_binary(media_type) else {}
        return {"value": value, "mediaType": media_type, **encoded}
    return value


def _plain_type(value: Any) -> str:
    return "text/plain" if isinstance(value, str) else JSON
