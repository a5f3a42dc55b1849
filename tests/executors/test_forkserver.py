"""Worker processes come from a server that has imported what they need."""

import os
import subprocess
import sys

import dask
import psutil
import pytest
from click.shell_completion import BashComplete

from tilepipe.cli.main import cli
from tilepipe.executors import forkserver
from tilepipe.executors.dask import Dask

pytestmark = pytest.mark.slow

THREADS = """
import os

from tilepipe.executors.pool import Processes


def threads(shared, name):
    return os.environ.get(name)


if __name__ == "__main__":
    with Processes(1) as executor:
        executor.share(None, calls=1)
        future = executor.submit(threads, "OMP_NUM_THREADS")
        executor.wait([future])
        print(future.result(), os.environ.get("OMP_NUM_THREADS"))
"""


@pytest.mark.parametrize(
    ("given", "said"), [({}, "1 None"), ({"OMP_NUM_THREADS": "3"}, "3 3")], ids=["by itself", "as the user says"]
)
def test_linear_algebra_takes_one_thread_in_each_process(tmp_path, given, said):
    script = tmp_path / "threads.py"
    script.write_text(THREADS)
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}

    ended = subprocess.run(
        [sys.executable, script], env=environment | given, capture_output=True, text=True, check=False
    )

    assert (ended.stdout.strip(), ended.stderr) == (said, "")


def parent(shared, item):
    return psutil.Process().parent().cmdline()


def test_workers_of_a_local_cluster_are_forked():
    method = dask.config.get("distributed.worker.multiprocessing-method")
    with Dask(1) as executor:
        executor.share(None, calls=1)
        future = executor.submit(parent, None)
        executor.wait([future])

        assert "multiprocessing.forkserver" in " ".join(future.result())

    assert dask.config.get("distributed.worker.multiprocessing-method") == method


def test_dask_that_is_not_installed_is_told_of(tmp_path):
    (tmp_path / "recipe.yaml").write_text(
        "process: nothing.py\npyramid: {grid: WebMercatorQuad}\nzooms: 1\noutput: {path: out, dtype: uint8}\n"
    )
    program = "import sys; sys.modules['distributed'] = None; from tilepipe.cli.main import main; main(sys.argv[1:])"

    ended = subprocess.run(
        [sys.executable, "-c", program, "execute", str(tmp_path / "recipe.yaml"), "-e", "dask"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 2
    assert "executor 'dask' (tilepipe.executors.dask:Dask of tilepipe" in ended.stderr
    assert "cannot be imported: import of distributed halted" in ended.stderr
    assert "pip install 'tilepipe[dask]'" in ended.stderr


def test_completing_a_command_starts_nothing(monkeypatch):
    started = []
    monkeypatch.setattr(forkserver, "start", started.append)

    offered = BashComplete(cli, {}, "tilepipe", "_TILEPIPE_COMPLETE").get_completions(["execute", "-e", "dask"], "--w")

    assert [item.value for item in offered] == ["--workers"]
    assert started == []
