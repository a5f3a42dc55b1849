"""What came of a job: how each form of answer is read, and under which name a value is kept."""

import json
import mimetypes
import os
import re
from collections.abc import Iterable, Mapping
from email import message_from_bytes
from email.message import Message
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from tilepipe_hub.client.records import Value, value_of

__all__ = ["file_name", "plain_bytes", "values_in"]

LINK = re.compile(r"<([^>]*)>([^<]*)")
"""An address in a Link header, and what is said of it up to the next one."""
MARK = re.compile(r';\s*(\w+)\*?=\s*(?:"([^"]*)"|([^\s;,"]+))')
ENDINGS = {
    "application/geo+json": ".geojson",
    "application/xml": ".xml",
    "application/x-vrt": ".vrt",
    "image/tiff": ".tif",
}
NAVIGATION = frozenset({"monitor", "self", "alternate", "up", "profile", "service-desc", "service-doc"})
"""Links of an answer that are no outputs."""


def values_in(response: httpx.Response, *, raw: bool = False) -> dict[str, Value]:
    """The outputs in an answer, by their ids, in the order they came.

    Args:
        response: read; of an execution, or of a job's results.
        raw: take a JSON body as one value; otherwise a JSON object holds a value for each output.
    """
    base = str(response.url)
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind.startswith("multipart/"):
        found = _parts(response.headers["Content-Type"], response.content, base)
    elif response.status_code == 204 or (not response.content and "Link" in response.headers):
        found = _linked(response.headers.get_list("Link"), base)
    elif _is_json(kind):
        found = _document(response.json(), base, raw=raw, kind=kind)
    else:
        found = [Value(id="", data=response.content, media_type=kind or None)]
    return _by_id(found)


def file_name(value: Value) -> str:
    """A name for a file, which leads into no other folder whatever the server calls its outputs."""
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", value.id).strip("._")[:80] or "result"
    if value.href is not None:
        ending = os.path.splitext(urlsplit(value.href).path)[1]
        ending = ending if re.fullmatch(r"\.[A-Za-z0-9]{1,8}", ending) else _ending(value.media_type)
    elif isinstance(value.data, bytes):
        ending = _ending(value.media_type)
    elif isinstance(value.data, str):
        ending = _ending(value.media_type or "text/plain")
    else:
        ending = _ending(value.media_type or "application/json")
    return stem if stem.lower().endswith(ending) else stem + ending


def plain_bytes(value: Value) -> bytes:
    """A value as the content of a file."""
    if isinstance(value.data, bytes):
        return value.data
    if isinstance(value.data, str):
        return value.data.encode()
    return json.dumps(value.data, indent=1).encode() + b"\n"


def _is_json(kind: str) -> bool:
    return kind == "application/json" or kind.endswith("+json")


def _by_id(values: Iterable[Value]) -> dict[str, Value]:
    """Each value under a key of its own, also where the server gave two the same id."""
    found: dict[str, Value] = {}
    for value in values:
        key, number = value.id, 2
        while key in found:
            key, number = f"{value.id}-{number}", number + 1
        found[key] = value
    return found


def _document(found: Any, base: str, *, raw: bool, kind: str) -> list[Value]:
    if raw or not isinstance(found, dict) or kind != "application/json":
        return [Value(id="", data=found, media_type=kind)]
    # Some servers wrap the outputs, as drafts of the standard did; some give them as a list.
    wrapped = found.get("outputs") if len(found) == 1 else None
    if isinstance(wrapped, list) and all(isinstance(item, dict) and "id" in item for item in wrapped):
        return [value_of(str(item["id"]), _without_id(item), base=base) for item in wrapped]
    if isinstance(wrapped, dict):
        found = wrapped
    return [value_of(name, item, base=base) for name, item in found.items()]


def _without_id(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key != "id"}


def _parts(content_type: str, body: bytes, base: str) -> list[Value]:
    """The parts of a multipart answer, each named by its Content-ID."""
    whole = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    found = []
    for number, part in enumerate(whole.get_payload() if whole.is_multipart() else ()):
        if isinstance(part, Message):
            name = str(part.get("Content-ID", number)).strip("<> ")
            found.append(_part(name, part, base))
    return found


def _part(name: str, part: Message, base: str) -> Value:
    kind, location = part.get_content_type(), part.get("Content-Location")
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    if location and not content.strip():
        return Value(id=name, href=urljoin(base, location), media_type=kind)
    if _is_json(kind):
        return Value(id=name, data=json.loads(content), media_type=kind)
    if kind == "text/plain":
        return Value(id=name, data=content.decode(part.get_content_charset() or "utf-8", "replace"), media_type=kind)
    return Value(id=name, data=content, media_type=kind)


def _linked(headers: Iterable[str], base: str) -> list[Value]:
    """The outputs of an answer without a body: each is a link, named by its title, its relation or its address."""
    found = []
    for header in headers:
        for href, rest in LINK.findall(header):
            marks = {key.lower(): quoted or bare for key, quoted, bare in MARK.findall(rest)}
            rel = marks.get("rel", "").rpartition("/")[2]
            if rel not in NAVIGATION:
                name = marks.get("id") or marks.get("title") or rel or urlsplit(href).path.rpartition("/")[2]
                found.append(Value(id=name, href=urljoin(base, href), media_type=marks.get("type")))
    return found


def _ending(media_type: str | None) -> str:
    kind = (media_type or "").partition(";")[0].strip()
    return ENDINGS.get(kind) or mimetypes.guess_extension(kind) or ".bin"
