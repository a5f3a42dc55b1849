"""Jobs, from being sent to being forgotten, at servers that do it each in their own way."""

import pytest

from tilepipe_hub.client import ClientError, JobStatus, NotOffered, NotReached, NotThere, StillRunning, Unexpected

DONE = {"status": "successful", "progress": 100}


def states(*percents):
    return [{"status": "running", "progress": percent} for percent in percents]


def test_a_job_is_sent_as_the_standard_has_it(farm, client):
    job = client.submit("echo", {"text": "a"}, outputs={"text": {}})

    assert farm.seen[0].json == {"inputs": {"text": "a"}, "outputs": {"text": {}}, "response": "document"}
    assert farm.seen[0].headers["prefer"] == "respond-async"
    assert (job.id, job.status, job.url) == ("job-1", "accepted", f"{farm.url}/jobs/job-1")


def test_outputs_come_at_once_where_the_server_waits(farm, client):
    farm.answers["POST /processes/echo/execution"] = (200, {}, {"text": "a"})

    values = client.submit("echo", {"text": "a"}, prefer=None)

    assert values["text"].data == "a"
    assert "prefer" not in farm.seen[0].headers


@pytest.mark.parametrize(
    ("location", "body"),
    [
        ("{url}/jobs/job-9", b""),
        ("/jobs/job-9", b"null"),
        ("job-9/../../../jobs/job-9", {}),
        ("http://internal.example/ogc/jobs/job-9", {}),
        (None, {"jobID": "job-9"}),
        (None, {"id": "job-9", "status": "accepted"}),
    ],
)
def test_a_job_is_found_however_the_server_names_it(farm, client, location, body):
    farm.jobs["job-9"] = {"status": "accepted"}
    headers = {} if location is None else {"Location": location.format(url=farm.url)}
    farm.answers["POST /processes/echo/execution"] = (201, headers, body)

    job = client.submit("echo")

    assert (job.id, job.url) == ("job-9", f"{farm.url}/jobs/job-9")


def test_a_job_without_a_name_is_an_error(farm, client):
    farm.answers["POST /processes/echo/execution"] = (201, {}, b"null")

    with pytest.raises(Unexpected, match="names no job"):
        client.submit("echo")


def test_jobs_are_listed_through_all_pages(farm, client):
    farm.jobs = {f"job-{number}": dict(DONE) for number in range(7)}
    farm.pages = 3

    assert sorted(job.id for job in client.jobs()) == sorted(farm.jobs)
    assert len(farm.seen) == 3


def test_pages_are_read_only_as_far_as_they_are_wanted(farm, client):
    farm.jobs = {f"job-{number}": dict(DONE) for number in range(8)}
    farm.pages = 4

    assert len(list(client.jobs(limit=3))) == 3
    assert len(farm.seen) == 2
    assert farm.seen[0].query["limit"] == ["3"]


def test_filters_are_sent_and_kept_to_where_the_server_does_not(farm, client):
    farm.jobs = {"a": dict(DONE), "b": {"status": "failed"}, "c": {"status": "running"}}

    found = list(client.jobs(status=["failed", "running"], datetime="2030-01-01T00:00:00Z/..", min_duration_s=3))

    assert {job.status for job in found} == {"failed", "running"}
    assert farm.seen[0].query == {
        "status": ["failed", "running"],
        "datetime": ["2030-01-01T00:00:00Z/.."],
        "minDuration": ["3"],
        "limit": ["100"],
    }


def test_the_next_page_of_a_server_with_another_name_is_asked_here(farm, client):
    farm.jobs = {"a": dict(DONE)}
    link = {"rel": "next", "href": "http://internal.example/jobs?page=2"}
    farm.answers["GET /jobs"] = (200, {}, {"jobs": [{"jobID": "a", "status": "failed"}], "links": [link]})

    list(client.jobs())

    assert [item.query.get("page") for item in farm.seen] == [None, ["2"]]


def test_a_list_is_no_list_of_something_else(farm, client):
    farm.answers["GET /jobs"] = (200, {}, {"items": []})

    with pytest.raises(Unexpected, match="no list of jobs came"):
        list(client.jobs())


@pytest.mark.parametrize(("said", "taken"), [(7, 7), (7.9, 7), ("30", 30), (None, None), (True, None), (400, 100)])
def test_progress_is_understood_however_it_is_written(farm, client, said, taken):
    farm.jobs["j"] = {"status": "running", "progress": said}

    assert client.job("j").progress == taken


def test_a_job_is_watched_by_asking(farm, client, naps):
    farm.jobs["j"] = {"status": "accepted"}
    farm.script = [*states(0, 0, 0, 0, 50), DONE]

    seen = [(job.status, job.progress) for job in client.watch("j")]

    assert seen == [("running", 0), ("running", 50), ("successful", 100)]
    assert naps == [0.5, 0.75, 1.125, 1.6875, 0.5]


def test_who_asks_again_and_again_does_so_at_most_every_ten_seconds(farm, client, naps):
    farm.jobs["j"] = {"status": "accepted"}
    farm.script = [*states(*[0] * 20), DONE]

    client.wait("j")

    assert max(naps) == 10


def test_a_job_that_has_ended_is_not_waited_for(farm, client, naps):
    farm.jobs["j"] = {"status": "failed", "message": "no data"}

    assert client.wait("j").message == "no data"
    assert naps == []


def test_waiting_has_an_end(farm, client):
    farm.jobs["j"] = {"status": "running"}

    with pytest.raises(StillRunning, match="'j' is running and has not ended in time"):
        client.wait("j", timeout_s=0.05)


def event(status, percent, number=0):
    return f'id: {number}\nevent: status\ndata: {{"status": "{status}",\ndata: "progress": {percent}}}\n\n'


def test_a_job_is_watched_by_events_where_there_are_some(farm, client):
    farm.jobs["j"] = {"status": "accepted"}
    farm.events = [[": hello\n\n", event("running", 10), event("running", 10), event("successful", 100)]]

    seen = [(job.status, job.progress, job.process) for job in client.watch("j")]

    assert seen == [("accepted", None, "echo"), ("running", 10, "echo"), ("successful", 100, "echo")]
    assert farm.paths() == ["/jobs/j", "/jobs/j/events"]


def test_a_stream_that_breaks_is_opened_again_where_it_broke(farm, client):
    farm.jobs["j"] = {"status": "accepted"}
    farm.events = [[event("running", 10, 7)], [event("successful", 100, 8)]]

    assert client.wait("j").status == "successful"
    assert farm.seen[2].headers["last-event-id"] == "7"


def test_a_server_whose_streams_say_nothing_is_asked(farm, client):
    farm.jobs["j"] = {"status": "accepted"}
    farm.events = [[""]]
    farm.script = [*states(5, 50), DONE]

    assert [job.progress for job in client.watch("j")] == [5, 50, 100]


def test_a_running_job_is_dismissed(farm, client):
    farm.jobs["j"] = {"status": "running"}

    assert client.dismiss("j").status == "dismissed"


def test_a_lost_answer_to_a_dismissal_does_not_remove_the_job(farm, client):
    farm.jobs["j"] = {"status": "running"}
    farm.faults = [None, "lose"]

    assert client.dismiss("j").status == "dismissed"
    assert farm.paths("DELETE") == ["/jobs/j"]
    assert "j" in farm.jobs


def test_a_dismissal_that_never_came_is_sent_again(farm, client):
    farm.jobs["j"] = {"status": "running"}
    farm.faults = [None, "drop"]

    assert client.dismiss("j").status == "dismissed"
    assert farm.paths("DELETE") == ["/jobs/j", "/jobs/j"]


@pytest.mark.parametrize("answer", [(204, {}, b""), (200, {"Content-Type": "text/html"}, b"<p>gone</p>")])
def test_a_dismissal_may_be_answered_by_anything(farm, client, answer):
    farm.jobs["j"] = {"status": "running"}
    farm.answers["DELETE /jobs/j"] = answer

    assert client.dismiss("j").id == "j"


def test_what_only_a_hub_offers_is_told_elsewhere(farm, client):
    farm.jobs["j"] = {"status": "failed"}

    with pytest.raises(NotOffered, match="offers no retry; a tilepipe hub does"):
        client.retry("j")
    with pytest.raises(NotOffered, match="offers no log; a tilepipe hub does"):
        list(client.logs("j"))


def test_the_log_is_read_through_all_pages(farm, client):
    farm.jobs["j"] = {"status": "failed"}
    farm.offers = ("log",)
    more = [{"rel": "next", "href": f"{farm.url}/more"}]
    farm.answers["GET /jobs/j/log"] = (200, {}, {"lines": [{"number": 1, "text": "one"}], "links": more})
    farm.answers["GET /more"] = (200, {}, {"lines": [{"number": 2, "text": "two"}]})

    assert list(client.logs("j")) == ["one", "two"]


@pytest.mark.parametrize("offers", [("log",), ("log", "retry")])
def test_a_job_is_tried_again_at_a_hub(farm, client, offers):
    farm.jobs = {"j": {"status": "failed"}, "k": {"status": "accepted"}}
    farm.offers = offers
    farm.answers["POST /jobs/j/retry"] = (201, {"Location": "/jobs/k"}, {"jobID": "k", "status": "accepted"})

    assert client.retry("j").id == "k"


def test_a_process_is_deployed_replaced_and_removed(farm, client):
    package = {"executionUnit": {"type": "docker", "image": "mine"}}
    farm.answers["POST /processes"] = (201, {"Location": "/processes/mine"}, {"id": "mine"})
    farm.answers["PUT /processes/mine"] = farm.answers["DELETE /processes/mine"] = (204, {}, b"")

    assert client.deploy(package).id == "mine"
    client.replace("mine", package)
    client.undeploy("mine")

    assert [item.json for item in farm.seen[:2]] == [package, package]
    assert farm.seen[0].headers["content-type"] == "application/ogcapppkg+json"


def test_a_server_that_lets_nobody_deploy_is_told(farm, client):
    farm.faults = [405]

    with pytest.raises(NotOffered, match="this server lets nobody deploy"):
        client.deploy({})


def test_a_job_of_a_removed_process_is_gone(client):
    with pytest.raises(NotThere, match="404"):
        client.job("j")


def test_a_document_that_is_no_job_is_told(farm, client):
    farm.answers["GET /jobs/j"] = (200, {}, ["j"])

    with pytest.raises(Unexpected, match="no status of a job came"):
        client.job("j")


def test_every_error_is_one_of_the_client(farm, client):
    farm.faults = ["drop"] * 9

    with pytest.raises(ClientError, match="no answer"):
        client.dismiss(JobStatus(id="j", status="running", url=f"{farm.url}/jobs/j"))
    assert issubclass(NotReached, ClientError)
