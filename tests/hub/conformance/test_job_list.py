"""Classes Job List, Dismiss and Callback: a test for each requirement, by its name in the standard."""

import hashlib
import hmac
from datetime import datetime, timedelta

import pytest

from hub.conformance.documents import EXCEPTION, JOBS, STATUS, check, check_exception, links_of
from hub.routes.serving import LOOPBACK, serving

EXC = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/"


def ids(client, **parameters):
    answer = client.get("/jobs", params=parameters)
    assert answer.status_code == 200, answer.text
    return [job["jobID"] for job in check(answer.json(), JOBS)["jobs"]]


# job list


def test_job_list_op_and_success(client, done):
    assert done["jobID"] in ids(client)


def test_job_list_links(client, done):
    document = client.get("/jobs").json()

    assert links_of(document, "self")[0]["type"] == "application/json"
    assert links_of(document, "alternate")[0]["type"] == "text/html"


def test_job_list_type_response(client, done):
    assert done["jobID"] in ids(client, type="process")
    assert ids(client, type="other") == []


def test_job_list_processid_response(client, done, failed):
    assert done["jobID"] in ids(client, processID="echo")
    assert done["jobID"] in ids(client, processID=["slope", "echo"])
    assert done["jobID"] in ids(client, processID="slope,echo")
    assert ids(client, processID="slope") == []


def test_job_list_status_response(client, done, failed):
    successful, both = ids(client, status="successful"), ids(client, status=["successful", "failed"])

    assert done["jobID"] in successful
    assert failed["jobID"] not in successful
    assert {done["jobID"], failed["jobID"]} <= set(both)
    assert set(ids(client, status="successful,failed")) == set(both)
    check_exception(client.get("/jobs", params={"status": "done"}), 400)


def test_job_list_datetime_response(client, done):
    moment = datetime.fromisoformat(done["created"])
    before, after = ((moment + timedelta(seconds=by)).isoformat() for by in (-0.5, 0.5))
    created = done["created"]

    hits = [created, f"{before}/{after}", f"../{after}", f"/{after}", f"{before}/..", f"{before}/", f"{created}/.."]
    for wanted in hits:
        assert done["jobID"] in ids(client, datetime=wanted, status="successful"), wanted
    for other in (before, f"../{before}", f"{after}/..", f"{after}/{after}"):
        assert done["jobID"] not in ids(client, datetime=other, status="successful"), other


@pytest.mark.parametrize(
    "text", ["", "..", "../..", "yesterday", "2026-13-01T00:00:00Z", "a/b", "2026-02-01/2026-01-01"]
)
def test_a_datetime_that_is_none_is_refused(client, text):
    check_exception(client.get("/jobs", params={"datetime": text}), 400)


def test_job_list_duration_response(hub, client, long_job):
    quick = hub.ended(hub.submit({"text": "x"}))["jobID"]
    slow = hub.ended(hub.submit({"text": "x", "pause": 1.2}))["jobID"]

    assert slow in ids(client, minDuration=1)
    assert quick not in ids(client, minDuration=1)
    assert quick in ids(client, maxDuration=1)
    assert slow not in ids(client, maxDuration=1)
    assert slow in ids(client, minDuration=1, maxDuration=30)
    found = client.get("/jobs", params={"minDuration": 0, "limit": 1000}).json()["jobs"]
    assert all("started" in job for job in found)
    assert long_job.rpartition("/")[2] in [job["jobID"] for job in found if job["status"] == "running"]


@pytest.mark.parametrize("value", ["-1", "x", "nan", "inf"])
def test_a_duration_that_is_none_is_refused(client, value):
    check_exception(client.get("/jobs", params={"minDuration": value}), 400)


@pytest.mark.parametrize("limit", [1, 2, 10**20])
def test_job_list_limit_response(client, done, failed, limit):
    assert 1 <= len(ids(client, limit=limit)) <= limit


def test_job_list_processid_mandatory(client, done):
    assert all(job["processID"] for job in client.get("/jobs").json()["jobs"])


def test_rec_job_list_next_1_to_3(hub, client):
    made = {hub.submit({"text": "x"}, title="paged").rpartition("/")[2] for _ in range(7)}
    document, found, pages = client.get("/jobs", params={"q": "paged", "limit": 3}).json(), [], 1
    while links := links_of(document, "next"):
        found += [job["jobID"] for job in document["jobs"]]
        document, pages = client.get(links[0]["href"]).json(), pages + 1
    found += [job["jobID"] for job in document["jobs"]]

    assert pages == 3
    assert sorted(found) == sorted(made)
    back = client.get(links_of(document, "prev")[0]["href"]).json()
    assert [job["jobID"] for job in back["jobs"]] == found[3:6]
    first = client.get(links_of(back, "prev")[0]["href"]).json()
    assert [job["jobID"] for job in first["jobs"]] == found[:3]
    assert not links_of(first, "prev")


@pytest.mark.parametrize("cursor", ["x", "", "AAAA", "MTIz", "é"])
def test_a_cursor_that_is_none_is_refused(client, cursor):
    check_exception(client.get("/jobs", params={"cursor": cursor}), 400)


def test_jobs_are_found_by_their_words(client, done):
    assert done["jobID"] in ids(client, q="alpine")
    assert done["jobID"] in ids(client, q="ALPS relief")
    assert done["jobID"] not in ids(client, q="alpine desert")


# dismiss


def test_job_dismiss_op_and_success(hub, client):
    job = hub.submit({"text": "x", "pause": 60})

    answer = client.delete(job)

    document = check(answer.json(), STATUS)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert document["status"] == "dismissed"
    assert links_of(document, "up")[0]["href"].endswith("/jobs")
    assert client.get(job).json()["status"] == "dismissed"


def test_job_dismiss_of_one_that_ended_removes_it(hub, client):
    job = hub.submit({"text": "x"})
    hub.ended(job)

    assert client.delete(job).json()["status"] == "dismissed"
    check_exception(client.get(job), 404, f"{EXC}no-such-job")
    check_exception(client.delete(job), 404, f"{EXC}no-such-job")


def test_results_of_a_dismissed_job_are_not_available(hub, client):
    job = hub.submit({"text": "x", "pause": 60})
    client.delete(job)

    check_exception(client.get(f"{job}/results"), 404, f"{EXC}result-not-available")


# callback


def test_callback_job_callback_tells_progress_and_success(hub, listener):
    uris = {name: f"{listener.url}/{name}" for name in ("successUri", "inProgressUri", "failedUri")}

    hub.ended(hub.submit({"text": "called", "pause": 0.3}, subscriber=uris))

    assert listener.wait("/successUri") == {"text": "called"}
    assert "/failedUri" not in [path for path, _, _ in listener.calls]


def test_callback_job_callback_tells_failure(hub, listener):
    uris = {"successUri": f"{listener.url}/good", "failedUri": f"{listener.url}/bad"}

    hub.ended(hub.submit({"text": "x", "fail": True}, subscriber=uris))

    document = listener.wait("/bad")
    assert isinstance(document, dict)
    assert check(document.get("exception", document), EXCEPTION | {"required": []})


def test_callback_to_nobody_fails_no_job(hub):
    uris = {"successUri": "http://127.0.0.1:1/"}

    assert hub.ended(hub.submit({"text": "x"}, subscriber=uris))["status"] == "successful"


def test_callbacks_are_signed(tmp_path, listener):
    with serving(tmp_path, fence=LOOPBACK, callbacks={"secret": "shared"}) as hub:
        hub.ended(hub.submit({"text": "x"}, subscriber={"successUri": f"{listener.url}/"}))

        listener.wait("/")
    _, headers, body = listener.calls[0]
    stamp, digest = (part.partition("=")[2] for part in headers["X-Tilepipe-Signature"].split(","))
    assert hmac.new(b"shared", f"{stamp}.".encode() + body, hashlib.sha256).hexdigest() == digest
