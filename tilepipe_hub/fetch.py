"""What a link leads to, fetched without leaving the fence: every hop is judged, and only a judged address is called."""

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx

from tilepipe_hub.errors import HubError
from tilepipe_hub.fence import Place, address_refusal, data_refusal, link_place
from tilepipe_hub.settings import Fence

__all__ = ["addresses_of", "fetch", "reachable"]

HOPS = 5
"""Redirections that are followed."""

Resolve = Callable[[str, int], list[str]]


class _Refused(HubError):
    """The fence does not let a request through."""


def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of a host, as this machine's resolver knows them; none where it does not."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(item[4][0]) for item in found))


def reachable(place: Place, fence: Fence, *, resolve: Resolve = addresses_of) -> list[str] | str:
    """The addresses of a host that may be spoken to, or why one of them may not."""
    found = resolve(place.host, place.port)
    if not found:
        return f"leads to {place.host}, which has no address"
    refusals = [refusal for address in found if (refusal := address_refusal(address, place.host, fence))]
    return refusals[0] if refusals else found


@dataclass(slots=True)
class _Fenced(httpx.BaseTransport):
    """Calls the very address that was judged, so that a name cannot mean another one a moment later."""

    fence: Fence
    resolve: Resolve
    _inner: httpx.HTTPTransport = field(default_factory=lambda: httpx.HTTPTransport(trust_env=False))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        link = str(request.url)
        place = link_place(link)
        refusal = place if isinstance(place, str) else data_refusal(link, self.fence)
        if refusal is not None or isinstance(place, str):
            raise _Refused(str(refusal))
        found = reachable(place, self.fence, resolve=self.resolve)
        if isinstance(found, str):
            raise _Refused(found)
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=found[0]),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": place.host},
        )
        return self._inner.handle_request(pinned)

    def close(self) -> None:
        self._inner.close()


def fetch(
    link: str, fence: Fence, *, most_bytes: int, timeout_s: float, resolve: Resolve = addresses_of
) -> tuple[bytes, str | None] | str:
    """What *link* leads to and its media type, or why it cannot be had.

    Args:
        link: an http or https address.
        fence: what may be read.
        most_bytes: more is refused.
        timeout_s: for all of it.
        resolve: the addresses of a host and port.
    """
    ends = time.monotonic() + timeout_s
    transport = _Fenced(fence=fence, resolve=resolve)
    # What is packed may be a thousand times larger than what comes over the wire.
    plain = {"Accept-Encoding": "identity", "User-Agent": "tilepipe-hub"}
    try:
        with (
            httpx.Client(transport=transport, timeout=timeout_s, trust_env=False, max_redirects=HOPS) as client,
            client.stream("GET", link, headers=plain, follow_redirects=True) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                return f"the host answered {answer.status_code}"
            if answer.headers.get("content-encoding", "identity") != "identity":
                return "the host sent it packed, though asked not to"
            content = _content(answer.iter_raw(), most_bytes=most_bytes, ends=ends)
            return content if isinstance(content, str) else (content, answer.headers.get("content-type"))
    except _Refused as error:
        return f"it {error}"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"no answer came ({type(error).__name__})"


def _content(chunks: Iterator[bytes], *, most_bytes: int, ends: float) -> bytes | str:
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > most_bytes:
            return f"it is larger than {most_bytes} bytes, which is the most that is read"
        if time.monotonic() > ends:
            return "it took too long"
    return bytes(content)
