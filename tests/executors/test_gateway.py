"""Clusters of a real Dask Gateway server: its limits, its words, and nothing left there."""

import subprocess
import sys

import pytest

from executors.servers import HERE, free_port, until
from tilepipe.errors import ClusterError, RecipeError

pytestmark = [pytest.mark.gateway, pytest.mark.slow]


@pytest.fixture
def opened(opened, gateway):
    """Opens clusters of it, as it says by itself but for what a test changes."""
    return lambda **changes: opened({**gateway.spec, **changes})


def gone(gateway, *, timeout_s=20):
    return until(lambda: gateway.clusters() == [], timeout_s=timeout_s)


def test_a_cluster_is_started_sized_used_and_ended(gateway, opened):
    cluster = opened(options={"worker_cores": 1})
    cluster.size(10)

    assert cluster.client.submit(sum, [1, 2]).result(timeout=60) == 3
    assert (cluster.owned, cluster.threads_max) == (True, 2)
    assert len(gateway.clusters()) == 1
    cluster.close()
    assert gone(gateway)


def test_a_cluster_grows_with_the_work(gateway, opened):
    cluster = opened(workers={"min": 0, "max": 2})
    cluster.size(1)

    assert cluster.client.submit(sum, [1, 2]).result(timeout=60) == 3
    assert len(cluster.client.nthreads()) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"worker_cores": 4}, "worker_cores must be <= 2"),
        ({"worker_cpus": 1}, "No option 'worker_cpus' available; it has: environment, worker_cores, worker_memory"),
        ({"worker_memory": "much"}, "worker_memory must be"),
    ],
)
def test_options_are_refused_in_the_servers_words_before_anything_starts(gateway, opened, options, words):
    with pytest.raises(RecipeError, match=f"the gateway refuses: .*{words}"):
        opened(options=options)

    assert gateway.clusters() == []


def test_a_cluster_ended_behind_our_back_is_started_anew(gateway, opened):
    cluster = opened()
    cluster.size(10)
    cluster.client.wait_for_workers(1, timeout=60)
    (name,) = gateway.clusters()
    gateway.ask(lambda client: client.stop_cluster(name))
    assert until(lambda: cluster.client.status != "running")

    cluster.renew()

    assert cluster.client.submit(sum, [1, 2]).result(timeout=60) == 3
    cluster.close()
    assert gone(gateway)


SCRIPT = """
import sys, time, json
sys.path.insert(0, {here!r})
from tilepipe.executors.cluster import cluster_spec, open_cluster
if __name__ == "__main__":
    cluster = open_cluster(cluster_spec(json.loads(sys.argv[1])))
    cluster.size(1)
    future = cluster.client.submit(time.sleep, 600)
    print("open", flush=True)
    {then}
"""


@pytest.mark.parametrize("way", ["time.sleep(600)", "raise KeyError(3)"])
def test_a_cluster_ends_after_its_client_is_killed_or_fails(gateway, tmp_path, way):
    import json

    (tmp_path / "client.py").write_text(SCRIPT.format(here=HERE, then=way))
    script = subprocess.Popen(
        [sys.executable, str(tmp_path / "client.py"), json.dumps(gateway.spec)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert script.stdout.readline() == "open\n"

    if way.startswith("time"):
        script.kill()
    script.communicate(timeout=30)

    assert gone(gateway, timeout_s=60)


def test_a_gateway_that_is_not_there_is_told(gateway, opened):
    with pytest.raises(ClusterError, match="no gateway answers at"):
        opened(address=f"http://127.0.0.1:{free_port()}")


def test_a_gateway_that_does_not_know_us_is_told(gateway, opened):
    with pytest.raises(ClusterError, match=r"refuses: who you are is not known there \(401\)"):
        opened(auth="none")
