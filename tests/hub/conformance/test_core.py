"""Class Core: a test for each requirement and recommendation, by its name in the standard."""

import base64
import json
import socket
from email.parser import BytesParser

import httpx
import pytest

from hub.conformance.documents import (
    CLASSES,
    EXCEPTION,
    LANDING,
    PROCESSES,
    STATUS,
    check,
    check_exception,
    links_of,
)
from hub.processes.ogc import check_description

REL = "http://www.opengis.net/def/rel/ogc/1.0/"
CONF = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/"
EXC = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/"
JSON = {"Accept": "application/json"}


def parts_of(answer):
    """The parts of a multipart answer, by the id of their content."""
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + answer.content)
    assert message.get_content_type() == "multipart/related"
    assert not message.defects
    return {part["Content-ID"].strip("<>"): part for part in message.get_payload()}


def text_of(part):
    return part.get_payload(decode=True).decode().strip()


# landing page, definition, conformance


def test_landingpage_op_and_success(client):
    answer = client.get("/")

    document = check(answer.json(), LANDING)
    assert answer.status_code == 200
    assert links_of(document, "service-desc")[0]["type"] == "application/vnd.oai.openapi+json;version=3.0"
    assert links_of(document, "service-doc")[0]["type"] == "text/html"
    for rel in ("conformance", "processes", "job-list"):
        assert links_of(document, REL + rel)


def test_every_link_of_the_landing_page_leads_somewhere(client):
    for link in client.get("/").json()["links"]:
        answer = client.get(link["href"], headers={"Accept": link["type"]})

        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(link["type"].partition(";")[0])


def test_api_definition_op_and_success(client):
    document = client.get("/").json()
    links = links_of(document, "service-desc") + links_of(document, "service-doc")

    answers = [client.get(link["href"]) for link in links]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert [answer.json()["openapi"] for answer in answers[:2]] == ["3.0.4", "3.1.1"]


def test_conformance_op_and_success(client):
    document = check(client.get("/conformance").json(), CLASSES)

    names = ["core", "ogc-process-description", "json", "html", "oas30", "job-list", "callback", "dismiss"]
    assert document["conformsTo"] == [CONF + name for name in names]


def test_http(hub):
    host, port = hub.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())

        assert connection.recv(8) == b"HTTP/1.1"


@pytest.mark.parametrize("path", ["/", "/conformance", "/api", "/processes", "/processes/echo", "/jobs"])
def test_head_is_answered_wherever_get_is(client, path):
    answer = client.head(path)

    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers["content-type"] == client.get(path).headers["content-type"]


def test_rec_cross_origin_and_access_control_expose_headers(client):
    answer = client.get("/", headers={"Origin": "https://map.example"})
    asked = client.options(
        "/processes/echo/execution",
        headers={
            "Origin": "https://map.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type, prefer",
        },
    )

    assert answer.headers["access-control-allow-origin"] == "*"
    assert "Location" in answer.headers["access-control-expose-headers"]
    assert asked.status_code == 200


def test_rec_link_header(client):
    answer = client.get("/processes")

    for link in answer.json()["links"]:
        assert f'<{link["href"]}>; rel="{link["rel"]}"' in answer.headers["link"]


# list of processes, process


def test_process_list_and_success(client):
    document = check(client.get("/processes").json(), PROCESSES)

    assert "echo" in [item["id"] for item in document["processes"]]
    assert all(isinstance(item["mutable"], bool) for item in document["processes"])


@pytest.mark.parametrize("limit", [1, 2, 10_000, 10**30])
def test_pl_limit_definition_and_response(client, limit):
    document = client.get("/processes", params={"limit": limit}).json()

    assert 1 <= len(document["processes"]) <= limit


@pytest.mark.parametrize("limit", ["0", "-1", "many", "1.5", ""])
def test_pl_limit_that_is_none_is_refused(client, limit):
    check_exception(client.get("/processes", params={"limit": limit}), 400)


def test_rec_next_1_to_3_and_prev_lead_through_all_processes(client):
    whole = [item["id"] for item in client.get("/processes").json()["processes"]]
    document, found = client.get("/processes", params={"limit": 2}).json(), []
    while True:
        found += [item["id"] for item in document["processes"]]
        links = links_of(document, "next")
        if not links:
            break
        document = client.get(links[0]["href"]).json()

    assert found == whole
    assert links_of(document, "prev")


def test_pl_links(client):
    document = client.get("/processes").json()

    assert links_of(document, "self")[0]["type"] == "application/json"
    assert links_of(document, "alternate")[0]["type"] == "text/html"


def test_process_and_success(client):
    for item in client.get("/processes").json()["processes"]:
        answer = client.get(f"/processes/{item['id']}")

        assert answer.status_code == 200
        check_description(answer.json())


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_process_exception_no_such_process(client, method):
    path = "/processes/nothing" if method == "GET" else "/processes/nothing/execution"

    check_exception(client.request(method, path, json={}), 404, f"{EXC}no-such-process")


# execution


def test_process_execute_op_and_request(hub):
    answer = hub.execute({"text": "teststring"}, outputs={"text": {"transmissionMode": "value"}}, response="raw")

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"1", b'"x"', b"null", b"{", b'{"inputs": 1}', b'{"inputs": {"text": NaN}}']
)
def test_process_execute_request_that_is_none_is_refused(client, body):
    headers = {"Content-Type": "application/json"}

    check_exception(client.post("/processes/echo/execution", content=body, headers=headers), 400)


def test_process_execute_request_has_to_be_json(client):
    answer = client.post("/processes/echo/execution", content=b"text=1", headers={"Content-Type": "text/plain"})

    check_exception(answer, 415)


def test_process_execute_inputs_in_line_and_by_reference(hub, listener):
    listener.files["/text"] = (200, {"Content-Type": "text/plain"}, b"from afar")

    given = hub.execute({"text": "here"})
    fetched = hub.execute({"text": {"href": f"{listener.url}/text", "type": "text/plain"}})

    assert (given.text, fetched.text) == ("here", "from afar")


@pytest.mark.parametrize("texts", [["one"], ["one", "two"]])
def test_process_execute_input_array(hub, texts):
    answer = hub.execute({"text": "x", "texts": texts}, outputs={"texts": {}}, response="document")

    assert answer.json() == {"texts": texts}


def test_process_execute_input_inline_object(hub):
    value = {"a": [1, {"b": None}]}

    answer = hub.execute({"text": "x", "object": {"value": value}}, outputs={"object": {}}, response="document")

    assert answer.json() == {"object": {"value": value, "mediaType": "application/json"}}


def test_process_execute_input_mixed_type(hub):
    point = {"type": "Point", "coordinates": [1, 2]}

    as_object = hub.execute(
        {"text": "x", "geometry": {"value": point, "mediaType": "application/geo+json"}}, outputs={"geometry": {}}
    )
    as_text = hub.execute({"text": "x", "geometry": {"value": "POINT(1 2)"}}, outputs={"geometry": {}})

    assert as_object.json() == point
    assert as_object.headers["content-type"] == "application/geo+json"
    assert as_text.text == "POINT(1 2)"


def test_process_execute_input_inline_binary(hub):
    content = bytes(range(256))
    value = {"value": base64.b64encode(content).decode(), "mediaType": "image/tiff", "encoding": "base64"}

    answer = hub.execute({"text": "x", "image": value}, outputs={"image": {}})

    assert answer.content == content
    assert answer.headers["content-type"] == "image/tiff"


def test_process_execute_input_inline_bbox(hub):
    bbox = {"bbox": [51.9, 7, 52, 7.1], "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}

    answer = hub.execute({"text": "x", "bbox": bbox}, outputs={"bbox": {}}, response="document")

    assert answer.json() == {"bbox": bbox}


@pytest.mark.parametrize(
    ("inputs", "name"),
    [
        ({}, "text"),
        ({"text": 5}, "text"),
        ({"text": "x", "number": 1001}, "number"),
        ({"text": "x", "number": "1"}, "number"),
        ({"text": "x", "integer": 1.5}, "integer"),
        ({"text": "x", "choice": "huge"}, "choice"),
        ({"text": "x", "bbox": {"bbox": [1, 2, 3]}}, "bbox"),
        ({"text": "x", "image": "no base64!"}, "image"),
        ({"text": "x", "image": {"type": "wrong/type_1"}}, "image"),
        ({"text": "x", "unknown": 1}, "unknown"),
    ],
)
def test_process_execute_input_validation_of_values_in_line(hub, inputs, name):
    document = check_exception(hub.execute(inputs), 400)

    assert name in document["detail"]


def test_null_for_an_input_that_may_be_left_out_is_as_if_it_were(hub):
    """Not of the standard, whose values know no null: templates of clients have it for what is left empty."""
    answer = hub.execute({"text": "x", **dict.fromkeys(["number", "list", "texts", "bbox", "image", "pause"])})

    assert answer.text == "x"
    assert "text" in check_exception(hub.execute({"text": None}), 400)["detail"]


def test_process_execute_input_validation_of_values_by_reference(hub, listener):
    listener.files["/number"] = (200, {"Content-Type": "application/json"}, b"1001")

    for path in ("number", "missing"):
        document = check_exception(hub.execute({"text": "x", "number": {"href": f"{listener.url}/{path}"}}), 400)

        assert "number" in document["detail"]


def test_exceptions_go_as_plain_json_to_who_takes_nothing_else(client):
    answer = client.post("/processes/echo/execution", json={"inputs": {}}, headers=JSON)

    assert answer.headers["content-type"] == "application/json"
    check(answer.json(), EXCEPTION)


def test_an_unknown_output_is_refused(hub):
    assert "nothing" in check_exception(hub.execute({"text": "x"}, outputs={"nothing": {}}), 400)["detail"]


def test_process_execute_default_outputs(hub):
    answer = hub.execute({"text": "x", "number": 4}, response="document")

    assert answer.json() == {"text": "x", "number": 4}


@pytest.mark.parametrize("prefer", [None, "respond-sync", "handling=lenient, return=minimal"])
def test_process_execute_default_execution_mode(hub, prefer):
    assert hub.execute({"text": "x"}, prefer=prefer).status_code == 200


@pytest.mark.parametrize("prefer", ["respond-async", "Respond-Async", "handling=lenient, respond-async;x=1"])
def test_process_execute_auto_execution_mode_and_rec_preference_applied(hub, prefer):
    answer = hub.execute({"text": "x"}, prefer=prefer)

    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == "respond-async"


def test_rec_honor_prefer_wait(hub):
    soon = hub.execute({"text": "x", "pause": 0.1}, prefer="respond-async, wait=10")
    late = hub.execute({"text": "x", "pause": 3}, prefer="wait=0")

    assert soon.status_code == 200
    assert late.status_code == 201


def test_prefer_may_come_in_several_lines(client):
    headers = [("Prefer", "handling=lenient"), ("Prefer", "respond-async")]

    assert client.post("/processes/echo/execution", json={"inputs": {"text": "x"}}, headers=headers).status_code == 201


TWO = {"text": "x", "number": 4}


def test_process_execute_sync_raw_value_one(hub):
    answer = hub.execute({"text": "teststring"}, outputs={"text": {"transmissionMode": "value"}}, response="raw")

    assert answer.text == "teststring"
    assert answer.headers["content-type"].startswith("text/plain")


def check_multipart(answer):
    parts = parts_of(answer)
    assert answer.status_code == 200
    assert {name: text_of(part) for name, part in parts.items()} == {"text": "x", "number": "4"}
    assert parts["text"].get_content_type() == "text/plain"
    assert parts["number"].get_content_type() == "application/json"


def test_process_execute_sync_raw_value_multi(hub):
    check_multipart(hub.execute(TWO, outputs={"text": {}, "number": {}}, response="raw"))


LINK = {"href": "https://example.com/a.tif", "type": "image/tiff"}


def test_process_execute_sync_raw_ref(hub):
    answer = hub.execute(
        {**TWO, "image": LINK},
        outputs={name: {"transmissionMode": "reference"} for name in ("text", "number", "image")},
        response="raw",
    )

    assert answer.status_code == 204
    assert answer.content == b""
    assert '<https://example.com/a.tif>; rel="item"; type="image/tiff"' in answer.headers["link"]
    assert answer.headers["link"].count('rel="item"') == 3


def test_process_execute_sync_raw_mixed_multi(hub):
    answer = hub.execute({**TWO, "image": LINK}, outputs={"text": {}, "image": {}}, response="raw")

    parts = parts_of(answer)
    assert text_of(parts["text"]) == "x"
    assert parts["image"]["Content-Location"] == LINK["href"]
    assert text_of(parts["image"]) == ""


def test_process_execute_sync_document(hub):
    answer = hub.execute({**TWO, "image": LINK}, response="document")

    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {**TWO, "image": LINK}


def test_rec_sync_document_ref(hub):
    answer = hub.execute({"text": "x"}, outputs={"text": {"transmissionMode": "reference"}}, response="document")

    link = answer.json()["text"]
    assert link["type"] == "text/plain"
    assert hub.client.get(link["href"]).text == "x"


def test_process_execute_success_async(hub):
    answer = hub.execute({"text": "x"}, prefer="respond-async")

    document = check(answer.json(), STATUS)
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["location"] == f"{hub.url}/jobs/{document['jobID']}"
    assert hub.client.get(answer.headers["location"]).status_code == 200


def test_job_results_success_sync(hub):
    """A synchronous execution that makes a job says where it is; one that makes none says nothing."""
    with_job = hub.execute({"text": "x"}, outputs={"text": {"transmissionMode": "reference"}})
    without = hub.execute({"text": "x"})

    assert 'rel="monitor"' in with_job.headers["link"]
    job = with_job.headers["link"].partition("<")[2].partition(">")[0]
    assert hub.client.get(job).json()["status"] == "successful"
    assert "link" not in without.headers


# jobs


def test_job_and_success_and_rec_job_status(client, done):
    document = check(client.get(f"/jobs/{done['jobID']}").json(), STATUS)

    assert document["processID"] == "echo"
    assert document["progress"] == 100
    assert document["created"] <= document["started"] <= document["finished"] <= document["updated"]
    assert {"self", "monitor", "alternate", f"{REL}results"} <= {link["rel"] for link in document["links"]}


def test_times_that_are_not_known_are_left_out(client, long_job):
    document = check(client.get(long_job).json(), STATUS)

    assert "finished" not in document
    assert not links_of(document, f"{REL}results")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("DELETE", ""), ("GET", "/results"), ("GET", "/results/text")]
)
def test_job_exception_no_such_job_and_job_results_exception_no_such_job(client, method, path):
    check_exception(client.request(method, f"/jobs/nothing{path}"), 404, f"{EXC}no-such-job")


def results(hub, inputs, **body):
    job = hub.submit(inputs, **body)
    hub.ended(job)
    return hub.client.get(f"{job}/results")


def test_job_results_and_async_raw_value_one(hub):
    answer = results(hub, {"text": "teststring"}, response="raw")

    assert answer.status_code == 200
    assert answer.text == "teststring"


def test_job_results_async_raw_value_multi(hub):
    check_multipart(results(hub, TWO, response="raw"))


def test_job_results_async_raw_ref(hub):
    outputs = {name: {"transmissionMode": "reference"} for name in TWO}

    answer = results(hub, TWO, outputs=outputs, response="raw")

    assert answer.status_code == 204
    found = [httpx.get(item.partition("<")[2].partition(">")[0]).text for item in answer.headers["link"].split(", ")]
    assert sorted(found) == ["4", "x"]


def test_job_results_async_raw_mixed_multi(hub):
    answer = results(hub, TWO, outputs={"text": {"transmissionMode": "reference"}, "number": {}}, response="raw")

    parts = parts_of(answer)
    assert text_of(parts["number"]) == "4"
    assert text_of(parts["text"]) == ""
    assert httpx.get(parts["text"]["Content-Location"]).text == "x"


def test_job_results_async_document(hub):
    assert results(hub, TWO, response="document").json() == TWO


def test_job_results_of_some_outputs(hub):
    job = hub.submit(TWO)
    hub.ended(job)

    assert hub.client.get(f"{job}/results", params={"outputs": "text"}).text == "x"
    assert hub.client.get(f"{job}/results/number").json() == 4
    check_exception(hub.client.get(f"{job}/results", params={"outputs": "nothing"}), 400)


def test_several_results_come_as_json_to_who_asks_for_json(hub):
    answer = hub.client.post("/processes/echo/execution", json={"inputs": TWO}, headers=JSON)

    assert answer.json() == TWO
    assert 'rel="profile"' in answer.headers["link"]


def test_no_outputs_means_no_results(hub):
    job = hub.submit({"text": "x"}, outputs={})
    hub.ended(job)

    assert hub.execute({"text": "x"}, outputs={}).status_code == 204
    check_exception(hub.client.get(f"{job}/results"), 404, f"{EXC}result-not-available")


def test_job_results_exception_results_not_ready(client, long_job):
    check_exception(client.get(f"{long_job}/results"), 404, f"{EXC}result-not-ready")


def test_job_results_failed(client, failed):
    answer = client.get(f"/jobs/{failed['jobID']}/results")

    assert failed["status"] == "failed"
    document = check_exception(answer, answer.status_code)
    assert answer.status_code >= 400
    assert document["type"] != "about:blank"
    assert "failed as asked" in document["detail"]


def test_a_synchronous_execution_that_fails_says_why(hub):
    answer = hub.execute({"text": "x", "fail": True})

    assert "failed as asked" in check_exception(answer, 500)["detail"]


def test_test_process_and_rec_test_process(client):
    description = client.get("/processes/echo").json()

    first = next(iter(description["inputs"].values()))
    assert first["schema"] == {"type": "string"}
    assert {"sync-execute", "async-execute", "dismiss"} == set(description["jobControlOptions"])
    assert "pause" in description["inputs"]


def test_rec_problem_details(client):
    for answer in (client.get("/nothing"), client.put("/jobs"), client.get("/jobs", params={"status": "odd"})):
        document = check_exception(answer, answer.status_code)

        assert document["instance"].startswith("/")
        assert document["detail"]


def test_a_process_over_tiles_runs_and_gives_its_item(hub, dem):
    inputs = {
        "dem": {"href": dem, "type": "image/tiff; application=geotiff"},
        "output": {"dtype": "uint8", "nodata": 0},
    }

    job = hub.submit(inputs, "hillshade", outputs={"item": {}}, response="raw")
    info = hub.ended(job)

    assert info["status"] == "successful", info
    answer = hub.client.get(f"{job}/results")
    assert answer.headers["content-type"] == "application/geo+json"
    assert json.loads(answer.content)["type"] == "Feature"
