"""Classes JSON, HTML and OpenAPI 3.0: a test for each requirement, by its name in the standard."""

import re
from html.parser import HTMLParser

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator

from hub.conformance.documents import check_exception, links_of
from hub.routes.serving import hash_of, serving

PATHS = ["/", "/conformance", "/processes", "/processes/echo", "/jobs"]
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """A page that is well formed: its texts, links and tags."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts, self.links, self.tags = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "a":
            self.links.append(dict(attributes)["href"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())


def facts(document):
    """Each text and number in a document."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key not in {"links", "href"}:
                yield from facts(value)
    elif isinstance(document, list):
        for value in document:
            yield from facts(value)
    elif isinstance(document, str | int | float) and not isinstance(document, bool):
        yield str(document)


def addresses(document):
    for link in document.get("links", []):
        yield link["href"]


@pytest.fixture
def paths(done):
    job = f"/jobs/{done['jobID']}"
    return [*PATHS, job, f"{job}/log"]


def test_json_definition(client, paths):
    for path in paths:
        for wanted in ("application/json", "*/*", "", "text/*;q=0, */*"):
            answer = client.get(path, headers={"Accept": wanted})

            assert answer.headers["content-type"] == "application/json"
            answer.json()


@pytest.mark.parametrize(
    "headers", [{"Accept": "text/html"}, {"Accept": "application/json;q=0.1, text/html;q=0.9"}, {"Accept": "text/*"}]
)
def test_html_definition(client, paths, headers):
    for path in [*paths, "/api"]:
        answer = client.get(path, headers=headers)

        assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_html_definition_holds_for_results_and_execution_too(client, done, hub):
    job = f"/jobs/{done['jobID']}"
    page = {"Accept": "text/html"}

    for answer in (
        client.get(f"{job}/results", headers=page),
        client.post("/processes/echo/execution", json={"inputs": {"text": "shown"}}, headers=page),
    ):
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        Page(answer.text)


def test_html_definition_can_be_asked_for_by_parameter(client, paths):
    for path in [*paths, "/api"]:
        assert client.get(path, params={"f": "html"}).headers["content-type"] == "text/html; charset=utf-8"
        assert "json" in client.get(path, params={"f": "json"}, headers={"Accept": "text/html"}).headers["content-type"]


def test_html_content(client, paths):
    for path in paths:
        document = client.get(path, params={"f": "json"}).json()
        page = Page(client.get(path, params={"f": "html"}).text)

        text = " ".join(" ".join(page.texts).split())
        assert page.tags[0][0] == "html"
        assert all(" ".join(fact.split()) in text for fact in facts(document) if fact.strip())
        plain = {re.sub(r"\?.*", "", link) for link in page.links}
        assert {re.sub(r"\?.*", "", link) for link in addresses(document)} <= plain


def test_problems_are_pages_for_browsers(client):
    answer = client.get("/nothing", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    Page(answer.text)


def test_pages_load_nothing_from_elsewhere(client, hub):
    page = Page(client.get("/", params={"f": "html"}).text)

    loaded = [found.get("src") or found.get("href") for tag, found in page.tags if tag in {"script", "link", "img"}]
    assert loaded
    assert all(address.startswith(hub.url) and client.get(address).status_code == 200 for address in loaded)


def test_what_cannot_be_had_is_refused(client):
    check_exception(client.get("/", headers={"Accept": "image/png, application/problem+json"}), 406)
    check_exception(client.get("/", params={"f": "xml"}), 400)


# OpenAPI 3.0


@pytest.fixture(scope="module")
def definition(client):
    return client.get("/api").json()


def test_oas30_oas_definition_1(client):
    document = client.get("/").json()
    as_json = client.get(links_of(document, "service-desc")[0]["href"])
    as_page = client.get(links_of(document, "service-doc")[0]["href"])

    assert as_json.headers["content-type"] == OPENAPI
    assert as_page.headers["content-type"] == "text/html; charset=utf-8"
    assert client.get("/api", headers={"Accept": OPENAPI}).headers["content-type"] == OPENAPI


def test_oas30_oas_definition_2(definition):
    OpenAPIV30SpecValidator(definition).validate()

    assert definition["openapi"].startswith("3.0.")


def test_oas30_oas_impl(client, definition, done):
    """Everything that can be had without a body is there."""
    values = {"processID": "echo", "jobId": done["jobID"], "outputID": "text"}
    for path, operations in definition["paths"].items():
        if "get" in operations and "{path}" not in path:
            answer = client.get(path.format(**values))

            assert str(answer.status_code) in operations["get"]["responses"], path
            assert answer.status_code == 200, path


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/processes", {"limit"}),
        ("/jobs", {"type", "processID", "status", "datetime", "minDuration", "maxDuration", "limit"}),
    ],
)
def test_oas30_parameters_are_defined(definition, path, names):
    found = {item["name"]: item for item in definition["paths"][path]["get"]["parameters"]}

    assert names <= found.keys()
    assert all(found[name]["in"] == "query" and not found[name]["required"] for name in names)


def test_pl_limit_definition_and_limit_definition(definition):
    for path in ("/processes", "/jobs"):
        limit = next(item for item in definition["paths"][path]["get"]["parameters"] if item["name"] == "limit")

        assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 100}


def test_oas30_completeness(definition):
    for path, operations in definition["paths"].items():
        for method, operation in operations.items():
            assert operation["operationId"], path
            assert any(code.startswith("2") for code in operation["responses"]), (method, path)


def test_oas30_exceptions_codes(client, definition):
    cases = [
        ("get", "/processes/{processID}", client.get("/processes/nothing")),
        ("get", "/jobs/{jobId}", client.get("/jobs/nothing")),
        ("get", "/jobs", client.get("/jobs?status=odd")),
        ("get", "/", client.get("/", headers={"Accept": "image/png"})),
        ("post", "/processes/{processID}/execution", client.post("/processes/echo/execution", json={})),
        ("post", "/processes/{processID}/execution", client.post("/processes/echo/execution", content=b"x")),
    ]
    for method, path, answer in cases:
        described = definition["paths"][path][method]["responses"][str(answer.status_code)]

        assert "application/problem+json" in described["content"]


def test_oas30_security(tmp_path):
    with serving(tmp_path, worker=False, auth={"tokens": [{"sha256": hash_of("t"), "owner": "a"}]}) as hub:
        document = hub.client.get("/api").json()

        assert set(document["components"]["securitySchemes"]) == {"bearer", "basic"}
        assert document["security"] == [{"bearer": []}, {"basic": []}]
        check_exception(hub.client.get("/jobs"), 401)
        assert hub.as_("t").get("/jobs").status_code == 200
