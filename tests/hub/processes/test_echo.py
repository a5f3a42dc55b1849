"""The process that gives back what it gets, as the official tests of the standard use it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.processes.ogc import is_valid
from hub.processes.values_of import TIFF, requests_of
from tilepipe_hub.processes.describe import describe
from tilepipe_hub.processes.echo import echo
from tilepipe_hub.processes.inputs import Checked, check_inputs


@pytest.fixture(scope="module")
def description(shipped):
    return describe(shipped.find("echo"))


def filled(description):
    """Inputs as the official suite fills them: plain texts, boxes, objects; the last of several forms."""
    inputs = {}
    for name, about in description["inputs"].items():
        for schema in about["schema"].get("oneOf", [about["schema"]]):
            if schema.get("type") == "string" and not schema.keys() & {"format", "contentMediaType", "enum"}:
                inputs[name] = "teststring"
            elif schema.get("type") == "object" and "bbox" in schema.get("properties", {}):
                inputs[name] = {"crs": "urn:ogc:def:crs:EPSG:6.6:4326", "bbox": [345345345] * 4}
            elif schema.get("type") == "object":
                inputs[name] = {"value": "teststring"}
    return inputs


def test_the_official_suite_can_fill_it(description):
    outputs = {name: {"transmissionMode": "value"} for name in description["outputs"]}
    checked = check_inputs(description, {"inputs": filled(description), "outputs": outputs})

    found = echo(checked)
    assert found.results["text"].value == "teststring"
    assert (found.pause_s, found.fails) == (0, False)


def test_the_first_input_is_the_only_one_that_must_be_given(description):
    needed = [name for name, about in description["inputs"].items() if about["minOccurs"]]

    assert needed == [next(iter(description["inputs"]))]
    assert needed[0] in description["outputs"]
    assert description["inputs"][needed[0]]["schema"] == {"type": "string"}


def test_there_is_an_input_for_each_of_the_official_tests(description):
    schemas = {name: about["schema"] for name, about in description["inputs"].items()}

    assert any(schema.get("type") == "array" and schema["items"]["type"] for schema in schemas.values())
    assert any(schema.get("contentEncoding") == "binary" for schema in schemas.values())
    assert any("oneOf" in schema for schema in schemas.values())
    assert any("bbox" in schema.get("properties", {}) for schema in schemas.values())
    assert schemas["pause"]["type"] == "number"


def test_pause_and_fail_are_told_and_not_echoed(description):
    found = echo(check_inputs(description, {"inputs": {"text": "a", "pause": 5, "fail": True}}))

    assert (found.pause_s, found.fails) == (5, True)
    assert list(found.results) == ["text"]


def test_secrets_are_given_back_as_names(description, monkeypatch):
    monkeypatch.setenv("TOKEN", "the secret itself")

    assert echo(check_inputs(description, {"inputs": {"text": "${TOKEN}"}})).results["text"].value == "${TOKEN}"


def test_a_link_to_a_file_comes_back_as_a_link(description):
    inputs = {"text": "a", "image": {"href": "http://x.example/a.tif", "type": "image/tiff"}}

    found = echo(check_inputs(description, {"inputs": inputs})).results["image"]
    assert (found.link, found.media_type, found.value) == ("http://x.example/a.tif", "image/tiff", None)


def test_only_what_is_asked_for_comes_back(description):
    request = {"inputs": {"text": "a", "number": 3, "image": TIFF}, "outputs": {"number": {}, "boolean": {}}}

    assert list(echo(check_inputs(description, request)).results) == ["number"]


@settings(max_examples=50)
@given(data=st.data())
def test_whatever_the_description_allows_comes_back_as_the_outputs_are_described(description, data):
    request = data.draw(requests_of(description))

    checked = check_inputs(description, request)

    assert isinstance(checked, Checked), checked
    for name, result in echo(checked).results.items():
        assert is_valid(result.value, description["outputs"][name]["schema"])
