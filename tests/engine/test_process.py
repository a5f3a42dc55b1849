import pickle
import sys
import textwrap

import pytest

from tilepipe.arguments import check
from tilepipe.errors import InputError, ProcessError
from tilepipe.geo.grid import Grid
from tilepipe.geo.pyramid import Tile
from tilepipe.process import call, engine_arguments, find_process, title


@pytest.fixture
def process(tmp_path):
    def make(text, name="mine.py"):
        (tmp_path / name).write_text(textwrap.dedent(text))
        return find_process(name, folder=str(tmp_path))

    return make


def test_a_file_is_seen_from_the_folder_of_the_recipe(process, tmp_path):
    found = process("def execute(): return 5")

    assert found.path == str(tmp_path / "mine.py")
    assert call(found, {}) == 5


def test_a_shipped_process_has_a_name():
    found = find_process("hillshade", folder="nowhere")

    assert "hillshade" in found.path
    assert title(found)


def test_a_module_is_found_by_its_dotted_name(tmp_path, monkeypatch):
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "relief.py").write_text('"""Relief."""\ndef execute(): return "relief"')
    monkeypatch.syspath_prepend(tmp_path)

    assert call(find_process("my_package.relief", folder="."), {}) == "relief"


@pytest.mark.parametrize("reference", ["hilshade", "no.such.module", "sys"])
def test_an_unknown_name_is_refused(reference):
    with pytest.raises(ProcessError, match=f"process {reference}: neither a file ending in .py, nor a Python module"):
        find_process(reference, folder=".")


def test_the_nearest_registered_name_is_told():
    with pytest.raises(ProcessError, match="did you mean 'hillshade'"):
        find_process("hilshade", folder=".")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ProcessError, match=r"gone\.py cannot be read: No such file"):
        find_process("gone.py", folder=str(tmp_path))


def test_the_module_runs_once_and_its_globals_stay(process):
    found = process("calls = []\ndef execute(): calls.append(1); return len(calls)")

    assert [call(found, {}), call(found, {}), call(pickle.loads(pickle.dumps(found)), {})] == [1, 2, 3]


def test_two_processes_of_one_name_do_not_meet(process, tmp_path):
    first = process("def execute(): return 1")
    second = process("def execute(): return 2")

    assert (call(first, {}), call(second, {})) == (1, 2)
    assert first.checksum != second.checksum


def test_a_process_named_like_a_library_does_not_shadow_it(process):
    import json

    call(process("def execute(): return 1", name="json.py"), {})

    assert sys.modules["json"] is json


def test_a_process_may_import_a_file_beside_it(process, tmp_path):
    (tmp_path / "beside_the_process.py").write_text("VALUE = 11")

    assert call(process("from beside_the_process import VALUE\ndef execute(): return VALUE"), {}) == 11


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def execute(:", r"cannot be loaded: line 1: SyntaxError"),
        ("x = 1\n\nimport no_such_library", "line 3: ModuleNotFoundError: No module named 'no_such_library'"),
        ("raise SystemExit(4)", "line 1: SystemExit: 4"),
        ("def run(): pass", r"has no function execute\(\)"),
        ("execute = 5", r"has no function execute\(\)"),
    ],
)
def test_a_module_that_cannot_be_loaded_says_where(process, text, message):
    with pytest.raises(ProcessError, match=message):
        process(text).function()


def test_what_the_function_raises_is_told_with_its_line_and_is_the_cause(process):
    found = process("def execute():\n    inner()\n\ndef inner():\n    return 1 / 0")

    with pytest.raises(ProcessError, match="line 5: ZeroDivisionError: division by zero") as caught:
        call(found, {})

    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_input_that_cannot_be_read_stays_what_it_is(process):
    found = process("from tilepipe.errors import InputError\ndef execute(): raise InputError('dem.tif: no')")

    with pytest.raises(InputError, match=r"dem\.tif: no"):
        call(found, {})


def test_leaving_the_interpreter_is_a_failure_of_the_process(process):
    with pytest.raises(ProcessError, match="SystemExit: 3"):
        call(process("import sys\ndef execute(): sys.exit(3)"), {})


SIGNATURE = """
from typing import Literal
from tilepipe import Grid, Tile, TileInput

def execute(dem: TileInput, tile: Tile, grid: Grid, z: float = 1.0, n: int = 2, how: Literal["a", "b"] = "a"):
    return z
"""


def test_parameters_come_back_in_the_type_of_their_annotation(process):
    checked = check(process(SIGNATURE), inputs={"dem": None}, parameters={"z": 2, "how": "b"})

    assert checked == {"z": 2.0, "how": "b"}
    assert isinstance(checked["z"], float)


def test_tile_and_grid_are_known_by_their_annotation_also_as_text(process):
    found = process("from __future__ import annotations\n" + SIGNATURE)

    assert engine_arguments(found) == {"tile": Tile, "grid": Grid}


@pytest.mark.parametrize(
    ("inputs", "parameters", "message"),
    [
        (["dme"], {}, "takes no input 'dme'; did you mean 'dem'"),
        (["dem"], {"zz": 1}, "takes no parameter 'zz'; did you mean 'z'. known: dem, how, n, z"),
        ([], {}, r"execute\(\) needs dem, which the recipe does not give; it gives nothing"),
        (["dem"], {"z": "high"}, "parameter z is 'high'; it should be a valid number"),
        (["dem"], {"n": 1.5}, r"parameter n is 1\.5; it should be a valid integer"),
        (["dem"], {"n": True}, "parameter n is True; it should be a valid integer"),
        (["dem"], {"how": "c"}, "parameter how is 'c'; it should be 'a' or 'b'"),
        (["dem"], {"tile": 3}, "takes no parameter 'tile'"),
        (["dem"], {"dem": 3}, "dem: both an input and a parameter; rename one"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_the_first_tile(process, inputs, parameters, message):
    with pytest.raises(ProcessError, match=message):
        check(process(SIGNATURE), inputs=dict.fromkeys(inputs), parameters=parameters)


def test_without_annotations_any_value_goes(process):
    found = process("def execute(a, b=2, **rest): return a")

    assert check(found, inputs={}, parameters={"a": [1], "c": "x"}) == {"a": [1], "c": "x"}


def test_an_annotation_that_names_nothing_is_told(process):
    with pytest.raises(ProcessError, match=r"an annotation of execute\(\) names what is not there.*NoSuch"):
        check(process("def execute(a: 'NoSuch'): return a"), inputs={}, parameters={"a": 1})
