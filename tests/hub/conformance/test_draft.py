"""What is taken from the draft of version 2.0 and from Part 4: a test for each requirement, by its name there."""

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from hub.conformance.documents import check_exception, links_of
from hub.routes.serving import serving

EXC = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/"
PROFILE = '<https://www.opengis.net/def/profile/OGC/0/ogc-results>; rel="profile"'
OPENAPI = "application/vnd.oai.openapi+json;version=3.1"
JSON = {"Accept": "application/json"}
TWO = {"text": "x", "number": 4}
LINK = {"href": "https://example.com/a.tif", "type": "image/tiff"}


@pytest.fixture(scope="module")
def tiles(hub, dem):
    """Address of a job that made files, none of them asked for in the words of version 1.0."""
    inputs = {"dem": {"href": dem, "type": "image/tiff; application=geotiff"}}
    job = hub.submit({**inputs, "output": {"dtype": "uint8", "nodata": 0}}, "hillshade")
    assert hub.ended(job)["status"] == "successful"
    return job


@pytest.fixture
def large(monkeypatch):
    """As if all files were large."""
    monkeypatch.setattr("tilepipe_hub.results.LARGE_BYTES", 10)


def get(job, prefer=None, **headers):
    return httpx.get(f"{job}/results", headers={**headers, **({"Prefer": prefer} if prefer else {})})


def kinds(answer):
    """For each result, whether it is a value or a link."""
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert PROFILE in answer.headers["link"]
    return {name: "link" if "href" in value else "value" for name, value in answer.json().items()}


VALUES = dict.fromkeys(("item", "vrt", "report"), "value")
LINKS = dict.fromkeys(VALUES, "link")


# results


def test_process_execute_sync_many_json(hub):
    """How many outputs were asked for counts, not how many there are."""
    for inputs in (TWO, {"text": "x"}, {**TWO, "image": LINK}):
        answer = hub.client.post("/processes/echo/execution", json={"inputs": inputs}, headers=JSON)

        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["link"] == PROFILE
        assert answer.json() == inputs


def test_job_results_async_many_and_prefer_none(tiles):
    assert kinds(get(tiles, **JSON)) == VALUES


def test_rec_job_results_async_many_json_prefer_none_of_large_results(tiles, large):
    answer = get(tiles, **JSON)

    assert kinds(answer) == LINKS
    assert "preference-applied" not in answer.headers


def test_rec_job_results_async_many_json_prefer_minimal(tiles, large):
    answer = get(tiles, "return=minimal")

    assert kinds(answer) == LINKS
    assert answer.headers["preference-applied"] == "return=minimal"
    assert "Prefer" in answer.headers["vary"]
    assert httpx.get(answer.json()["vrt"]["href"]).text.startswith("<VRTDataset")


def test_rec_job_results_async_many_json_prefer_minimal_of_small_results(tiles):
    assert kinds(get(tiles, "return=minimal")) == VALUES


@pytest.mark.parametrize(
    "prefer",
    ["return=representation", 'Return="Representation"', "wait=5, return=many, return=representation, return=minimal"],
)
def test_rec_job_results_async_many_json_prefer_representation(tiles, large, prefer):
    answer = get(tiles, prefer)

    assert kinds(answer) == VALUES
    assert answer.headers["preference-applied"] == "return=representation"


@pytest.mark.parametrize(("wish", "expected"), [("minimal", LINKS), ("representation", VALUES)])
def test_rec_process_execute_sync_many_json_prefer(hub, dem, large, wish, expected):
    inputs = {"dem": {"href": dem, "type": "image/tiff"}, "output": {"dtype": "uint8", "nodata": 0}}

    answer = hub.execute(inputs, "hillshade", prefer=f"return={wish}")

    assert kinds(answer) == expected
    assert 'rel="monitor"' in answer.headers["link"]
    assert answer.headers["preference-applied"] == f"return={wish}"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"response": "raw"}, "multipart/related"),
        ({"response": "document"}, "application/json"),
        ({"outputs": {"text": {"transmissionMode": "value"}, "number": {}}}, "multipart/related"),
    ],
)
def test_a_request_in_the_words_of_version_1_means_what_it_meant_there(hub, body, kind):
    answer = hub.execute(TWO, prefer="return=minimal", **body)

    assert answer.headers["content-type"].partition(";")[0] == kind
    assert "preference-applied" not in answer.headers


def test_one_result_is_itself_whatever_is_preferred(tiles, large):
    for address in (f"{tiles}/results/vrt", f"{tiles}/results?outputs=vrt"):
        answer = httpx.get(address, headers={"Prefer": "return=minimal"})

        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/xml"


def test_job_results_exception_no_such_output(client, done):
    answer = client.get(f"/jobs/{done['jobID']}/results/nothing")

    document = check_exception(answer, 400, f"{EXC}no-such-output")
    assert "text, choice" in document["detail"]


def test_process_execute_success_async_outputs_that_were_not_asked_for(hub):
    job = hub.submit(TWO, outputs={"text": {}})
    hub.ended(job)

    check_exception(hub.client.get(f"{job}/results/number"), 404, f"{EXC}result-not-available")


def test_process_execute_success_async_outputs_empty(hub):
    job = hub.submit(TWO, outputs={})
    hub.ended(job)

    for path in ("results", "results/number"):
        check_exception(hub.client.get(f"{job}/{path}"), 404, f"{EXC}result-not-available")


@pytest.mark.parametrize("path", ["/results?outputs=nothing", "?f=xml", "/log?limit=0", "/log?after=x"])
def test_job_results_exception_invalid_query_parameter_value(client, done, path):
    answer = client.get(f"/jobs/{done['jobID']}{path}")

    check_exception(answer, 400, f"{EXC}invalid-query-parameter-value")


# OpenAPI 3.1


@pytest.fixture(scope="module")
def modern(client):
    return client.get("/api", params={"version": "3.1"}).json()


def test_oas_definition(client):
    links = links_of(client.get("/").json(), "service-desc")

    assert [link["type"] for link in links] == [OPENAPI.replace("3.1", "3.0"), OPENAPI]
    for link in links:
        assert client.get(link["href"]).headers["content-type"] == link["type"]
        assert client.get("/api", headers={"Accept": link["type"]}).headers["content-type"] == link["type"]


def test_oas31_oas_definition(modern):
    OpenAPIV31SpecValidator(modern).validate()

    assert modern["openapi"] == "3.1.1"


def test_oas31_oas_definition_with_deployment_and_tokens(tmp_path):
    with serving(tmp_path, worker=False, deploy=True, auth={"anonymous": "admin"}) as hub:
        OpenAPIV31SpecValidator(hub.client.get("/api", params={"version": "3.1"}).json()).validate()


def test_both_definitions_say_the_same(client, modern):
    """But for the schema of bytes, which 3.1 does without."""

    def outline(document):
        return {
            (path, method, code, kind)
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
            for code, answer in operation["responses"].items()
            for kind in (None, *answer.get("content", ()))
        }

    document = client.get("/api").json()

    assert outline(document) == outline(modern)
    assert document["components"] == modern["components"]
    assert "binary" not in str(modern)


@pytest.mark.parametrize("version", ["2.0", "3", "", "3.10"])
def test_an_openapi_that_is_not_written_is_refused(client, version):
    check_exception(client.get("/api", params={"version": version}), 400, f"{EXC}invalid-query-parameter-value")


def test_job_list_duration_definition(modern):
    found = {item["name"]: item["schema"] for item in modern["paths"]["/jobs"]["get"]["parameters"]}

    assert found["minDuration"]["type"] == found["maxDuration"]["type"] == "integer"


# what is left out


def test_no_request_to_read_starts_a_job(client):
    before = client.get("/jobs").json()["jobs"]

    answer = client.get("/processes/echo/execution", params={"text": "x"})

    check_exception(answer, 405)
    assert client.get("/jobs").json()["jobs"] == before


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
def test_nothing_is_executed_that_a_page_of_another_origin_may_send_unasked(client, kind):
    headers = {"Content-Type": kind} if kind else {}

    answer = client.post("/processes/echo/execution", content=b'{"inputs": {"text": "x"}}', headers=headers)

    check_exception(answer, 415)


def test_no_class_of_the_draft_is_claimed(client):
    assert all("/1.0/conf/" in name for name in client.get("/conformance").json()["conformsTo"])


# Part 4


def test_job_management_definition_get_op_response_success_and_response_body(hub):
    body = {"outputs": {"text": {}}, "response": "document", "title": "Mine", "labels": ["a"]}
    job = hub.submit(TWO, **body)

    answer = hub.client.get(f"{job}/definition")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"process": f"{hub.url}/processes/echo", "inputs": TWO, **body}
    assert f"{job}/definition" in [link["href"] for link in links_of(hub.client.get(job).json(), "describedby")]


def test_a_definition_has_only_what_was_said_and_can_be_sent_again(hub):
    job = hub.submit(TWO)
    document = hub.client.get(f"{job}/definition").json()

    again = hub.client.post("/processes/echo/execution", json=document, headers={"Prefer": "respond-async"})

    assert document == {"process": f"{hub.url}/processes/echo", "inputs": TWO}
    assert again.status_code == 201
    assert hub.client.get(f"{again.headers['location']}/definition").json() == document


def test_a_definition_is_a_page_for_browsers(hub):
    job = hub.submit({"text": "shown on a page"})

    assert "shown on a page" in hub.client.get(f"{job}/definition", params={"f": "html"}).text


def test_the_definition_of_no_job_is_not_there(client):
    check_exception(client.get("/jobs/nothing/definition"), 404, f"{EXC}no-such-job")
