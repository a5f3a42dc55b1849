"""A hub on a free port of the loopback address, with the real worker beside it."""

import contextlib
import hashlib
import http.server
import json
import re
import ssl
import threading
import time

import httpx
import numpy as np
import rasterio
import uvicorn
from affine import Affine

from tilepipe_hub.app import create_app
from tilepipe_hub.callback import Callbacks
from tilepipe_hub.listening import options
from tilepipe_hub.settings import load_settings
from tilepipe_hub.store import open_store
from tilepipe_hub.worker import Worker

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Reading the authorities that httpx trusts takes longer than a test, and nothing here speaks TLS."""

LOOPBACK = {
    "callback_hosts": ["127.0.0.1:*"],
    "input_hosts": ["127.0.0.1:*"],
    "http_hosts": ["127.0.0.1:*"],
    "private_hosts": ["127.0.0.1"],
}


class Hub:
    """One that runs; what a test needs of it."""

    def __init__(self, url, settings, store, folder):
        self.url, self.settings, self.store, self.folder = url, settings, store, folder
        self.client = httpx.Client(base_url=url, timeout=30, verify=PLAIN)
        self._clients = {}

    def as_(self, token):
        """A client that sends a token."""
        headers = {"Authorization": f"Bearer {token}"}
        if token not in self._clients:
            self._clients[token] = httpx.Client(base_url=self.url, timeout=30, headers=headers, verify=PLAIN)
        return self._clients[token]

    def close(self):
        for client in (self.client, *self._clients.values()):
            client.close()

    def execute(self, inputs, process="echo", *, prefer=None, client=None, **body):
        headers = {"Prefer": prefer} if prefer else {}
        path = f"/processes/{process}/execution"
        return (client or self.client).post(path, json={"inputs": inputs, **body}, headers=headers)

    def submit(self, inputs, process="echo", **options):
        """Address of a new job."""
        answer = self.execute(inputs, process, prefer="respond-async", **options)
        assert answer.status_code == 201, answer.text
        return answer.headers["location"]

    def ended(self, job, client=None, within_s=60):
        """The status of a job once it has ended."""
        ends = time.monotonic() + within_s
        while time.monotonic() < ends:
            info = (client or self.client).get(job).json()
            if info["status"] not in {"accepted", "running"}:
                return info
            time.sleep(0.05)
        raise AssertionError(f"the job does not end: {info}")


@contextlib.contextmanager
def serving(folder, *, worker=True, submitted=None, **over):
    """A hub with its files in *folder*; *worker* is whether there is one, or how it differs from the usual."""
    rules = {"executor": "sequential", "poll_s": 0.05, "concurrency": 4, "drain_s": 0.5}
    settings = load_settings(
        environ={},
        over={
            "store": {"url": f"{folder}/jobs.db"},
            "folders": {"outputs": f"{folder}/outputs", "uploads": f"{folder}/uploads", **over.pop("folders", {})},
            "worker": {**rules, **(worker if isinstance(worker, dict) else {})},
            **over,
        },
    )
    url = settings.store.url.get_secret_value()
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(open_store(url, keep_s=settings.store.keep_s, patience_s=settings.store.patience_s))
        config = uvicorn.Config(
            create_app(settings, store, submitted=submitted),
            port=0,
            **options(),
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        stack.callback(thread.join)
        stack.callback(setattr, server, "should_exit", True)
        while not server.started:
            time.sleep(0.01)
        if worker:
            stack.enter_context(_working(settings, store))
        port = server.servers[0].sockets[0].getsockname()[1]
        hub = Hub(f"http://127.0.0.1:{port}", settings, store, folder)
        yield stack.enter_context(contextlib.closing(hub))


@contextlib.contextmanager
def _working(settings, store):
    stopping = threading.Event()
    with Callbacks(settings) as callbacks:
        worker = Worker(store=store, settings=settings, name="test", followers=callbacks)
        thread = threading.Thread(target=worker.run, args=(stopping,))
        thread.start()
        try:
            yield
        finally:
            # Also where a test fails, which would wait for the worker for ever.
            stopping.set()
            thread.join()


class Listener(http.server.ThreadingHTTPServer):
    """Hears calls, and gives away files and redirections."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Heard)
        self.calls = []
        self.files = {}
        """Path: status, headers, content."""
        self.url = f"http://127.0.0.1:{self.server_port}"

    def wait(self, path, within_s=10):
        """The body of the first call of a path."""
        ends = time.monotonic() + within_s
        while time.monotonic() < ends:
            found = [json.loads(body) for called, _, body in list(self.calls) if called == path]
            if found:
                return found[0]
            time.sleep(0.02)
        raise AssertionError(f"{path} was not called, only {self.calls}")


class _Heard(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append((self.path, dict(self.headers), body))
        self.send_response(200)
        self.end_headers()

    def do_GET(self):
        self.server.calls.append((self.path, dict(self.headers), b"{}"))
        status, headers, content = self.server.files.get(self.path, (404, {}, b""))
        if status == 200 and (part := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))):
            first, last = int(part[1]), min(int(part[2]), len(content) - 1)
            headers = {**headers, "Content-Range": f"bytes {first}-{last}/{len(content)}"}
            status, content = 206, content[first : last + 1]
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def do_HEAD(self):
        self.do_GET()

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def listening():
    with Listener() as listener:
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield listener
        listener.shutdown()
        thread.join()


def hash_of(token):
    return hashlib.sha256(token.encode()).hexdigest()


def write_dem(path):
    """A small elevation model in web mercator."""
    pixels = np.add.outer(np.arange(64), np.arange(64)).astype("float32")
    profile = {
        "driver": "GTiff",
        "dtype": "float32",
        "width": 64,
        "height": 64,
        "count": 1,
        "crs": "EPSG:3857",
        "transform": Affine(100, 0, 1_000_000, 0, -100, 6_000_000),
        "nodata": -1,
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels, 1)
    return str(path)
