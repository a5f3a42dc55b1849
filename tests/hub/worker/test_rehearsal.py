"""What the process of a job does before it has one."""

import os
import subprocess
import sys

import pytest

from tilepipe_hub.running import rehearsal

THREADS = """
import os
from tilepipe_hub.running import rehearsal
before = len(os.listdir("/proc/self/task"))
rehearsal.rehearse(os.getcwd())
print(len(os.listdir("/proc/self/task")) - before, os.listdir())
"""


def test_a_rehearsal_makes_a_tile_and_leaves_nothing(tmp_path, monkeypatch):
    heard = []
    real = rehearsal.execution

    def execution(order, *, told):
        for message in real(order, told=told):
            heard.append(message)
            yield message

    monkeypatch.setattr(rehearsal, "execution", execution)

    rehearsal.rehearse(str(tmp_path))

    assert (heard[-1]["status"], heard[-1]["message"]) == ("successful", "tiles: 1 written")
    assert os.listdir(tmp_path) == []


def test_a_rehearsal_that_fails_says_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(rehearsal.PROFILE, "crs", "EPSG:1")

    rehearsal.rehearse(str(tmp_path))

    assert capfd.readouterr() == ("", "")
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_rehearsal_starts_no_thread_that_would_stay_unguarded(tmp_path):
    said = subprocess.run([sys.executable, "-c", THREADS], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert (said.stdout.split(maxsplit=1), said.stderr) == (["0", "[]\n"], "")
