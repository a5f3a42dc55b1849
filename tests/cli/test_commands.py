"""The commands as a user calls them."""

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tilepipe.cli.main import main

ROOT = Path(__file__).parent.parent.parent

RECIPE = """
process: mine.py
pyramid: {grid: WorldCRS84Quad, tile_size: 16, metatile: 1}
zooms: [0, 4]
overviews: {below: 4, resampling: average}
output: {path: out, dtype: uint8, nodata: 0}
"""

PROCESS = """
import numpy as np
from tilepipe import Grid, Tile

def execute(tile: Tile, grid: Grid, value: int = 7):
    if (tile.row, tile.col) == (3, 5) and value == 13:
        raise ValueError("thirteen")
    return np.full(grid.shape, value, "uint8")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(PROCESS)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tilepipe(capsys):
    """A command; its exit code, and what it said on both channels."""

    def run(*arguments):
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def tiles(folder):
    return {str(path.relative_to(folder / "out")) for path in (folder / "out").glob("[0-9]*/*/*.tif")}


def test_help_imports_nothing_heavy():
    script = "import sys; from tilepipe.cli.main import main\ntry: main(['--help'])\nfinally: print(*sys.modules)"

    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False).stdout

    assert "execute" in said
    loaded = {name.split(".")[0] for name in said.splitlines()[-1].split()}
    assert not loaded & {"rasterio", "numpy", "dask", "starlette", "pydantic", "rich", "shapely"}


def test_execute_makes_the_tiles_and_says_where_they_are(tilepipe, folder):
    code, out, _ = tilepipe("execute", "recipe.yaml", "-e", "sequential")

    assert code == 0
    assert "682 written, 0 failed" in out
    assert out.splitlines()[1:] == [str(folder / "out"), str(folder / "out/stac.json")]
    assert len(tiles(folder)) == 2 * (1 + 4 + 16 + 64 + 256)


def test_a_second_execute_keeps_all(tilepipe):
    tilepipe("execute", "recipe.yaml")

    code, out, _ = tilepipe("execute", "recipe.yaml")

    assert code == 0
    assert out.startswith("0 written, 682 kept, 0 failed")


@pytest.mark.parametrize("executor", ["sequential", "threads", "processes"])
def test_each_executor_can_be_named(tilepipe, folder, executor):
    code, _, _ = tilepipe("execute", "recipe.yaml", "-e", executor, "-w", 2)

    assert code == 0
    assert len(tiles(folder)) == 682


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--zoom", "4", "--bounds", 0, 0, 5, 5], {"4/7/16.tif"}),
        (["--zoom", "4", "--point", -170, 80], {"4/0/0.tif"}),
        (["--zoom", "4", "--point", 0, 0], {"4/8/16.tif"}),
        (["--tile", 4, 3, 5], {"4/3/5.tif"}),
        (["--zoom", "4", "--area", "POLYGON ((1 1, 20 1, 1 20, 1 1))"], {"4/7/16.tif", "4/7/17.tif", "4/6/16.tif"}),
        (["-z", "3-4", "-b", 170, 0, -170, 10], None),
        (["-z", "4", "-b", 2e5, 2e5, 3e5, 3e5, "--crs", "EPSG:3857"], {"4/7/16.tif"}),
    ],
)  # fmt: skip
def test_a_selection_makes_only_what_it_touches(tilepipe, folder, options, expected):
    code, _, _ = tilepipe("execute", "recipe.yaml", "-e", "sequential", *options)

    assert code == 0
    if expected is None:
        assert {name for name in tiles(folder) if name.startswith("4/")} == {"4/7/31.tif", "4/7/0.tif"}
    else:
        assert tiles(folder) == expected


def test_an_area_may_be_a_file(tilepipe, folder):
    polygon = {"type": "Polygon", "coordinates": [[[1, 1], [5, 1], [5, 5], [1, 1]]]}
    feature = {"type": "Feature", "properties": {}, "geometry": polygon}
    Path("area.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))

    code, _, _ = tilepipe("execute", "recipe.yaml", "-z", "4", "--area", "area.geojson")

    assert code == 0
    assert tiles(folder) == {"4/7/16.tif"}


def test_set_overrides_the_recipe(tilepipe, folder):
    code, _, _ = tilepipe("execute", "recipe.yaml", "--set", "zooms=[0, 1]", "--set", "overviews.below=1")

    assert code == 0
    assert len(tiles(folder)) == 10


def test_failed_tiles_are_named_and_the_rest_is_made_when_asked_for(tilepipe, folder):
    options = ["--set", "parameters.value=13", "-e", "sequential", "--on-error", "skip", "--log-file", "log.txt"]

    code, _, err = tilepipe("execute", "recipe.yaml", *options)

    assert code == 1
    assert "error: 1 tile failed:\ntile 4/3/5: mine.py: line 7: ValueError: thirteen" in err
    # In place of the blocked 0/0/0 lies the blank tile that older readers look at first.
    above = {"3/1/2.tif", "2/0/1.tif", "1/0/0.tif"}
    assert not tiles(folder) & (above | {"4/3/5.tif"})
    assert len(tiles(folder)) == 682 - 1 - 4 + 1
    log = Path("log.txt").read_text()
    assert "Traceback" in log
    assert 'raise ValueError("thirteen")' in log
    assert log.count("branch ") == 10


def test_the_first_failure_stops_the_run_otherwise(tilepipe, folder):
    code, _, err = tilepipe("execute", "recipe.yaml", "--set", "parameters.value=13", "-e", "sequential")

    assert code == 1
    assert "tile 4/3/5" in err
    assert len(tiles(folder)) < 600


def test_plan_says_tiles_pixels_bytes_tasks_and_memory(tilepipe, folder):
    code, out, _ = tilepipe("plan", "recipe.yaml", "--json", "-w", 2)

    facts = json.loads(out)
    assert code == 0
    assert {zoom: row["tiles"] for zoom, row in facts["zooms"].items()} == {"0": 2, "1": 8, "2": 32, "3": 128, "4": 512}
    assert facts["zooms"]["4"]["pixels"] == 512 * 256
    assert facts["zooms"]["4"]["made_by"] == "process"
    assert facts["zooms"]["3"]["made_by"] == "overview"
    assert facts["tiles"] == 682
    assert facts["tasks"] > 0
    assert facts["memory"]["all_bytes"] == 2 * facts["memory"]["worker_bytes"]
    assert not (folder / "out").exists()


def test_plan_counts_the_tasks_that_execute_runs(tilepipe):
    _, out, _ = tilepipe("plan", "recipe.yaml", "--json", "-e", "sequential", "-b", 0, 0, 50, 60)
    tilepipe("execute", "recipe.yaml", "-e", "sequential", "-b", 0, 0, 50, 60, "--log-file", "log.txt")

    assert Path("log.txt").read_text().count("branch ") == json.loads(out)["tasks"]


def test_plan_in_words(tilepipe):
    code, out, _ = tilepipe("plan", "recipe.yaml")

    assert code == 0
    assert "   4             512              131,072" in out
    assert "682 tiles in " in out


@pytest.mark.parametrize("command", ["plan", "execute"])
def test_too_little_memory_is_refused_before_a_tile_is_touched(tilepipe, folder, command):
    code, _, err = tilepipe(command, "recipe.yaml", "--max-memory", "300MB", "-w", 4)

    assert code == 2
    assert "MB, the limit is 300 MB; use fewer workers or a smaller pyramid.metatile" in err
    assert not (folder / "out").exists()


def test_validate_says_all_right(tilepipe, folder):
    code, out, _ = tilepipe("validate", "recipe.yaml")

    assert code == 0
    assert "zooms 0 to 4" in out
    assert not (folder / "out").exists()


def test_schema_is_a_json_schema(tilepipe):
    code, out, _ = tilepipe("schema")

    assert code == 0
    assert json.loads(out)["$schema"].startswith("https://json-schema.org/")


def test_progress_comes_in_lines_where_there_is_no_terminal(monkeypatch, tilepipe):
    monkeypatch.setattr("tilepipe.cli.progress.LINE_EVERY_S", 0.0)

    _, _, err = tilepipe("execute", "recipe.yaml", "-e", "sequential")

    assert "of 682 tiles, " in err
    assert "s left: " in err
    assert "\x1b" not in err


def test_the_version_is_told(tilepipe):
    assert tilepipe("--version")[1].startswith("tilepipe, version ")


def test_the_module_is_the_command():
    said = subprocess.run([sys.executable, "-m", "tilepipe", "--help"], capture_output=True, text=True, check=True)

    assert "validate" in said.stdout


def test_a_terminal_gets_a_bar(folder):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tilepipe", "execute", "recipe.yaml", "-e", "sequential"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    drawn = b""
    # Linux says EIO at the end of a terminal.
    with suppress(OSError):
        while piece := os.read(ours, 1 << 16):
            drawn += piece
    os.close(ours)

    assert process.wait() == 0
    assert b"682/682" in drawn
    assert "━".encode() in drawn
