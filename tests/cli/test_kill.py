"""A run that is killed at any moment leaves nothing half-written and goes on where it was."""

import os
import random
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
zooms: [0, 5]
overviews: {below: 5, resampling: average}
output: {path: OUT, dtype: uint8, nodata: 0, metatile: 1}
"""

PROCESS = """
import time
import numpy as np
from tilepipe import Grid, Tile

def execute(tile: Tile, grid: Grid):
    time.sleep(0.004)
    if (tile.row + tile.col) % 5 == 4:
        return None
    noise = np.random.default_rng(tile.row * 100 + tile.col).integers(1, 255, grid.shape, dtype="uint8")
    return noise
"""


def start(folder, *options):
    command = [sys.executable, "-m", "tilepipe", "execute", "recipe.yaml", "-e", "processes", "-w", "2", *options]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def tiles(out):
    return {str(path.relative_to(out)): path.read_bytes() for path in Path(out).glob("[0-9]*/*/*.tif")}


def children(pid):
    """The processes that descend from *pid*."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        if parent == pid:
            found.append(int(folder.name))
            found.extend(children(int(folder.name)))
    return found


def workers(pid):
    """The worker processes of a run: those forked from its server."""
    found = []
    for child in children(pid):
        try:
            if b"forkserver" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
        except OSError:
            continue
    return found[1:]


def half_written(found, reference):
    return [name for name, payload in found.items() if payload != reference.get(name)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    (folder / "mine.py").write_text(textwrap.dedent(PROCESS))
    (folder / "recipe.yaml").write_text(RECIPE.replace("OUT", "reference"))
    begun = time.monotonic()
    process = start(folder)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    (folder / "seconds").write_text(str(time.monotonic() - begun))
    (folder / "recipe.yaml").write_text(RECIPE.replace("OUT", "out"))
    return folder


@pytest.mark.slow
def test_killing_the_run_at_random_moments_costs_only_what_was_under_way(folder):
    reference = tiles(folder / "reference")
    seconds = float((folder / "seconds").read_text())
    chance = random.Random(11)
    kept = 0
    for turn in range(30):
        if turn % 6 == 0:
            subprocess.run(["rm", "-rf", folder / "out"], check=True)
            kept = 0
        process = start(folder)
        time.sleep(chance.uniform(0.3, 1.0) * seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()

        found = tiles(folder / "out")
        assert half_written(found, reference) == []
        assert len(found) >= kept
        kept = len(found)

    process = start(folder)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert tiles(folder / "out") == reference
    assert not list((folder / "out/.tilepipe/part").glob("*"))


@pytest.mark.slow
def test_killed_workers_are_replaced_and_the_run_goes_on(folder):
    reference = tiles(folder / "reference")
    chance = random.Random(5)
    victims = 0
    while victims < 30:
        subprocess.run(["rm", "-rf", folder / "out"], check=True)
        process = start(folder)
        while process.poll() is None:
            time.sleep(chance.uniform(0.05, 0.4))
            alive = workers(process.pid)
            if alive:
                try:
                    os.kill(chance.choice(alive), signal.SIGKILL)
                    victims += 1
                except ProcessLookupError:
                    continue
            assert half_written(tiles(folder / "out"), reference) == []
        _, errors = process.communicate()

        assert process.returncode == 0, errors
        assert tiles(folder / "out") == reference


@pytest.mark.slow
def test_an_interrupt_leaves_nothing_running_and_a_journal_to_go_on_from(folder):
    subprocess.run(["rm", "-rf", folder / "out"], check=True)
    process = start(folder)
    journal = folder / "out/.tilepipe/journal"
    while len(list(journal.glob("*"))) < 4:
        time.sleep(0.01)
    running = children(process.pid)

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)

    assert process.returncode == 130
    assert "run the same command again to go on" in errors
    assert not [pid for pid in running if Path(f"/proc/{pid}").exists() and children(pid)]
    again = start(folder)
    said, _ = again.communicate()
    assert " kept" in said
    assert tiles(folder / "out") == tiles(folder / "reference")
