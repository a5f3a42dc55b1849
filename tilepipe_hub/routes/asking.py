"""What a request says beside its path: who sends it, from where, in which form the answer is wanted, and how soon."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request

from tilepipe_hub.auth import Caller, Gate
from tilepipe_hub.errors import BadQuery, BadRequest, TooLarge
from tilepipe_hub.networks import address_in
from tilepipe_hub.routes.problems import Unacceptable, UnknownMedia
from tilepipe_hub.service import Service
from tilepipe_hub.settings import Settings

__all__ = ["HTML", "JSON", "Hub", "Preference", "accepts", "base_of", "body_of", "caller_of", "form_of", "hub_of"]
__all__ += ["address_of", "parsed", "preference_of", "short_body_of"]

JSON = "application/json"
HTML = "text/html"
FORMS = {"json": JSON, "html": HTML}

MOST_WAIT_S = 86_400
RETURNS = ("minimal", "representation")
SHORT_BYTES, SHORT_DIGITS = 65_536, 5
"""A body that may be read before it is known who sends it; so much of any the server keeps at hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """What every route needs."""

    settings: Settings
    service: Service
    gate: Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """What the header `Prefer` says."""

    respond_async: bool = False
    wait_s: float | None = None
    returns: str | None = None
    """`minimal`: what is large goes as links; `representation`: nothing does."""


def hub_of(request: Request) -> Hub:
    """What the application was made with."""
    hub: Hub = request.app.state.hub
    return hub


def address_of(request: Request) -> str:
    """Where a request comes from, as far as trusted proxies can tell."""
    server, address = hub_of(request).settings.server, request.client.host if request.client else ""
    if not server.trusts(address):
        return address
    # Some proxies write a header of their own below that of the client, so all of them count, in their order. The
    # last entry was written by the proxy that called us, the one before by the proxy before it, and so on.
    for entry in reversed(",".join(request.headers.getlist("x-forwarded-for")).split(",")):
        found = address_in(entry)
        if found is None or not server.trusts(address):
            break
        address = found
    return address


def caller_of(request: Request) -> Caller | None:
    """Who sends a request; None for a stranger who may do nothing.

    Raises:
        NotKnown: the token is none.
        TooOften: too many wrong tokens came from there.
    """
    return hub_of(request).gate.caller(request.headers.get("authorization"), address_of(request))


def base_of(request: Request) -> str:
    """The service's address without a slash at its end, for links."""
    server = hub_of(request).settings.server
    if server.base_url is not None:
        return server.base_url.rstrip("/")
    scheme, host = request.scope["scheme"], request.headers.get("host") or request.url.netloc
    if request.client and server.trusts(request.client.host):
        said = request.headers.get("x-forwarded-proto", scheme).strip().lower()
        scheme = said if said in {"http", "https"} else scheme
        host = request.headers.get("x-forwarded-host", host).strip()
    return _base(scheme, host)


@lru_cache
def _base(scheme: str, host: str) -> str:
    # A host with odd letters would carry them into links and pages.
    parts = urlsplit(f"{scheme}://{host}")
    plain = all(letter.isalnum() or letter in ".-:[]_" for letter in host) and host.isascii()
    return f"{scheme}://{parts.netloc}" if plain and parts.netloc else f"{scheme}://localhost"


def accepts(request: Request) -> list[tuple[str, float]]:
    """Media types of the header `Accept` without parameters, the most wanted first; `*/*` where there is none."""
    return _accepted(_accept_of(request))


def _accept_of(request: Request) -> str:
    return ", ".join(request.headers.getlist("accept"))


def _accepted(header: str) -> list[tuple[str, float]]:
    found = []
    for part in header.split(","):
        kind, *parameters = (item.strip().lower() for item in part.split(";"))
        if "/" in kind:
            found.append((kind, _quality(parameters)))
    return sorted(found, key=lambda item: -item[1]) or [("*/*", 1.0)]


def _quality(parameters: Sequence[str]) -> float:
    for item in parameters:
        key, _, value = item.partition("=")
        if key.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def form_of(request: Request, offered: tuple[str, ...] = (JSON, HTML)) -> str:
    """Which of the media types is sent: what `f` says, else what `Accept` wants most, else the first.

    Raises:
        BadQuery: `f` names no form.
        Unacceptable: none of them is wanted.
    """
    return _form(request.query_params.get("f"), _accept_of(request), offered)


# A client says the same with each request, and an answer asks several times.
@lru_cache
def _form(asked: str | None, header: str, offered: tuple[str, ...]) -> str:
    if asked is not None:
        if FORMS.get(asked) not in offered:
            raise BadQuery([("f", f"takes {' or '.join(key for key, kind in FORMS.items() if kind in offered)}")])
        return FORMS[asked]
    wanted = _accepted(header)
    scores = {kind: _wanted(kind, wanted) for kind in offered}
    best = max(offered, key=lambda kind: scores[kind])
    if scores[best] == 0:
        raise Unacceptable(f"the answer can be had as {', '.join(offered)}; ask for one of them, or for */*")
    return best


def _wanted(kind: str, wanted: Sequence[tuple[str, float]]) -> float:
    """How much a media type is wanted, by the most particular entry that means it."""
    plain = kind.partition(";")[0]
    for entry in (plain, f"{plain.partition('/')[0]}/*", "*/*"):
        found = [quality for name, quality in wanted if name == entry]
        if found:
            return max(found)
    return 0.0


def preference_of(request: Request) -> Preference:
    """What is preferred; words that are not known count for nothing."""
    respond_async, wait_s, returns = False, None, None
    for item in ",".join(request.headers.getlist("prefer")).split(","):
        key, _, value = (part.strip().lower() for part in item.partition(";")[0].partition("="))
        value = value.strip('"')
        if key == "respond-async":
            respond_async = True
        elif key == "wait" and value.isdigit():
            wait_s = float(min(int(value[:9]), MOST_WAIT_S))
        elif key == "return" and returns is None and value in RETURNS:
            returns = value
    return Preference(respond_async=respond_async, wait_s=wait_s, returns=returns)


async def body_of(request: Request, *, kinds: Sequence[str] = (JSON,)) -> Any:
    """The JSON in the body, read no further than it may be long.

    Raises:
        UnknownMedia: it is said to be something else, or packed.
        TooLarge: it is longer than what is taken.
        BadRequest: it is no JSON.
    """
    _check_kind(request, kinds)
    return _parsed(await _content(request))


async def short_body_of(request: Request) -> bytes | None:
    """The bytes of a body that comes with the head of its request or right behind; None: it is longer, and not read."""
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit() and len(length) <= SHORT_DIGITS) or "expect" in request.headers:
        return None
    if int(length) > min(SHORT_BYTES, hub_of(request).settings.limits.body_bytes):
        return None
    return await _content(request)


def parsed(request: Request, content: bytes) -> Any:
    """The JSON in a body that has been read; errors as of `body_of`."""
    _check_kind(request, (JSON,))
    return _parsed(content)


def _check_kind(request: Request, kinds: Sequence[str]) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in kinds:
        raise UnknownMedia(f"the body is said to be {kind or 'nothing'}; send it as {' or '.join(kinds)}")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnknownMedia("the body is packed; send it as it is")


async def _content(request: Request) -> bytes:
    most = hub_of(request).settings.limits.body_bytes
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > most:
            raise TooLarge(f"the body has more than {most} bytes; give large data as links")
    return bytes(content)


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content, parse_constant=_refuse)
    except RecursionError:
        raise BadRequest([("", "is nested too deeply; use fewer levels")]) from None
    except ValueError as error:
        raise BadRequest([("", f"is no JSON ({str(error)[:100]}); send an object like {{inputs: ...}}")]) from None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
