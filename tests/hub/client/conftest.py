"""A small server of OGC API - Processes 1.0 with faults on demand, and clients of it."""

import base64
import json
import secrets
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tilepipe_hub.client import Client
from tilepipe_hub.client.wire import Wire

TOKEN = secrets.token_hex()
PROBLEM = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
ECHO = {
    "id": "echo",
    "version": "1.0.0",
    "title": "Echo",
    "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
    "inputs": {
        "text": {"title": "Text", "minOccurs": 1, "schema": {"type": "string"}},
        "number": {"title": "Number", "minOccurs": 0, "schema": {"type": "number"}},
        "object": {"title": "Object", "minOccurs": 0, "schema": {"type": "object"}},
        "image": {
            "minOccurs": 0,
            "schema": {"type": "string", "contentEncoding": "binary", "contentMediaType": "image/tiff"},
        },
    },
    "outputs": {"text": {"schema": {"type": "string"}}},
}


@dataclass
class Seen:
    """A request as it came."""

    method: str
    path: str
    query: dict
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class Farm:
    """What the server knows, and how it misbehaves."""

    url: str = ""
    seen: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    """For the next requests, one each: None, `drop`, `lose` (done, but no answer), a status, or `(status, headers)`."""
    jobs: dict = field(default_factory=dict)
    script: list = field(default_factory=list)
    """What a job is, one look after the other."""
    pages: int = 2
    answers: dict = field(default_factory=dict)
    """`METHOD /path` -> `(status, headers, body)`, instead of what the server would say."""
    events: list = field(default_factory=list)
    """Streams of events: each a list of texts; after its end the connection is closed."""
    offers: tuple = ()
    """Relations of the links that jobs have beside those of the standard."""

    def paths(self, method=None):
        return [item.path for item in self.seen if method in {None, item.method}]

    def status(self, job_id):
        document = {"type": "process", "processID": "echo", "jobID": job_id, **self.jobs[job_id]}
        links = [{"rel": rel, "href": f"{self.url}/jobs/{job_id}/{rel}", "type": "text/plain"} for rel in self.offers]
        if self.events:
            links.append({"rel": "events", "href": f"{self.url}/jobs/{job_id}/events", "type": "text/event-stream"})
        return {**document, "links": links}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        """Nothing."""

    def handle_any(self):
        farm = self.server.farm
        where = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        farm.seen.append(Seen(self.command, where.path, parse_qs(where.query), headers, body))
        fault = farm.faults.pop(0) if farm.faults else None
        if fault == "drop":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if isinstance(fault, int):
            fault = (fault, {})
        if isinstance(fault, tuple):
            self.answer(*fault, b"")
            return
        answer = farm.answers.get(f"{self.command} {where.path}") or self.route(where.path, body)
        if fault == "lose":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if answer is not None:
            self.answer(*answer)

    def answer(self, status, headers, body):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers = {"Content-Type": "application/json", **headers}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def route(self, path, body):
        farm, parts = self.server.farm, path.strip("/").split("/")
        if parts == ["processes"]:
            return (200, {}, {"processes": [ECHO], "links": []})
        if parts == ["processes", "echo"]:
            return (200, {}, ECHO)
        if parts == ["processes", "echo", "execution"]:
            job_id = f"job-{len(farm.jobs) + 1}"
            farm.jobs[job_id] = {"status": "accepted"}
            return (201, {"Location": f"{farm.url}/jobs/{job_id}"}, farm.status(job_id))
        if parts == ["jobs"]:
            return self.page()
        if parts[0] == "jobs" and parts[1] in farm.jobs:
            return self.job(parts[1], parts[2:])
        kind = "no-such-job" if parts[0] == "jobs" else "no-such-process"
        return (404, {}, {"type": f"{PROBLEM}/{kind}", "title": "No such thing", "detail": f"there is no {path}"})

    def page(self):
        farm = self.server.farm
        number = int(parse_qs(urlsplit(self.path).query).get("page", ["1"])[0])
        ids = sorted(farm.jobs)[number - 1 :: farm.pages]
        following = [{"rel": "next", "href": f"{farm.url}/jobs?page={number + 1}"}] if number < farm.pages else []
        return (200, {}, {"jobs": [farm.status(job_id) for job_id in ids], "links": following})

    def job(self, job_id, rest):
        farm = self.server.farm
        if rest == ["events"]:
            self.stream(farm.events.pop(0) if len(farm.events) > 1 else farm.events[0])
            return None
        if self.command == "DELETE":
            if farm.jobs[job_id]["status"] in {"successful", "failed", "dismissed"}:
                return (200, {}, {**farm.status(job_id), **farm.jobs.pop(job_id), "status": "dismissed"})
            farm.jobs[job_id] = {"status": "dismissed"}
        elif rest == [] and farm.script:
            farm.jobs[job_id] = farm.script.pop(0)
        return (200, {}, farm.status(job_id))

    def stream(self, texts):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for text in texts:
            self.wfile.write(text.encode())
        self.close_connection = True


for method in ("GET", "POST", "PUT", "DELETE", "HEAD"):
    setattr(Handler, f"do_{method}", Handler.handle_any)


@pytest.fixture
def token():
    return TOKEN


@pytest.fixture
def make_farm():
    servers = []

    def make():
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.farm = Farm(url=f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        servers.append(server)
        return server.farm

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def farm(make_farm):
    return make_farm()


@pytest.fixture
def naps():
    """Seconds that the client wanted to sleep."""
    return []


@pytest.fixture
def client(farm, naps):
    http = httpx.Client(timeout=5.0, trust_env=False)
    wire = Wire(http=http, base=httpx.URL(f"{farm.url}/"), token=TOKEN, retries=3, sleep=naps.append)
    with Client(wire=wire) as client:
        yield client


@pytest.fixture
def image():
    """Bytes that are no text."""
    return base64.b64decode("SUkqAP/+/fw=")
