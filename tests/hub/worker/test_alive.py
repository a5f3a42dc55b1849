"""When a worker says that it lives, and when it does not."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import psutil
import pytest

from hub.worker.workplace import Workplace
from tilepipe_hub.errors import SettingsError
from tilepipe_hub.running.alive import Alive

SILENT_S = 3.0
"""Longer than a worker that goes on would be."""


def age(path):
    os.utime(path, (0, 0))


def is_young(path):
    return path.exists() and path.stat().st_mtime > 0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "alive"


@pytest.fixture
def hire(path):
    """Starts a worker, and waits until its loop has turned."""

    def start(place, **worker):
        hired = place.hire("--alive-file", str(path), worker=worker)
        place.until(lambda: "waits for jobs" in place.told())
        return hired

    return start


@pytest.fixture
def goes_on(path):
    """Waits for the next sign of life."""

    def check(place, within_s=20.0):
        age(path)
        place.until(lambda: is_young(path), within_s)

    return check


@pytest.fixture
def falls_silent(path):
    def check():
        # A turn that had begun may still end.
        time.sleep(0.2)
        age(path)
        time.sleep(SILENT_S)
        return not is_young(path)

    return check


@pytest.fixture
def mongo(tmp_path, own_mongod):
    place = Workplace(tmp_path, f"{own_mongod.url}/away")
    yield place
    own_mongod.thaw()
    place.close()


def test_a_file_is_made_and_what_stands_in_it_stays(path):
    alive = Alive(str(path))
    alive.begin()
    path.write_text("kept")
    age(path)

    alive.tell()

    assert is_young(path)
    assert path.read_text() == "kept"


def test_a_file_that_cannot_be_touched_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"nosuch/alive: cannot be touched: No such file or directory; name a file"):
        Alive(str(tmp_path / "nosuch" / "alive")).begin()
    with pytest.raises(SettingsError, match="is a folder; name a file in it"):
        Alive(str(tmp_path)).begin()


def test_a_file_that_cannot_be_touched_any_more_is_told_once_and_ends_nothing(tmp_path, caplog):
    folder = tmp_path / "folder"
    folder.mkdir()
    alive = Alive(str(folder / "alive"))
    alive.begin()
    (folder / "alive").unlink()
    folder.rmdir()

    alive.tell()
    alive.tell()
    folder.mkdir()
    alive.tell()

    assert len(caplog.records) == 1
    assert "the worker lives, but cannot say so" in caplog.text
    assert (folder / "alive").exists()


def test_a_worker_without_a_place_for_it_does_not_start(tmp_path):
    command = [sys.executable, "-m", "tilepipe_hub", "work", "--alive-file", "nosuch/alive"]

    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert refused.returncode == 2
    assert refused.stderr.startswith("error: --alive-file nosuch/alive: cannot be touched")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_worker_that_seldom_looks_for_jobs_says_that_it_lives(local, hire, goes_on):
    hire(local, poll_s=600)

    goes_on(local)
    goes_on(local)


@pytest.mark.slow
def test_a_worker_with_a_job_says_that_it_lives(local, hire, goes_on):
    hire(local)
    job = local.submit(pause=30)
    local.until(lambda: local.begun(job))

    goes_on(local)

    assert local.store.get(job).status == "running"


@pytest.mark.slow
def test_a_worker_that_drains_says_that_it_lives(local, hire, goes_on):
    worker = hire(local, drain_s=30)
    job = local.submit(pause=1, tiles=(2, 2))
    local.until(lambda: local.begun(job))

    worker.terminate()
    local.until(lambda: "takes no more jobs and waits for 1" in local.told())
    goes_on(local)
    goes_on(local)

    assert local.store.get(job).status == "running"
    assert worker.wait(timeout=20) == 0
    assert local.store.get(job).status == "successful"


@pytest.mark.slow
def test_a_worker_whose_store_is_held_by_another_says_that_it_lives(local, hire, goes_on):
    hire(local)
    with closing(sqlite3.connect(local.folder / "jobs.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        local.until(lambda: "database is locked" in local.told())

        goes_on(local)
        goes_on(local)


@pytest.mark.slow
@pytest.mark.mongodb
@pytest.mark.parametrize("away", ["kill", "freeze"])
def test_a_worker_whose_store_is_away_says_that_it_lives(mongo, own_mongod, hire, goes_on, away):
    hire(mongo, concurrency=2)
    job = mongo.submit(pause=30)
    mongo.until(lambda: mongo.begun(job))

    getattr(own_mongod, away)()
    mongo.until(lambda: "has not answered" in mongo.told(), within_s=40)
    goes_on(mongo, within_s=40)

    if away == "kill":
        own_mongod.start()


@pytest.mark.slow
def test_a_worker_that_is_stopped_says_nothing(local, hire, goes_on, falls_silent):
    worker = hire(local)

    worker.send_signal(signal.SIGSTOP)

    assert falls_silent()
    worker.send_signal(signal.SIGCONT)
    goes_on(local)


@pytest.mark.slow
def test_a_worker_whose_loop_hangs_says_nothing_although_its_job_goes_on(local, hire, goes_on, falls_silent):
    worker = hire(local, concurrency=2)
    (spawner,) = local.until(
        lambda: [each for each in psutil.Process(worker.pid).children() if "tilepipe_hub.runner" in each.cmdline()]
    )
    local.until(spawner.children)
    goes_on(local)

    # The loop waits for the process of the next job, which nobody starts.
    spawner.suspend()
    job = local.submit(pause=0.2, tiles=(8, 8))
    local.until(lambda: local.begun(job))
    before = len(local.begun(job))

    assert falls_silent()
    assert len(local.begun(job)) > before
    spawner.resume()
    goes_on(local)
