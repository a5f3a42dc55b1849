"""What a job says of itself, whom it calls, and what is left of it."""

import base64
import html
import re
import time

import numpy as np
import pytest
import rasterio
from affine import Affine

from hub.conformance.documents import check_exception
from hub.routes.serving import LOOPBACK, serving
from tilepipe_hub import worker
from tilepipe_hub.job import Job, Request
from tilepipe_hub.routes.documents import EXCEPTIONS, RESULTS, status_info


def tif(path, side=64):
    where = {"crs": "EPSG:3857", "transform": Affine(100, 0, 0, 0, -100, side * 100)}
    with rasterio.open(path, "w", driver="GTiff", dtype="float32", count=1, width=side, height=side, **where) as to:
        to.write(np.arange(side * side, dtype="float32").reshape(1, side, side))
    return path


def relief(dem, **output):
    return {
        "dem": dem,
        "pyramid": {"value": {"grid": {"like": "dem"}, "tile_size": 16, "metatile": 1}},
        "output": {"value": {"dtype": "uint8", **output}},
    }


def test_a_failed_job_says_what_kind_of_failure_it_is(hub):
    info = hub.ended(hub.submit({"text": "x", "fail": True}))

    assert info["exception"]["type"] == "urn:tilepipe:problem:job-failed"


def test_what_can_be_tried_again_says_where(hub):
    job = hub.submit({"text": "x", "fail": True})
    failed = hub.ended(job)
    (again,) = [link["href"] for link in failed["links"] if link["rel"] == "retry"]
    fine = hub.ended(hub.submit({"text": "x"}))

    assert hub.client.post(again).status_code == 201
    assert not any(link["rel"] == "retry" for link in fine["links"])


def test_a_failed_job_with_results_leads_to_them_as_such():
    problem = {"detail": "1 tile failed"}
    told = {"id": "a", "process": "slope", "owner": "", "request": Request(), "status": "failed", "problem": problem}

    links = status_info(Job(**told, results={"report": {"file": "report.json"}}), "http://hub.example")["links"]
    bare = status_info(Job(**told), "http://hub.example")["links"]

    assert [link["title"] for link in links if link["rel"] == RESULTS] == ["Results, without what failed"]
    assert not any(link["rel"] == EXCEPTIONS for link in links)
    assert [link["title"] for link in bare if link["rel"] == EXCEPTIONS] == ["Why it failed"]


def test_pages_know_what_can_only_be_posted_to(hub):
    failed = hub.submit({"text": "x", "fail": True})
    hub.ended(failed)

    for address, count in ((failed, 1), (f"{hub.url}/processes/echo", 1), (f"{hub.url}/api", 0)):
        page = hub.client.get(address, params={"f": "html"}).text
        links = re.findall(r'<a href="([^"]*)"([^>]*)>', page)
        posted = [rest for link, rest in links if link.endswith(("/retry", "/execution"))]
        assert not any(link == "#" for link, _ in links)
        assert len(posted) == count
        assert all("data-posted" in rest for rest in posted)


def test_lists_on_pages_lead_on(hub):
    for _ in range(2):
        hub.ended(hub.submit({"text": "x"}))

    page = hub.client.get("/jobs", params={"f": "html", "limit": "1"}).text
    (following,) = re.findall(r'<a href="([^"]*)" rel="next">Next page</a> </p>', page)

    assert hub.client.get(html.unescape(following), params={}).status_code == 200


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ({}, "is missing; uint8 takes a whole number from 0 to 255, or null where all counts"),
        ({"nodata": -1}, "is -1; uint8 takes"),
        ({"nodata": 1.5}, "is 1.5; uint8 takes"),
    ],
)
def test_whole_numbers_without_nodata_are_refused_at_once(hub, dem, output, words):
    document = check_exception(hub.execute(relief({"href": dem}, **output), "hillshade", prefer="respond-async"), 400)

    assert document["errors"][0]["pointer"] == "/inputs/output/value/nodata"
    assert words in document["errors"][0]["detail"]


def test_whole_numbers_may_all_count(hub, dem):
    assert hub.execute(relief({"href": dem}, nodata=None), "hillshade", prefer="respond-async").status_code == 201


def test_progress_is_told_while_a_job_runs(tmp_path, listener):
    with serving(tmp_path, fence={**LOOPBACK, "input_roots": [str(tmp_path)]}, callbacks={"every_s": 0.01}) as hub:
        inputs = relief({"href": str(tif(tmp_path / "dem.tif"))}, nodata=0)
        job = hub.submit(inputs, "hillshade", subscriber={"inProgressUri": f"{listener.url}/goes-on"})
        hub.ended(job)
        told = listener.wait("/goes-on")

    assert told["status"] == "running"
    assert told["jobID"] == job.rpartition("/")[2]
    assert told["links"][0]["href"] == job


def test_links_in_calls_begin_with_what_the_sender_calls_the_service(tmp_path, listener):
    with serving(tmp_path, fence={**LOOPBACK, "input_roots": [str(tmp_path)]}) as hub:
        inputs = relief({"href": str(tif(tmp_path / "dem.tif"))}, nodata=0)
        calls = {"subscriber": {"successUri": f"{listener.url}/done"}}
        job = hub.submit(inputs, "hillshade", outputs={"vrt": {"transmissionMode": "reference"}}, **calls)
        hub.ended(job)
        results = listener.wait("/done")

    assert results["vrt"]["href"] == f"{job}/output/stac.vrt"


def test_what_is_over_is_forgotten_with_all_that_it_left(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "EXPIRE_S", 0.1)
    content = base64.b64encode(tif(tmp_path / "dem.tif").read_bytes()).decode()
    dem = {"value": content, "mediaType": "image/tiff; application=geotiff", "encoding": "base64"}

    with serving(tmp_path, store={"url": f"{tmp_path}/jobs.db", "keep_s": 2}) as hub:
        job = hub.submit(relief(dem, nodata=0), "hillshade")
        name = job.rpartition("/")[2]
        assert hub.ended(job)["status"] == "successful"
        places = [tmp_path / "uploads" / name, tmp_path / "outputs" / name]
        assert all(place.exists() for place in places)
        ends = time.monotonic() + 15
        while time.monotonic() < ends and any(place.exists() for place in places):
            time.sleep(0.05)

        assert not any(place.exists() for place in places)
        check_exception(hub.client.get(job), 404, "no-such-job")


def test_processes_that_are_none_are_told_to_the_operator_at_the_start(tmp_path, caplog):
    (tmp_path / "processes").mkdir()
    (tmp_path / "processes" / "odd.py").write_text("x = 1\n")

    with serving(tmp_path, worker=False, folders={"processes": str(tmp_path / "processes")}):
        ends = time.monotonic() + 15
        while time.monotonic() < ends and "left out" not in caplog.text:
            time.sleep(0.05)

    assert "process odd is left out" in caplog.text
