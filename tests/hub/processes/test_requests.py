"""Execute requests: what is understood, and what is wrong with those that are not."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.processes.values_of import JSON, TIFF
from tilepipe_hub.processes.describe import describe
from tilepipe_hub.processes.given import Fetched, Value, checked_value
from tilepipe_hub.processes.inputs import Checked, check_inputs, links_to_fetch
from tilepipe_hub.processes.limits import Limits
from tilepipe_hub.processes.request import check_request

LINK = {"href": "https://data.example/dem.tif", "type": "image/tiff; application=geotiff"}
GOOD = {"dem": LINK, "output": {"dtype": "uint8", "nodata": 0}}
RECIPE = {
    "process": "hillshade",
    "inputs": {"dem": "https://data.example/dem.tif"},
    "pyramid": {"grid": "WebMercatorQuad"},
    "zooms": {"min": 3, "max": 5},
    "output": {"dtype": "uint8"},
}
ECHO = {"text": "words"}


@pytest.fixture
def ask(shipped):
    """What is made of a request to a process."""

    def asked(process_id, request, **known):
        return check_request(shipped.find(process_id), request, catalog=shipped, **known)

    return asked


def echoed(shipped, inputs, **known):
    return check_inputs(describe(shipped.find("echo")), {"inputs": {**ECHO, **inputs}}, **known)


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("text", "a", "a"),
        ("text", {"value": "a"}, "a"),
        ("text", {"value": "a", "mediaType": "text/plain"}, "a"),
        ("number", 5, 5),
        ("number", 5.5, 5.5),
        ("integer", 5.0, 5),
        ("boolean", False, False),
        ("list", [1, 2.5], [1, 2.5]),
        ("list", {"value": []}, []),
        ("bbox", {"bbox": [51.9, 7, 52, 7.1]}, {"bbox": [51.9, 7, 52, 7.1]}),
        ("bbox", {"value": {"bbox": [1, 2, 3, 4, 5, 6]}}, {"bbox": [1, 2, 3, 4, 5, 6]}),
        ("object", {"value": {"a": 1}}, {"a": 1}),
        ("object", {"value": {"a": 1}, "mediaType": "application/json"}, {"a": 1}),
        ("object", {"a": 1}, {"a": 1}),
        ("object", {"value": "text"}, "text"),
        ("geometry", {"value": {"type": "Point"}, "mediaType": "application/geo+json"}, {"type": "Point"}),
        ("geometry", {"value": {"type": "Point"}, "format": {"mediaType": "application/json"}}, {"type": "Point"}),
        ("geometry", "POINT (1 2)", "POINT (1 2)"),
        ("image", TIFF, TIFF),
        ("image", {"value": TIFF, "format": {"encoding": "base64", "mediaType": "image/tiff"}}, TIFF),
        ("image", {"value": TIFF, "mediaType": "IMAGE/TIFF; application=geotiff", "encoding": "base64"}, TIFF),
    ],
)
def test_every_form_of_a_value_is_understood(shipped, name, raw, value):
    checked = echoed(shipped, {name: raw})

    assert isinstance(checked, Checked), checked
    assert checked.value(name) == value
    assert type(checked.value(name)) is type(value)


def test_an_input_of_several_values_takes_one_none_and_many(shipped):
    for raw, values in (("a", ["a"]), (["a", {"value": "b"}], ["a", "b"]), ([], [])):
        assert [value.value for value in echoed(shipped, {"texts": raw}).inputs["texts"]] == values


def test_a_link_to_a_file_is_handed_on_and_not_fetched(shipped):
    request = {"inputs": {**ECHO, "image": {"href": "http://x.example/a.tif", "format": {"mediaType": "image/tiff"}}}}
    description = describe(shipped.find("echo"))

    (link,) = check_inputs(description, request).links()
    assert (link.href, link.media_type, link.pointer) == ("http://x.example/a.tif", "image/tiff", "/inputs/image")
    assert links_to_fetch(description, request) == []


@pytest.mark.parametrize(
    ("name", "content", "value"),
    [
        ("number", Fetched(content=b"12", media_type="application/json"), 12),
        ("text", Fetched(content=b"12", media_type="text/plain; charset=utf-8"), "12"),
        ("text", Fetched(content=b"some words"), "some words"),
        ("list", Fetched(content=b"[1, 2]"), [1, 2]),
        ("object", Fetched(content=b'\xef\xbb\xbf{"a": 1}'), {"a": 1}),
    ],
)
def test_what_a_link_leads_to_is_a_value(shipped, name, content, value):
    given = {name: {"href": "http://x.example/a"}}
    (link,) = links_to_fetch(describe(shipped.find("echo")), {"inputs": {**ECHO, **given}})

    assert echoed(shipped, given, fetched={link.pointer: content}).value(name) == value


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "it was not fetched"),
        ("the host is not allowed", "the host is not allowed"),
        (Fetched(content=b"1001"), "at most 1000"),
        (Fetched(content=b"<html>"), "no value of this input"),
        (Fetched(content=b"\xff\xfe"), "no value of this input"),
        (Fetched(content=b"[" * 5000 + b"]" * 5000), "levels|no value|a list of"),
        (Fetched(content=b"1e999"), "no number|at most"),
    ],
)
def test_what_a_link_leads_to_is_judged_as_if_it_were_given(shipped, content, words):
    fetched = {} if content is None else {"/inputs/number": content}
    found = echoed(shipped, {"number": {"href": "http://x.example/a"}}, fetched=fetched)

    assert found[0].pointer == "/inputs/number"
    assert any(word in found[0].message for word in words.split("|"))


def test_a_link_leads_to_no_more_than_a_request_may_hold(shipped):
    fetched = {"/inputs/object": Fetched(content=json.dumps({"a": {"b": {"c": {"d": {}}}}}).encode())}

    found = echoed(shipped, {"object": {"href": "http://x.example/a"}}, fetched=fetched, limits=Limits(depth=3))
    assert "more than 3 deep" in found[0].message


def test_an_area_may_be_a_link_to_geojson(ask, shipped):
    request = {"inputs": {**GOOD, "area": {"href": "https://x.example/a.json", "type": "application/geo+json"}}}
    (link,) = links_to_fetch(describe(shipped.find("hillshade")), request)
    point = Fetched(content=b'{"type": "Point", "coordinates": [7, 45]}', media_type="application/geo+json")

    assert ask("hillshade", request, fetched={link.pointer: point}).value("area")["type"] == "Point"
    (problem,) = ask("hillshade", request, fetched={link.pointer: Fetched(content=b'{"type": "Pointy"}')})
    assert (problem.pointer, "Pointy" in problem.message) == ("/inputs/area", True)


@pytest.mark.parametrize("name", ["choice", "number", "texts", "bbox", "geometry", "image", "pause"])
def test_null_is_not_given_where_the_input_may_be_left_out(shipped, name):
    checked = echoed(shipped, {name: None})

    assert set(checked.inputs) == {"text"}


@pytest.mark.parametrize("name", ["overviews", "zooms"])
def test_null_is_a_value_where_the_schema_knows_it(ask, name):
    checked = ask("hillshade", {"inputs": {**GOOD, name: None, "azimuth": None}})

    assert set(checked.inputs) == {*GOOD, name}
    assert checked.inputs[name][0].value is None


@pytest.mark.parametrize(("key", "fits"), [("anyOf", True), ("oneOf", False)])
def test_a_value_may_fit_several_forms_where_any_will_do(key, fits):
    schema = {key: [{"type": "integer"}, {"type": "number"}]}

    _, problems = checked_value(Value(value=5, pointer="/inputs/size"), schema, {})

    assert (problems == []) is fits


ECHO_MISTAKES = [
    ({"number": {"value": None}}, "/inputs/number/value", "is null; it takes a number"),
    ({"texts": ["a", None]}, "/inputs/texts/1", "is null; it takes text"),
    ({"list": [1, None]}, "/inputs/list/1", "is null; it takes a number"),
    ({"nothing": None}, "/inputs/nothing", "no such input"),
    ({"text": None}, "/inputs/text", "is null; it takes text"),
    ({"text": 3}, "/inputs/text", "is 3; it takes text"),
    ({"text": ["a"]}, "/inputs/text", "a list of 1"),
    ({"text": {"value": 3}}, "/inputs/text/value", "it takes text"),
    ({"text": {"value": "a", "href": "http://x"}}, "/inputs/text", "keep one"),
    ({"text": {"value": "a", "mediaType": 3}}, "/inputs/text", "media type 3"),
    ({"text": {"value": "a", "mediaType": "image/png"}}, "/inputs/text/value", "image/png; it takes application/json"),
    ({"text": {"value": "a", "encoding": "rot13"}}, "/inputs/text", "rot13"),
    ({"text": {"href": ""}}, "/inputs/text/href", "address"),
    ({"text": {"href": 3}}, "/inputs/text/href", "address"),
    ({"choice": "smal"}, "/inputs/choice", "did you mean 'small'?"),
    ({"number": "5"}, "/inputs/number", "it takes a number"),
    ({"number": True}, "/inputs/number", "is true; it takes a number"),
    ({"number": -1}, "/inputs/number", "at least 0"),
    ({"number": 1001}, "/inputs/number", "at most 1000"),
    ({"integer": 5.5}, "/inputs/integer", "it takes a whole number"),
    ({"boolean": "yes"}, "/inputs/boolean", "it takes true or false"),
    ({"boolean": 1}, "/inputs/boolean", "it takes true or false"),
    ({"list": 1}, "/inputs/list", "it takes a list"),
    ({"list": [1, "a"]}, "/inputs/list/1", "it takes a number"),
    ({"list": [0] * 1001}, "/inputs/list", "at most 1000"),
    ({"texts": ["a", 3]}, "/inputs/texts/1", "it takes text"),
    ({"bbox": [1, 2, 3, 4]}, "/inputs/bbox", "it takes an object"),
    ({"bbox": {"bbox": [1, 2, 3]}}, "/inputs/bbox/bbox", "at least 4"),
    ({"bbox": {"bbox": [1, 2, 3, 4, 5]}}, "/inputs/bbox/bbox", "at most 4"),
    ({"bbox": {"bbox": [1, 2, 3, "4"]}}, "/inputs/bbox/bbox/3", "it takes a number"),
    ({"bbox": {"bbox": [1, 2, 3, 4], "crs": 4326}}, "/inputs/bbox/crs", "it takes text"),
    ({"object": 3}, "/inputs/object", "it takes an object or text"),
    ({"image": "no base64!"}, "/inputs/image", "base64"),
    ({"image": "é"}, "/inputs/image", "base64"),
    ({"image": {"type": "wrong/type"}}, "/inputs/image", "it takes text"),
    ({"image": {"value": TIFF, "mediaType": "wrong/type"}}, "/inputs/image/value", "wrong/type; it takes image/tiff"),
    ({"image": {"href": "http://x", "type": "wrong/type"}}, "/inputs/image", "wrong/type; it takes image/tiff"),
    ({"pause": -1}, "/inputs/pause", "at least 0"),
    ({"pause": 1e9}, "/inputs/pause", "at most 60"),
    ({"txt": "a"}, "/inputs/txt", "there is no such input; did you mean 'text'?"),
    ({"a/b~c": 1}, "/inputs/a~1b~0c", "no such input"),
]


@pytest.mark.parametrize(("inputs", "pointer", "words"), ECHO_MISTAKES)
def test_a_wrong_input_is_named(shipped, inputs, pointer, words):
    (problem,) = echoed(shipped, inputs)

    assert problem.pointer == pointer
    assert words in problem.message


TILE_MISTAKES = [
    ({"dem": 3}, "/inputs/dem", "text or an object"),
    ({"dem": "no base64!"}, "/inputs/dem", "base64"),
    ({"dem": "data/dem.tif"}, "/inputs/dem", "is text 'data/dem.tif', which is no base64; give a link {href: ...}"),
    ({"dem": {"value": "bm90ZXM=", "mediaType": "text/plain"}}, "/inputs/dem", "text/plain; it takes image/tiff"),
    ({"dem": "aGVsbG8gd29ybGQh"}, "/inputs/dem", "no image that can come within a request"),
    ({"dem": "PFZSVERhdGFzZXQvPg=="}, "/inputs/dem", "no image that can come within a request"),
    ({"dem": {"href": "x", "type": "text/html"}}, "/inputs/dem", "text/html"),
    ({"dem": {"value": {"path": "a.tif", "resamplin": "cubic"}}}, "/inputs/dem/value/resamplin", "'resampling'"),
    ({"dem": {"value": {"path": 3}}}, "/inputs/dem/value/path", "it takes text"),
    ({"dem": {"value": {}}}, "/inputs/dem/value/path", "is missing"),
    ({"dem": {"value": {"path": "a.tif", "format": "raster"}}}, "/inputs/dem/value/format", "raster_file"),
    ({"dem": [LINK]}, "/inputs/dem", "a list of 1"),
    ({"dem": {"href": "https://x.example/${TOKEN}.tif"}}, "/inputs/dem", "names the secret ${TOKEN}"),
    ({"dem": {"value": {"path": "${A}/${B}.tif"}}}, "/inputs/dem/value/path", "names the secret ${"),
    ({"azimuth": "south"}, "/inputs/azimuth", "it takes a number"),
    ({"gradient": "Horn"}, "/inputs/gradient", "did you mean 'horn'?"),
    ({"computed_edges": 0}, "/inputs/computed_edges", "true or false"),
    ({"azimut": 3}, "/inputs/azimut", "did you mean 'azimuth'?"),
    ({"zooms": 31}, "/inputs/zooms", "at most 30"),
    ({"zooms": [5, 3]}, "/inputs/zooms", "min 5 above max 3"),
    ({"zooms": {"min": 3}}, "/inputs/zooms/max", "is missing"),
    ({"zooms": [1, 2, 3]}, "/inputs/zooms", "at most 2"),
    ({"pyramid": {"grid": "WebMercator"}}, "/inputs/pyramid/grid", "WebMercatorQuad"),
    ({"pyramid": {"grid": "WebMercatorQuad"}}, "/inputs/zooms", "is missing"),
    ({"pyramid": {"metatile": 3}}, "/inputs/pyramid/metatile", "it takes 1, 2, 4"),
    ({"pyramid": {"tile_size": 100}}, "/inputs/pyramid/tile_size", "multiple of 16"),
    ({"pyramid": {"pixelbuffer": -1}}, "/inputs/pyramid/pixelbuffer", "at least 0"),
    ({"pyramid": {"edge": "cut"}}, "/inputs/pyramid/edge", "clip"),
    ({"pyramid": {"grid": {"like": "nothing"}}}, "/inputs/pyramid/grid/like", "there is no input 'nothing'"),
    ({"pyramid": {"grid": {"crs": "EPSG:3857"}}}, "/inputs/pyramid/grid", "is missing"),
    ({"overviews": {"resampling": "cubic"}}, "/inputs/overviews/resampling", "average"),
    ({"zooms": [3, 5], "overviews": {"below": 7}}, "/inputs/overviews/below", "not among the zooms"),
    ({"area": {"bbox": [1, 2, 3]}}, "/inputs/area/bbox", "at least 4"),
    ({"area": {"bbox": [8, 45, 7, 46]}}, "/inputs/area", "enclose nothing"),
    ({"area": {"bbox": [7, 45, 8, 46], "crs": "nowhere"}}, "/inputs/area", "'nowhere'"),
    ({"area": {"bbox": [7, 45, 8, 46], "crs": "EPSG:99999"}}, "/inputs/area", "not known"),
    ({"area": {"value": {"type": "Pointy"}}}, "/inputs/area/value", "GeoJSON of the type"),
    ({"area": "POINT (1 2)"}, "/inputs/area", "an object"),
    ({"output": {"dtype": "uint9"}}, "/inputs/output/dtype", "'uint8'"),
    ({"output": {"nodata": 0}}, "/inputs/output/dtype", "is missing"),
    ({"output": {"dtype": "uint8", "path": "/etc"}}, "/inputs/output/path", "unknown key"),
    ({"output": {"dtype": "uint8", "format": "gtif"}}, "/inputs/output/format", "gtiff"),
    ({"output": {"dtype": "uint8", "bands": 1.5}}, "/inputs/output/bands", "whole number"),
    ({"output": {"dtype": "uint8", "metatile": 8}}, "/inputs/output/metatile", "larger than the process's 4"),
    ({"output": {"dtype": "uint8", "options": {"compress": []}}}, "/inputs/output/options/compress", "it takes"),
]


@pytest.mark.parametrize(("inputs", "pointer", "words"), TILE_MISTAKES)
def test_a_wrong_input_of_a_process_over_tiles_is_named(ask, inputs, pointer, words):
    found = ask("hillshade", {"inputs": {**GOOD, **inputs}})

    assert isinstance(found, list)
    assert any(problem.pointer.startswith(pointer) and words in problem.message for problem in found), found


RECIPE_MISTAKES = [
    ({"process": "hillshad"}, "process", "did you mean 'hillshade'?"),
    ({"process": "../hillshade.py"}, "process", "is a path"),
    ({"process": "/etc/evil.py"}, "process", "is a path"),
    ({"process": "os.path"}, "process", "no process of this service"),
    ({"process": "tilepipe.processes.hillshade"}, "process", "no process of this service"),
    ({"process": "def execute():\n  return None"}, "process", "is Python code"),
    ({"process": "import os; os.system('x')"}, "process", "is Python code"),
    ({"process": "recipe"}, "process", "no process of this service"),
    ({"process": "echo"}, "process", "no process of this service"),
    ({"process": "${HOME}/x.py"}, "process", "names the secret ${HOME}"),
    ({"process": 3}, "process", "text"),
    ({"steps": []}, "steps", "unknown key"),
    ({"<": 1}, "<", "unknown key"),
    ({"inputs": {"dem": {"format": []}}}, "inputs/dem/format", "name of an input format"),
    ({"cluster": {"class": "os.system"}}, "cluster", "is for the service to say; leave it out"),
    ({"clustr": "local"}, "clustr", "unknown key; known: area, inputs, output,"),
    ({"inputs": {"de": "x.tif"}}, "inputs/de", "did you mean 'dem'?"),
    ({"inputs": {}}, "inputs/dem", "needs it"),
    ({"inputs": {"dem": 3}}, "inputs/dem", "an input is a path or a mapping"),
    ({"parameters": {"azimut": 3}}, "parameters/azimut", "did you mean 'azimuth'?"),
    ({"parameters": {"azimuth": "${KEY}"}}, "parameters/azimuth", "names the secret ${KEY}"),
    ({"parameters": {"azimuth": {"zoom<=4": 3, "x": 3}}}, "parameters/azimuth/x", "beside zoom conditions"),
    ({"pyramid": {"grid": "mercato"}}, "pyramid/grid", "did you mean 'mercator'?"),
    ({"pyramid": {"grid": "mercator", "metatile": 3}}, "pyramid/metatile", "no power of two"),
    ({"zooms": None}, "zooms", "is missing"),
    ({"output": None}, "output", ""),
    ({"output": {"dtype": "uint8", "format": "gtif"}}, "output/format", "gtiff"),
]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("output", 'write, for example, {"dtype": "float32"'),
        ("process", "give the id of a process of this service: convert, hillshade, slope"),
    ],
)
def test_what_a_recipe_lacks_is_told_in_the_words_of_the_service(ask, key, words):
    recipe = {name: value for name, value in RECIPE.items() if name != key}

    (problem,) = ask("recipe", {"inputs": {"recipe": {"value": recipe}}})

    assert problem.pointer == f"/inputs/recipe/value/{key}"
    assert words in problem.message
    assert "path" not in problem.message


def test_what_has_to_be_given_is_told_with_an_example(ask):
    about = {problem.pointer: problem.message for problem in ask("hillshade", {"inputs": {}})}

    assert about["/inputs/output"].endswith('write, for example, {"dtype": "float32", "nodata": -9999}')
    assert "give a link {href: ...}" in about["/inputs/dem"]


@pytest.mark.parametrize("process", ["hillshade", "slope", "convert"])
def test_the_example_of_an_input_is_taken(ask, shipped, process):
    inputs = describe(shipped.find(process))["inputs"]
    data = next(name for name in inputs if name in {"dem", "raster"})

    assert isinstance(ask(process, {"inputs": {data: LINK, "output": inputs["output"]["schema"]["example"]}}), Checked)


def test_the_example_of_a_recipe_is_taken(ask, shipped):
    example = describe(shipped.find("recipe"))["inputs"]["recipe"]["schema"]["example"]

    assert isinstance(ask("recipe", {"inputs": {"recipe": {"value": example}}}), Checked)


@pytest.mark.parametrize(("changes", "path", "words"), RECIPE_MISTAKES)
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_mistake_in_a_whole_recipe_is_named(ask, changes, path, words, wrapped):
    recipe = {**RECIPE, **changes}
    found = ask("recipe", {"inputs": {"recipe": {"value": recipe} if wrapped else recipe}})

    place = f"/inputs/recipe{'/value' * wrapped}/{path}"
    assert isinstance(found, list)
    assert any(problem.pointer == place and words in problem.message for problem in found), found


def test_a_recipe_may_name_code_where_its_sender_may_deploy_it(ask):
    recipe = {**RECIPE, "process": "/srv/processes/mine.py"}

    assert isinstance(ask("recipe", {"inputs": {"recipe": recipe}}), list)
    assert isinstance(ask("recipe", {"inputs": {"recipe": recipe}}, may_deploy=True), Checked)
    inline = {**RECIPE, "process": "def execute(dem): return None"}
    assert isinstance(ask("recipe", {"inputs": {"recipe": inline}}, may_deploy=True), list)


@pytest.mark.parametrize(
    ("request_", "pointer", "words"),
    [
        ([], "", "takes an object with inputs"),
        (None, "", "takes an object with inputs"),
        ("text", "", "takes an object with inputs"),
        ({}, "/inputs/text", "is missing"),
        ({"invalid-execute-request": "true"}, "/inputs/text", "is missing"),
        ({"inputs": []}, "/inputs", "ids of inputs as keys"),
        ({"inputs": None}, "/inputs", "ids of inputs as keys"),
        ({"inputs": ECHO, "outputs": ["text"]}, "/outputs", "ids of outputs as keys"),
        ({"inputs": ECHO, "outputs": {"txt": {}}}, "/outputs/txt", "did you mean 'text'?"),
        ({"inputs": ECHO, "outputs": {"text": True}}, "/outputs/text", "is true"),
        ({"inputs": ECHO, "outputs": {"text": {"format": 3}}}, "/outputs/text/format", "mediaType"),
        (
            {"inputs": ECHO, "outputs": {"image": {"format": {"mediaType": "image/png"}}}},
            "/outputs/image/format/mediaType",
            "it is made as image/tiff",
        ),
        (
            {"inputs": ECHO, "outputs": {"text": {"transmissionMode": "file"}}},
            "/outputs/text/transmissionMode",
            "value or reference",
        ),
        ({"inputs": ECHO, "response": "xml"}, "/response", "raw or document"),
        ({"inputs": ECHO, "response": []}, "/response", "raw or document"),
        ({"inputs": ECHO, "subscriber": "http://x"}, "/subscriber", "successUri"),
        ({"inputs": ECHO, "subscriber": {"successUri": "ftp://x"}}, "/subscriber/successUri", "http"),
        ({"inputs": ECHO, "subscriber": {"failedUri": 3}}, "/subscriber/failedUri", "http"),
    ],
)
def test_a_wrong_request_is_told(ask, request_, pointer, words):
    (problem,) = ask("echo", request_)

    assert problem.pointer == pointer
    assert words in problem.message


def test_all_mistakes_are_told_at_once(ask):
    found = ask("hillshade", {"inputs": {"azimuth": "x", "nothing": 1}, "outputs": {"x": {}}, "response": 3})

    assert {problem.pointer for problem in found} == {
        "/inputs/azimuth",
        "/inputs/nothing",
        "/inputs/dem",
        "/inputs/output",
        "/outputs/x",
        "/response",
    }


def test_what_is_not_known_beside_inputs_is_let_be(ask):
    assert isinstance(ask("echo", {"inputs": ECHO, "mode": "async", "more": {}}), Checked)


def test_outputs_are_all_unless_some_or_none_are_named(ask):
    assert len(ask("hillshade", {"inputs": GOOD}).outputs) == 3
    assert list(ask("hillshade", {"inputs": GOOD, "outputs": {"vrt": {}}}).outputs) == ["vrt"]
    assert ask("hillshade", {"inputs": GOOD, "outputs": {}}).outputs == {}
    assert len(ask("hillshade", {"inputs": GOOD, "outputs": {}, "response": "raw"}).outputs) == 3


def test_how_outputs_are_wanted_is_kept(ask):
    outputs = {"item": {"transmissionMode": "reference", "format": {"mediaType": "application/geo+json"}}}
    checked = ask("hillshade", {"inputs": GOOD, "outputs": outputs, "response": "document"})

    assert (checked.outputs["item"].transmission, checked.outputs["item"].media_type) == (
        "reference",
        "application/geo+json",
    )
    assert (checked.response, checked.is_old) == ("document", True)
    assert not ask("hillshade", {"inputs": GOOD}).is_old


def test_subscribers_are_kept_also_as_the_published_schema_spells_them(ask):
    subscriber = {"successUrl": "http://a.example", "inProgressUri": "https://b.example", "more": 1}

    assert ask("echo", {"inputs": ECHO, "subscriber": subscriber}).subscriber == {
        "successUri": "http://a.example",
        "inProgressUri": "https://b.example",
    }


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (deep(100_000), "deep"),
        ([0] * 100_001, "a list of 100001"),
        ({str(number): 0 for number in range(1001)}, "1001 keys"),
        ([[0] * 900] * 300, "more than 250000 values"),
        ("x" * 8_000_001, "8000001 letters"),
        ({"x" * 501: 1}, "no text of at most 500"),
        ({"a\0b": 1}, "no text"),
        ("\ud800", "surrogate"),
        ({"\ud800": 1}, "no text"),
        (float("nan"), "no number"),
        (float("-inf"), "no number"),
        (2**63, "64 bits"),
        (-(10**400), "64 bits"),
    ],
)
def test_what_is_too_large_or_no_json_is_refused_before_it_is_read(ask, value, words):
    (problem,) = ask("echo", {"inputs": {**ECHO, "object": {"value": value}}})

    assert problem.pointer.startswith("/inputs/object/value")
    assert words in problem.message


def test_limits_are_for_the_caller_to_set(ask):
    request = {"inputs": {**ECHO, "list": [1, 2, 3]}}

    for limits in (Limits(items=2), Limits(depth=2), Limits(values=4), Limits(keys=1), Limits(text_letters=2)):
        assert isinstance(ask("echo", request, limits=limits), list)
    assert isinstance(ask("echo", request), Checked)


@pytest.mark.slow
@pytest.mark.parametrize("process_id", ["echo", "recipe", "hillshade"])
@settings(max_examples=60)
@given(data=st.data())
def test_no_request_whatsoever_breaks_the_check(shipped, process_id, data):
    description = describe(shipped.find(process_id))
    names = st.sampled_from([*description["inputs"], "other"])
    keys = st.sampled_from(["href", "value", "type", "mediaType", "format", "bbox", "crs", "min", "path", "process"])
    value = JSON | st.dictionaries(keys, JSON, max_size=4)
    request = data.draw(
        st.fixed_dictionaries(
            {"inputs": JSON | st.dictionaries(names, value | st.lists(value, max_size=2), max_size=5)},
            optional={"outputs": JSON, "response": JSON, "subscriber": JSON},
        )
    )

    found = check_request(shipped.find(process_id), request, catalog=shipped)
    links_to_fetch(description, request)
    assert isinstance(found, Checked) or all(problem.message for problem in found)
