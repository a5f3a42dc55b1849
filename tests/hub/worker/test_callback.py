"""Calls to those who subscribed: what they say, and who may be called."""

import hashlib
import hmac
import json
import time
from dataclasses import replace

import pytest

from hub.worker.receiver import FENCE
from tilepipe_hub.callback import JOB, SIGNATURE, Callbacks, slack_words
from tilepipe_hub.job import Job, Progress, Request
from tilepipe_hub.settings import Settings
from tilepipe_hub.work import Work


def settings(outputs="outputs", **fence):
    return Settings.model_validate(
        {
            "fence": {**FENCE, **fence},
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
        reason = callbacks.tell(job(receiver.link, results=results, asked=asked))

    [(_, path, headers, body, _)] = receiver.calls
    moment, _, digest = headers[SIGNATURE].partition(",")
    signed = hmac.new(b"shared", f"{moment.removeprefix('t=')}.".encode() + body, hashlib.sha256).hexdigest()
    assert reason is None
    assert path == "/successUri"
    assert headers[JOB] == "abc"
    assert json.loads(body) == {
        "item": {"href": "https://hub.example.com/jobs/abc/output/stac.json", "type": "application/geo+json"},
        "text": 3,
    }
    assert digest == f"sha256={signed}"


@pytest.mark.parametrize(("status", "number"), [("failed", 500), ("dismissed", 410)])
def test_an_end_without_results_brings_the_reason(receiver, status, number):
    with Callbacks(settings()) as callbacks:
        callbacks.tell(job(receiver.link, status=status, message="no luck"))

    [call] = receiver.calls
    assert call.path == "/failedUri"
    assert call.document["type"] == f"urn:tilepipe:problem:job-{status}"
    assert (call.document["status"], call.document["detail"], call.document["jobID"]) == (number, "no luck", "abc")


def test_progress_is_told_now_and_then(receiver):
    with Callbacks(settings()) as callbacks:
        for percent in range(50):
            callbacks.follow(job(receiver.link, status="running"), Progress(percent=percent))
        ends = time.monotonic() + 5
        while not receiver.calls and time.monotonic() < ends:
            time.sleep(0.01)

    [call] = receiver.calls
    assert call.path == "/inProgressUri"
    assert call.document["progress"] == 0


def test_a_call_that_is_not_heard_says_why_without_the_link(receiver):
    receiver.answers[:] = [503]

    with Callbacks(settings()) as callbacks:
        refused = callbacks.tell(job(receiver.link))
        receiver.close()
        away = callbacks.tell(job(receiver.link))

    assert refused == "127.0.0.1 answers 503"
    assert away == "127.0.0.1 does not answer: ConnectError"


def test_results_that_are_gone_are_no_results(receiver, tmp_path):
    results = {"item": {"file": "stac.json", "mediaType": "application/geo+json"}}

    with Callbacks(settings(outputs=tmp_path)) as callbacks:
        reason = callbacks.tell(job(receiver.link, results=results, asked={"item": {"transmission": "value"}}))

    assert reason == "the results cannot be read: No such file or directory"
    assert receiver.calls == []


def test_whoever_did_not_subscribe_to_an_end_is_not_called(receiver):
    with Callbacks(settings()) as callbacks:
        assert callbacks.tell(Job(id="abc", process="p", owner="ann", status="failed")) is None

    assert receiver.calls == []


@pytest.mark.parametrize("fence", [{"private_hosts": []}, {"callback_hosts": []}, {"http_hosts": []}])
def test_nobody_is_called_beyond_the_fence(receiver, fence):
    with Callbacks(settings(**fence)) as callbacks:
        reason = callbacks.tell(job(receiver.link))

    assert reason == "127.0.0.1 may not be called, or has no address"
    assert receiver.calls == []


def test_no_call_is_led_elsewhere(receiver):
    receiver.answers[:] = [302]

    with Callbacks(settings()) as callbacks:
        reason = callbacks.tell(job(receiver.link))

    assert reason == "127.0.0.1 answers 302"
    assert [call.path for call in receiver.calls] == ["/successUri"]


def test_a_channel_gets_one_line_in_which_nobody_is_called():
    words = slack_words(job("", status="failed", message="<!channel> & more"), "https://hub.example.com/jobs/abc")

    assert words == {
        "text": ":x: <https://hub.example.com/jobs/abc|job abc> figures: failed &lt;!channel&gt; &amp; more"
    }


@pytest.mark.parametrize("message", ["two\nlines", "two\r\nlines", "two\u2028\x85\v lines", "two\t \n\n lines\n"])
def test_what_goes_to_a_channel_is_one_line_whatever_the_job_says(message):
    named = replace(job("", status="failed", message=message), title="My\nmap")

    words = slack_words(named, "https://hub.example.com/jobs/abc")["text"]

    assert words == ":x: <https://hub.example.com/jobs/abc|job abc> My map: failed two lines"


@pytest.mark.parametrize("host", ["hooks.slack.com", "hooks.slack-gov.com", "HOOKS.Slack.com"])
@pytest.mark.parametrize("status", ["successful", "failed"])
def test_a_channel_is_told_in_words_and_nobody_else(receiver, host, status):
    """By the name of its host: whatever has that name here is this receiver."""
    names = ["hooks.slack.com", "hooks.slack-gov.com", "slack.com.example"]
    fence = {"callback_hosts": [f"{name}:*" for name in names], "http_hosts": [f"{name}:*" for name in names]}
    chosen = settings(private_hosts=names, **fence)
    with Callbacks(chosen, resolve=lambda _host, _port: ["127.0.0.1"]) as callbacks:
        for name in (host, "slack.com.example"):
            link = f"http://{name}:{receiver.port}/services/T0/B0"
            assert callbacks.tell(job(link, status, message="all\nwell", results={})) is None

    words, document = (call.document for call in receiver.calls)
    sign = {"successful": ":white_check_mark:", "failed": ":x:"}[status]
    assert words == {"text": f"{sign} <https://hub.example.com/jobs/abc|job abc> figures: {status} all well"}
    assert "text" not in document
    assert receiver.calls[0].headers["Host"] == f"{host.lower()}:{receiver.port}"


def test_progress_is_told_to_a_channel_in_words(receiver):
    fence = {"callback_hosts": ["hooks.slack.com:*"], "http_hosts": ["hooks.slack.com:*"]}
    chosen = settings(private_hosts=["hooks.slack.com"], **fence)
    with Callbacks(chosen, resolve=lambda _host, _port: ["127.0.0.1"]) as callbacks:
        callbacks.follow(job(f"http://hooks.slack.com:{receiver.port}", "running"), Progress(done=1, total=2))
        ends = time.monotonic() + 10
        while not receiver.calls and time.monotonic() < ends:
            time.sleep(0.01)

    assert [[*call.document] for call in receiver.calls] == [["text"]]
