"""Processes as clients are told of them."""

import json

import jsonschema
import pytest

from hub.processes.ogc import check_description, defaults_in, is_valid, modern, schemas_in
from tilepipe_hub.processes.describe import describe, summary
from tilepipe_hub.processes.schema import WORDS

IDS = ["convert", "echo", "hillshade", "recipe", "rich", "slope"]


@pytest.fixture(params=IDS)
def description(catalog, request):
    return describe(catalog.find(request.param), base_url="http://hub.example")


def test_the_tests_describe_all_there_are(catalog):
    assert [entry.id for entry in catalog.entries()] == IDS


def test_each_description_is_as_the_standard_has_it(description):
    check_description(description)


def test_each_schema_is_a_schema_of_the_old_and_of_the_new_kind(description):
    for _, schema in schemas_in(description):
        jsonschema.Draft4Validator.check_schema(schema)
        jsonschema.Draft202012Validator.check_schema(modern(schema))


def test_each_default_fulfils_its_schema(description):
    found = [part for _, schema in schemas_in(description) for part in defaults_in(schema)]

    assert [part for part in found if not is_valid(part["default"], part)] == []


def test_descriptions_are_plain_json_without_secrets_of_the_machine(description, folder):
    text = json.dumps(description, allow_nan=False)

    assert json.loads(text) == description
    assert str(folder) not in text


def test_a_description_is_its_summary_with_inputs_and_outputs(catalog):
    for entry in catalog.entries():
        whole, short = describe(entry), summary(entry)
        assert whole == {**short, "inputs": whole["inputs"], "outputs": whole["outputs"]}


def test_links_lead_to_the_description_and_to_the_execution(catalog):
    links = {link["rel"]: link["href"] for link in summary(catalog.find("slope"), base_url="http://h/api")["links"]}

    assert links["self"] == "http://h/api/processes/slope?f=json"
    assert links["alternate"] == "http://h/api/processes/slope?f=html"
    assert links["http://www.opengis.net/def/rel/ogc/1.0/execute"] == "http://h/api/processes/slope/execution"


def test_every_process_can_be_run_at_once_later_and_be_dismissed(description):
    assert description["jobControlOptions"] == ["sync-execute", "async-execute", "dismiss"]
    assert description["outputTransmission"] == ["value", "reference"]


def test_title_text_version_and_keywords_come_from_the_file(catalog):
    about = summary(catalog.find("rich"))

    assert (about["title"], about["version"], about["mutable"]) == ("Everything at once.", "2.1", True)
    assert about["description"] == "What it does, in a few words.\n\nMore words.\n\nDoes it."
    assert about["keywords"][0] == "test"


def test_arguments_become_inputs_but_for_those_the_engine_gives(catalog):
    inputs = describe(catalog.find("rich"))["inputs"]

    assert not inputs.keys() & {"tile", "grid", "function"}
    assert [name for name, about in inputs.items() if about["minOccurs"]] == ["dem", "size", "zooms"]
    assert inputs["dem"]["description"] == "elevation, one band."
    assert inputs["process_zooms"]["schema"] == {"type": "integer", "default": 3}


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("size", {"type": "integer"}),
        ("ratio", {"minimum": 0, "exclusiveMinimum": True, "maximum": 2, "default": 0.5, "description": "of sides"}),
        ("odd", {"minimum": 2, "exclusiveMinimum": True, "multipleOf": 3, "type": "integer", "default": 9}),
        ("name", {"minLength": 1, "maxLength": 8, "pattern": "^[a-z]+$", "default": "abc"}),
        ("kind", {"enum": ["a", "b"], "type": "string", "nullable": True}),
        ("one", {"enum": ["only"], "default": "only"}),
        ("bands", {"type": "array", "items": {"type": "integer", "minimum": 1}, "default": [1, 2]}),
        ("weights", {"type": "object", "additionalProperties": {"type": "number"}, "default": {"x": 1.0}}),
        ("either", {"anyOf": [{"type": "integer"}, {"type": "string"}], "default": 3}),
        ("anything", {}),
        ("bare", {"default": 5}),
        ("flags", {"type": "array", "uniqueItems": True}),
        ("colour", {"enum": ["red", "blue"], "default": "red"}),
        ("pair", {"type": "array", "minItems": 2, "maxItems": 2}),
        ("not_a_number", {"type": "number"}),
    ],
)
def test_annotations_become_schemas(catalog, name, schema):
    found = describe(catalog.find("rich"))["inputs"][name]["schema"]

    assert {key: found.get(key) for key in schema} == schema
    assert found.keys() <= WORDS


def test_a_model_within_itself_is_told_once(catalog):
    point = describe(catalog.find("rich"))["inputs"]["point"]["schema"]

    assert point["properties"]["x"] == {"type": "number"}
    assert point["properties"]["below"]["nullable"]


def test_data_is_taken_as_a_link_or_as_options(catalog):
    forms = describe(catalog.find("slope"))["inputs"]["dem"]["schema"]["oneOf"]

    assert forms[0]["contentMediaType"] == "image/tiff; application=geotiff"
    assert {"path", "format", "resampling", "bands", "nodata", "crs"} <= forms[-1]["properties"].keys()


def test_the_engine_is_told_what_the_process_is_made_for(catalog):
    inputs = describe(catalog.find("rich"))["inputs"]
    output = inputs["output"]

    assert (output["minOccurs"], output["schema"]["properties"]["dtype"]["default"]) == (0, "uint8")
    assert inputs["pyramid"]["schema"]["properties"]["pixelbuffer"]["default"] == 4
    assert "required" not in output["schema"]


def test_a_process_that_says_nothing_sees_past_the_edges_of_its_tiles(catalog):
    inputs = describe(catalog.find("hillshade"))["inputs"]

    assert inputs["pyramid"]["schema"]["properties"]["pixelbuffer"]["default"] >= 1
    assert inputs["pyramid"]["schema"]["properties"]["grid"]["default"] == {"like": "dem"}
    assert (inputs["output"]["minOccurs"], inputs["zooms"]["minOccurs"]) == (1, 0)


def test_the_area_is_a_bounding_box_of_the_standard_or_geojson(catalog):
    box, geometry = describe(catalog.find("slope"))["inputs"]["area"]["schema"]["oneOf"]

    assert (box["format"], box["required"]) == ("ogc-bbox", ["bbox"])
    assert box["properties"]["crs"]["default"] == "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
    assert geometry["contentMediaType"] == "application/geo+json"


def test_the_folder_of_the_output_is_not_for_requests_to_say(catalog):
    assert "path" not in describe(catalog.find("slope"))["inputs"]["output"]["schema"]["properties"]


def test_what_comes_back_has_media_types(catalog):
    outputs = describe(catalog.find("slope"))["outputs"]

    assert {name: about["schema"]["contentMediaType"] for name, about in outputs.items()} == {
        "item": "application/geo+json",
        "vrt": "application/xml",
        "report": "application/json",
    }
