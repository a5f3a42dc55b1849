"""Class OGC Process Description: a test for each requirement, by its name in the standard."""

import pytest

from hub.conformance.documents import check_exception, links_of
from hub.processes.ogc import SCHEMA, check_description

PROCESSES = ["echo", "recipe", "convert", "hillshade", "slope"]


@pytest.fixture(params=PROCESSES)
def description(request, client):
    return client.get(f"/processes/{request.param}").json()


def test_ogc_process_description_json_encoding(description):
    check_description(description)


def test_ogc_process_description_inputs_def_and_outputs_def(description):
    for side in ("inputs", "outputs"):
        assert isinstance(description[side], dict)
        assert all(isinstance(item, dict) for item in description[side].values())


def test_ogc_process_description_input_def_and_output_def(description):
    """The vocabulary of schemas is closed."""
    for side in ("inputs", "outputs"):
        for item in description[side].values():
            assert set(item["schema"]) <= set(SCHEMA["properties"])


def test_ogc_process_description_input_mixed_type(client):
    inputs = client.get("/processes/echo").json()["inputs"]

    assert [part["type"] for part in inputs["geometry"]["schema"]["oneOf"]] == ["object", "string"]


def test_ogc_process_description_output_mixed_type(hub):
    """The first alternative is what comes unless another one is asked for."""
    outputs = hub.client.get("/processes/echo").json()["outputs"]
    point = {"type": "Point", "coordinates": [1, 2]}

    answer = hub.execute({"text": "x", "geometry": {"value": point}}, outputs={"geometry": {}})

    first = outputs["geometry"]["schema"]["oneOf"][0]
    assert first["contentMediaType"] == "application/geo+json"
    assert answer.json() == point


def test_ogc_process_description_input_binary(client):
    schema = client.get("/processes/echo").json()["inputs"]["image"]["schema"]

    assert schema["type"] == "string"
    assert schema["contentEncoding"] == "binary"


def test_ogc_process_description_schemas_judge_requests(hub):
    document = check_exception(hub.execute({"text": "x", "integer": "four"}), 400)

    assert document["errors"][0]["pointer"] == "/inputs/integer"


def test_a_description_links_to_its_execution(description):
    execute = links_of(description, "http://www.opengis.net/def/rel/ogc/1.0/execute")

    assert execute[0]["href"].endswith(f"/processes/{description['id']}/execution")
    assert links_of(description, "self")
    assert links_of(description, "alternate")
