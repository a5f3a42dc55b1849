"""Which error is which status code and which exception of OGC API - Processes: one table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tilepipe.errors import TilepipeError
from tilepipe_hub import errors

__all__ = [
    "Kind",
    "NoSuchBytes",
    "NoSuchPath",
    "TooLong",
    "Unacceptable",
    "UnknownMedia",
    "UnknownPackage",
    "WrongMethod",
    "document_of",
    "headers_of",
    "kind_of",
]

OGC = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/"
DRU = "http://www.opengis.net/def/exceptions/ogcapi-processes-2/1.0/"
OWN = "urn:tilepipe:problem:"

STORE_AGAIN_S = 10
"""After which it is worth while to ask again for what the store has; a restart of one takes about as long."""


class WrongMethod(errors.HubError):
    """The path does not take this method."""


class NoSuchPath(errors.HubError):
    """There is nothing at this path."""


class Unacceptable(errors.HubError):
    """The client takes nothing that could be sent."""


class UnknownMedia(errors.HubError):
    """The body is of a type that is not taken."""


class UnknownPackage(errors.HubError):
    """What is to be deployed is of a type that is not taken."""


class NoSuchBytes(errors.HubError):
    """The file has no such bytes."""


class TooLong(errors.HubError):
    """A job takes too long to be waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How an error is told."""

    status: int
    type: str
    title: str


TABLE: Mapping[type[TilepipeError], Kind] = {
    errors.NoSuchProcess: Kind(status=404, type=f"{OGC}no-such-process", title="No such process"),
    errors.NoSuchJob: Kind(status=404, type=f"{OGC}no-such-job", title="No such job"),
    errors.NotReady: Kind(status=404, type=f"{OGC}result-not-ready", title="The result is not ready"),
    errors.NoResult: Kind(status=404, type=f"{OGC}result-not-available", title="There is no such result"),
    errors.NoSuchOutput: Kind(status=400, type=f"{OGC}no-such-output", title="No such output"),
    errors.BadQuery: Kind(status=400, type=f"{OGC}invalid-query-parameter-value", title="The query does not fit"),
    errors.BadRequest: Kind(status=400, type=f"{OWN}invalid-parameter-value", title="The request does not fit"),
    errors.KeyReused: Kind(status=409, type=f"{OWN}idempotency-key-reused", title="The idempotency key is taken"),
    errors.MoveRefused: Kind(status=409, type=f"{OWN}wrong-state", title="The job is in another state"),
    errors.TooLarge: Kind(status=413, type=f"{OWN}too-large", title="The request is too large"),
    errors.TooOften: Kind(status=429, type=f"{OWN}too-many-requests", title="Too many at once"),
    errors.NotKnown: Kind(status=401, type=f"{OWN}not-known", title="Nobody knows who asks"),
    errors.NotAllowed: Kind(status=403, type=f"{OWN}not-allowed", title="Not allowed"),
    errors.ProcessTaken: Kind(status=409, type=f"{DRU}duplicated-process", title="There is such a process"),
    errors.ProcessFixed: Kind(status=403, type=f"{DRU}immutable-process", title="The process is built in"),
    errors.StoreError: Kind(status=503, type=f"{OWN}store-away", title="The jobs cannot be reached now"),
    NoSuchPath: Kind(status=404, type=f"{OWN}no-such-resource", title="There is nothing here"),
    WrongMethod: Kind(status=405, type=f"{OWN}method-not-allowed", title="This cannot be done here"),
    Unacceptable: Kind(status=406, type=f"{OWN}not-acceptable", title="No such form"),
    UnknownMedia: Kind(status=415, type=f"{OWN}unsupported-media-type", title="The body is of another type"),
    UnknownPackage: Kind(status=415, type=f"{DRU}unsupported-media-type", title="The package is of another type"),
    NoSuchBytes: Kind(status=416, type=f"{OWN}no-such-range", title="The file has no such bytes"),
    TooLong: Kind(status=400, type=f"{OWN}too-long-to-wait", title="The job takes too long to be waited for"),
}

FAILED = Kind(status=500, type=f"{OWN}job-failed", title="The job failed")
BROKEN = Kind(status=500, type=f"{OWN}internal-error", title="Something is wrong with the service")


def kind_of(error: BaseException) -> Kind:
    """How an error is told; what nobody foresaw is told without its words."""
    return next((TABLE[kind] for kind in type(error).__mro__ if kind in TABLE), BROKEN)


def document_of(error: BaseException, *, instance: str) -> dict[str, Any]:
    """The exception document of an error.

    Args:
        error: what was raised.
        instance: path of the request.
    """
    if isinstance(error, errors.JobFailed):
        said = {**error.problem}
        if said.get("type", "about:blank") == "about:blank":
            said["type"] = FAILED.type
        status = said.get("status")
        said["status"] = status if isinstance(status, int) and 400 <= status < 600 else FAILED.status
        return {"title": FAILED.title, "instance": instance, **said}
    kind = kind_of(error)
    detail = "the operator can find the reason in the log" if kind is BROKEN else str(error)
    if isinstance(error, errors.StoreError):
        detail = f"the store does not answer; try again in {STORE_AGAIN_S} seconds"
    document = {"type": kind.type, "title": kind.title, "status": kind.status, "detail": detail, "instance": instance}
    if isinstance(error, errors.BadRequest):
        document["errors"] = [{"pointer": pointer, "detail": words} for pointer, words in error.problems]
    return document


def headers_of(error: BaseException) -> dict[str, str]:
    """What the head of the answer to an error says: who may ask, and when it may be asked again."""
    if isinstance(error, errors.NotKnown):
        return {"WWW-Authenticate": 'Bearer realm="tilepipe", Basic realm="tilepipe"'}
    if isinstance(error, errors.TooOften):
        return {"Retry-After": str(error.after_s)}
    if isinstance(error, errors.StoreError):
        return {"Retry-After": str(STORE_AGAIN_S)}
    return {}
