"""Results in each of the forms that servers give them."""

import base64
import os
from pathlib import Path

import pytest

from tilepipe_hub.client import NotReached, Unexpected, Value
from tilepipe_hub.client.results import file_name

MULTIPART = (
    b"--edge\r\nContent-ID: <text>\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
    b"--edge\r\nContent-ID: <figures>\r\nContent-Type: application/json\r\n\r\n[1, 2]\r\n"
    b"--edge\r\nContent-ID: <image>\r\nContent-Type: image/tiff\r\n\r\n\x00\xff\x01\r\n"
    b"--edge\r\nContent-ID: <far>\r\nContent-Type: image/tiff\r\nContent-Location: /far.tif\r\n\r\n\r\n"
    b"--edge--\r\n"
)


@pytest.fixture
def results(farm, client):
    def results(body, *, kind="application/json", status=200, headers=None, raw=False):
        farm.jobs["j"] = {"status": "successful"}
        farm.answers["GET /jobs/j/results"] = (status, {"Content-Type": kind, **(headers or {})}, body)
        return client.results("j", raw=raw)

    return results


def test_a_document_holds_literals_values_and_links(farm, results, image):
    values = results(
        {
            "text": "a",
            "figure": 7,
            "box": {"bbox": [1, 2, 3, 4]},
            "image": {"value": base64.b64encode(image).decode(), "encoding": "base64", "mediaType": "image/tiff"},
            "item": {"href": "/jobs/j/output/stac.json", "type": "application/geo+json"},
        }
    )

    assert {name: value.data for name, value in values.items()} == {
        "text": "a",
        "figure": 7,
        "box": {"bbox": [1, 2, 3, 4]},
        "image": image,
        "item": None,
    }
    assert values["item"].href == f"{farm.url}/jobs/j/output/stac.json"
    assert values["item"].media_type == "application/geo+json"


@pytest.mark.parametrize("body", [{"outputs": [{"id": "a", "value": 1}]}, {"outputs": {"a": {"value": 1}}}])
def test_documents_of_drafts_are_understood(results, body):
    values = results(body)

    assert values == {"a": Value(id="a", data=1)}


def test_a_raw_value_is_its_bytes(results, image):
    values = results(image, kind="image/tiff")

    assert values == {"": Value(id="", data=image, media_type="image/tiff")}


def test_a_raw_value_of_json_is_one_value(results):
    values = results({"type": "Feature"}, raw=True)

    assert values[""].data == {"type": "Feature"}


def test_the_parts_of_a_multipart_answer_are_values(farm, results):
    values = results(MULTIPART, kind='multipart/related; boundary="edge"')

    assert [value.data for value in values.values()] == ["hello", [1, 2], b"\x00\xff\x01", None]
    assert values["far"].href == f"{farm.url}/far.tif"


def test_links_in_the_header_are_values(farm, results):
    first = '</a.tif>; rel="item"; title="first"; type="image/tiff"'
    link = f"{first}, <http://b.example/b.tif>; rel=second, </jobs/j>; rel=monitor"

    values = results(b"", status=204, headers={"Link": link})

    assert values["first"] == Value(id="first", href=f"{farm.url}/a.tif", media_type="image/tiff")
    assert values["second"].href == "http://b.example/b.tif"
    assert len(values) == 2


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Value(id="../../etc/passwd", data="x"), "etc_passwd.txt"),
        (Value(id="a/b\\c", data={"a": 1}), "a_b_c.json"),
        (Value(id="..", data=b"x", media_type="image/tiff"), "result.tif"),
        (Value(id="", data=b"x"), "result.bin"),
        (Value(id="stac.json", data={}), "stac.json"),
        (Value(id="vrt", href="http://a.example/b/c.vrt?sig=1"), "vrt.vrt"),
        (Value(id="x", href="http://a.example/b/..%2f..%2f.ssh"), "x.ssh"),
        (Value(id="x" * 300, data=1), "x" * 80 + ".json"),
    ],
)
def test_a_file_lies_in_its_folder_whatever_the_server_calls_it(value, name):
    assert file_name(value) == name
    assert os.path.basename(file_name(value)) == name


def test_values_become_files(farm, client, tmp_path, image):
    farm.answers["GET /far.tif"] = (200, {}, image)
    values = {
        "a": Value(id="a", data=image, media_type="image/tiff"),
        "b": Value(id="b", href=f"{farm.url}/far.tif"),
        "c": Value(id="a", data=b"other", media_type="image/tiff"),
    }

    paths = client.save(values, f"{tmp_path}/new/folder")

    assert [os.path.basename(path) for path in paths.values()] == ["a.tif", "b.tif", "a-2.tif"]
    assert [Path(path).read_bytes() for path in paths.values()] == [image, image, b"other"]
    assert len(os.listdir(tmp_path / "new" / "folder")) == 3


def test_what_breaks_off_is_fetched_again(farm, client, tmp_path):
    whole = b"0123456789"
    farm.answers["GET /x"] = (200, {}, whole)
    farm.faults = ["drop", 503]

    client.download(f"{farm.url}/x", f"{tmp_path}/x")

    assert (tmp_path / "x").read_bytes() == whole


def test_half_a_file_is_never_left(farm, client, tmp_path):
    farm.answers["GET /x"] = (200, {"Content-Encoding": "gzip"}, b"no gzip")
    (tmp_path / "x").write_bytes(b"before")

    with pytest.raises(NotReached, match="broke off"):
        client.download(f"{farm.url}/x", f"{tmp_path}/x")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"x": b"before"}


@pytest.mark.parametrize("href", ["file:///etc/passwd", "s3://bucket/key?secret=1"])
def test_what_lies_outside_the_web_is_not_fetched(client, tmp_path, href):
    with pytest.raises(Unexpected, match="is no address of the web") as caught:
        client.download(href, f"{tmp_path}/x")
    assert "secret" not in str(caught.value)
