"""Where the service listens, and how connections become requests.

That is by uvicorn's fastest parser, which by itself would wait for a head without end.
"""

import errno
import logging
import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tilepipe_hub.errors import SettingsError

__all__ = ["Connection", "listen", "options", "serve"]

log = logging.getLogger(__name__)

WAITING = 2048
"""Connections that may wait to be taken."""
LACKING = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""Of a name with addresses of two kinds, a machine may have only one."""

MOST_HEAD_BYTES = 65_536
"""Of a request line and headers, or of what stands between the parts of a body."""


class Connection(HttpToolsProtocol):
    """A connection that is closed when too much comes without anything to be told to the application."""

    _untold_bytes = 0

    def data_received(self, data: bytes) -> None:
        self._untold_bytes += len(data)
        super().data_received(data)
        if self._untold_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self.logger.warning("a request has a head of more than %d bytes, and is not heard", MOST_HEAD_BYTES)
            if self.cycle is None or self.cycle.response_complete:
                self.send_400_response("the head of the request is too large")
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._untold_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._untold_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._untold_bytes = 0
        super().on_message_complete()


def options() -> dict[str, Any]:
    """What uvicorn is told beside the application and where to listen."""
    return {
        "http": Connection,
        "loop": "auto",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_graceful_shutdown": 5,
    }


def listen(host: str, port: int) -> tuple[socket.socket, ...]:
    """Sockets that hear at each address of a host, from now on; requests wait until somebody serves them.

    Args:
        host: a name or an address.
        port: 0: any free one, the same for all.

    Raises:
        SettingsError: nobody can listen there; another program does, say.
    """
    with ExitStack() as opened:
        found: list[socket.socket] = []
        lacking: OSError | None = None
        try:
            for family, _, _, _, address in _addresses(host, port):
                taken = found[0].getsockname()[1] if found else port
                try:
                    found.append(opened.enter_context(_listener(family, (address[0], taken, *address[2:]))))
                except OSError as error:
                    if error.errno not in LACKING:
                        raise
                    lacking = error
            if lacking is not None and not found:
                raise lacking
        except (OSError, UnicodeError) as error:
            raise SettingsError(_told(error, host, port)) from error
        opened.pop_all()
        return tuple(found)


def _addresses(host: str, port: int) -> Sequence[Any]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys(found))


def _listener(family: int, address: Any) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Connections of a server that has just ended hold the port for a minute.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(address)
        opened.listen(WAITING)
        opened.setblocking(False)
    except OSError:
        opened.close()
        raise
    return opened


def _told(error: Exception, host: str, port: int) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return f"port {port} of {host} is taken by another program; end that, or name another one with server.port"
    if number == errno.EACCES:
        return f"port {port} of {host} is not for this user; name one from 1024 on with server.port"
    reason = os.strerror(number) if isinstance(number, int) and number > 0 else str(error)
    return f"the service cannot listen at {host}, port {port}: {reason}; name an address of this machine as server.host"


def serve(app: Any, sockets: Sequence[socket.socket], *, host: str) -> bool:
    """Answer requests that come over *sockets*, called *host* in the log, until a signal ends it.

    Returns:
        whether it came to that; if not, the log says why.
    """
    port = sockets[0].getsockname()[1]
    log.info("the service is at http://%s:%d", f"[{host}]" if ":" in host else host, port)
    server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, **options()))
    with suppress(KeyboardInterrupt):
        server.run(sockets=list(sockets))
    return server.started
