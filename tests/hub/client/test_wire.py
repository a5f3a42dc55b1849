"""What goes over the wire, how often, and to whom."""

import ssl

import httpx
import pytest

from tilepipe_hub.client import (
    Client,
    ClientError,
    NotAllowed,
    NotReached,
    NotReady,
    NotThere,
    Refused,
    Unexpected,
    open_client,
)
from tilepipe_hub.client.wire import Wire


def test_the_token_goes_to_the_server(farm, client, token):
    client.process("echo")

    assert farm.seen[0].headers["authorization"] == f"Bearer {token}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_token_follows_no_redirection_to_another_host(farm, make_farm, client, status):
    other = make_farm()
    farm.faults = [(status, {"Location": f"{other.url}/processes/echo"})]

    assert client.process("echo").title == "Echo"
    assert "authorization" not in other.seen[0].headers


def test_the_token_follows_a_redirection_on_the_same_host(farm, client, token):
    farm.faults = [(307, {"Location": "/processes/echo"})]

    client.process("other")

    assert farm.paths() == ["/processes/other", "/processes/echo"]
    assert farm.seen[1].headers["authorization"] == f"Bearer {token}"


def test_the_token_does_not_come_back_after_a_detour(farm, make_farm, client):
    other = make_farm()
    farm.faults = [(302, {"Location": f"{other.url}/a"})]
    other.faults = [(302, {"Location": f"{other.url}/processes/echo"})]

    client.process("echo")

    assert all("authorization" not in item.headers for item in other.seen)


def test_the_token_goes_to_no_host_that_results_link_to(farm, make_farm, client, tmp_path):
    other = make_farm()
    other.answers["GET /tile.tif"] = (200, {}, b"pixels")

    client.download(f"{other.url}/tile.tif", f"{tmp_path}/tile.tif")

    assert (tmp_path / "tile.tif").read_bytes() == b"pixels"
    assert "authorization" not in other.seen[0].headers


def test_no_request_is_posted_to_another_host(farm, make_farm, client):
    other = make_farm()
    farm.faults = [(307, {"Location": f"{other.url}/processes/echo/execution"})]

    with pytest.raises(Unexpected, match="where a POST is not sent unasked"):
        client.submit("echo", {"text": "secret"})
    assert other.seen == []


def test_a_post_follows_a_redirection_on_the_same_host_with_its_body(farm, client):
    farm.faults = [(308, {"Location": "/processes/echo/execution"})]

    client.submit("old", {"text": "a"}, idempotency_key="k")

    assert [item.json["inputs"] for item in farm.seen] == [{"text": "a"}] * 2
    assert farm.seen[1].headers["prefer"] == "respond-async"
    assert farm.seen[1].headers["idempotency-key"] == "k"


def test_redirections_in_a_circle_come_to_an_end(farm, client):
    farm.faults = [(302, {"Location": "/again"})] * 20

    with pytest.raises(Unexpected, match="more than 5 redirections"):
        client.process("echo")


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_redirections_out_of_the_web_are_not_followed(farm, client, address):
    farm.faults = [(302, {"Location": address})]

    with pytest.raises(Unexpected, match="is not followed"):
        client.process("echo")


def test_a_redirection_from_https_to_http_is_not_followed(token):
    def answer(request):
        return httpx.Response(302, headers={"Location": "http://hub.example/processes/echo"})

    http = httpx.Client(transport=httpx.MockTransport(answer))
    client = Client(wire=Wire(http=http, base=httpx.URL("https://hub.example/"), token=token))

    with pytest.raises(Unexpected, match="which is not followed"):
        client.process("echo")


def test_reading_is_tried_again_after_passing_faults(farm, client, naps):
    farm.faults = ["drop", 503, 502]

    assert client.process("echo").id == "echo"
    assert len(farm.seen) == 4
    assert len(naps) == 3
    assert 0.25 <= naps[0] <= 0.5 < naps[2]


def test_trying_comes_to_an_end(farm, client):
    farm.faults = ["drop"] * 9

    with pytest.raises(NotReached, match=r"GET http://127.0.0.1:\d+/processes/echo: no answer, tried 4 times"):
        client.process("echo")


def test_a_fault_that_stays_is_told_as_the_server_tells_it(farm, client):
    farm.faults = [503] * 9

    with pytest.raises(Refused, match="the server answers 503, Service Unavailable"):
        client.process("echo")


def test_a_job_is_not_sent_twice_when_the_answer_is_lost(farm, client):
    farm.faults = ["lose"]

    with pytest.raises(NotReached, match="no answer"):
        client.submit("echo", {"text": "a"})
    assert len(farm.jobs) == 1


def test_a_job_with_a_key_is_sent_again(farm, client):
    farm.faults = ["lose"]

    client.submit("echo", {"text": "a"}, idempotency_key="one")

    assert [item.headers["idempotency-key"] for item in farm.seen] == ["one", "one"]


def test_a_job_is_sent_again_when_the_server_says_when(farm, client, naps):
    farm.faults = [(429, {"Retry-After": "3"})]

    client.submit("echo", {"text": "a"})

    assert len(farm.jobs) == 1
    assert 3 <= naps[0] <= 3.5


def test_a_job_that_is_sent_again_at_a_servers_wish_has_the_same_key(farm, client):
    farm.faults = [(503, {"Retry-After": "0"})]

    client.submit("echo", {"text": "a"})
    client.submit("echo", {"text": "a"})

    first, again, other = (item.headers["idempotency-key"] for item in farm.seen)
    assert first == again != other


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_job_is_not_sent_again_when_the_server_may_have_taken_it(farm, client, status):
    farm.faults = [status]

    with pytest.raises(Refused, match=str(status)):
        client.submit("echo", {"text": "a"})
    assert len(farm.seen) == 1


def test_a_job_that_never_left_is_sent_again(client, farm, naps):
    tried = []

    def answer(request):
        tried.append(request)
        if len(tried) < 3:
            raise httpx.ConnectError("refused")
        return httpx.Response(201, json={"jobID": "j", "status": "accepted"})

    http = httpx.Client(transport=httpx.MockTransport(answer))
    client = Client(wire=Wire(http=http, base=httpx.URL("http://hub.example/"), sleep=naps.append))

    assert client.submit("echo").id == "j"


def test_a_wrong_certificate_is_not_tried_again(naps):
    def answer(request):
        raise httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED]") from ssl.SSLError()

    http = httpx.Client(transport=httpx.MockTransport(answer))
    client = Client(wire=Wire(http=http, base=httpx.URL("https://hub.example/"), sleep=naps.append))

    with pytest.raises(NotReached, match="CERTIFICATE"):
        client.process("echo")
    assert naps == []


def test_a_longer_pause_than_half_a_minute_is_not_made(farm, client, naps):
    farm.faults = [(503, {"Retry-After": "86400"})]

    client.process("echo")

    assert naps[0] <= 30.5


def test_a_problem_is_told_and_kept(client):
    with pytest.raises(NotThere, match="No such thing: there is no /processes/other") as caught:
        client.process("other")

    assert caught.value.status == 404
    assert caught.value.type.endswith("/no-such-process")
    assert caught.value.problem["title"] == "No such thing"


@pytest.mark.parametrize("status", [401, 403])
def test_who_may_not_is_told_about_tokens(farm, client, status, token):
    farm.faults = [status]

    with pytest.raises(NotAllowed, match="TILEPIPE_HUB_TOKEN") as caught:
        client.process("echo")
    assert token not in str(caught.value)


def test_results_that_are_not_ready_have_an_error_of_their_own(farm, client):
    farm.jobs["j"] = {"status": "running"}
    problem = {"type": "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/result-not-ready"}
    farm.answers["GET /jobs/j/results"] = (404, {}, problem)

    with pytest.raises(NotReady, match="wait for the job first"):
        client.results("j")


def test_a_web_page_in_place_of_an_answer_is_told(farm, client):
    farm.answers["GET /processes/echo"] = (200, {"Content-Type": "text/html"}, b"<h1>Welcome</h1>")

    with pytest.raises(Unexpected, match="no JSON came, but text/html; is this an OGC API"):
        client.process("echo")


@pytest.mark.parametrize("name", ["..", "", "."])
def test_a_name_cannot_lead_elsewhere(client, name):
    with pytest.raises(Unexpected, match="cannot be part of an address"):
        client.job(name)


def test_a_name_is_one_part_of_the_address(farm, client):
    with pytest.raises(NotThere, match="the server answers 404"):
        client.job("../processes?a=b#c")

    assert farm.seen[0].path == "/jobs/..%2Fprocesses%3Fa%3Db%23c"


def test_nothing_shows_the_token(client, token):
    assert token not in repr(client)


def test_passwords_and_signatures_are_not_shown(tmp_path, naps):
    def answer(request):
        return httpx.Response(404)

    http = httpx.Client(transport=httpx.MockTransport(answer))
    client = Client(wire=Wire(http=http, base=httpx.URL("http://hub.example/"), sleep=naps.append))

    with pytest.raises(NotThere, match=r"GET https://data.example/tile.tif: the server answers 404") as caught:
        client.download("https://me:password@data.example/tile.tif?signature=abc", f"{tmp_path}/x")
    assert "password" not in str(caught.value)
    assert "abc" not in str(caught.value)


def test_the_environment_names_server_and_token(farm, monkeypatch):
    monkeypatch.setenv("TILEPIPE_HUB_URL", f"{farm.url}/")
    monkeypatch.setenv("TILEPIPE_HUB_TOKEN", "of the environment")

    with open_client() as client:
        client.process("echo")

    assert farm.seen[0].headers["authorization"] == "Bearer of the environment"


def test_the_token_of_the_environment_is_for_the_server_of_the_environment(farm, make_farm, monkeypatch):
    monkeypatch.setenv("TILEPIPE_HUB_URL", make_farm().url)
    monkeypatch.setenv("TILEPIPE_HUB_TOKEN", "of the environment")

    with open_client(farm.url) as client:
        client.process("echo")

    assert "authorization" not in farm.seen[0].headers


@pytest.mark.parametrize("url", ["hub.example", "file:///etc", "http://", "mongodb://hub"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ClientError, match="write it as http://host:port"):
        open_client(url)


def test_without_an_address_there_is_no_client(monkeypatch):
    monkeypatch.delenv("TILEPIPE_HUB_URL", raising=False)

    with pytest.raises(ClientError, match="with --url or TILEPIPE_HUB_URL"):
        open_client()


def test_a_server_may_lie_below_a_path(farm):
    farm.answers["GET /ogc/api/processes/echo"] = (200, {}, {"id": "echo"})

    with open_client(f"{farm.url}/ogc/api") as client:
        assert client.process("echo").id == "echo"
