"""`make hub`, in a copy of what it needs: it does its job, and however it is ended, nothing of it stays."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

ROOT = Path(__file__).parent.parent.parent
FILES = ("Makefile", "deploy/sample.py", "docs/demo.py")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Sample:
    """A `make hub` of our own."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        for name in FILES:
            os.makedirs((folder / name).parent, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        self.made, self.seen = None, set()

    @property
    def words(self):
        return (self.folder / "words").read_text()

    def start(self, *more):
        # What is installed already is not installed again.
        venv = [f"--old-file={sys.prefix}/.hub", f"VENV={sys.prefix}", f"BIN={os.path.dirname(sys.executable)}"]
        paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        with open(self.folder / "words", "wb") as words:
            self.made = subprocess.Popen(
                ["make", "hub", *venv, f"PORT={self.port}", *more],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": paths, "MAKEFLAGS": "", "MFLAGS": ""},
                stdout=words,
                stderr=words,
            )
        return self

    def until(self, condition, within_s=60):
        ends = time.monotonic() + within_s
        while not (found := condition()):
            assert time.monotonic() < ends, self.words
            self.look()
            time.sleep(0.05)
        return found

    def look(self):
        """Remember what runs below `make`."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self.seen |= set(psutil.Process(self.made.pid).children(recursive=True))
        return self.seen

    def one(self, *words):
        """The process whose command has all of the words."""
        for process in self.look():
            try:
                if set(words) <= set(process.cmdline()):
                    return process
            except psutil.NoSuchProcess:
                continue
        return None

    def alive(self):
        return [process for process in self.seen if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]

    def is_free(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) != 0

    def close(self):
        if self.made is not None:
            self.look()
            self.made.kill()
            self.made.wait()
        for process in self.alive():
            process.kill()


@pytest.fixture
def sample(tmp_path):
    sample = Sample(tmp_path)
    yield sample
    sample.close()


@pytest.mark.slow
def test_it_does_its_job_tells_what_can_be_done_and_leaves_nothing(sample):
    sample.start("ONCE=1")
    sample.until(lambda: sample.made.poll() is not None)

    lines = dict(line.split(maxsplit=1) for line in sample.words.splitlines() if line)
    assert sample.made.returncode == 0, sample.words
    assert lines["job"].startswith(f"successful  http://127.0.0.1:{sample.port}/jobs/")
    assert lines["pages"] == f"http://127.0.0.1:{sample.port}"
    command = lines["shell"].split()[0]
    assert os.access(sample.folder / command, os.X_OK), command
    assert "INFO" not in sample.words
    assert len(sample.seen) >= 3
    assert sample.alive() == []
    assert sample.is_free()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "whom"),
    [
        (signal.SIGTERM, "make"),
        (signal.SIGKILL, "make"),
        (signal.SIGINT, "sample"),
        (signal.SIGHUP, "sample"),
        (signal.SIGKILL, "sample"),
        (signal.SIGKILL, "hub"),
    ],
)
def test_ended_by_its_id_in_the_middle_nothing_of_it_stays(sample, number, whom):
    sample.start()
    sample.until(lambda: sample.one("tilepipe_hub", "work"))
    found = {"make": sample.made.pid, "sample": sample.one("deploy/sample.py").pid}
    found["hub"] = sample.one("tilepipe_hub", "serve").pid

    os.kill(found[whom], number)

    sample.until(lambda: sample.made.poll() is not None, within_s=15)
    sample.until(lambda: not sample.alive(), within_s=15)
    assert sample.made.returncode != 0
    assert sample.is_free()


@pytest.mark.slow
def test_it_stays_with_its_job_done_until_it_is_told_to_end(sample):
    sample.start()
    sample.until(lambda: "it stays until Ctrl-C" in sample.words)
    answer = httpx.get(f"http://127.0.0.1:{sample.port}/jobs", trust_env=False).json()

    os.kill(sample.one("deploy/sample.py").pid, signal.SIGTERM)

    assert [job["status"] for job in answer["jobs"]] == ["successful"]
    assert sample.made.wait(timeout=15) == 0
    sample.until(lambda: not sample.alive(), within_s=15)


@pytest.mark.slow
def test_another_program_at_its_port_is_told_and_left_alone(sample):
    with socket.create_server(("127.0.0.1", sample.port)) as other:
        other.settimeout(0.1)
        sample.start("ONCE=1")
        sample.until(lambda: sample.made.poll() is not None)

        with pytest.raises(TimeoutError, match="timed out"):
            other.accept()
    assert sample.made.returncode == 2
    assert f"error: port {sample.port} of 127.0.0.1 is taken by another program" in sample.words
    assert "successful" not in sample.words
    assert not (sample.folder / "out").exists()
