"""What the service calls itself: by `server.base_url`, also where a proxy takes a part of the path away."""

import contextlib
import http.client
import http.server
import re
import threading
from urllib.parse import urldefrag, urlsplit

import httpx
import pytest

from hub.routes.serving import PLAIN, serving

PREFIX = "/maps/tiles"
HOPS = {"connection", "transfer-encoding", "keep-alive", "content-length"}


class _Passed(http.server.BaseHTTPRequestHandler):
    """Passes on what is below the prefix, without it."""

    protocol_version = "HTTP/1.1"

    def pass_on(self):
        if not self.path.startswith(PREFIX):
            self.send_error(404, "this is another service")
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        behind = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=30)
        with contextlib.closing(behind):
            behind.request(self.command, self.path.removeprefix(PREFIX) or "/", body, dict(self.headers))
            answer = behind.getresponse()
            content = answer.read()
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in HOPS:
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        self.pass_on()

    def do_POST(self):
        self.pass_on()

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def proxied(tmp_path_factory):
    """A hub, its address before the proxy, and a client that knows nothing else."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Passed) as proxy:
        proxy.daemon_threads = True
        base = f"http://127.0.0.1:{proxy.server_port}{PREFIX}"
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        with (
            serving(tmp_path_factory.mktemp("proxied"), server={"base_url": f"{base}/"}) as hub,
            httpx.Client(timeout=30, verify=PLAIN, trust_env=False) as client,
        ):
            proxy.behind = urlsplit(hub.url).port
            yield hub, base, client
        proxy.shutdown()
        thread.join()


def addresses(answer):
    """All that an answer leads to."""
    found = re.findall(r"<([^>]*)>; rel=", answer.headers.get("Link", ""))
    found += [answer.headers[name] for name in ("Location", "Content-Location") if name in answer.headers]
    kind = answer.headers.get("content-type", "")
    if kind.startswith("text/html"):
        found += re.findall(r'(?:href|src|action)="([^"]*)"', answer.text)
    elif "json" in kind:
        found += hrefs(answer.json())
    return [urldefrag(address)[0] for address in found if not address.startswith("#")]


def hrefs(value):
    if isinstance(value, dict):
        own = [value["href"]] if isinstance(value.get("href"), str) else []
        return own + [item for part in value.values() for item in hrefs(part)]
    return [item for part in value for item in hrefs(part)] if isinstance(value, list) else []


def test_all_that_can_be_reached_from_the_landing_page_is_behind_the_proxy(proxied):
    hub, base, client = proxied
    job = client.post(
        f"{base}/processes/echo/execution", json={"inputs": {"text": "x"}}, headers={"Prefer": "respond-async"}
    ).headers["Location"]
    hub.ended(job, client)
    seen, ahead = set(), [f"{base}/", f"{base}/?f=html"]

    while ahead:
        address = ahead.pop()
        if address in seen:
            continue
        seen.add(address)
        answer = client.get(address)
        # One cannot read what executes, but it is there.
        assert answer.status_code == (405 if address.endswith("/execution") else 200), address
        for found in addresses(answer):
            whole = str(httpx.URL(address).join(found))
            if urlsplit(whole).hostname == "127.0.0.1":
                assert whole.startswith((f"{base}/", base)), (address, found)
                ahead.append(whole)

    pages = {urlsplit(address).path.removeprefix(PREFIX) for address in seen}
    assert {"/", "/api", "/conformance", "/processes", "/processes/hillshade", "/jobs", "/pages/style.css"} <= pages
    assert urlsplit(job).path.removeprefix(PREFIX) in pages


def test_a_job_is_where_its_location_says(proxied):
    hub, base, client = proxied
    answer = client.post(
        f"{base}/processes/echo/execution", json={"inputs": {"text": "x"}}, headers={"Prefer": "respond-async"}
    )

    assert answer.headers["Location"] == f"{base}/jobs/{answer.json()['jobID']}"
    assert hub.ended(answer.headers["Location"], client)["status"] == "successful"
    results = client.get(f"{answer.headers['Location']}/results?f=json")
    assert results.status_code == 200


def test_the_definition_names_the_address(proxied):
    _, base, client = proxied

    assert client.get(f"{base}/api?f=json").json()["servers"][0]["url"] == base


@pytest.mark.parametrize(
    "host", ["hub.example", "hub.example:8443", "127.0.0.1", "localhost"], ids=lambda host: host.replace(":", "-")
)
def test_links_start_with_the_address_in_the_settings_whatever_the_request_calls_it(tmp_path, host):
    server = {"base_url": "https://hub.example/ogc"}
    with serving(tmp_path, worker=False, server=server) as hub:
        headers = {"Host": host, "X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/evil"}
        landing = hub.client.get("/", headers=headers)
        made = hub.client.post(
            "/processes/echo/execution", json={"inputs": {"text": "x"}}, headers={**headers, "Prefer": "respond-async"}
        )

    assert made.headers["location"].startswith("https://hub.example/ogc/jobs/")
    found = [address for answer in (landing, made) for address in addresses(answer)]
    assert found
    assert all(address.startswith("https://hub.example/ogc/") for address in found)


def test_a_service_that_is_called_otherwise_does_not_answer(tmp_path):
    with serving(tmp_path, worker=False, server={"base_url": "https://hub.example/ogc"}) as hub:
        assert hub.client.get("/", headers={"Host": "evil.example"}).status_code == 421
