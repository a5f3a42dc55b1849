"""Calls to those who subscribed: what they say, who may be called, and how often."""

import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tilepipe_hub import callback
from tilepipe_hub.callback import SIGNATURE, Callbacks, slack_words
from tilepipe_hub.job import Job, Progress, Request
from tilepipe_hub.settings import Settings
from tilepipe_hub.work import Work


@pytest.fixture
def receiver():
    """A server that keeps what it gets; `answers` are its next status codes."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.calls.append((self.path, self.headers, body))
            self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.calls, server.answers = [], []
    server.link = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(callback, "FIRST_PAUSE_S", 0.01)


def settings(outputs="outputs", **fence):
    hosts = {"callback_hosts": ["127.0.0.1:*"], "http_hosts": ["127.0.0.1:*"], "private_hosts": ["127.0.0.1"]}
    return Settings.model_validate(
        {
            "fence": {**hosts, **fence},
            "callbacks": {"secret": "shared", "attempts": 3},
            "folders": {"outputs": str(outputs)},
            "server": {"base_url": "https://hub.example.com/"},
        }
    )


def job(link, status="successful", asked=None, **values):
    subscriber = {name: f"{link}/{name}" for name in ("successUri", "inProgressUri", "failedUri")}
    request = Request(subscriber=subscriber, work=Work(kind="recipe", folder="abc", asked=asked or {}).document())
    return Job(id="abc", process="figures", owner="ann", status=status, request=request, **values)


def test_success_brings_the_results_signed(receiver, tmp_path):
    results = {
        "item": {"file": "stac.json", "mediaType": "application/geo+json"},
        "vrt": {"file": "stac.vrt", "mediaType": "application/xml"},
        "text": {"value": 3},
    }
    asked = {"item": {"transmission": "reference"}, "text": {}}
    (tmp_path / "abc").mkdir()

    with Callbacks(settings(outputs=tmp_path)) as callbacks:
        callbacks.ended(job(receiver.link, results=results, asked=asked))

    [(path, headers, body)] = receiver.calls
    moment, _, digest = headers[SIGNATURE].partition(",")
    signed = hmac.new(b"shared", f"{moment.removeprefix('t=')}.".encode() + body, hashlib.sha256).hexdigest()
    assert path == "/successUri"
    assert json.loads(body) == {
        "item": {"href": "https://hub.example.com/jobs/abc/output/stac.json", "type": "application/geo+json"},
        "text": 3,
    }
    assert digest == f"sha256={signed}"


def test_failure_brings_the_reason(receiver):
    with Callbacks(settings()) as callbacks:
        callbacks.ended(job(receiver.link, status="failed", message="no luck"))

    [(path, _, body)] = receiver.calls
    document = json.loads(body)
    assert path == "/failedUri"
    assert (document["status"], document["detail"], document["jobID"]) == (500, "no luck", "abc")


def test_progress_is_told_now_and_then(receiver):
    with Callbacks(settings()) as callbacks:
        for percent in range(50):
            callbacks.follow(job(receiver.link, status="running"), Progress(percent=percent))

    [(path, _, body)] = receiver.calls
    assert path == "/inProgressUri"
    assert json.loads(body)["progress"] == 0


@pytest.mark.usefixtures("quick")
def test_a_call_that_is_not_heard_is_tried_again(receiver):
    receiver.answers[:] = [500, 503]

    with Callbacks(settings()) as callbacks:
        callbacks.ended(job(receiver.link))

    assert len(receiver.calls) == 3


@pytest.mark.usefixtures("quick")
def test_a_call_is_tried_only_so_often(receiver):
    receiver.answers[:] = [500] * 10

    with Callbacks(settings()) as callbacks:
        callbacks.ended(job(receiver.link))

    assert len(receiver.calls) == 3


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fence", [{"private_hosts": []}, {"callback_hosts": []}, {"http_hosts": []}])
def test_nobody_is_called_beyond_the_fence(receiver, fence):
    with Callbacks(settings(**fence)) as callbacks:
        callbacks.ended(job(receiver.link))

    assert receiver.calls == []


@pytest.mark.usefixtures("quick")
def test_no_call_is_led_elsewhere(receiver):
    receiver.answers[:] = [302, 302, 302]

    with Callbacks(settings()) as callbacks:
        callbacks.ended(job(receiver.link))

    assert {path for path, _, _ in receiver.calls} == {"/successUri"}


def test_a_channel_gets_one_line_in_which_nobody_is_called():
    words = slack_words(job("", status="failed", message="<!channel> & more"), "https://hub.example.com/jobs/abc")

    assert words == {
        "text": ":x: <https://hub.example.com/jobs/abc|job abc> figures: failed &lt;!channel&gt; &amp; more"
    }
