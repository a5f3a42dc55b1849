"""Classes Deploy-Replace-Undeploy and OGC Application Package of Part 2: a test for each requirement, by its name."""

import itertools
import json

import pytest

from hub.conformance.documents import PROCESSES, SUMMARY, check, check_exception, links_of
from hub.routes.serving import serving

EXC = "www.opengis.net/def/exceptions/ogcapi-processes-2/1.0/"
PACKAGE = "application/ogcapppkg+json"
CODE = '''"""Adds up.

A description of several words.
"""

from tilepipe import TileInput


def execute(dem: TileInput, more: int = 1):
    """Args:
        more: what is added.
    """
    return (dem.read(1) + more).astype("uint8")
'''
DEPLOYED = SUMMARY | {
    "required": [*SUMMARY["required"], "mutable", "links"],
    "properties": {**SUMMARY["properties"], "mutable": {"type": "boolean"}},
}
UNIT = {"oneOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}, "minItems": 1}]}
APP_PACKAGE = {
    "type": "object",
    "required": ["executionUnit"],
    "properties": {"processDescription": {"type": "object"}, "executionUnit": UNIT},
}
NAMES = itertools.count()


@pytest.fixture(scope="module")
def hub(tmp_path_factory, dem):
    """Anybody may deploy."""
    folder = tmp_path_factory.mktemp("deploy")
    (folder / "processes").mkdir()
    with serving(
        folder,
        deploy=True,
        auth={"anonymous": "deploy"},
        folders={"processes": str(folder / "processes")},
        fence={"input_roots": [dem.rpartition("/")[0]]},
    ) as hub:
        yield hub


@pytest.fixture
def client(hub):
    return hub.client


@pytest.fixture
def name():
    """An id that no process has."""
    return f"adds-{next(NAMES)}"


@pytest.fixture
def deployed(client, name):
    """Id of a process that was deployed."""
    assert send(client, "POST", "/processes", package(name)).status_code == 201
    return name


def package(name, code=CODE, **about):
    return {"processDescription": {"id": name, "version": "1.0.0", **about}, "executionUnit": unit(code)}


def unit(code=CODE):
    return {"type": "python", "mediaType": "text/x-python", "value": code}


def send(client, method, path, document, kind=PACKAGE):
    return client.request(method, path, content=json.dumps(document), headers={"Content-Type": kind})


def title(client, name):
    return client.get(f"/processes/{name}").json().get("title")


# deploy


def test_conformance_names_both_classes(client):
    found = client.get("/conformance").json()["conformsTo"]

    for name in ("deploy-replace-undeploy", "ogcapppkg"):
        assert f"http://www.opengis.net/spec/ogcapi-processes-2/1.0/conf/{name}" in found
    assert not any(name.endswith(("/docker", "/cwl", "/argo")) for name in found)


def test_deploy_post_op_and_body(client, name):
    assert send(client, "POST", "/processes", package(name)).status_code == 201


@pytest.mark.parametrize("kind", [PACKAGE, f"{PACKAGE}; charset=utf-8", PACKAGE.upper(), "application/json"])
def test_deploy_content_type(client, name, kind):
    assert send(client, "POST", "/processes", package(name), kind).status_code == 201


def test_deploy_response_success(hub, client, name):
    answer = send(client, "POST", "/processes", package(name))

    assert answer.status_code == 201
    assert answer.headers.get_list("location") == [f"{hub.url}/processes/{name}"]
    assert client.get(answer.headers["location"]).json()["id"] == name
    listed = check(client.get("/processes", params={"limit": 1000}).json(), PROCESSES)["processes"]
    assert [item["id"] for item in listed].count(name) == 1


def test_deploy_response_body(client, name):
    answer = send(client, "POST", "/processes", package(name))

    document = check(answer.json(), DEPLOYED)
    assert answer.headers["content-type"] == "application/json"
    assert not {"inputs", "outputs"} & document.keys()
    listed = client.get("/processes", params={"limit": 1000}).json()["processes"]
    assert document in listed
    assert links_of(document, "self")[0]["href"].startswith(str(client.base_url))


def test_deploy_response_pid(client, name):
    assert send(client, "POST", "/processes", package(name)).json()["id"] == name


def test_deploy_response_duplicate(client, deployed):
    other = package(deployed, CODE.replace("Adds up", "Replaces"))

    check_exception(send(client, "POST", "/processes", other), 409, f"{EXC}duplicated-process")

    assert title(client, deployed) == "Adds up."


@pytest.mark.parametrize("name", ["echo", "hillshade", "recipe"])
def test_deploy_response_immutable(client, name):
    before = client.get(f"/processes/{name}").json()

    check_exception(send(client, "POST", "/processes", package(name)), 403, f"{EXC}immutable-process")

    assert client.get(f"/processes/{name}").json() == before


@pytest.mark.parametrize("kind", ["text/plain", "application/cwl+json", "application/x-yaml", "text/x-python", ""])
def test_deploy_unsupported_media_type(client, name, kind):
    answer = send(client, "POST", "/processes", package(name), kind)

    check_exception(answer, 415, f"{EXC}unsupported-media-type")
    assert client.get(f"/processes/{name}").status_code == 404


@pytest.mark.parametrize("path", ["", "/echo", "/nothing"])
def test_the_media_type_is_judged_before_the_rest(client, path):
    headers = {"Content-Type": "text/plain"}

    answer = client.request("PUT" if path else "POST", f"/processes{path}", headers=headers)

    check_exception(answer, 415, f"{EXC}unsupported-media-type")


def test_static_indicator(client, deployed):
    listed = client.get("/processes", params={"limit": 1000}).json()["processes"]

    shown = {item["id"]: check(item, DEPLOYED)["mutable"] for item in listed}
    assert shown[deployed] is True
    assert [shown[name] for name in ("echo", "hillshade", "recipe")] == [False] * 3
    for name in (deployed, "echo"):
        assert client.get(f"/processes/{name}").json()["mutable"] is shown[name]


@pytest.mark.slow
def test_what_is_deployed_can_be_executed(hub, dem, deployed):
    inputs = {"dem": {"href": dem}, "more": 2, "output": {"dtype": "uint8", "nodata": 0}}

    assert hub.ended(hub.submit(inputs, deployed))["status"] == "successful"


# replace


def test_replace_put_op_body_and_response(client, deployed):
    answer = send(client, "PUT", f"/processes/{deployed}", package(deployed, CODE.replace("Adds up", "Replaced")))

    assert answer.status_code == 204
    assert answer.content == b""
    assert title(client, deployed) == "Replaced."


@pytest.mark.parametrize("kind", [PACKAGE, "application/json"])
def test_replace_content_type(client, deployed, kind):
    assert send(client, "PUT", f"/processes/{deployed}", package(deployed), kind).status_code == 204


def test_replace_of_what_is_not_there(client, name):
    answer = send(client, "PUT", f"/processes/{name}", package(name))

    check_exception(answer, 404, "ogcapi-processes-1/1.0/no-such-process")
    assert client.get(f"/processes/{name}").status_code == 404


def test_replace_of_an_immutable_one(client):
    check_exception(send(client, "PUT", "/processes/echo", package("echo")), 403, f"{EXC}immutable-process")


def test_replace_keeps_the_id(client, deployed):
    check_exception(send(client, "PUT", f"/processes/{deployed}", package("another")), 400)

    assert client.get("/processes/another").status_code == 404


def test_what_cannot_replace_leaves_what_is_there(client, deployed):
    check_exception(send(client, "PUT", f"/processes/{deployed}", package(deployed, "def execute(:")), 400)

    assert title(client, deployed) == "Adds up."
    assert client.get(f"/processes/{deployed}/package").json() == package(deployed)


# undeploy


def test_undeploy_delete_op_and_response(client, deployed):
    answer = client.delete(f"/processes/{deployed}")

    assert answer.status_code == 204
    assert answer.content == b""
    for path in ("", "/package"):
        check_exception(client.get(f"/processes/{deployed}{path}"), 404, "no-such-process")
    assert deployed not in [item["id"] for item in client.get("/processes", params={"limit": 1000}).json()["processes"]]
    check_exception(client.post(f"/processes/{deployed}/execution", json={"inputs": {}}), 404, "no-such-process")


def test_undeploy_of_what_is_not_there(client, deployed):
    client.delete(f"/processes/{deployed}")

    check_exception(client.delete(f"/processes/{deployed}"), 404, "no-such-process")


@pytest.mark.parametrize("name", ["echo", "hillshade", "recipe"])
def test_undeploy_of_an_immutable_one(client, name):
    check_exception(client.delete(f"/processes/{name}"), 403, f"{EXC}immutable-process")

    assert client.get(f"/processes/{name}").status_code == 200


def test_what_was_undeployed_can_be_deployed_again(client, deployed):
    client.delete(f"/processes/{deployed}")

    assert send(client, "POST", "/processes", package(deployed)).status_code == 201


# package


def test_package_get_op_response_success_and_response_body(client, deployed):
    answer = client.get(f"/processes/{deployed}/package")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == PACKAGE
    assert check(answer.json(), APP_PACKAGE) == package(deployed)


def test_package_is_that_of_the_last_replacement(client, deployed):
    new = package(deployed, CODE.replace("Adds up", "Replaced"), title="New")
    send(client, "PUT", f"/processes/{deployed}", new)

    assert client.get(f"/processes/{deployed}/package").json() == new


@pytest.mark.parametrize("name", ["echo", "hillshade", "nothing"])
def test_there_is_no_package_of_what_was_not_deployed(client, name):
    check_exception(client.get(f"/processes/{name}/package"), 404, "no-such-process")


def test_a_package_can_be_sent_again(client, deployed):
    said = client.get(f"/processes/{deployed}/package").json()

    assert send(client, "PUT", f"/processes/{deployed}", said).status_code == 204


# ogcapppkg


@pytest.mark.parametrize("way", ["nested", "plain"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_ogcapppkg_schema_body_and_deploy_body(client, name, way, wrapped):
    """The description stands in `process` in the schema, and plainly in its examples."""
    about = {"id": name, "version": "1.0.0", "title": "Said", "jobControlOptions": ["async-execute"]}
    document = {
        "processDescription": {"process": about} if way == "nested" else about,
        "executionUnit": [unit()] if wrapped else unit(),
    }

    assert send(client, "POST", "/processes", document).json()["id"] == name
    assert client.get(f"/processes/{name}/package").json() == document


def test_ogcapppkg_replace_body_needs_no_description(client, deployed):
    """The path says which process it is."""
    assert send(client, "PUT", f"/processes/{deployed}", {"executionUnit": unit()}).status_code == 204


def test_ogcapppkg_process_description_says_more_than_is_known(client, name):
    """What a process takes and gives is read from its code; other words count for nothing, but are kept."""
    about = {"inputs": {"made up": {"schema": {"type": "string"}}}, "outputs": {}, "metadata": [], "x-own": 1}

    assert send(client, "POST", "/processes", package(name, **about)).status_code == 201

    document = client.get(f"/processes/{name}").json()
    assert {"dem", "more"} <= document["inputs"].keys()
    assert "made up" not in document["inputs"]
    assert client.get(f"/processes/{name}/package").json() == package(name, **about)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"executionUnit": None}, "/executionUnit"),
        ({"executionUnit": []}, "/executionUnit"),
        ({"executionUnit": [unit(), unit()]}, "/executionUnit"),
        ({"executionUnit": {"type": "docker", "image": "a/b:1"}}, "/executionUnit"),
        ({"executionUnit": {**unit(), "type": "docker"}}, "/executionUnit/type"),
        ({"executionUnit": {"href": "https://example.com/a.cwl", "type": "application/cwl"}}, "/executionUnit"),
        ({"executionUnit": unit("x = 1")}, "/executionUnit/value"),
        ({"processDescription": {}}, "/processDescription/id"),
        ({"processDescription": {"id": "a b"}}, "/processDescription/id"),
        ({"processDescription": {"id": 5}}, "/processDescription/id"),
        ({"processDescription": []}, "/processDescription/id"),
    ],
)
def test_a_package_that_is_none_is_refused_with_the_place(client, name, change, pointer):
    document = check_exception(send(client, "POST", "/processes", {**package(name), **change}), 400)

    assert document["errors"][0]["pointer"] == pointer
    assert client.get(f"/processes/{name}").status_code == 404


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b"null", b"\xff"])
def test_a_body_that_is_no_package_is_refused(client, content):
    check_exception(client.post("/processes", content=content, headers={"Content-Type": PACKAGE}), 400)


def test_the_definition_of_the_api_has_every_operation(client):
    paths = client.get("/api").json()["paths"]

    assert PACKAGE in paths["/processes"]["post"]["requestBody"]["content"]
    assert PACKAGE in paths["/processes/{processID}"]["put"]["requestBody"]["content"]
    assert "204" in paths["/processes/{processID}"]["delete"]["responses"]
    assert PACKAGE in paths["/processes/{processID}/package"]["get"]["responses"]["200"]["content"]
