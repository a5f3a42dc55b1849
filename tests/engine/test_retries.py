"""Faults that may pass are tried again after growing pauses, all others end the tile at once."""

import errno
import pickle

import numpy as np
import pytest

from contracts.images import write_image
from tilepipe import worker
from tilepipe.errors import InputError, RunFailed, StorageError
from tilepipe.geo.pyramid import Tile
from tilepipe.storage import LocalStorage

PROLOGUE = """
from pathlib import Path
from tilepipe.errors import InputError, StorageError

def execute(image):
    calls = Path({calls!r})
    seen = calls.read_text().count("x") if calls.exists() else 0
    calls.write_text("x" * (seen + 1))
    {line}
"""


@pytest.fixture
def pauses(monkeypatch):
    """The pauses that were asked for; none of them is made."""
    made = []
    monkeypatch.setattr(worker.time, "sleep", made.append)
    return made


@pytest.fixture
def one_tile(project):
    """A recipe of a single tile whose process notes each call."""
    write_image(project.folder / "image.tif", np.full((16, 16), 7, "uint8"), nodata=0)
    project.document |= {
        "inputs": {"image": "image.tif"},
        "pyramid": {"grid": {"like": "image"}, "tile_size": 16, "metatile": 1},
        "zooms": 0,
        "overviews": None,
    }

    def make(line):
        project.process(PROLOGUE.format(calls=str(project.folder / "calls"), line=line))
        return project

    return make


def calls(project):
    return len((project.folder / "calls").read_text())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("return image.read(2)", "has 1 band, numbered from 1; asked for: 2"),
        ("return image.read([1, 5])", "asked for: 5"),
        ("return image.is_empty() or image.read(2)", "band 2 was asked for, but there are 1"),
        ("return image.read(resampling='sharp')", "there is no resampling 'sharp'"),
        ("raise InputError('no such thing')", "no such thing"),
        ("raise StorageError('no such thing')", "no such thing"),
        ("raise OSError('the process is the user\\'s to mend')", "OSError: the process is the user's to mend"),
    ],
)
def test_what_cannot_pass_is_not_tried_again(one_tile, pauses, line, reason):
    project = one_tile(line)

    with pytest.raises(RunFailed) as caught:
        project.run(retries=5)

    assert reason in str(caught.value)
    assert (calls(project), pauses) == (1, [])


@pytest.mark.parametrize("kind", ["InputError", "StorageError"])
def test_what_may_pass_is_tried_again_after_pauses_that_double(one_tile, pauses, kind):
    project = one_tile(f"raise {kind}('no answer', passing=True)")

    with pytest.raises(RunFailed, match="no answer"):
        project.run(retries=4)

    assert calls(project) == 5
    shares = [pause / (worker.FIRST_PAUSE_S * 2**turn) for turn, pause in enumerate(pauses)]
    assert len(shares) == 4
    assert all(0.5 <= share <= 1.5 for share in shares)
    assert len(set(shares)) == 4


def test_a_fault_that_passed_leaves_no_trace(one_tile, pauses):
    project = one_tile("return image.read() if seen == 2 else (_ for _ in ()).throw(InputError('no', passing=True))")

    made, _ = project.run(retries=2)

    assert (len(made), calls(project), len(pauses)) == (1, 3, 2)


def test_a_file_that_cannot_be_read_now_may_be_read_later(one_tile):
    project = one_tile("return image.read()")
    pipeline = project.pipeline()
    whole = (project.folder / "image.tif").read_bytes()
    (project.folder / "image.tif").write_bytes(whole[: len(whole) - 100])

    with pytest.raises(InputError) as caught:
        pipeline.stages[0].inputs["image"].read(pipeline.pyramid.grid(Tile(0, 0, 0)))

    assert caught.value.passing


@pytest.mark.parametrize(
    ("number", "passing"),
    [(errno.EIO, True), (errno.ESTALE, True), (errno.ETIMEDOUT, True), (errno.ENOSPC, False), (errno.EROFS, False)],
)
def test_a_storage_says_which_faults_may_pass(tmp_path, monkeypatch, number, passing):
    def fail(*_):
        raise OSError(number, "no")

    monkeypatch.setattr(LocalStorage, "_write", staticmethod(fail))

    with pytest.raises(StorageError, match="cannot be written: no") as caught:
        LocalStorage(str(tmp_path)).put("a", b"")

    assert caught.value.passing is passing


@pytest.mark.parametrize("kind", [InputError, StorageError])
def test_workers_may_send_faults_home(kind):
    sent = pickle.loads(pickle.dumps(kind("no answer", passing=True)))

    assert (type(sent), str(sent), sent.passing) == (kind, "no answer", True)
