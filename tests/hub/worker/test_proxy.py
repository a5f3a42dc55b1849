"""Connections of jobs that are let through, and others."""

import base64
import http.server
import socket
import threading
import urllib.error
import urllib.request
from contextlib import closing, suppress

import pytest

from hub.routes.serving import listening
from tilepipe_hub.running.proxy import Proxy, blamed, variables
from tilepipe_hub.settings import Fence

LARGE = bytes(range(256)) * 20_000


@pytest.fixture(scope="module")
def listener():
    with listening() as listener:
        listener.files["/x"] = (200, {"X-Kind": "plain"}, b"found")
        listener.files["/large"] = (200, {}, LARGE)
        yield listener


@pytest.fixture
def open_proxy(listener):
    """Make proxies of a fence that lets jobs speak to the listener as data.example."""
    opened = []

    def make(resolve=lambda host, port: ["127.0.0.1"], **fence):
        place = f"data.example:{listener.server_port}"
        usual = {"input_hosts": (place,), "http_hosts": (place,), "private_hosts": ("data.example",)}
        opened.append(Proxy(Fence(**usual | fence), resolve=resolve))
        return opened[-1]

    yield make
    for proxy in opened:
        proxy.close()


def asked(guest, link, method="GET", **fields):
    """What a client of Python gets."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": guest.link, "https": guest.link}))
    with opener.open(urllib.request.Request(link, headers=fields, method=method), timeout=10) as answer:
        return answer.read(), answer.headers


def said(guest, text, *, key=None):
    """What comes back for some bytes."""
    authority = base64.b64encode(f"job:{guest.key if key is None else key}".encode()).decode()
    with socket.create_connection(("127.0.0.1", guest.port), timeout=10) as connection:
        connection.sendall(text.replace("KEY", f"Proxy-Authorization: Basic {authority}\r\n").encode("latin-1"))
        return b"".join(iter(lambda: connection.recv(1 << 16), b"")).decode("latin-1")


def test_what_is_allowed_comes_through(listener, open_proxy):
    guest = open_proxy().admit()

    content, fields = asked(guest, f"http://data.example:{listener.server_port}/x", Range="bytes=0-9")
    _, sent, _ = listener.calls[-1]

    assert (content, fields["X-Kind"], fields["Connection"]) == (b"found", "plain", "close")
    assert (sent["Host"], sent["Range"]) == (f"data.example:{listener.server_port}", "bytes=0-9")
    assert "Proxy-Authorization" not in sent
    assert guest.refusals == ()


def test_what_is_large_comes_through_whole(listener, open_proxy):
    assert asked(open_proxy().admit(), f"http://data.example:{listener.server_port}/large")[0] == LARGE


def test_the_length_of_what_is_there_can_be_asked_for(listener, open_proxy):
    content, fields = asked(open_proxy().admit(), f"http://data.example:{listener.server_port}/large", "HEAD")

    assert (content, fields["Content-Length"]) == (b"", str(len(LARGE)))


def test_a_tunnel_carries_what_both_sides_say(listener, open_proxy):
    guest = open_proxy().admit()
    place = f"data.example:{listener.server_port}"

    answer = said(guest, f"CONNECT {place} HTTP/1.1\r\nKEY\r\nGET /x HTTP/1.1\r\nHost: {place}\r\n\r\n")

    assert answer.startswith("HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.0 200 OK")
    assert answer.endswith("found")


def test_a_name_is_looked_up_once_and_that_address_called(listener, open_proxy):
    """One that means another address a moment later gains nothing."""
    found = []

    def resolve(host, port):
        found.append(host)
        return ["127.0.0.1"] if len(found) == 1 else ["169.254.169.254"]

    guest = open_proxy(resolve).admit()
    content, _ = asked(guest, f"http://data.example:{listener.server_port}/x")

    assert (content, found) == (b"found", ["data.example"])


def test_the_next_address_is_called_where_the_first_does_not_answer(listener, open_proxy):
    guest = open_proxy(lambda host, port: ["127.0.0.9", "127.0.0.1"]).admit()

    assert asked(guest, f"http://data.example:{listener.server_port}/x")[0] == b"found"


@pytest.mark.parametrize(
    ("addresses", "fence", "reason"),
    [
        (["93.184.216.34", "127.0.0.1"], {"private_hosts": ()}, "it leads to data.example, which lies in a private"),
        (["10.0.0.1"], {"private_hosts": ()}, "it leads to data.example, which lies in a private network"),
        (["::ffff:10.0.0.1"], {"private_hosts": ()}, "it leads to data.example, which lies in a private network"),
        (["169.254.169.254"], {}, "it leads to data.example, which is an address that tells machines their secrets"),
        (["127.0.0.1"], {"input_hosts": ()}, "which is not on this service's list"),
        (["127.0.0.1"], {"http_hosts": ()}, "it leads to data.example without TLS; use https"),
        ([], {}, "it leads to data.example, which has no address"),
        (["127.0.0.9"], {}, "where nobody answers"),
    ],
)
def test_what_is_not_allowed_is_told(listener, open_proxy, addresses, fence, reason):
    guest = open_proxy(lambda host, port: addresses, **fence).admit()
    calls = len(listener.calls)

    with pytest.raises(urllib.error.HTTPError, match=reason):
        asked(guest, f"http://data.example:{listener.server_port}/x")

    assert reason in f"it {guest.refusals[0]}"
    assert len(listener.calls) == calls


def test_a_tunnel_is_judged_like_a_request(open_proxy):
    guest = open_proxy().admit()

    with pytest.raises(urllib.error.URLError, match=r"403 it leads to the host other\.example, port 443,"):
        asked(guest, "https://other.example/x")


@pytest.mark.parametrize(
    "link", ["http://127.0.0.1:{}/x", "http://0x7f000001:{}/x", "http://2130706433:{}/x", "http://[::1]:{}/x"]
)
def test_another_spelling_of_an_address_is_no_way_round(listener, open_proxy, link):
    guest = open_proxy().admit()

    with pytest.raises(urllib.error.HTTPError, match="403"):
        asked(guest, link.format(listener.server_port))


def test_a_root_that_spells_a_host_allows_it(listener, open_proxy):
    link = f"http://data.example:{listener.server_port}/x"
    proxy = open_proxy(input_hosts=(), http_hosts=(), input_roots=(f"/vsicurl/{link}",))

    assert asked(proxy.admit(), link)[0] == b"found"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("GET http://data.example:PORT/x HTTP/1.1\r\n\r\n", 407),
        ("POST http://data.example:PORT/x HTTP/1.1\r\nKEY\r\n", 403),
        ("GET /x HTTP/1.1\r\nHost: data.example:PORT\r\nKEY\r\n", 403),
        ("GET ftp://data.example/x HTTP/1.1\r\nKEY\r\n", 403),
        ("GET http://me@data.example:PORT/x HTTP/1.1\r\nKEY\r\n", 403),
        ("CONNECT data.example HTTP/1.1\r\nKEY\r\n", 403),
        ("CONNECT me@data.example:PORT HTTP/1.1\r\nKEY\r\n", 403),
        ("CONNECT data.example:PORT/ HTTP/2\r\nKEY\r\n", 400),
        ("GET  http://data.example:PORT/x HTTP/1.1\r\nKEY\r\n", 400),
        ("GET http://data.example:PORT/x HTTP/1.1\r\nKEY folded: yes\r\n\r\n", 400),
        ("GET http://data.example:PORT/x HTTP/1.1\r\nKEYno field\r\n\r\n", 400),
        ("\r\n\r\n", 400),
    ],
)
def test_an_odd_request_goes_nowhere(listener, open_proxy, text, status):
    calls = len(listener.calls)

    answer = said(open_proxy().admit(), text.replace("PORT", str(listener.server_port)))

    assert answer.startswith(f"HTTP/1.1 {status} it ")
    assert len(listener.calls) == calls


def test_a_second_request_on_a_connection_goes_nowhere(listener, open_proxy):
    guest, calls = open_proxy().admit(), len(listener.calls)
    line = f"GET http://data.example:{listener.server_port}/x HTTP/1.1\r\nKEY\r\n"

    said(guest, line + line)

    assert len(listener.calls) <= calls + 1


def test_a_host_that_keeps_its_connection_keeps_nobody_waiting(open_proxy):
    class Keeps(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response_only(103)
            self.end_headers()
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.send_header("Connection", "keep-alive")
            self.end_headers()
            self.wfile.write(b"found")
            self.close_connection = False

        def log_message(self, *args):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Keeps) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        place = f"data.example:{server.server_port}"
        guest = open_proxy(input_hosts=(place,), http_hosts=(place,)).admit()
        content, fields = asked(guest, f"http://{place}/x")
        server.shutdown()
        thread.join()

    assert (content, fields["Connection"]) == (b"found", "close")


@pytest.mark.parametrize("leave", ["dismissed", "unknown"])
def test_nobody_else_is_let_out(listener, open_proxy, leave):
    proxy = open_proxy()
    guest = proxy.admit()
    text = f"GET http://data.example:{listener.server_port}/x HTTP/1.1\r\nKEY\r\n"
    if leave == "dismissed":
        proxy.dismiss(guest)

    assert said(guest, text, key="0" * 32 if leave == "unknown" else None).startswith("HTTP/1.1 407 ")


def test_a_proxy_that_was_closed_lets_nobody_out(open_proxy):
    proxy = open_proxy()
    guest = proxy.admit()

    proxy.close()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", guest.port))


def test_closing_cuts_what_is_under_way(listener, open_proxy):
    proxy = open_proxy()
    guest = proxy.admit()
    key = base64.b64encode(f"job:{guest.key}".encode()).decode()

    with closing(socket.create_connection(("127.0.0.1", guest.port), timeout=5)) as connection:
        head = f"CONNECT data.example:{listener.server_port} HTTP/1.1\r\nProxy-Authorization: Basic {key}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        proxy.close()
        with suppress(ConnectionResetError):
            assert connection.recv(100) == b""


def test_a_refusal_is_told_once(open_proxy, caplog):
    guest = open_proxy().admit()
    guest.name = "job 17"
    for _ in range(3):
        with pytest.raises(urllib.error.HTTPError):
            asked(guest, "http://other.example/x")
    line = (
        "a connection was refused, as it leads to the host other.example, port 80, which is not on this service's list"
    )

    assert blamed(guest, []) == [{"kind": "log", "line": line}]
    assert blamed(guest, []) == []
    assert [record.getMessage()[:7] for record in caplog.records] == ["job 17:"]


def test_a_job_that_fails_says_what_it_was_refused(open_proxy):
    guest = open_proxy().admit()
    guest.refuse("leads nowhere")
    guest.news()
    end = {"kind": "end", "status": "failed", "message": "it failed", "problem": {"status": 500, "detail": "it failed"}}
    good = {"kind": "end", "status": "successful", "message": "tiles: 1 written"}
    words = "it failed; a connection was refused, as it leads nowhere"

    assert blamed(guest, [end]) == [{**end, "message": words, "problem": {"status": 500, "detail": words}}]
    assert blamed(guest, [good]) == [good]


def test_the_environment_has_it_for_all_clients(open_proxy):
    guest = open_proxy().admit()

    found = variables(guest)

    assert {found[name] for name in ("GDAL_HTTP_PROXY", "GDAL_HTTPS_PROXY", "http_proxy", "HTTPS_PROXY")} == {
        guest.link
    }
    assert found["no_proxy"] == found["NO_PROXY"] == ""
