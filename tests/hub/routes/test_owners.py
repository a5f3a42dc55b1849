"""Who may do what."""

import logging

import pytest

from hub.conformance.documents import check_exception, links_of
from hub.routes.serving import serving


@pytest.fixture
def job(town, people):
    """Address of a job of ann's."""
    return town.submit({"text": "private"}, client=people["ann"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/results"),
        ("GET", "/results/text"),
        ("GET", "/definition"),
        ("GET", "/log"),
        ("GET", "/events"),
        ("GET", "/output/stac.json"),
        ("POST", "/retry"),
    ],
)
def test_a_job_of_another_owner_is_not_there(people, job, method, path):
    answer = people["bob"].request(method, f"{job}{path}")

    check_exception(answer, 404, "no-such-job")
    assert "private" not in answer.text


def test_a_list_has_only_ones_own_jobs(town, people, job):
    job_id = job.rpartition("/")[2]

    def listed(name, **parameters):
        return job_id in [item["jobID"] for item in people[name].get("/jobs", params=parameters).json()["jobs"]]

    assert listed("ann")
    assert not listed("bob")
    assert not listed("bob", q=job_id)
    assert listed("root")


def test_an_admin_sees_and_ends_every_job(town, people, job):
    assert town.ended(job, client=people["root"])["status"] == "successful"
    assert people["root"].delete(job).status_code == 200
    assert people["ann"].get(job).status_code == 404


def test_without_a_token_there_is_only_the_way_in(town):
    for path in ("/", "/conformance", "/api", "/health", "/ready"):
        assert town.client.get(path).status_code == 200
    for path in ("/processes", "/processes/echo", "/jobs", "/jobs/x", "/jobs/x/output/y", "/metrics"):
        check_exception(town.client.get(path), 401)
    check_exception(town.client.post("/processes/echo/execution", json={}), 401)


def test_who_may_look_may_not_run(people, job):
    assert people["vera"].get("/processes").status_code == 200
    check_exception(people["vera"].post("/processes/echo/execution", json={"inputs": {"text": "x"}}), 403)
    check_exception(people["vera"].delete(job), 403)


def test_only_admins_see_the_figures(people):
    check_exception(people["ann"].get("/metrics"), 403)
    assert "tilepipe_hub_jobs" in people["root"].get("/metrics").text


def test_a_browser_may_send_the_token_as_a_password(town):
    assert town.client.get("/jobs", auth=("anything", "token-ann")).status_code == 200


CODE = '"""Doubles."""\nfrom tilepipe import TileInput\n\n\ndef execute(dem: TileInput):\n    return dem.read() * 2\n'


def package(name, code=CODE):
    return {"processDescription": {"id": name}, "executionUnit": {"type": "python", "value": code}}


@pytest.mark.parametrize("name", ["vera", "ann"])
def test_nobody_deploys_without_the_role(people, name):
    check_exception(people[name].post("/processes", json=package("evil")), 403)
    check_exception(people[name].put("/processes/echo", json=package("echo")), 403)
    check_exception(people[name].delete("/processes/echo"), 403)
    assert people[name].get("/processes/evil").status_code == 404


def test_a_process_is_deployed_replaced_and_removed(town, people):
    dora = people["dora"]

    answer = dora.post("/processes", json=package("double"))

    assert answer.status_code == 201
    assert answer.headers["location"] == f"{town.url}/processes/double"
    assert (answer.json()["id"], answer.json()["mutable"]) == ("double", True)
    assert dora.get("/processes/double").json()["title"] == "Doubles."
    assert dora.get("/processes/double/package").json() == package("double")
    check_exception(dora.post("/processes", json=package("double")), 409, "duplicated-process")
    assert dora.put("/processes/double", json=package("double", CODE.replace("Doubles", "Twice"))).status_code == 204
    assert dora.get("/processes/double").json()["title"] == "Twice."
    assert dora.delete("/processes/double").status_code == 204
    check_exception(dora.get("/processes/double"), 404, "no-such-process")
    check_exception(dora.get("/processes/double/package"), 404, "no-such-process")


def test_a_process_of_the_service_stays(people):
    dora = people["dora"]

    for answer in (
        dora.post("/processes", json=package("echo")),
        dora.put("/processes/hillshade", json=package("hillshade")),
        dora.delete("/processes/recipe"),
    ):
        check_exception(answer, 403, "immutable-process")


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        package("../evil"),
        package("a/b"),
        package(""),
        {"executionUnit": {"value": CODE}},
        {"processDescription": {"id": "a"}},
        package("broken", "def execute(:"),
        package("empty", "x = 1"),
        package("blank", " "),
    ],
)
def test_what_is_no_process_is_not_deployed(town, people, body):
    before = sorted(path.name for path in (town.folder / "processes").iterdir() if path.name != "__pycache__")

    check_exception(people["dora"].post("/processes", json=body), 400)

    assert sorted(path.name for path in (town.folder / "processes").iterdir() if path.name != "__pycache__") == before


@pytest.mark.parametrize(
    "code",
    [
        "open({marker!r}, 'w')",
        "import os; os.kill(os.getppid(), 9)",
        "import os; raise ValueError(os.environ['A_SECRET'])",
        "import os; raise ValueError(open(f'/proc/{{os.getppid()}}/environ').read())",
    ],
)
def test_the_server_runs_no_code_that_is_deployed(town, people, monkeypatch, code):
    monkeypatch.setenv("A_SECRET", "do-not-tell")
    marker = town.folder / "marker"

    answer = people["dora"].post("/processes", json=package("evil", f"{code.format(marker=str(marker))}\n{CODE}"))

    check_exception(answer, 400)
    assert "is no process: process evil cannot be loaded: line 1: " in answer.json()["detail"]
    assert "do-not-tell" not in answer.text
    assert not marker.exists()
    assert people["dora"].get("/processes").status_code == 200


def test_a_package_has_its_media_type(people):
    answer = people["dora"].post("/processes", content=b"x", headers={"Content-Type": "text/plain"})

    check_exception(answer, 415, "ogcapi-processes-2/1.0/unsupported-media-type")


def test_where_it_is_off_nobody_deploys(tmp_path):
    with serving(tmp_path, worker=False) as hub:
        check_exception(hub.client.post("/processes", json=package("evil")), 405)
        assert not any("ogcapi-processes-2" in name for name in hub.client.get("/conformance").json()["conformsTo"])


def test_an_owner_has_so_many_jobs_and_no_more(tmp_path):
    with serving(tmp_path, worker=False, quotas={"jobs": 2}) as hub:
        for number in range(2):
            assert hub.execute({"text": str(number)}, prefer="respond-async").status_code == 201
        answer = hub.execute({"text": "x"}, prefer="respond-async")

        check_exception(answer, 429)
        assert answer.headers["retry-after"] == "60"


def test_a_request_that_is_sent_again_makes_no_second_job(hub):
    headers = {"Prefer": "respond-async", "Idempotency-Key": "once"}

    def send(text):
        return hub.client.post("/processes/echo/execution", json={"inputs": {"text": text}}, headers=headers)

    first, again = send("x"), send("x")

    assert first.headers["location"] == again.headers["location"]
    check_exception(send("y"), 409)


def test_what_failed_is_tried_again_once(hub):
    job = hub.submit({"text": "x", "fail": True})
    hub.ended(job)

    first, again = hub.client.post(f"{job}/retry"), hub.client.post(f"{job}/retry")

    assert first.status_code == 201
    assert first.headers["location"] == again.headers["location"] != job
    assert first.json()["continues"] == job.rpartition("/")[2]
    assert hub.ended(first.headers["location"])["status"] == "failed"


def test_what_was_successful_is_not_tried_again(hub):
    job = hub.submit({"text": "x"})
    hub.ended(job)

    check_exception(hub.client.post(f"{job}/retry"), 409)


def test_what_takes_too_long_to_wait_for_is_ended(hub):
    document = check_exception(hub.execute({"text": "x", "pause": 30}), 400, "too-long-to-wait")

    assert "respond-async" in document["detail"]
    assert "running" not in [item["status"] for item in hub.client.get("/jobs").json()["jobs"]]


@pytest.mark.parametrize("proxies", ["127.0.0.1", "127.0.0.0/8", "::ffff:127.0.0.1"])
def test_proxies_that_are_trusted_say_how_the_service_is_called(tmp_path, proxies):
    said = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "hub.example"}
    with serving(tmp_path, worker=False, server={"trusted_proxies": [proxies]}) as hub:
        document = hub.client.get("/", headers=said).json()
        assert links_of(document, "self")[0]["href"].startswith("https://hub.example/")
    with serving(tmp_path, worker=False) as hub:
        document = hub.client.get("/", headers=said).json()
        assert links_of(document, "self")[0]["href"].startswith(hub.url)


def test_where_nobody_says_who_they_are_a_request_is_shown_without_its_keys(hub):
    data = "https://example.com/x.tif?sig=hunter&v=1#part"
    inputs = {"text": "is it a?b=c", "list": [1, 2], "image": {"href": data}}
    job = hub.submit(inputs, outputs={"text": {}})

    shown = hub.client.get(f"{job}/definition").json()

    assert shown["inputs"] == {**inputs, "image": {"href": "https://example.com/x.tif?sig=...&v=...#part"}}


@pytest.fixture
def audit(caplog):
    """What is written down from now on of who does what: level and words."""
    caplog.set_level(logging.INFO, logger="tilepipe_hub.audit")

    def told():
        records = [record for record in caplog.records if record.name == "tilepipe_hub.audit"]
        return [(record.levelname, record.getMessage()) for record in records]

    return told


def id_of(job):
    return job.rpartition("/")[2]


def test_who_makes_and_ends_jobs_is_written_down(town, people, audit):
    job = town.submit({"text": "x", "pause": 30}, client=people["ann"])
    people["root"].delete(job)
    assert people["ann"].get(job).json()["message"] == "dismissed by an admin"
    people["ann"].delete(job)

    assert audit() == [
        ("INFO", f"'ann' submits job {id_of(job)} of echo"),
        ("INFO", f"'root' dismisses job {id_of(job)}"),
        ("INFO", f"'ann' removes job {id_of(job)}"),
    ]


def test_who_tries_a_job_again_is_written_down_and_not_as_its_owner(town, people, audit):
    job = town.submit({"text": "x", "fail": True}, client=people["ann"])
    assert town.ended(job, client=people["ann"])["status"] == "failed"
    again, same = (people["root"].post(f"{job}/retry").headers["location"] for _ in range(2))

    assert again == same
    assert audit()[1:] == [("INFO", f"'root' retries job {id_of(job)} as job {id_of(again)} of echo")]


def test_what_is_sent_again_is_written_down_once(town, people, audit):
    body, headers = {"inputs": {"text": "x"}}, {"Prefer": "respond-async", "Idempotency-Key": "audited"}
    answers = [people["ann"].post("/processes/echo/execution", json=body, headers=headers) for _ in range(2)]

    assert audit() == [("INFO", f"'ann' submits job {answers[0].json()['jobID']} of echo")]


def test_who_changes_processes_is_written_down(people, audit):
    dora = people["dora"]
    assert dora.post("/processes", json=package("audited")).status_code == 201
    assert dora.post("/processes", json=package("audited")).status_code == 409
    assert dora.put("/processes/audited", json=package("audited")).status_code == 204
    assert dora.delete("/processes/audited").status_code == 204

    assert audit() == [("INFO", f"'dora' {verb} the process audited") for verb in ("deploys", "replaces", "undeploys")]


@pytest.mark.parametrize(
    ("name", "method", "path", "role"),
    [
        ("vera", "POST", "/processes/echo/execution", "run"),
        ("vera", "DELETE", "/jobs/x", "run"),
        ("vera", "POST", "/jobs/x/retry", "run"),
        ("ann", "POST", "/processes", "deploy"),
        ("ann", "PUT", "/processes/echo", "deploy"),
        ("ann", "DELETE", "/processes/echo", "deploy"),
        ("ann", "GET", "/metrics", "admin"),
    ],
)
def test_who_may_not_do_a_thing_is_written_down(people, audit, name, method, path, role):
    given = {"json": {"inputs": {"text": "x"}}} if method in {"POST", "PUT"} else {}

    check_exception(people[name].request(method, path, **given), 403)

    own = {"vera": "view", "ann": "run"}[name]
    assert audit() == [("WARNING", f"{name!r} is refused what needs the role {role}, having {own}")]


def test_a_token_that_is_refused_is_written_down_by_its_address(town, audit):
    for headers in ({"Authorization": "Bearer hunter-2"}, {"Authorization": "Basic eDpodW50ZXItMg=="}):
        check_exception(town.client.get("/jobs", headers=headers), 401)

    assert audit() == [("WARNING", "a token from 127.0.0.1 is refused")] * 2


def test_who_only_looks_is_not_written_down(people, audit):
    for path in ("/processes", "/jobs", "/api", "/metrics"):
        people["root"].get(path)

    assert audit() == []


def test_each_request_is_one_line_with_its_address_and_without_its_query(people, caplog):
    caplog.set_level(logging.INFO, logger="tilepipe_hub.routes.outer")

    people["ann"].get("/processes", params={"limit": "1", "token": "hunter"})
    people["ann"].get("/nothing/here")
    people["ann"].get("/jobs", headers={"Host": "evil.example"})
    # A line is written once its answer is sent, and before the next request of its connection is read.
    people["ann"].get("/health")

    told = [record.getMessage() for record in caplog.records if record.name == "tilepipe_hub.routes.outer"]
    # Of the test before this one a line may still have been under way.
    began = next(number for number, line in enumerate(told) if "/processes" in line)
    assert [line.rpartition(" in ")[0] for line in told[began : began + 3]] == [
        "127.0.0.1 GET '/processes': 200",
        "127.0.0.1 GET '/nothing/here': 404",
        "127.0.0.1 GET '/jobs': 421",
    ]
