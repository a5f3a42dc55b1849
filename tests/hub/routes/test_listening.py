"""What comes over a connection, byte by byte."""

import contextlib
import json
import socket
import threading

import httpx
import pytest

from hub.routes.serving import serving

MUCH = b"a" * 200_000


@contextlib.contextmanager
def connected(hub):
    url = httpx.URL(hub.url)
    with socket.create_connection((url.host, url.port), timeout=10) as line:
        yield line


def heard(hub, *parts):
    """All that comes back until the service closes the connection."""
    with connected(hub) as line:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                line.sendall(part)
        found = b""
        with contextlib.suppress(ConnectionError):
            while more := line.recv(65_536):
                found += more
        return found


@pytest.mark.parametrize(
    "start",
    [
        b"GET /",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20_000,
    ],
)
def test_a_head_without_end_is_not_waited_for(hub, start):
    found = heard(hub, start, MUCH)

    assert found == b"" or found.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("rest", [b"5;x=", b"0\r\nX: "])
def test_nothing_without_end_stands_between_the_parts_of_a_body(hub, rest):
    head = b"POST /processes/echo/execution HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

    found = heard(hub, head + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", rest, MUCH)

    assert not found.startswith(b"HTTP/1.1 2")


@pytest.mark.parametrize("prefer", [None, "respond-async"])
def test_a_body_may_come_in_many_parts(hub, prefer):
    body = json.dumps({"inputs": {"text": "x" * 300_000}}).encode()
    headers = {"Content-Type": "application/json", **({"Prefer": prefer} if prefer else {})}
    parts = (body[start : start + 5000] for start in range(0, len(body), 5000))

    answer = hub.client.post("/processes/echo/execution", content=parts, headers=headers)

    assert answer.status_code == (201 if prefer else 200)


@pytest.mark.parametrize("length", ["5, 6", "-1", "+5", "0x5", "\u0665".encode().decode("latin-1")])
def test_a_length_that_is_no_number_is_refused(hub, length):
    head = f"POST /processes/echo/execution HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"

    assert heard(hub, head.encode("latin-1"), b"{}").startswith(b"HTTP/1.1 400")


def test_two_lengths_are_refused(hub):
    head = b"POST /processes/echo/execution HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"

    assert heard(hub, head, b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_a_stranger_hears_nothing_of_what_is_wrong_with_a_body(tmp_path):
    token = {"sha256": "0" * 64, "owner": "ann", "role": "run"}
    with serving(tmp_path, worker=False, auth={"tokens": [token]}) as closed:
        answer = closed.client.post(
            "/processes/echo/execution",
            content=b"{",
            headers={"Prefer": "respond-async", "Content-Type": "application/json"},
        )

    assert answer.status_code == 401


def test_a_wrong_process_is_told_before_what_is_wrong_with_the_body(hub):
    answer = hub.client.post(
        "/processes/nothing/execution",
        content=b"{",
        headers={"Prefer": "respond-async", "Content-Type": "application/json"},
    )

    assert answer.status_code == 404


def test_who_runs_jobs_hears_of_a_new_one(tmp_path):
    heard = threading.Event()
    with serving(tmp_path, worker=False, submitted=heard.set) as hub:
        hub.submit({"text": "x"})

        assert heard.wait(5)
