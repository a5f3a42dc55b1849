"""Which web pages may use the service: those of the origins in the settings."""

import pytest

from hub.routes.serving import serving

LISTED, OTHER = "https://maps.example", "https://evil.example"
ASKS = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type, authorization"}
EXECUTION = "/processes/echo/execution"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    with serving(folder, worker=False, server={"cors_origins": [LISTED]}) as hub:
        yield hub


def cors(answer):
    return {name for name in answer.headers if name.startswith("access-control-")}


@pytest.mark.parametrize("path", ["/", "/processes", "/jobs", "/jobs/nosuch"])
def test_by_default_no_page_of_another_origin_may_read(hub, path):
    assert cors(hub.client.get(path, headers={"Origin": LISTED})) == set()


def test_by_default_no_page_of_another_origin_may_execute(hub):
    answer = hub.client.options(EXECUTION, headers={"Origin": LISTED, **ASKS})

    assert answer.status_code == 405
    assert cors(answer) == set()


@pytest.mark.parametrize(("path", "status"), [("/processes", 200), ("/jobs/nosuch", 404), ("/nosuch", 404)])
def test_a_listed_origin_may_read_answers_and_errors(shared, path, status):
    answer = shared.client.get(path, headers={"Origin": LISTED})

    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == LISTED
    assert "Origin" in answer.headers["vary"]
    assert {"Location", "Link", "Retry-After"} <= set(answer.headers["access-control-expose-headers"].split(", "))
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origin", [OTHER, f"{LISTED}.evil.example", LISTED.replace("https", "http"), "null"])
def test_another_origin_may_not(shared, origin):
    read = shared.client.get("/processes", headers={"Origin": origin})
    asked = shared.client.options(EXECUTION, headers={"Origin": origin, **ASKS})

    assert "access-control-allow-origin" not in read.headers
    assert asked.status_code == 400
    assert "access-control-allow-origin" not in asked.headers


def test_a_listed_origin_may_execute_after_asking(shared):
    asked = shared.client.options(EXECUTION, headers={"Origin": LISTED, **ASKS})
    answer = shared.execute({"text": "x"}, prefer="respond-async", client=shared.client)

    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == LISTED
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert {"authorization", "content-type"} <= set(asked.headers["access-control-allow-headers"].lower().split(", "))
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "wish", [{"Access-Control-Request-Method": "PATCH"}, {"Access-Control-Request-Headers": "x-odd"}]
)
def test_what_is_not_offered_is_not_granted(shared, wish):
    assert shared.client.options(EXECUTION, headers={"Origin": LISTED, **ASKS, **wish}).status_code == 400


def test_all_origins_are_a_star_and_no_credentials(tmp_path):
    with serving(tmp_path, worker=False, server={"cors_origins": ["*"]}) as hub:
        answer = hub.client.get("/", headers={"Origin": OTHER})

    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
