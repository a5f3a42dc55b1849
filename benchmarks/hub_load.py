"""Requests from many connections at once, each sending its next one as soon as the answer to the last is there.

A program of its own, so that it takes no time from what it measures but that of a core: paths come as a JSON list on
standard input, seconds of each request go as JSON to standard output.
"""

import asyncio
import itertools
import json
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

__all__ = ["Load"]

LONGEST_S = 120.0


@dataclass(slots=True, kw_only=True)
class Load:
    """What one program of load does."""

    host: str
    port: int
    paths: list[str]
    connections: int
    for_s: float
    """After that nothing new is asked for; what is under way is waited for."""
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    async def run(self) -> float:
        """Seconds from the first request to the last answer."""
        began = time.perf_counter()
        await asyncio.gather(
            *(self._ask(began + self.for_s, number * 17 % len(self.paths)) for number in range(self.connections))
        )
        return time.perf_counter() - began

    async def _ask(self, until: float, start: int) -> None:
        # Each connection begins elsewhere in the list.
        paths, open_ = itertools.cycle(self.paths), None
        for _ in range(start):
            next(paths)
        while time.perf_counter() < until:
            path = next(paths)
            began = time.perf_counter()
            open_ = open_ or await asyncio.open_connection(self.host, self.port, limit=1 << 24)
            status, body, again = await asyncio.wait_for(_answer(*open_, self._head(path)), LONGEST_S)
            self.seconds.append(time.perf_counter() - began)
            if status != 200 or path.partition("?")[0].rpartition("/")[2].encode() not in body:
                self.wrong.append(f"{path}: {status} {body[:200]!r}")
            if not again:
                open_[1].close()
                open_ = None
        if open_ is not None:
            open_[1].close()

    def _head(self, path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nAccept: application/json\r\n\r\n".encode()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> tuple[int, bytes, bool]:
    """Status, body, and whether the connection stays open."""
    writer.write(head)
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers["content-length"]))
    return int(lines[0].split()[1]), body, headers.get("connection", "").lower() != "close"


def main() -> None:
    """Arguments: address, connections, seconds."""
    address, connections, for_s = sys.argv[1:]
    place = urlsplit(address)
    load = Load(
        host=str(place.hostname),
        port=place.port or 80,
        paths=json.load(sys.stdin),
        connections=int(connections),
        for_s=float(for_s),
    )
    wall_s = asyncio.run(load.run())
    with suppress(BrokenPipeError):
        json.dump({"wall_s": wall_s, "seconds": load.seconds, "wrong": load.wrong[:5]}, sys.stdout)


if __name__ == "__main__":
    main()
