"""One request: who gets the token, which redirections are followed, what is tried again.

The token goes to the server it was given for and nowhere else: not along a redirection, not to a link in a document.
A request is sent again where that can do no harm: it never left, it only reads, its caller says so, or the server
itself says when.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from random import SystemRandom
from typing import Any
from urllib.parse import quote

import httpx

from tilepipe_hub.client.faults import NotReached, Unexpected, refusal, shown

__all__ = ["Wire", "origin"]

HOPS = 5
PASSING = frozenset({429, 502, 503, 504})
READING = frozenset({"GET", "HEAD"})
LONGEST_S = 30.0
"""The longest pause between two tries, also if the server asks for a longer one."""

CHANCE = SystemRandom()


def origin(url: httpx.URL) -> tuple[str, str, int]:
    """What must be the same for a token to be sent."""
    return url.scheme, url.host, url.port or {"https": 443}.get(url.scheme, 80)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """A way to one server, and to what it links to."""

    http: httpx.Client
    base: httpx.URL
    """The landing page, with a slash at its end."""
    token: str | None = None
    retries: int = 4
    sleep: Callable[[float], None] = time.sleep

    def __repr__(self) -> str:
        """Without the token."""
        return f"Wire({shown(self.base)!r})"

    def url(self, *parts: str, query: Mapping[str, Any] | None = None) -> httpx.URL:
        """An address below the landing page.

        Raises:
            Unexpected: a part would lead elsewhere.
        """
        if any(part.strip(".") == "" for part in parts):
            raise Unexpected(f"{'/'.join(parts)!r} holds a name that is empty or dots; it cannot be part of an address")
        path = "/".join(quote(part, safe="") for part in parts)
        return httpx.URL(self.base.join(path), params=query or None)

    def send(
        self,
        method: str,
        url: httpx.URL | str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | None = None,
        harmless: bool = False,
        stream: bool = False,
        timeout_s: float | None = None,
    ) -> httpx.Response:
        """The answer, which is none of 400 and above.

        Args:
            method: of HTTP.
            url: where to.
            headers: beside those that all requests have.
            json: what to send as JSON.
            content: what to send as it is.
            harmless: doing it twice does no harm, though it does more than read.
            stream: leave the body unread; the caller closes the response.
            timeout_s: seconds between two pieces of the answer; None: as the client has it.

        Raises:
            NotReached: no answer came.
            Refused: the server says no.
            Unexpected: the server leads where a client must not go.
        """
        safe = harmless or method in READING
        for tried in range(self.retries + 1):
            request = self._request(method, url, headers, json=json, content=content, timeout_s=timeout_s)
            final = tried == self.retries
            try:
                response = self._follow(request)
                if stream and not response.is_error:
                    return response
                _read(response)
            except httpx.UnsupportedProtocol as error:
                raise Unexpected(
                    f"{shown(request.url)} is no address of a server; write http:// or https://"
                ) from error
            except httpx.DecodingError as error:
                raise Unexpected(f"{shown(request.url)}: the answer cannot be decoded: {error}") from error
            except httpx.TransportError as error:
                if final or not _may_repeat(error, safe=safe):
                    raise _unanswered(request, error, tries=tried + 1) from error
                self.sleep(_backoff(tried))
                continue
            if not response.is_error:
                return response
            pause = _asked_pause(response)
            told = pause is not None and response.status_code in {429, 503}
            if final or response.status_code not in PASSING or not (safe or told):
                raise refusal(response)
            self.sleep(_backoff(tried) if pause is None else min(pause, LONGEST_S) + CHANCE.uniform(0, 0.5))
        raise AssertionError("the last try returns or raises")

    def _request(
        self,
        method: str,
        url: httpx.URL | str,
        headers: Mapping[str, str] | None,
        *,
        json: Any,
        content: bytes | None,
        timeout_s: float | None,
    ) -> httpx.Request:
        try:
            target = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise Unexpected(f"{str(url)[:200]!r} is no address: {error}") from error
        sent = {"Accept": "application/json", **(headers or {}), **self._credentials(target)}
        timeout = httpx.USE_CLIENT_DEFAULT if timeout_s is None else httpx.Timeout(30.0, read=timeout_s)
        return self.http.build_request(method, target, headers=sent, json=json, content=content, timeout=timeout)

    def _credentials(self, target: httpx.URL) -> dict[str, str]:
        if self.token is None or origin(target) != origin(self.base):
            return {}
        return {"Authorization": f"Bearer {self.token}"}

    def _follow(self, request: httpx.Request) -> httpx.Response:
        """The answer at the end of all redirections, unread."""
        for _ in range(HOPS + 1):
            response = self.http.send(request, stream=True, follow_redirects=False)
            if not response.has_redirect_location:
                return response
            response.close()
            request = self._next(request, response)
        raise Unexpected(f"{shown(request.url)}: more than {HOPS} redirections; name the address at their end")

    def _next(self, request: httpx.Request, response: httpx.Response) -> httpx.Request:
        here = request.url
        try:
            there = here.join(response.headers["Location"])
        except httpx.InvalidURL as error:
            raise Unexpected(f"{shown(here)} leads to what is no address: {error}") from error
        advice = f"{shown(here)} leads to {shown(there)}"
        if there.scheme not in {"http", "https"} or (here.scheme, there.scheme) == ("https", "http"):
            raise Unexpected(f"{advice}, which is not followed; name the right address")
        method = "GET" if response.status_code == 303 and request.method != "HEAD" else request.method
        if method not in READING and (origin(here) != origin(there) or response.status_code in {301, 302}):
            raise Unexpected(f"{advice}, where a {method} is not sent unasked; name the address of that server")
        kept = {"Accept", "Range", "If-Range", "Last-Event-ID"}
        headers = {name: request.headers[name] for name in kept if name in request.headers}
        if method not in READING:
            headers |= {
                name: request.headers[name]
                for name in ("Content-Type", "Prefer", "Idempotency-Key")
                if name in request.headers
            }
        return self.http.build_request(
            method,
            there,
            headers={**headers, **self._credentials(there)},
            content=None if method in READING else request.read(),
            timeout=httpx.Timeout(**request.extensions["timeout"]),
        )


def _read(response: httpx.Response) -> None:
    try:
        response.read()
    finally:
        response.close()


def _may_repeat(error: httpx.TransportError, *, safe: bool) -> bool:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return False
    return safe or isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


def _unanswered(request: httpx.Request, error: httpx.TransportError, *, tries: int) -> NotReached:
    tried = f", tried {tries} times" if tries > 1 else ""
    return NotReached(
        f"{request.method} {shown(request.url)}: no answer{tried}: {error or type(error).__name__}; "
        "check the address, and whether the server runs"
    )


def _asked_pause(response: httpx.Response) -> float | None:
    """Seconds after which the server wants to be asked again."""
    text = response.headers.get("Retry-After", "")
    if text.isdecimal():
        return float(text)
    with suppress(ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    return None


def _backoff(tried: int) -> float:
    """Twice as long each time, and by chance, so that many clients do not come back at once."""
    longest = min(LONGEST_S, 0.5 * 2**tried)
    return CHANCE.uniform(longest / 2, longest)
