"""What code that was deployed can do when it is described: describe itself, and nothing else."""

import json
import os
import sys
import threading
import time
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.processes.values_of import JSON
from tilepipe.errors import ProcessError
from tilepipe_hub import deploying
from tilepipe_hub.errors import BadRequest, TooOften
from tilepipe_hub.processes import catalog as catalog_module
from tilepipe_hub.processes.catalog import Broken, Catalog, Entry
from tilepipe_hub.processes.inputs import Checked
from tilepipe_hub.processes.inspection import inspect
from tilepipe_hub.processes.request import check_request
from tilepipe_hub.processes.schema import WORDS
from tilepipe_hub.processes.signature import Signature
from tilepipe_hub.processes.told import LONGEST, Words, believed, written
from tilepipe_hub.processes.values import mistakes
from tilepipe_hub.running import confine, seccomp

GOOD = '"""Good."""\ndef execute(dem, size: int = 3):\n    return None\n'
FORGED = {
    "signature": {
        "title": "Forged",
        "text": "",
        "version": "1",
        "keywords": [],
        "arguments": [],
        "isOpen": False,
        "recipe": {},
    }
}
BARE = {key: value for key, value in FORGED["signature"].items() if key != "isOpen"} | {"is_open": False}
LEAK = """
import os

def walk():
    found = dict(os.environ)
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/environ") as file:
                found[name] = file.read()
        except OSError:
            continue
    return found

FOUND = walk()
raise ValueError("THE" + "SECRET" in repr(FOUND) and "leaked" or f"nothing but {sorted(FOUND)}")
"""
KILL = """
import os, signal

def above(pid):
    while pid > 1:
        with open(f"/proc/{pid}/stat") as file:
            pid = int(file.read().rpartition(")")[2].split()[1])
        yield pid

for pid in above(os.getpid()):
    if pid > 1:
        os.kill(pid, signal.SIGTERM)
"""
REFUSED = "Operation not permitted"
EVIL = {
    "writes": ("open({marker!r}, 'w')", "line 1: PermissionError"),
    "removes": ("import os; os.unlink({kept!r})", "line 1: PermissionError"),
    "reads": ("open({kept!r})", "line 1: PermissionError"),
    "modes": ("import os; os.chmod({kept!r}, 0)", REFUSED),
    "times": ("import os; os.utime({kept!r}, (1, 1))", REFUSED),
    "parent": ("import os; os.kill(os.getppid(), 9)", REFUSED),
    "above": (KILL, REFUSED),
    "group": ("import os; os.killpg(os.getpgid(os.getppid()), 9)", REFUSED),
    "limits": ("import os, resource as r; r.prlimit(os.getppid(), r.RLIMIT_CPU, (1, 1))", "PermissionError"),
    "priority": ("import os; os.setpriority(os.PRIO_USER, os.getuid(), 19)", "PermissionError"),
    "forks": ("import os; os.fork()", REFUSED),
    "starts": ("import subprocess; subprocess.run(['true'])", REFUSED),
    "escapes": ("import os; os.setsid()", REFUSED),
    "connects": ("import socket; socket.create_connection(('127.0.0.1', 1))", REFUSED),
    "environment": ("import os; os.environ['SECRET_OF_THE_SERVER']", "line 1: KeyError"),
    "leaks": (LEAK, "nothing but"),
    "syntax": ("def execute(:", "line 1: SyntaxError"),
    "unknown": ("def execute(a: 'Nowhere' = 1): ...\nraise SystemExit", "line 2: SystemExit"),
    "ends": ("import os; os._exit(3)", "ended with code 3 while it was loaded"),
    "leaves": ("import sys; sys.exit()", "line 1: SystemExit"),
    "interrupts": ("raise KeyboardInterrupt", "cannot be described: KeyboardInterrupt"),
    "aborts": ("import os; os.abort()", "was ended by signal"),
    "crashes": ("import ctypes; ctypes.string_at(0)", "was ended by signal 11"),
    "fills": ("x = bytearray(3 << 30)", "line 1: MemoryError"),
    "floods": ("import os\nwhile True:\n    os.write(3, b'x' * 65536)", "said too much"),
    "garbles": ("import os; os.write(3, b'{}')", "is not understood"),
    "lines": ("raise ValueError('a\\nWARNING root: b\\x1b[2J')", "a WARNING root: b [2J"),
    "silent": ("import os; os.close(3)", "is not understood|was ended by signal 9"),
    "sleeps": ("import time; time.sleep(3600)", "was not loaded within 3 s"),
    "loops": ("while True: pass", "was not loaded within 3 s|was ended by signal 9"),
    "threads": (
        "import threading, time; threading.Thread(target=time.sleep, args=(3600,)).start(); time.sleep(3600)",
        "was not loaded within 3 s",
    ),
}

confined = pytest.mark.skipif(
    not (confine.is_possible() and seccomp.is_possible()), reason="this kernel keeps no process from files"
)
hurried = partial(inspect, limit_s=3.0)


@pytest.fixture(scope="module")
def evil(tmp_path_factory):
    """A catalog of a folder with one good file and many bad ones, and what they aim at."""
    aims = tmp_path_factory.mktemp("aims")
    marker, kept = aims / "marker", aims / "kept"
    kept.write_text("kept")
    folder = tmp_path_factory.mktemp("evil")
    for name, (code, _) in EVIL.items():
        aimed = code.replace("{marker!r}", repr(str(marker))).replace("{kept!r}", repr(str(kept)))
        (folder / f"{name}.py").write_text(f"{aimed}\n{GOOD}")
    (folder / "good.py").write_text(GOOD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_OF_THE_SERVER", "THESECRET")
        catalog = Catalog(folder=str(folder), ask=hurried)
        catalog.broken()
    return catalog, marker, kept


@confined
@pytest.mark.slow
@pytest.mark.parametrize("name", EVIL)
def test_code_that_does_more_than_describe_itself_is_told_and_has_done_nothing(evil, name):
    catalog, marker, kept = evil
    errors = {broken.id: broken.error for broken in catalog.broken()}

    assert any(word in errors[name] for word in EVIL[name][1].split("|")), errors[name]
    assert "THESECRET" not in errors[name]
    assert not marker.exists()
    assert kept.read_text() == "kept"
    assert (kept.stat().st_mode & 0o777, kept.stat().st_mtime > 1) == (0o644, True)


@pytest.mark.slow
def test_the_others_are_described_all_the_same(evil):
    catalog, _, _ = evil

    assert catalog.find("good").signature.title == "Good."


def test_no_code_of_the_folder_runs_here(write, tmp_path):
    write("marks", f"import sys\nsys.marked_here = True\n{GOOD}")

    assert Catalog(folder=str(tmp_path)).find("marks") is not None
    assert not hasattr(sys, "marked_here")
    assert not any(getattr(module, "__file__", "") == str(tmp_path / "marks.py") for module in sys.modules.values())


def test_what_code_prints_is_no_answer(write, tmp_path):
    forged = json.dumps({"place": 0, "text": json.dumps(FORGED), "end": ""})
    write("prints", f"import os\nfor end in (1, 2):\n    os.write(end, {forged.encode()!r} + b'\\n')\n{GOOD}")

    assert Catalog(folder=str(tmp_path)).find("prints").signature.arguments[1].name == "size"


def test_code_may_lie_of_itself_and_of_nothing_else(write, tmp_path):
    write("lies", f"import os\nos.write(3, {json.dumps(FORGED).encode()!r})\nos._exit(0)\n")
    write("other", GOOD)
    catalog = Catalog(folder=str(tmp_path))

    assert (catalog.find("lies").signature.title, catalog.find("other").signature.title) == ("Forged", "Good.")


def test_where_no_process_can_be_started_that_is_told(write, tmp_path, monkeypatch):
    write("good", GOOD)
    write("other", GOOD)
    monkeypatch.setenv("PYTHONHOME", "/nowhere")

    found = Catalog(folder=str(tmp_path)).broken()
    assert [broken.id for broken in found] == ["good", "other"]
    assert all("nothing came back" in broken.error for broken in found)


def test_what_is_broken_is_asked_again_after_a_while(write, tmp_path, monkeypatch):
    write("good", GOOD)
    passing = [ProcessError("no memory"), Signature(**BARE)]
    catalog = Catalog(folder=str(tmp_path), ask=lambda processes: [(processes[0], passing.pop(0))])

    assert catalog.find("good") is None
    assert catalog.find("good") is None
    monkeypatch.setattr(catalog_module, "BROKEN_S", 0.0)
    assert catalog.find("good") is not None
    assert catalog.find("good") is not None


def test_files_may_import_those_beside_them(write, tmp_path):
    write("_part", "SIZE = 7\n")
    write("whole", '"""Whole."""\nfrom _part import SIZE\ndef execute(dem, size: int = SIZE): ...\n')

    assert Catalog(folder=str(tmp_path)).find("whole").signature.arguments[1].schema["default"] == 7


@confined
def test_files_may_read_what_the_operator_names(write, tmp_path, tmp_path_factory):
    model = tmp_path_factory.mktemp("models") / "model.txt"
    model.write_text("5")
    write("loads", f"SIZE = int(open({str(model)!r}).read())\n{GOOD}")

    assert Catalog(folder=str(tmp_path)).find("loads") is None
    named = Catalog(folder=str(tmp_path), ask=partial(inspect, readable=[str(model.parent)]))
    assert named.find("loads") is not None


class Held:
    """Asks nobody until it is let go."""

    def __init__(self):
        self.let_go = threading.Event()

    def __call__(self, processes):
        assert self.let_go.wait(30)
        yield from inspect(processes)


@pytest.fixture
def held():
    found = Held()
    yield found
    found.let_go.set()


def test_a_file_that_takes_long_holds_up_nobody_else(write, tmp_path, held, monkeypatch):
    monkeypatch.setattr(catalog_module, "PATIENCE_S", 0.2)
    write("late", GOOD)
    catalog = Catalog(folder=str(tmp_path), ask=held)

    assert "late" not in [entry.id for entry in catalog.entries()]
    assert catalog.find("hillshade") is not None
    held.let_go.set()
    assert catalog.find("late") is not None


def test_only_so_many_are_examined_at_once(tmp_path, held, monkeypatch):
    monkeypatch.setattr(catalog_module, "PATIENCE_S", 0.2)
    catalog = Catalog(folder=str(tmp_path), ask=held)
    threads = [threading.Thread(target=catalog.examine, args=(f"p{number}", GOOD)) for number in range(2)]
    for thread in threads:
        thread.start()

    while catalog._turns._value:
        time.sleep(0.01)
    with pytest.raises(TooOften, match="later"):
        catalog.examine("third", GOOD)
    held.let_go.set()
    for thread in threads:
        thread.join()


def package(name, code):
    return {"processDescription": {"id": name}, "executionUnit": {"type": "python", "value": code}}


def test_what_is_deployed_is_examined_first_and_once(tmp_path):
    asked = []

    def counted(processes):
        asked.extend(processes)
        return inspect(processes)

    catalog = Catalog(folder=str(tmp_path), ask=counted)
    code = GOOD.replace("\n", "\r\n")

    assert isinstance(deploying.deploy(catalog, package("good", code)), Entry)
    assert catalog.find("good").signature.title == "Good."
    assert len(asked) == 1


@confined
def test_what_is_refused_never_lies_in_the_folder(tmp_path):
    catalog = Catalog(folder=str(tmp_path), ask=partial(inspect, limit_s=1.0))
    deploying.deploy(catalog, package("good", GOOD))

    with pytest.raises(BadRequest, match="process good: was not loaded within 1 s"):
        deploying.replace(catalog, "good", package("good", "import time; time.sleep(60)\n"))
    with pytest.raises(BadRequest, match="line 1: PermissionError"):
        deploying.deploy(catalog, package("evil", f"open({str(tmp_path / 'x')!r}, 'w')\n{GOOD}"))
    assert sorted(os.listdir(tmp_path)) == [".good.py.json", "good.py"]
    assert catalog.find("good").signature.title == "Good."


def test_whoever_replaces_a_process_breaks_none_that_works(tmp_path):
    catalog = Catalog(folder=str(tmp_path))
    deploying.deploy(catalog, package("good", GOOD))

    assert isinstance(catalog.examine("good", "x = 1\n"), Broken)
    assert catalog.find("good").signature.title == "Good."


def test_what_is_written_is_believed(catalog):
    for entry in catalog.entries():
        if entry.signature is not None:
            text = json.dumps({"signature": written(entry.signature)})
            assert believed(entry.id, text) == entry.signature


def test_all_words_of_schemas_are_known():
    assert {field.alias for field in Words.model_fields.values()} == WORDS


ARGUMENT = {"name": "a", "kind": "parameter", "required": True, "schema": {}, "text": ""}


def nested(levels):
    schema = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize(
    "change",
    [
        {"title": 3},
        {"title": "\ud800"},
        {"title": "x" * 501},
        {"more": 1},
        {"recipe": {"output": {"path": "/etc"}}},
        {"recipe": {"area": {}}},
        {"arguments": [ARGUMENT, ARGUMENT]},
        {"arguments": [ARGUMENT | {"name": "../a"}]},
        {"arguments": [ARGUMENT | {"kind": "secret"}]},
        {"arguments": [ARGUMENT | {"required": 1}]},
        *(
            {"arguments": [ARGUMENT | {"schema": schema}]}
            for schema in (
                {"$ref": "http://x"},
                {"type": "any"},
                {"minimum": "x"},
                {"minimum": True},
                {"maximum": float("inf")},
                {"multipleOf": 0},
                {"multipleOf": 1e-300},
                {"not": None},
                {"items": None},
                {"items": []},
                {"enum": []},
                {"enum": [float("nan")]},
                {"anyOf": []},
                {"default": float("inf")},
                {"required": "a"},
                {"minLength": -1},
                {"pattern": "x" * 301},
                {"title": "x" * 5001},
                {"enum": ["x" * 5000] * 5},
                nested(17),
                nested(190),
            )
        ),
    ],
)
def test_what_does_not_fit_is_not_believed(change):
    text = json.dumps({"signature": FORGED["signature"] | change})

    with pytest.raises(ProcessError, match="process x"):
        believed("x", text)


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "{}", "[" * LONGEST, '{"signature": ' * 9000, '{"error": 3}', '{"signature": null}']
)
def test_what_is_no_answer_is_told(text):
    with pytest.raises(ProcessError, match="process x"):
        believed("x", text)


@given(JSON, JSON)
def test_no_answer_takes_the_server_down(schema, value):
    text = json.dumps({"signature": FORGED["signature"] | {"arguments": [ARGUMENT | {"schema": schema}]}})
    try:
        found = believed("x", text)
    except ProcessError:
        return
    assert isinstance(found, Signature)
    list(mistakes(value, found.arguments[0].schema))


SCHEMAS = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["array", "boolean", "integer", "number", "object", "string"]),
            "enum": st.lists(JSON, min_size=1, max_size=3),
            "minimum": st.floats(-1e300, 1e300),
            "maximum": st.integers(-5, 5),
            "exclusiveMaximum": st.booleans(),
            "multipleOf": st.sampled_from([1e-9, 0.5, 3]),
            "pattern": st.sampled_from(["(a+)+$", "(", "(?=a)b", "\\", "^[a-z]+$"]),
            "maxLength": st.integers(0, 3),
            "uniqueItems": st.booleans(),
            "required": st.lists(st.text(max_size=2), max_size=2),
            "maxProperties": st.integers(0, 3),
        },
    ),
    lambda part: st.fixed_dictionaries(
        {},
        optional={
            "items": part,
            "properties": st.dictionaries(st.text(max_size=2), part, max_size=2),
            "additionalProperties": part | st.booleans(),
            "not": part,
            **{key: st.lists(part, min_size=1, max_size=2) for key in ("anyOf", "oneOf", "allOf")},
        },
    ),
    max_leaves=6,
)


@given(SCHEMAS, JSON)
def test_a_schema_that_is_believed_can_be_computed_with(schema, value):
    text = json.dumps({"signature": FORGED["signature"] | {"arguments": [ARGUMENT | {"schema": schema}]}})

    found = believed("x", text).arguments[0].schema

    assert found == schema
    list(mistakes(value, found))


MEDIA = st.fixed_dictionaries(
    {},
    optional={
        "contentMediaType": st.sampled_from(["", ";", "image/tiff", "application/json"]),
        "contentEncoding": st.sampled_from(["base64", "binary", "x"]),
        "format": st.sampled_from(["ogc-bbox", "byte", "x"]),
        "nullable": st.booleans(),
        "default": JSON,
    },
)


@settings(max_examples=50)
@given(SCHEMAS, MEDIA, JSON)
def test_no_description_takes_a_request_down(shipped, schema, media, value):
    text = json.dumps({"signature": FORGED["signature"] | {"arguments": [ARGUMENT | {"schema": schema | media}]}})
    entry = Entry(id="x", reference="/x.py", signature=believed("x", text), mutable=True)
    inputs = {"a": value, "zooms": 1, "output": {"dtype": "uint8", "nodata": 0}}

    assert isinstance(check_request(entry, {"inputs": inputs}, catalog=shipped), Checked | list)


def test_no_pattern_takes_for_ever():
    began = time.monotonic()

    for pattern in ("(a+)+$", "(a|a)*b", "(.*,){11}P"):
        assert list(mistakes("a" * 900 + "!", {"type": "string", "pattern": pattern}))
    assert time.monotonic() - began < 1
