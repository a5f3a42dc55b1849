"""Whom a job speaks to: its way out is a proxy that judges each connection, and calls the very address it judged.

A name was judged before GDAL got it, but what answers there may lead on: a redirection, a mosaic that names links, a
name that means another address a moment later. Here all of them pass, one connection at a time. The names of hosts are
looked up here and nowhere else. What is refused is told to the worker's log and, with its reason, to the job.
"""

import asyncio
import base64
import logging
import re
import secrets
import socket
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tilepipe_hub.fence import link_place, place_refusal
from tilepipe_hub.fetch import addresses_of, reachable
from tilepipe_hub.settings import Fence

__all__ = ["Guest", "Proxy", "blamed", "variables"]

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
HEAD_S = 30.0
"""For the head of a request, which comes at once."""
CONNECT_S = 20.0
"""For one address of a host."""
PART = 1 << 20
"""Bytes that wait on their way; the head of a request or an answer may have as many."""
MOST = 20
"""Refusals that are told of one job."""

LINE = re.compile(r"([A-Z]+) (\S+) HTTP/1\.[01]")
FIELD = re.compile(r"([\w!#$%&'*+.^`|~-]+):[ \t]*(.*)")
EARLY = re.compile(rb"HTTP/1\.[01] 1")
"""What comes before an answer itself."""
PLAIN = re.compile(r"http://([^/?#]*)(.*)", re.IGNORECASE)
HOP = {
    *("connection", "keep-alive", "proxy-connection", "proxy-authorization", "upgrade", "te", "trailer", "host"),
    *("content-length", "transfer-encoding", "expect"),
}
"""What is said to the next host only, or of what is not passed on."""

Resolve = Callable[[str, int], list[str]]
Way = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(slots=True, kw_only=True, eq=False)
class Guest:
    """One job, as the proxy knows it."""

    port: int
    """Of the proxy."""
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    name: str = "a job that has not begun"
    """In the log."""
    _refusals: list[str] = field(default_factory=list)
    _told: int = 0

    @property
    def link(self) -> str:
        """The proxy's address, with what the job is known by."""
        return f"http://job:{self.key}@{HOST}:{self.port}"

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why connections were refused so far, each reason once."""
        return tuple(self._refusals)

    def news(self) -> list[str]:
        """Those that were not told yet."""
        fresh = self._refusals[self._told :]
        self._told += len(fresh)
        return fresh

    def refuse(self, reason: str) -> None:
        """Keep a reason."""
        if reason not in self._refusals and len(self._refusals) < MOST:
            self._refusals.append(reason)
            log.warning("%s: a connection was refused: it %s", self.name, reason)


def variables(guest: Guest) -> Mapping[str, str]:
    """Of the environment, by which GDAL, curl and Python's clients find the proxy."""
    names = ("GDAL_HTTP_PROXY", "GDAL_HTTPS_PROXY", "http_proxy", "https_proxy", "all_proxy")
    # Small and capital letters: some clients know only the one, some only the other.
    spelled = (*names, "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    return {**dict.fromkeys(spelled, guest.link), "no_proxy": "", "NO_PROXY": ""}


def blamed(guest: Guest, messages: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What a job tells, with what it was refused: in its log, and in its message if it failed."""
    lines = [{"kind": "log", "line": f"a connection was refused, as it {reason}"} for reason in guest.news()]
    return [*lines, *(_blamed(guest, message) for message in messages)]


def _blamed(guest: Guest, message: Mapping[str, Any]) -> Mapping[str, Any]:
    if message["kind"] != "end" or message["status"] != "failed" or not guest.refusals:
        return message
    # GDAL knows no more than that somebody answered 403.
    words = "; ".join((message["message"], *(f"a connection was refused, as it {item}" for item in guest.refusals[:3])))
    problem = message.get("problem")
    return {**message, "message": words, "problem": {**problem, "detail": words} if problem else None}


class _Answer(Exception):
    """A request that goes no further."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """The head of a request."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]

    @property
    def key(self) -> str:
        """What the job says it is known by."""
        for name, value in self.fields:
            if name.lower() == "proxy-authorization" and value.lower().startswith("basic "):
                with suppress(ValueError):
                    return base64.b64decode(value[6:]).decode("latin-1").rpartition(":")[2]
        return ""


class Proxy:
    """The way out of all jobs of a worker: a thread and a port of the loopback address, until it is closed.

    Raises:
        OSError: there is no free port.
    """

    def __init__(self, fence: Fence, *, resolve: Resolve = addresses_of) -> None:
        self._fence, self._resolve = fence, resolve
        self._guests: dict[str, Guest] = {}
        self._socket = socket.create_server((HOST, 0), backlog=128)
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._serve, name="proxy", daemon=True)
        self._thread.start()

    def admit(self) -> Guest:
        """Let one more job out."""
        guest = Guest(port=self._socket.getsockname()[1])
        self._guests[guest.key] = guest
        return guest

    def dismiss(self, guest: Guest) -> None:
        """Let it out no more; may be called again."""
        self._guests.pop(guest.key, None)

    def close(self) -> None:
        """Cut all connections."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._closing.set)
        # It waits for those who look up a name, and nobody waits for them.
        self._thread.join(timeout=1)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen())

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._welcome, sock=self._socket, limit=PART)
        await self._closing.wait()
        server.close()

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._pass((reader, writer))
        except _Answer as answer:
            writer.write(_refused(answer))
        except (OSError, EOFError, asyncio.LimitOverrunError):
            # One of the two has gone, and the other hears of it by the end of its connection.
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            writer.close()

    async def _pass(self, job: Way) -> None:
        """Let one request through; a connection has no other."""
        async with asyncio.timeout(HEAD_S):
            request = _request(await job[0].readuntil(b"\r\n\r\n"))
        guest = self._guests.get(request.key)
        if guest is None:
            raise _Answer(407, "comes from no job of this worker")
        try:
            if request.method == "CONNECT":
                host = await self._called(f"https://{request.target}/")
                job[1].write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await _with(host, _until_one_ends(_pour(job[0], host[1]), _pour(host[0], job[1])))
            else:
                authority, head = _forwarded(request)
                host = await self._called(f"http://{authority}/")
                await _with(host, _fetched(head, host, job))
        except _Answer as answer:
            guest.refuse(answer.words)
            raise

    async def _called(self, link: str) -> Way:
        """A connection to where the link leads."""
        place = link_place(link)
        refusal = place if isinstance(place, str) else place_refusal(place, self._fence)
        if refusal is not None or isinstance(place, str):
            raise _Answer(403, str(refusal))
        found = await asyncio.to_thread(reachable, place, self._fence, resolve=self._resolve)
        if isinstance(found, str):
            raise _Answer(403, found)
        for address in found:
            with suppress(OSError):
                async with asyncio.timeout(CONNECT_S):
                    return await asyncio.open_connection(address, place.port, limit=PART)
        raise _Answer(502, f"leads to {place.host}, port {place.port}, where nobody answers")


def _request(head: bytes) -> _Request:
    first, *rest = head[:-4].decode("latin-1").split("\r\n")
    line, fields = LINE.fullmatch(first), [FIELD.fullmatch(item) for item in rest]
    if line is None or None in fields:
        raise _Answer(400, "is no request that is understood")
    return _Request(method=line[1], target=line[2], fields=tuple((item[1], item[2]) for item in fields if item))


def _forwarded(request: _Request) -> tuple[str, bytes]:
    """The host and port of a request without TLS, and its head as they get it."""
    parts = PLAIN.fullmatch(request.target)
    if parts is None or request.method not in {"GET", "HEAD"}:
        raise _Answer(403, "is no https, and without TLS only plain requests (GET, HEAD) are let through")
    path = parts[2] if parts[2].startswith("/") else f"/{parts[2]}"
    said = [value.lower() for name, value in request.fields if name.lower() == "connection"]
    kept = HOP | {name.strip() for value in said for name in value.split(",")}
    left = [f"{name}: {value}" for name, value in request.fields if name.lower() not in kept]
    lines = [f"{request.method} {path} HTTP/1.1", f"Host: {parts[1]}", *left, "Connection: close", "", ""]
    return parts[1], "\r\n".join(lines).encode("latin-1")


async def _fetched(head: bytes, host: Way, job: Way) -> None:
    """The answer to one request, after which both connections end."""
    host[1].write(head)
    answer = await host[0].readuntil(b"\r\n\r\n")
    while EARLY.match(answer):
        answer = await host[0].readuntil(b"\r\n\r\n")
    lines = answer[:-4].split(b"\r\n")
    left = [line for line in lines if line.partition(b":")[0].strip().lower() not in {b"connection", b"keep-alive"}]
    job[1].write(b"\r\n".join([*left, b"Connection: close", b"", b""]))
    await _until_one_ends(_pour(host[0], job[1]), job[0].read(1))


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while part := await source.read(PART):
        sink.write(part)
        await sink.drain()


async def _until_one_ends(*ways: Coroutine[Any, Any, object]) -> None:
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _with(host: Way, doing: Coroutine[Any, Any, None]) -> None:
    """Do something with a connection, and end it."""
    try:
        await doing
    finally:
        host[1].close()


def _refused(answer: _Answer) -> bytes:
    # Python's clients show the words behind the number, GDAL the number only.
    words = f"it {answer.words}".encode("ascii", "replace").decode()
    more = 'Proxy-Authenticate: Basic realm="job"\r\n' if answer.status == 407 else ""
    head = f"HTTP/1.1 {answer.status} {words}\r\n{more}Content-Type: text/plain\r\nContent-Length: {len(words) + 1}\r\n"
    return f"{head}Connection: close\r\n\r\n{words}\n".encode()
