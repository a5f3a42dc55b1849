"""Names in a recipe, and what they stand for."""

import subprocess
import sys

import pytest

from tilepipe import plugins
from tilepipe.errors import RecipeError


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a package with given entry points of the group of output formats."""
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins._installed.cache_clear()

    def install(package, source, **entries):
        (tmp_path / f"{package}.py").write_text(source)
        facts = tmp_path / f"{package}-1.0.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in entries.items()]
        (facts / "entry_points.txt").write_text("\n".join(["[tilepipe.formats]", *lines]))

    yield install
    plugins._installed.cache_clear()
    for name in [name for name in sys.modules if name.startswith("plugin_of_")]:
        del sys.modules[name]


def test_a_registered_name_gives_its_class(installed):
    installed("plugin_of_alice", "class Png: pass", alices_png="plugin_of_alice:Png")

    assert plugins.find("formats", "alices_png").__name__ == "Png"
    assert plugins.names("formats")["alices_png"] == "plugin_of_alice:Png"


def test_nothing_is_imported_before_it_is_asked_for(installed):
    installed("plugin_of_bob", "raise SystemExit", bobs_png="plugin_of_bob:Png")

    assert "bobs_png" in plugins.names("formats")
    assert "plugin_of_bob" not in sys.modules


def test_our_own_names_are_registered():
    assert "gtiff" in plugins.names("formats")
    assert "raster_file" in plugins.names("inputs")
    assert {"sequential", "threads", "processes"} <= plugins.names("executors").keys()


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("formats", "gtif", r"there is no output format 'gtif'; did you mean 'gtiff'\? known: .*gtiff"),
        ("inputs", "rasterfile", r"there is no input format 'rasterfile'; did you mean 'raster_file'\?"),
        ("executors", "thread", r"there is no executor 'thread'; did you mean 'threads'\? known: "),
        ("processes", "xyz", r"there is no process 'xyz'; known: "),
    ],
)
def test_an_unknown_name_is_told_the_nearest_one(kind, name, message):
    with pytest.raises(RecipeError, match=message):
        plugins.find(kind, name)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nowhere_to_be_found", "No module named 'nowhere_to_be_found'"),
        ("", "has no attribute 'Png'"),
        ("class", "invalid syntax"),
    ],
)
def test_a_broken_plug_in_is_named_with_its_package_and_the_reason(installed, source, reason):
    installed("plugin_of_carol", source, carols_png="plugin_of_carol:Png")

    with pytest.raises(
        RecipeError,
        match=rf"'carols_png' \(plugin_of_carol:Png of plugin_of_carol 1\.0\) cannot be imported: .*{reason}",
    ):
        plugins.find("formats", "carols_png")


def test_a_name_claimed_by_two_packages_is_refused_and_both_are_named(installed):
    installed("plugin_of_dave", "class Png: pass", shared="plugin_of_dave:Png")
    installed("plugin_of_erin", "class Png: pass", shared="plugin_of_erin:Png")

    with pytest.raises(
        RecipeError, match=r"more than once \(plugin_of_dave:Png of plugin_of_dave 1\.0, plugin_of_erin:Png of .*\)"
    ):
        plugins.find("formats", "shared")


def test_finding_plug_ins_brings_no_heavy_library():
    code = "import sys, tilepipe.plugins as p; p.names('inputs'); print({'rasterio', 'pydantic'} & sys.modules.keys())"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
