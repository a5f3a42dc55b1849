"""Which processes there are, and when a file counts as changed."""

import os
import threading

import pytest

from tilepipe.errors import ProcessError
from tilepipe_hub.processes.catalog import Catalog
from tilepipe_hub.processes.describe import describe
from tilepipe_hub.processes.signature import read_signature

GOOD = '"""Good."""\ndef execute(dem, size=3):\n    return None\n'


def told_here(processes):
    """What `inspect` does, without processes."""
    for process in processes:
        try:
            yield process, read_signature(process)
        except ProcessError as error:
            yield process, error


class Counted:
    """Asks files what they are, and knows how many it has asked."""

    def __init__(self):
        self.asked = 0

    def __call__(self, processes):
        self.asked += len(processes)
        return told_here(processes)


@pytest.fixture
def counted():
    return Counted()


def ids(catalog):
    return [entry.id for entry in catalog.entries()]


def test_the_shipped_processes_and_the_own_two_are_always_there(shipped):
    assert ids(shipped) == ["convert", "echo", "hillshade", "recipe", "slope"]
    assert shipped.broken() == ()
    assert not any(entry.mutable for entry in shipped.entries())


def test_what_starts_with_an_underscore_or_a_dot_is_no_process(write, tmp_path):
    write("good", GOOD)
    write("_part", GOOD)
    write(".hidden", GOOD)

    assert set(ids(Catalog(folder=str(tmp_path), ask=told_here))) - {
        "convert",
        "echo",
        "hillshade",
        "recipe",
        "slope",
    } == {"good"}


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("syntax", "def execute(:\n", "line 1"),
        ("raises", "raise SystemExit(3)\n", "SystemExit"),
        ("imports", "import no_such_module_at_all\n", "no_such_module_at_all"),
        ("nothing", "x = 1\n", "no function execute"),
        ("unknown", "def execute(a: 'Nowhere' = 1): ...\n", "Nowhere"),
        ("odd", "def execute(a: '1/0' = 1): ...\n", "ZeroDivisionError"),
        ("code", "def execute(a: 'def' = 1): ...\n", "means nothing"),
        ("place", "def execute(a, /): ...\n", "by place only"),
        ("callable", "from typing import Any\nclass X: ...\ndef execute(a: X): ...\n", "no JSON"),
        ("recipe_list", "RECIPE = [1]\ndef execute(a): ...\n", "RECIPE is no mapping"),
        ("recipe_key", "RECIPE = {'area': {}}\ndef execute(a): ...\n", "RECIPE has area"),
        ("recipe_value", "RECIPE = {'output': {'dtype': 'uint9'}}\ndef execute(a): ...\n", "did you mean 'uint8'"),
        ("recipe_path", "RECIPE = {'output': {'path': 'x'}}\ndef execute(a): ...\n", "/output/path unknown key"),
        ("a b", GOOD, "no id"),
        ("hillshade", GOOD, "installed"),
        ("echo", GOOD, "installed"),
    ],
)
def test_a_broken_file_is_told_to_the_operator_and_breaks_nothing(write, tmp_path, name, text, error):
    write("good", GOOD)
    path = write(name, text)
    catalog = Catalog(folder=str(tmp_path), ask=told_here)

    (broken,) = catalog.broken()
    assert (broken.id, broken.path) == (name, str(path))
    assert error in broken.error
    assert ids(catalog) == ["convert", "echo", "good", "hillshade", "recipe", "slope"]


def test_bytes_that_are_no_text_are_a_broken_file(tmp_path):
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe\x00")

    assert "not Python source" in Catalog(folder=str(tmp_path), ask=told_here).broken()[0].error


def test_a_link_to_nowhere_is_a_broken_file(tmp_path):
    (tmp_path / "lost.py").symlink_to(tmp_path / "nowhere.py")

    assert "cannot be read" in Catalog(folder=str(tmp_path), ask=told_here).broken()[0].error


def test_a_missing_folder_is_told_and_leaves_the_others(tmp_path):
    catalog = Catalog(folder=str(tmp_path / "none"))

    assert "folder of processes cannot be read" in catalog.broken()[0].error
    assert "slope" in ids(catalog)


def test_a_file_is_asked_once_however_often_it_is_listed_and_described(write, tmp_path, counted):
    write("counted", GOOD)
    catalog = Catalog(folder=str(tmp_path), ask=counted)

    for _ in range(3):
        describe(catalog.find("counted"))
    assert counted.asked == 1


def test_a_file_that_was_only_touched_is_not_asked_again(write, tmp_path, counted):
    path = write("counted", GOOD)
    catalog = Catalog(folder=str(tmp_path), ask=counted)
    before = catalog.find("counted")

    os.utime(path, ns=(1, 1))
    assert catalog.find("counted") is before
    assert counted.asked == 1


@pytest.mark.slow
def test_many_processes_are_each_asked_once(write, tmp_path, counted):
    for number in range(70):
        write(f"counted{number}", f"{GOOD}# {number}\n")
    catalog = Catalog(folder=str(tmp_path), ask=counted)

    for entry in (*catalog.entries(), *catalog.entries()):
        describe(entry)
    assert counted.asked == 70


def test_a_changed_file_is_a_changed_process(write, tmp_path):
    write("good", GOOD)
    catalog = Catalog(folder=str(tmp_path), ask=told_here)
    before = catalog.find("good").process.checksum

    write("good", GOOD.replace("Good.", "Better."))
    after = catalog.find("good")
    assert after.signature.title == "Better."
    assert after.process.checksum != before
    assert after.signature.version == f"0+{after.process.checksum[:8]}"


def test_a_changed_file_is_described_anew(write, tmp_path):
    write("good", GOOD)
    catalog = Catalog(folder=str(tmp_path), ask=told_here)
    before = describe(catalog.find("good"))["inputs"]

    write("good", GOOD.replace("size", "side"))

    assert {*describe(catalog.find("good"))["inputs"]} ^ {*before} == {"size", "side"}


def test_a_file_may_break_heal_come_and_go(write, tmp_path):
    catalog = Catalog(folder=str(tmp_path), ask=told_here)
    assert catalog.find("good") is None

    path = write("good", GOOD)
    assert catalog.find("good") is not None
    write("good", "import no_such_module_at_all\n")
    assert catalog.find("good") is None
    assert len(catalog.broken()) == 1
    write("good", GOOD)
    assert catalog.find("good") is not None
    path.unlink()
    assert catalog.find("good") is None
    assert catalog.broken() == ()


def test_threads_that_ask_at_once_have_it_asked_once(write, tmp_path, counted):
    write("counted", GOOD)
    catalog = Catalog(folder=str(tmp_path), ask=counted)
    threads = [threading.Thread(target=catalog.entries) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted.asked == 1
