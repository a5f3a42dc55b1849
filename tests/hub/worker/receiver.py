"""Somebody who is called."""

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

FENCE = {"callback_hosts": ["127.0.0.1:*"], "http_hosts": ["127.0.0.1:*"], "private_hosts": ["127.0.0.1"]}
"""Lets it be called."""


class Heard(NamedTuple):
    """One call."""

    moment: float
    path: str
    headers: Any
    body: bytes
    answer: int

    @property
    def document(self):
        return json.loads(self.body)


class Receiver:
    """Has an address from the start, and hears when it is opened; `answers` are its next status codes."""

    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.link = f"http://127.0.0.1:{self.port}"
        self.calls = []
        self.answers = []
        self.hears_at_once = True
        """Else it refuses the first call about each job."""
        self.pauses = []
        """How long it keeps its next callers waiting, in seconds."""
        self._server = None

    @property
    def subscriber(self):
        return {name: f"{self.link}/{name}" for name in ("successUri", "failedUri")}

    def answer(self, job_id):
        """The status code for a call about a job."""
        if not self.hears_at_once and all(call.headers["X-Tilepipe-Job"] != job_id for call in self.calls):
            return 503
        return self.answers.pop(0) if self.answers else 200

    def open(self):
        """Hear calls from now on."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = receiver.answer(self.headers["X-Tilepipe-Job"])
                receiver.calls.append(Heard(time.monotonic(), self.path, self.headers, body, answer))
                time.sleep(receiver.pauses.pop(0) if receiver.pauses else 0)
                self.send_response(answer)
                self.end_headers()

            def handle(self):
                try:
                    super().handle()
                except ConnectionError:
                    # Its caller was killed.
                    return

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,)).start()
        return self

    def close(self):
        """Hear no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
