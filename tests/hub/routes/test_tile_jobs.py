"""Jobs over many tiles as their owners see them: how far they are, what is left of them, and how they are ended."""

import json
import time
from contextlib import contextmanager

import pytest

from hub.conformance.documents import check_exception, links_of
from hub.routes.serving import serving

pytestmark = pytest.mark.slow

EDGE = 20037508.342789244
PROCESS = '''"""Ones; each tile leaves a note, and every second row fails while a file says so."""

import os
import time

import numpy as np

from tilepipe import Grid


def execute(grid: Grid, *, notes: str, pause: float = 0.0):
    """Args:
        notes: folder for the notes.
        pause: seconds for a tile.
    """
    side = grid.width * grid.resolution
    row, col = round((grid.top - grid.height * grid.resolution) / side), round(grid.left / side)
    with open(os.path.join(notes, "begun"), "a") as file:
        file.write(f"{row} {col}\\n")
    time.sleep(pause)
    if row % 2 and os.path.exists(os.path.join(notes, "broken")):
        raise ValueError("no luck")
    return np.ones((1, grid.height, grid.width), "uint8")
'''


class Town:
    """A hub with one process, whose tiles leave notes."""

    def __init__(self, hub, notes):
        self.hub, self.client, self.notes = hub, hub.client, notes

    def submit(self, rows, cols, **parameters):
        """Address of a new job of so many tiles, without overviews."""
        side = 2 * EDGE / 2**5
        area = {"bbox": [1, 1, cols * side - 1, rows * side - 1], "crs": "http://www.opengis.net/def/crs/EPSG/0/3857"}
        inputs = {
            "pyramid": {"value": {"grid": "WebMercatorQuad", "tile_size": 64, "metatile": 1}},
            "zooms": {"value": {"min": 5, "max": 5}},
            "area": area,
            "output": {"value": {"dtype": "uint8", "nodata": 0}},
            "notes": str(self.notes),
        }
        return self.hub.submit({**inputs, **parameters}, "ones")

    def begun(self):
        """Tiles that were begun, each as often as it was."""
        path = self.notes / "begun"
        return path.read_text().splitlines() if path.exists() else []

    def until_begun(self, count, within_s=60):
        ends = time.monotonic() + within_s
        while len(self.begun()) < count:
            assert time.monotonic() < ends
            time.sleep(0.05)

    def tiles(self, job):
        """When each tile was written."""
        folder = self.hub.folder / "outputs" / job.rpartition("/")[2]
        return {path: path.stat().st_mtime for path in folder.rglob("*.tif") if ".tilepipe" not in path.parts}


@contextmanager
def town(folder, **worker):
    for name in ("processes", "notes"):
        (folder / name).mkdir()
    (folder / "processes" / "ones.py").write_text(PROCESS)
    rules = {"paths": [str(folder / "notes")], **worker}
    with serving(folder, worker=rules, folders={"processes": str(folder / "processes")}) as hub:
        yield Town(hub, folder / "notes")


@pytest.fixture
def skipping(tmp_path):
    """A hub that goes on where tiles fail, and half of them do."""
    with town(tmp_path, on_error="skip") as found:
        (found.notes / "broken").touch()
        yield found


def test_a_job_of_which_tiles_failed_says_which_and_has_the_others(skipping):
    job = skipping.submit(6, 7)
    info = skipping.hub.ended(job)
    report = skipping.client.get(f"{job}/results/report").json()
    item = skipping.client.get(f"{job}/results/item")

    assert (info["status"], info["progress"]) == ("failed", 99)
    assert {key: info["tiles"][key] for key in ("done", "total", "failed")} == {"done": 21, "total": 42, "failed": 21}
    assert "etaSeconds" not in info["tiles"]
    assert (report["complete"], report["tiles"]["written"], report["tiles"]["failed"]) == (False, 21, 21)
    assert len({tuple(failure["tile"]) for failure in report["failures"]}) == 21
    assert all(failure["tile"][0] == 5 and "no luck" in failure["reason"] for failure in report["failures"])
    assert (item.status_code, item.json()["type"]) == (200, "Feature")
    assert len(skipping.tiles(job)) == 21


def test_a_job_that_stops_at_a_failed_tile_tells_of_the_others_and_has_no_results(tmp_path):
    with town(tmp_path) as found:
        (found.notes / "broken").touch()
        job = found.submit(6, 7)
        info = found.hub.ended(job)
        report = found.client.get(f"{job}/output/report.json").json()
        answer = check_exception(found.client.get(f"{job}/results"), 500, "job-failed")

    assert info["status"] == "failed"
    assert (info["tiles"]["total"], info["tiles"]["failed"]) == (42, report["tiles"]["failed"])
    assert info["tiles"]["done"] == report["tiles"]["written"] < 42
    assert "etaSeconds" not in info["tiles"]
    assert "no luck" in answer["detail"]


def test_a_retry_makes_what_is_missing_and_leaves_the_first_job_none_of_it(skipping):
    client = skipping.client
    first = skipping.submit(6, 7)
    before = skipping.hub.ended(first)
    assert client.get(f"{first}/results/report").json()["complete"] is False
    assert links_of(before, "successor-version") == []

    (skipping.notes / "broken").unlink()
    again = client.post(f"{first}/retry").headers["location"]
    info = skipping.hub.ended(again)
    after, report = client.get(first).json(), client.get(f"{again}/results/report").json()

    begun = skipping.begun()
    assert (info["status"], info["tiles"]["done"]) == ("successful", 42)
    assert (report["complete"], report["tiles"]["written"], report["tiles"]["kept"]) == (True, 21, 21)
    assert (len(begun), len(set(begun))) == (63, 42)
    assert len(skipping.tiles(first)) == 42
    assert (after["status"], after["tiles"], after["message"]) == ("failed", before["tiles"], before["message"])
    assert [link["href"] for link in links_of(after, "successor-version")] == [again]
    name = again.rpartition("/")[2]
    for path in ("results", "results/report", "output/report.json", "output/stac.json"):
        document = check_exception(client.get(f"{first}/{path}"), 404, "result-not-available")
        assert f"is continued by job {name!r}" in document["detail"]


def test_a_job_of_tiles_tells_how_far_it_is_and_never_goes_back(tmp_path):
    with town(tmp_path) as found:
        job = found.submit(6, 7, pause=0.1)
        with found.client.stream("GET", f"{job}/events") as events:
            told, asked = [], []
            for line in events.iter_lines():
                if line.startswith("data: "):
                    told.append(json.loads(line.removeprefix("data: ")))
                    asked.append(found.client.get(job).json())

    for seen in (told, asked):
        tiles = [info["tiles"] for info in seen if "tiles" in info]
        under_way = [figures for figures in tiles if 0 < figures["done"] < 42]
        assert {figures["total"] for figures in tiles} == {42}
        assert len({figures["done"] for figures in under_way}) >= 2
        assert [figures["done"] for figures in tiles] == sorted(figures["done"] for figures in tiles)
        assert [info["progress"] for info in seen] == sorted(info["progress"] for info in seen)
        assert all(0 < figures["rate"] < 10 for figures in under_way)
        times = [figures["etaSeconds"] for figures in under_way]
        assert all(abs(figures["etaSeconds"] * figures["rate"] - (42 - figures["done"])) < 0.1 for figures in under_way)
        assert times == sorted(times, reverse=True)
    last = told[-1]
    assert (last["status"], last["progress"], last["tiles"]["done"]) == ("successful", 100, 42)
    assert "etaSeconds" not in last["tiles"]


@pytest.mark.parametrize(
    "worker",
    [{"executor": "sequential"}, {"executor": "processes"}, {"executor": "dask", "cluster": "local", "workers": 2}],
    ids=["sequential", "processes", "dask"],
)
def test_a_job_that_is_dismissed_writes_nothing_a_few_seconds_later(tmp_path, worker):
    if worker["executor"] == "dask":
        pytest.importorskip("distributed")
    with town(tmp_path, **worker) as found:
        job = found.submit(16, 16, pause=0.2)
        found.until_begun(5)

        answer, ended = found.client.delete(job).json(), time.time()
        time.sleep(4)
        info, log = found.client.get(job).json(), found.client.get(f"{job}/log").json()["lines"]
        begun = len(found.begun())
        written = found.tiles(job)

        assert (answer["status"], answer["message"]) == ("dismissed", "dismissed by its owner")
        assert (info["status"], info["message"]) == ("dismissed", "dismissed by its owner")
        assert "etaSeconds" not in info.get("tiles", {})
        assert "dismissed by its owner" in [line["text"] for line in log]
        assert 0 < len(written) < 256
        assert max(written.values()) < ended + 3
        time.sleep(1)
        assert len(found.begun()) == begun
