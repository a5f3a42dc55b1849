"""The rules of the house that a machine can check."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ["tilepipe", "tilepipe_hub"]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
}
FLOORS = [
    ["hub.commands"],
    ["hub.printing"],
    ["hub.client"],
    ["hub.__main__"],
    ["hub.cli"],
    ["hub.app", "hub.listening"],
    ["hub.routes", "hub.pages"],
    ["hub.service"],
    ["hub.admission", "hub.deploying"],
    ["hub.callback", "hub.runner", "hub.running", "hub.worker"],
    ["hub.processes"],
    ["hub.store"],
    ["hub.store.mongo", "hub.store.sqlite"],
    ["hub.store.documents", "hub.store.rows", "hub.store.patience"],
    ["hub.store.protocol"],
    ["hub.job", "hub.results", "hub.work"],
    ["hub.auth", "hub.fetch"],
    ["hub.fence", "hub.guesses"],
    ["hub.settings", "hub.telemetry"],
    ["hub.environment", "hub.networks"],
    ["hub.errors"],
    ["__main__"],
    ["cli"],
    ["run"],
    ["loop"],
    ["worker", "memory"],
    ["selection", "produce"],
    ["bind"],
    ["pipeline"],
    ["index.files"],
    ["resume"],
    ["journal"],
    ["standing"],
    ["records", "identity"],
    ["known"],
    ["part"],
    ["task", "area", "result", "tally"],
    ["inputs", "index", "outputs"],
    ["outcome", "plan", "formats", "algorithms", "recipe"],
    ["arguments", "process", "outputs.protocol"],
    ["geo", "per_zoom", "storage", "plugins", "lock"],
    ["schedule", "gdal", "versions", "executors"],
    ["errors", "imports"],
]
"""Imports go down only; the modules of one floor may know each other."""

LIBRARIES = {
    "rasterio": ["inputs", "formats", "geo.warp", "gdal", "versions", "hub.processes.engine", "hub.running"],
    "fiona": ["area"],
    "tilematrix": ["geo.pyramid"],
    "pydantic": ["recipe", "arguments", "hub.routes", "hub.settings", "hub.processes"],
    "yaml": ["recipe", "executors.kubernetes"],
    "click": ["cli", "hub.cli", "hub.commands", "hub.printing"],
    "dask": ["executors"],
    "distributed": ["executors"],
    "dask_gateway": ["executors.gateway"],
    "aiohttp": ["executors.gateway"],
    "dask_jobqueue": ["executors"],
    "dask_kubernetes": ["executors.kubernetes"],
    "kr8s": ["executors.kubernetes"],
    "rich": ["cli"],
    "pymongo": ["hub.store.mongo"],
    "starlette": ["hub.app", "hub.routes", "hub.pages"],
    "jinja2": ["hub.pages"],
    "jwt": ["hub.auth"],
    "prometheus_client": ["hub.routes"],
    "uvicorn": ["hub.listening"],
    "httpx": ["hub", "executors.kubernetes"],
    "opentelemetry": ["hub.telemetry"],
}
"""One outside library, one place."""

PURE = [
    "geo.grid",
    "geo.pyramid",
    "geo.branch",
    "geo.geometry",
    "geo.halve",
    "geo.raster",
    "per_zoom",
    "plan",
    "schedule",
    "task",
    "outcome",
    "result",
    "hub.job",
]
"""These open no file, read no clock and no environment."""

BAD_NAMES = {"utils", "util", "misc", "helpers", "common", "types", "base"}


def tree(name):
    return ast.parse(MODULES[name].read_text())


def short(name):
    return name.removeprefix("tilepipe").removeprefix("_").removeprefix(".")


def whole(name):
    return name.replace("hub", "tilepipe_hub", 1) if belongs(name, "hub") else f"tilepipe.{name}"


def belongs(name, place):
    """Whether a module is a place or lies in it."""
    return name == place or name.startswith(f"{place}.")


def floor(name):
    places = [(len(place), number) for number, floor in enumerate(FLOORS) for place in floor if belongs(name, place)]
    return max(places)[1] if places else None


def imports(node):
    for statement in ast.walk(node):
        if isinstance(statement, ast.ImportFrom) and statement.module:
            yield statement.module, statement
            for alias in statement.names:
                if f"{statement.module}.{alias.name}" in MODULES:
                    yield f"{statement.module}.{alias.name}", statement
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                yield alias.name, statement


def functions(node):
    return (item for item in ast.walk(node) if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef))


names = pytest.mark.parametrize("name", sorted(MODULES))


@names
def test_imports_go_down_only(name):
    if short(name) in {"", "__main__", "hub"}:
        return
    own = floor(short(name))

    assert own is not None, f"{name} has no floor"
    for other, statement in imports(tree(name)):
        if other.startswith(("tilepipe.", "tilepipe_hub.")) and other != name:
            assert floor(short(other)) >= own, f"{name}:{statement.lineno} imports {other}, which lies above it"


def test_no_import_circle():
    arrows = {
        name: {other for other, _ in imports(tree(name)) if other in MODULES and other not in PACKAGES}
        for name in MODULES
        if name not in PACKAGES
    }
    while free := {name for name, others in arrows.items() if not others & arrows.keys()}:
        arrows = {name: others for name, others in arrows.items() if name not in free}

    assert arrows == {}


@names
def test_a_library_has_one_place(name):
    for other, statement in imports(tree(name)):
        places = LIBRARIES.get(other.split(".")[0])
        assert places is None or any(belongs(short(name), place) for place in places), (
            f"{name}:{statement.lineno} imports {other}"
        )


@names
def test_imports_stand_at_the_top(name):
    for function in functions(tree(name)):
        for other, statement in imports(function):
            assert other.startswith("fiona"), f"{name}:{statement.lineno}: an import inside a function"


@names
def test_modules_and_functions_are_short(name):
    text = MODULES[name].read_text()
    long = [
        f"{item.name}: {item.end_lineno - item.lineno + 1}"
        for item in functions(ast.parse(text))
        if item.end_lineno - item.lineno >= 60
    ]

    assert text.count("\n") <= 400
    assert long == []


@names
def test_whatever_is_caught_is_named(name):
    if name in {"tilepipe.process", "tilepipe_hub.worker"}:
        return

    for node in ast.walk(tree(name)):
        if isinstance(node, ast.ExceptHandler):
            caught = {getattr(item, "id", None) for item in ast.walk(node.type)} if node.type else {None}
            assert not caught & {"Exception", "BaseException"} and node.type, f"{name}:{node.lineno}"


@names
def test_the_environment_is_read_in_one_place(name):
    children = {
        "tilepipe.executors.forkserver",
        "tilepipe_hub.processes.inspection",
        "tilepipe_hub.running.child",
        "tilepipe_hub.running.forking",
        "tilepipe_hub.running.spawner",
    }
    if name in {"tilepipe.bind", "tilepipe_hub.client.access", "tilepipe_hub.settings"} | children:
        return

    assert not re.search(r"os\.environ|getenv", MODULES[name].read_text())


@names
def test_no_module_is_named_for_nothing(name):
    assert name.split(".")[-1] not in BAD_NAMES


@names
def test_nothing_is_left_to_do(name):
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", MODULES[name].read_text())


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_touch_nothing(name):
    used = {other.split(".")[0] for other, _ in imports(tree(whole(name)))}
    calls = {
        node.func.id
        for node in ast.walk(tree(whole(name)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }

    assert not used & {"os", "time", "datetime", "random", "pathlib", "rasterio", "socket", "subprocess"}
    assert "open" not in calls


@names
def test_every_module_says_what_it_decides(name):
    assert ast.get_docstring(tree(name))


@names
def test_public_names_are_sorted(name):
    for node in tree(name).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            listed = ast.literal_eval(node.value)
            assert listed == sorted(listed, key=lambda item: (not item.isupper(), not item[0].isupper(), item))
