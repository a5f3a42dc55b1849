"""How connections become requests: by uvicorn's fastest parser, which by itself would wait for a head without end."""

from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["Connection", "options", "serve"]

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


def serve(app: Any, *, host: str, port: int) -> None:
    """Answer requests until a signal ends it."""
    uvicorn.run(app, host=host, port=port, **options())
