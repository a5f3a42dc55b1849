"""Files that a job made, its log and its events, over HTTP."""

import base64
import json
import subprocess

import pytest
import rasterio

from hub.conformance.documents import check_exception, links_of
from hub.routes.serving import serving
from tilepipe_hub.job import Job


@pytest.fixture(scope="module")
def job(hub, dem):
    """Address of a job with tiles."""
    inputs = {"raster": {"href": dem}, "output": {"dtype": "float32", "nodata": -1}}
    job = hub.submit(inputs, "convert")
    info = hub.ended(job)
    assert info["status"] == "successful", info
    return job


def test_a_file_comes_whole_with_its_tag_and_type(hub, job):
    answer = hub.client.get(f"{job}/output/stac.json")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"]
    assert answer.json()["type"] == "Feature"


@pytest.mark.parametrize(
    ("wanted", "start", "end"), [("bytes=0-9", 0, 10), ("bytes=5-", 5, None), ("bytes=-4", -4, None)]
)
def test_a_file_comes_in_part(hub, job, wanted, start, end):
    whole = hub.client.get(f"{job}/output/stac.json").content

    answer = hub.client.get(f"{job}/output/stac.json", headers={"Range": wanted})

    assert answer.status_code == 206
    assert answer.content == whole[start:end]
    assert answer.headers["content-range"].endswith(f"/{len(whole)}")


@pytest.mark.parametrize(("wanted", "status"), [("bytes=99999999-", 416), ("bytes=x", 400), ("lines=1-2", 400)])
def test_a_part_that_is_none_is_refused(hub, job, wanted, status):
    answer = hub.client.get(f"{job}/output/stac.json", headers={"Range": wanted})

    assert answer.status_code == status


def test_a_file_that_is_known_does_not_come_again(hub, job):
    tag = hub.client.get(f"{job}/output/stac.json").headers["etag"]

    known = hub.client.get(f"{job}/output/stac.json", headers={"If-None-Match": tag})
    other = hub.client.get(f"{job}/output/stac.json", headers={"If-None-Match": '"other"'})

    assert (known.status_code, known.content) == (304, b"")
    assert other.status_code == 200


def test_a_file_has_a_head(hub, job):
    answer = hub.client.head(f"{job}/output/stac.json")

    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) > 0


def test_a_folder_is_no_file(hub, job):
    for path in ("", "0", "nothing.tif"):
        check_exception(hub.client.get(f"{job}/output/{path}"), 404)


def test_gdal_reads_the_pixels_over_http(hub, job, dem):
    item = hub.client.get(f"{job}/output/stac.json").json()
    assert item["assets"] or item["asset_templates"]
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), rasterio.open(dem) as source:
        base = hub.folder / "outputs" / job.rpartition("/")[2]
        files = sorted(base.rglob("*.tif"))
        with rasterio.open(f"/vsicurl/{job}/output/{files[0].relative_to(base)}") as tile:
            assert tile.crs == source.crs
            assert tile.read(1).max() > 0


@pytest.mark.gdal
def test_gdal_opens_the_whole_pyramid_over_http(hub, job):
    for name in ("stac.vrt", "stac.json"):
        command = ["gdalinfo", "-json", "-checksum", f"/vsicurl/{job}/output/{name}"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)

        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout)["bands"][0]["checksum"] > 0


def test_results_lead_to_files(hub, job):
    outputs = {name: {"transmissionMode": "reference"} for name in ("item", "vrt", "report")}
    again = hub.client.get(f"{job}/results", headers={"Accept": "application/json"}).json()

    assert again.keys() == outputs.keys()
    assert again["item"]["mediaType"] == "application/geo+json"
    assert again["report"]["value"]["complete"] is True
    for name in outputs:
        answer = hub.client.get(f"{job}/results/{name}")
        assert answer.status_code == 200


def test_results_by_reference_are_links_to_files(hub, dem):
    inputs = {"raster": {"href": dem}, "output": {"dtype": "float32", "nodata": -1}}
    outputs = {name: {"transmissionMode": "reference"} for name in ("item", "vrt")}

    job = hub.submit(inputs, "convert", outputs=outputs, response="document")
    hub.ended(job)

    document = hub.client.get(f"{job}/results").json()
    assert document["vrt"] == {"href": f"{job}/output/stac.vrt", "type": "application/xml"}
    assert all(hub.client.get(link["href"]).status_code == 200 for link in document.values())


def test_the_log_has_pages(hub, job):
    hub.store.log(job.rpartition("/")[2], [f"line {number}" for number in range(5)])

    document = hub.client.get(f"{job}/log", params={"limit": 3}).json()

    assert [line["number"] for line in document["lines"]] == [1, 2, 3]
    rest = hub.client.get(links_of(document, "next")[0]["href"]).json()
    assert rest["lines"][0]["number"] == 4
    assert "line" in hub.client.get(f"{job}/log", params={"f": "html", "limit": 1000}).text


def test_events_tell_the_status_until_the_end(hub):
    job = hub.submit({"text": "x", "pause": 0.7})

    with hub.client.stream("GET", f"{job}/events") as answer:
        lines = list(answer.iter_lines())

    assert answer.headers["content-type"].startswith("text/event-stream")
    told = [json.loads(line.removeprefix("data: "))["status"] for line in lines if line.startswith("data: ")]
    assert told[-1] == "successful"
    assert told == sorted(told, key=["accepted", "running", "successful"].index)


def test_what_is_dismissed_after_its_end_leaves_nothing(hub, dem):
    inputs = {"raster": {"href": dem}, "output": {"dtype": "float32", "nodata": -1}}
    job = hub.submit(inputs, "convert")
    hub.ended(job)
    folder = hub.folder / "outputs" / job.rpartition("/")[2]
    assert folder.exists()

    hub.client.delete(job)

    assert not folder.exists()
    check_exception(hub.client.get(f"{job}/output/stac.json"), 404)


@pytest.fixture(scope="module")
def image(dem):
    """The model as it is sent within a request."""
    with open(dem, "rb") as file:
        content = base64.b64encode(file.read()).decode()
    return {"value": content, "encoding": "base64", "mediaType": "image/tiff; application=geotiff"}


def test_what_was_sent_within_a_request_is_read_and_goes_with_the_job(hub, image):
    job = hub.submit({"raster": image, "output": {"dtype": "float32", "nodata": -1}}, "convert")
    info = hub.ended(job)

    assert info["status"] == "successful", info
    folder = hub.folder / "uploads" / job.rpartition("/")[2]
    assert [path.name for path in folder.iterdir()] == ["raster.tif"]
    hub.client.delete(job)
    assert not folder.exists()


def test_what_was_sent_with_a_request_that_makes_no_job_is_not_kept(tmp_path, image):
    inputs = {"raster": image, "output": {"dtype": "float32", "nodata": -1}}

    with serving(tmp_path, worker=False, quotas={"jobs": 1}) as hub:

        def send(key, inputs):
            headers = {"Prefer": "respond-async", "Idempotency-Key": key}
            return hub.client.post("/processes/convert/execution", json={"inputs": inputs}, headers=headers)

        first, again = send("once", inputs), send("once", inputs)
        check_exception(send("once", {**inputs, "zooms": {"min": 1, "max": 2}}), 409)
        check_exception(send("other", inputs), 429)

        assert (first.status_code, again.headers["location"]) == (201, first.headers["location"])
        kept = [path.name for path in (tmp_path / "uploads").iterdir()]
        assert kept == [first.headers["location"].rpartition("/")[2]]


def passed_by(store, count=110):
    """Younger jobs of the same process and owner, ended."""
    for number in range(count):
        job = store.add(Job(id=f"young-{number}", process="convert", owner="anonymous"))
        store.move(job.id, "dismissed", expect={"accepted"})


def test_a_job_that_waits_keeps_what_was_sent_with_the_one_it_continues(tmp_path, image):
    inputs = {"raster": image, "output": {"dtype": "float32", "nodata": -1}}
    with serving(tmp_path, worker=False) as hub:
        first = hub.submit(inputs, "convert")
        hub.client.delete(first)
        again = hub.client.post(f"{first}/retry").headers["location"]
        passed_by(hub.store)
        sent, made = tmp_path / "uploads" / first.rpartition("/")[2], tmp_path / "outputs"

        hub.client.delete(first)
        assert hub.client.get(first).status_code == 404
        assert hub.client.get(again).json()["status"] == "accepted"
        assert (sent / "raster.tif").exists()
        for _ in range(2):
            hub.client.delete(again)

        assert not sent.exists()
        assert list(made.iterdir()) == []


def test_a_retry_that_never_ran_leaves_all_to_the_job_before(tmp_path, image):
    inputs = {"raster": image, "output": {"dtype": "float32", "nodata": -1}}
    with serving(tmp_path, worker=False) as hub:
        first = hub.submit(inputs, "convert")
        hub.client.delete(first)
        name = first.rpartition("/")[2]
        made, sent = tmp_path / "outputs" / name, tmp_path / "uploads" / name / "raster.tif"
        made.mkdir(parents=True)
        (made / "report.json").write_text("{}")
        again = hub.client.post(f"{first}/retry").headers["location"]
        check_exception(hub.client.get(f"{first}/output/report.json"), 404)

        for _ in range(2):
            hub.client.delete(again)

        assert hub.client.get(f"{first}/output/report.json").status_code == 200
        assert sent.exists()
        hub.client.delete(first)
        assert not made.exists()
        assert not sent.exists()


def test_an_old_idempotency_key_is_known_also_where_the_quota_is_used_up(tmp_path, image):
    inputs = {"raster": image, "output": {"dtype": "float32", "nodata": -1}}
    with serving(tmp_path, worker=False, quotas={"jobs": 1}) as hub:

        def send(key):
            headers = {"Prefer": "respond-async", "Idempotency-Key": key}
            return hub.client.post("/processes/convert/execution", json={"inputs": inputs}, headers=headers)

        first = send("old")
        passed_by(hub.store)

        assert send("old").headers["location"] == first.headers["location"]
        check_exception(send("new"), 429)
