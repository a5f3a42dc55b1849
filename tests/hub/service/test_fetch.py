"""What a link leads to."""

import time

import pytest

from hub.routes.serving import listening
from tilepipe_hub.fetch import fetch
from tilepipe_hub.settings import Fence


@pytest.fixture
def listener():
    with listening() as listener:
        yield listener


FENCE = Fence(input_hosts=("data.example:*",), http_hosts=("data.example:*",), private_hosts=("data.example",))


def get(listener, path="/x", fence=FENCE, resolve=lambda host, port: ["127.0.0.1"], **options):
    options = {"most_bytes": 1000, "timeout_s": 5, **options}
    return fetch(f"http://data.example:{listener.server_port}{path}", fence, resolve=resolve, **options)


def test_what_is_there_comes_with_its_type(listener):
    listener.files["/x"] = (200, {"Content-Type": "text/plain"}, b"found")

    assert get(listener) == (b"found", "text/plain")


def test_only_the_address_that_was_judged_is_called(listener):
    """A name that means another address a moment later gains nothing."""
    asked = []

    def resolve(host, port):
        asked.append(host)
        return ["127.0.0.1"]

    listener.files["/x"] = (200, {}, b"found")
    get(listener, resolve=resolve)

    assert asked == ["data.example"]
    assert listener.calls[0][1]["Host"].startswith("data.example")


def test_one_private_address_among_others_is_enough_to_refuse(listener):
    fence = Fence(input_hosts=("data.example:*",), http_hosts=("data.example:*",))

    found = get(listener, fence=fence, resolve=lambda host, port: ["93.184.216.34", "127.0.0.1"])

    assert "private network" in found
    assert listener.calls == []


def test_a_host_without_an_address_cannot_be_read(listener):
    assert "no address" in get(listener, resolve=lambda host, port: [])


def test_a_redirection_is_judged_again(listener):
    listener.files["/x"] = (302, {"Location": "http://other.example/y"}, b"")
    listener.files["/loop"] = (302, {"Location": "/loop"}, b"")

    assert "not on this service's list" in get(listener)
    assert "TooManyRedirects" in get(listener, "/loop")


def test_a_redirection_within_the_fence_is_followed(listener):
    listener.files["/x"] = (302, {"Location": "/y"}, b"")
    listener.files["/y"] = (200, {}, b"there")

    assert get(listener) == (b"there", None)


def test_what_is_too_large_is_refused(listener):
    listener.files["/x"] = (200, {}, b"x" * 5000)

    assert "larger than 1000 bytes" in get(listener)


def test_what_is_packed_is_refused(listener):
    listener.files["/x"] = (200, {"Content-Encoding": "gzip"}, b"bomb")

    assert "packed" in get(listener)


@pytest.mark.parametrize("status", [204, 404, 500])
def test_what_is_not_there_cannot_be_read(listener, status):
    listener.files["/x"] = (status, {}, b"")

    assert str(status) in get(listener)


def test_nobody_is_waited_for_longer_than_allowed(listener):
    began = time.monotonic()

    found = fetch(
        "http://data.example:1/", FENCE, most_bytes=10, timeout_s=0.5, resolve=lambda host, port: ["127.0.0.1"]
    )

    assert "ConnectError" in found
    assert time.monotonic() - began < 3
