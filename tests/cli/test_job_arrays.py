"""Parts of a run as processes of their own, side by side, killed and run again, by hand and as a job array."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

RECIPE = """
process: mine.py
pyramid: {grid: WebMercatorQuad, tile_size: 64, metatile: 2}
zooms: [0, 4]
overviews: {below: 4, resampling: average}
output: {path: OUT, dtype: uint8, nodata: 0, metatile: 1}
"""

PROCESS = """
import os, time
import numpy as np
from tilepipe import Grid, Tile

def execute(tile: Tile, grid: Grid):
    with open("calls.txt", "a") as calls:
        calls.write(f"{tile}\\n")
    time.sleep(float(os.environ.get("PAUSE_S", "0")))
    if (tile.row + tile.col) % 5 == 4:
        return None
    return np.random.default_rng(tile.row * 100 + tile.col).integers(1, 255, grid.shape, dtype="uint8")
"""

TILEPIPE = [sys.executable, "-m", "tilepipe"]


def start(folder, *arguments, pause_s=0.0):
    return subprocess.Popen(
        [*TILEPIPE, *arguments],
        cwd=folder,
        env={**os.environ, "PAUSE_S": str(pause_s), "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def part(folder, text, *options, pause_s=0.0):
    return start(folder, "execute", "recipe.yaml", "--part", text, "-e", "sequential", *options, pause_s=pause_s)


def said(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def tiles(out):
    return {str(path.relative_to(out)): path.read_bytes() for path in Path(out).glob("[0-9]*/*/*.tif")}


def item(out):
    facts = json.loads((out / "stac.json").read_text())
    facts.pop("id")
    facts["properties"].pop("datetime")
    return facts


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    prepare(folder)
    code, _, err = said(start(folder, "execute", "recipe.yaml", "-e", "sequential"))
    assert code == 0, err
    return folder / "out"


@pytest.fixture
def folder(tmp_path):
    prepare(tmp_path)
    return tmp_path


def prepare(folder):
    (folder / "mine.py").write_text(textwrap.dedent(PROCESS))
    (folder / "recipe.yaml").write_text(RECIPE.replace("OUT", "out"))


def is_whole(folder, reference):
    out = folder / "out"
    assert tiles(out) == tiles(reference)
    assert item(out) == item(reference)
    assert (out / "stac.vrt").read_text() == (reference / "stac.vrt").read_text()
    return True


@pytest.mark.slow
def test_parts_that_run_at_once_and_finish_make_what_a_whole_run_makes(folder, reference):
    running = [part(folder, "1/3"), part(folder, "2/3", "-e", "threads", "-w", "2"), part(folder, "3/3")]
    for process in running:
        code, _, err = said(process)
        assert code == 0, err

    code, out, err = said(start(folder, "finish", "recipe.yaml", "-e", "sequential"))

    assert code == 0, err
    assert out.endswith("/out/stac.json\n")
    assert is_whole(folder, reference)
    calls = (folder / "calls.txt").read_text().split()
    assert len(calls) == len(set(calls)) == 64
    assert said(start(folder, "finish", "recipe.yaml"))[1].startswith("0 written, ")


@pytest.mark.slow
def test_a_killed_part_is_named_and_goes_on_while_others_run(folder, reference):
    victim, other = part(folder, "1/2", pause_s=0.1), part(folder, "2/2", pause_s=0.02)
    journal = folder / "out/.tilepipe/journal"
    while len(list(journal.glob("*-00001-*.jsonl"))) < 4:
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert said(other)[0] == 0
    code, _, err = said(start(folder, "finish", "recipe.yaml"))
    assert code == 2
    assert "have not been made:\n  part 1/2: " in err
    assert "run `tilepipe execute recipe.yaml --part 1/2`" in err

    assert said(part(folder, "1/2"))[0] == 0
    assert said(start(folder, "finish", "recipe.yaml", "-e", "sequential"))[0] == 0

    assert is_whole(folder, reference)
    calls = (folder / "calls.txt").read_text().split()
    # Done again is only what was under way: one branch of one tile.
    assert len(calls) - len(set(calls)) <= 1
    assert not list((folder / "out/.tilepipe/part").glob("*"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4/3", r"there is no part 4/3; they are 1/3 to 3/3"),
        ("0/4", r"there is no part 0/4; they are 1/4 to 4/4"),
        ("x", r"'x' is no part; write 3/16 for the third of sixteen"),
        ("3", r"'3' is no part; write 3/16"),
        ("/16", r"'/16' is no part; write 3/16"),
        ("-1/3", r"'-1/3' is no part; write 3/16"),
        ("1/0", r"1/0 is one of 0 parts; there may be 1 to 99999"),
        ("1.0/2", r"'1\.0/2' is no part; write 3/16"),
    ],
)
def test_a_wrong_part_is_refused(desk, text, message):
    desk.refuses(message, "execute", "recipe.yaml", "--part", text)


def test_finish_before_the_parts_is_refused(desk):
    code, out, err = desk.tilepipe("finish", "recipe.yaml")

    assert (code, out) == (2, "")
    assert "16 tiles have not been made; run `tilepipe execute recipe.yaml --part 1/N` to `--part N/N` first" in err


def test_a_part_can_be_planned(desk):
    code, out, _ = desk.tilepipe("plan", "recipe.yaml", "--part", "2/3", "--json")

    facts = json.loads(out)
    assert code == 0
    assert facts["tiles"] == 5
    assert list(facts["zooms"]) == ["2"]


@pytest.mark.slow
def test_an_array_makes_what_a_whole_run_makes(queue, folder, reference):
    command = " ".join(TILEPIPE)
    # What a job array sees of its own place, as the guide says it.
    share = f"{queue.task}/{queue.tasks}"
    array = queue.submit(f"exec {command} execute recipe.yaml --part {share}", cwd=folder, tasks="1-3")
    end = queue.submit(f"exec {command} finish recipe.yaml", cwd=folder, after=array)

    well = queue.wait(array) + queue.wait(end)

    logs = "\n".join(path.read_text() for path in folder.glob("*.o*"))
    assert well == [True] * 4, logs
    assert is_whole(folder, reference)
    calls = (folder / "calls.txt").read_text().split()
    assert len(calls) == len(set(calls)) == 64


@pytest.mark.slow
def test_a_task_that_is_cancelled_is_run_again_by_the_same_line(queue, folder, reference):
    command = " ".join(TILEPIPE)
    script = f"PAUSE_S=${{PAUSE_S:-0.1}} exec {command} execute recipe.yaml --part {queue.task}/2 -e sequential"
    array = queue.submit(script, cwd=folder, tasks="1-2")
    journal = folder / "out/.tilepipe/journal"
    while len(list(journal.glob("*-00002-*.jsonl"))) < 4:
        time.sleep(0.05)
    queue.cancel(array, task=2)
    assert sorted(queue.wait(array)) == [False, True]

    again = queue.submit(script.replace(":-0.1", ":-0"), cwd=folder, tasks="2")

    assert queue.wait(again) == [True]
    assert said(start(folder, "finish", "recipe.yaml", "-e", "sequential"))[0] == 0
    assert is_whole(folder, reference)
