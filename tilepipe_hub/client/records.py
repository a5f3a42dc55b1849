"""What a server says of processes, jobs and values, whatever generation of the standard it speaks."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from tilepipe_hub.client.faults import Unexpected

__all__ = ["JobStatus", "Process", "Tiles", "Value", "job_of", "link_of", "process_of", "value_of"]

ENDED = frozenset({"successful", "failed", "dismissed"})
FIGURES = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process, as listed or as described."""

    id: str
    title: str = ""
    description: str = ""
    version: str = ""
    modes: tuple[str, ...] = ()
    """Of `sync-execute`, `async-execute`, `dismiss`."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """Their descriptions by id; empty in a list."""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)
    """All that the server said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """How far a job over tiles is, as a tilepipe hub says it."""

    done: int
    total: int
    failed: int = 0
    rate: float | None = None
    """A second."""
    eta_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """A job at one moment. Times are as the server writes them, RFC 3339."""

    id: str
    status: str
    """`accepted`, `running`, `successful`, `failed` or `dismissed`."""
    url: str
    """Where it is asked for."""
    process: str = ""
    message: str = ""
    progress: int | None = None
    """Per cent; None if the server does not say."""
    title: str = ""
    tiles: Tiles | None = None
    """None if the server does not say."""
    created: str | None = None
    started: str | None = None
    finished: str | None = None
    document: Mapping[str, Any] = field(default_factory=dict)
    """All that the server said."""

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.status in ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One output of a job: its value, or where it lies."""

    id: str
    """Empty where the server sent a value without saying of which output it is."""
    data: Any = None
    """What JSON can hold, or bytes."""
    media_type: str | None = None
    href: str | None = None
    """Where it lies; None if `data` is the value."""


def process_of(document: Any) -> Process:
    """A process as a summary or a description tells it.

    Raises:
        Unexpected: it has no id.
    """
    if not isinstance(document, dict) or not isinstance(document.get("id"), str):
        raise Unexpected(f"a process without an id came: {str(document)[:200]}; is this an OGC API - Processes server?")
    return Process(
        id=document["id"],
        title=_text(document, "title"),
        description=_text(document, "description"),
        version=_text(document, "version"),
        modes=tuple(str(mode) for mode in document.get("jobControlOptions") or ()),
        inputs=_by_id(document.get("inputs")),
        outputs=_by_id(document.get("outputs")),
        document=document,
    )


def job_of(document: Any, *, url: str) -> JobStatus:
    """A job as a status document tells it.

    Raises:
        Unexpected: it has no id or no status.
    """
    if not isinstance(document, dict) or not isinstance(document.get("status"), str):
        raise Unexpected(
            f"{url}: no status of a job came: {str(document)[:200]}; is this an OGC API - Processes server?"
        )
    job_id = document.get("jobID") or document.get("id") or document.get("job_id") or url.rstrip("/").rpartition("/")[2]
    return JobStatus(
        id=str(job_id),
        status=document["status"].lower(),
        url=url,
        process=_text(document, "processID"),
        message=_text(document, "message"),
        progress=_percent(document.get("progress")),
        title=_text(document, "title"),
        tiles=_tiles(document.get("tiles")),
        created=document.get("created"),
        started=document.get("started") or document.get("job_start_datetime"),
        finished=document.get("finished") or document.get("job_end_datetime"),
        document=document,
    )


def link_of(document: Mapping[str, Any], *, rel: str = "", media_type: str = "", base: str = "") -> str | None:
    """The address of the first link whose relation ends on *rel* and whose type begins with *media_type*, if any."""
    for link in _links(document):
        fits = str(link.get("rel", "")).rpartition("/")[2] == rel if rel else True
        if fits and str(link.get("type", "")).startswith(media_type):
            return urljoin(base, str(link["href"]))
    return None


def value_of(name: str, found: Any, *, base: str) -> Value:
    """A member of a results document: a literal, a qualified value or a link."""
    if not isinstance(found, dict):
        return Value(id=name, data=found)
    media_type = found.get("mediaType") or found.get("mimeType") or found.get("type")
    if isinstance(found.get("href"), str):
        return Value(id=name, href=urljoin(base, found["href"]), media_type=_media(media_type))
    if "value" not in found:
        return Value(id=name, data=found)
    shape = _by_id(found.get("format"))
    encoding = found.get("encoding") or found.get("contentEncoding") or shape.get("encoding")
    media_type = _media(media_type or shape.get("mediaType"))
    return Value(id=name, data=_decoded(found["value"], encoding), media_type=media_type)


def _decoded(value: Any, encoding: Any) -> Any:
    if encoding in {"base64", "binary"} and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error:
            return value
    return value


def _media(value: Any) -> str | None:
    return value if isinstance(value, str) and "/" in value else None


def _links(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    found = document.get("links")
    for link in found if isinstance(found, list) else ():
        if isinstance(link, dict) and isinstance(link.get("href"), str):
            yield link


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    return "" if value is None else str(value)


def _by_id(found: Any) -> dict[str, Any]:
    """Descriptions by id; drafts of the standard had them in a list."""
    if isinstance(found, list):
        return {item["id"]: item for item in found if isinstance(item, dict) and "id" in item}
    return found if isinstance(found, dict) else {}


def _tiles(value: Any) -> Tiles | None:
    """None for all that is not of the hub's kind: the word is not the standard's, so others may mean something else."""
    found = value if isinstance(value, dict) else {}
    figures = [found.get("done"), found.get("total"), found.get("failed", 0)]
    counts = [item for item in figures if isinstance(item, int)]
    if len(counts) < len(figures):
        return None
    speeds = (found.get("rate"), found.get("etaSeconds"))
    rate, eta = (float(item) if isinstance(item, int | float) else None for item in speeds)
    return Tiles(done=counts[0], total=counts[1], failed=counts[2], rate=rate, eta_s=eta)


def _percent(value: Any) -> int | None:
    """Also of servers that write a fraction, or a text."""
    if isinstance(value, str) and FIGURES.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return max(0, min(100, int(value)))
