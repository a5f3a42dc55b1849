"""Clusters whose workers are jobs of a real queue."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from executors.projects import TILES, Project, ended
from executors.servers import HERE, until
from tilepipe.executors.cluster import cluster_spec, open_cluster
from tilepipe.executors.dask import Dask

pytestmark = pytest.mark.slow

SPEC = {
    "cores": 1,
    "processes": 1,
    "memory": "1GiB",
    "interface": "lo",
    "scheduler_options": {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"},
    "worker_extra_args": ["--dashboard-address", "127.0.0.1:0"],
    "death_timeout": 10,
    "workers": 2,
}


@pytest.fixture
def spec(queue, monkeypatch, tmp_path):
    """What stands under `cluster`; jobs leave their logs in the folder of the test."""
    for name, value in queue.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return {**SPEC, "kind": queue.kind, "queue": queue.name, "log_directory": str(tmp_path)}


@pytest.fixture
def cluster(spec):
    cluster = open_cluster(cluster_spec(spec))
    yield cluster
    cluster.close()


def test_workers_are_jobs_that_end_with_the_cluster(queue, cluster):
    cluster.size(10)
    cluster.client.wait_for_workers(2, timeout=60)

    assert cluster.client.submit(sum, [1, 2]).result(timeout=30) == 3
    assert (len(queue.jobs()), cluster.threads_max) == (2, 2)
    futures = [cluster.client.submit(time.sleep, 600, pure=False) for _ in range(2)]
    began = time.monotonic()
    cluster.close()
    assert time.monotonic() - began < 5
    assert until(lambda: queue.jobs() == [])
    del futures


def test_a_job_that_ends_has_another_in_its_place(queue, cluster):
    cluster.size(10)
    cluster.client.wait_for_workers(2, timeout=60)
    first = set(queue.jobs())

    queue.cancel(min(first))

    assert until(lambda: len(queue.jobs()) == 2 and set(queue.jobs()) != first, timeout_s=60)


def test_what_the_queue_refuses_is_heard(queue, spec):
    cluster = open_cluster(cluster_spec({**spec, "queue": "nowhere"}))
    try:
        cluster.size(10)

        assert until(lambda: queue.refusal in cluster.heard(), timeout_s=20), cluster.heard()
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The tiles of a run in sequence."""
    return Project(tmp_path_factory.mktemp("sequence")).reference()


SCRIPT = """
import sys, time, json
sys.path.insert(0, {here!r})
from tilepipe.executors.cluster import cluster_spec, open_cluster
from tilepipe.executors.dask import Dask
if __name__ == "__main__":
    cluster = open_cluster(cluster_spec(json.loads(sys.argv[1])))
    cluster.size(10)
    cluster.client.wait_for_workers(2, timeout=60)
    futures = [cluster.client.submit(time.sleep, 600, pure=False) for _ in range(2)]
    print("open", flush=True)
    time.sleep(600)
"""


def test_jobs_end_when_the_client_is_killed(queue, spec, tmp_path):
    (tmp_path / "client.py").write_text(SCRIPT.format(here=HERE))
    script = subprocess.Popen(
        [sys.executable, str(tmp_path / "client.py"), json.dumps(spec)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=dict(os.environ),
    )
    assert script.stdout.readline() == "open\n"

    script.kill()
    script.communicate()

    assert until(lambda: queue.jobs() == [], timeout_s=60)


def test_the_bytes_are_those_of_a_run_in_sequence(queue, spec, reference, tmp_path):
    project = Project(tmp_path, seconds=0.0)

    for _ in project.outcomes(Dask(cluster=spec)):
        pass

    assert project.tiles() == reference
    assert until(lambda: queue.jobs() == [])


def test_a_job_that_is_cancelled_costs_what_it_ran(queue, spec, reference, tmp_path):
    project = Project(tmp_path, seconds=0.03)
    outcomes = project.outcomes(Dask(cluster=spec))

    for number, _ in enumerate(outcomes):
        if number == 3:
            queue.cancel(min(queue.jobs()))

    assert project.tiles() == reference
    assert project.calls() <= TILES + 2 * 16


def test_an_interrupt_ends_the_run_and_its_jobs(queue, spec, tmp_path):
    project = Project(tmp_path, seconds=1.0)
    project.document["cluster"] = spec
    process = project.command()
    project.await_calls(2)

    process.send_signal(signal.SIGINT)

    ended(process, code=130)
    assert until(lambda: queue.jobs() == [], timeout_s=60)


def test_a_run_that_fails_leaves_no_job(queue, spec, tmp_path):
    project = Project(tmp_path, raises=[5, 3, 3])
    project.document["cluster"] = spec

    process = project.command()

    ended(process, code=1)
    assert until(lambda: queue.jobs() == [])
