"""Clusters are opened, sized, renewed and closed, and nothing of them stays."""

import asyncio
import io
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress

import psutil
import pytest

from executors.servers import HERE, alive, end, free_port, pid_of, running_scheduler, until
from tilepipe.errors import ClusterError, RecipeError
from tilepipe.executors import cluster as module
from tilepipe.executors.cluster import ClusterSpec, connected


def pids(cluster):
    return set(cluster.client.run(os.getpid).values())


def ended(processes, *, timeout_s=10):
    return until(lambda: not any(alive(pid) for pid in processes), timeout_s=timeout_s)


def listening(pid):
    return {item.laddr.ip for item in psutil.Process(pid).net_connections("tcp") if item.status == "LISTEN"}


@pytest.mark.slow
def test_a_local_cluster_has_processes_of_one_thread(opened):
    cluster = opened({"workers": 2})
    cluster.client.wait_for_workers(2)

    assert len(pids(cluster) - {os.getpid()}) == 2
    assert set(cluster.client.nthreads().values()) == {1}
    assert (cluster.owned, cluster.threads_max) == (True, 2)


@pytest.mark.slow
def test_a_local_cluster_listens_on_loopback_only(opened):
    cluster = opened({"workers": 1})
    cluster.client.wait_for_workers(1)

    for pid in [os.getpid(), *pids(cluster)]:
        assert listening(pid) == {"127.0.0.1"}


@pytest.mark.slow
def test_memory_is_shared_among_the_local_workers(opened):
    cluster = opened({"workers": {"min": 1, "max": 2}})
    cluster.client.wait_for_workers(1)

    (limit,) = {facts["memory_limit"] for facts in cluster.client.scheduler_info()["workers"].values()}

    assert limit == cluster.memory_limit
    assert limit <= psutil.virtual_memory().total // 2


@pytest.mark.slow
def test_no_more_workers_are_asked_for_than_there_are_calls(opened):
    cluster = opened({"kind": "executors.servers.Unmanned", "workers": 2})

    cluster.size(1)

    assert until(lambda: len(cluster.client.nthreads()) == 1)
    cluster.size(50)
    assert until(lambda: len(cluster.client.nthreads()) == 2)


@pytest.mark.slow
def test_workers_of_this_machine_that_have_been_started_stay(opened):
    cluster = opened({"workers": 2})
    assert until(lambda: len(cluster.client.nthreads()) == 2)

    cluster.size(1)

    assert not until(lambda: len(cluster.client.nthreads()) == 1, timeout_s=1)


@pytest.mark.slow
def test_workers_come_when_there_is_work(opened):
    cluster = opened({"workers": {"min": 0, "max": 2}})
    assert cluster.threads_max == 2
    cluster.size(8)

    futures = [cluster.client.submit(time.sleep, 0.3, pure=False) for _ in range(8)]

    assert [future.result(timeout=30) for future in futures] == [None] * 8


@pytest.mark.slow
def test_closing_ends_workers_that_are_busy(opened):
    cluster = opened({"workers": 2})
    cluster.client.wait_for_workers(2)
    processes = pids(cluster)
    futures = [cluster.client.submit(time.sleep, 60, pure=False) for _ in range(4)]
    until(lambda: sum(map(len, cluster.client.processing().values())) >= 2)

    began = time.monotonic()
    cluster.close()
    cluster.close()

    assert time.monotonic() - began < 3
    assert ended(processes, timeout_s=1)
    del futures


@pytest.mark.slow
def test_closing_while_workers_start_leaves_none(opened):
    before = set(psutil.Process().children(recursive=True))

    opened({"workers": 2}).close()

    assert until(lambda: not [one for one in working() if one not in before])


def working():
    return [item for item in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(names(item))]


def names(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.slow
def test_a_local_cluster_that_is_gone_is_started_anew(opened):
    cluster = opened({"workers": 2})
    cluster.size(50)
    cluster._deployed.close()

    cluster.renew()

    cluster.client.wait_for_workers(2, timeout=20)
    assert cluster.client.submit(pid_of, 1).result() in pids(cluster)


@pytest.mark.slow
def test_the_settings_of_dask_stay_as_they_were(opened):
    import dask

    before = dask.config.get("distributed.worker")

    opened({"workers": 1}).close()

    assert dask.config.get("distributed.worker") == before


@pytest.fixture
def terminal():
    """What a terminal shows of Dask's log."""
    channel = logging.StreamHandler(io.StringIO())
    logging.getLogger("distributed").addHandler(channel)
    yield channel.stream
    logging.getLogger("distributed").removeHandler(channel)


@pytest.mark.slow
def test_what_dask_says_is_kept_and_not_shown(opened, terminal):
    cluster = opened({"workers": 1})

    logging.getLogger("distributed.nanny").error("chatter")
    cluster.close()

    logging.getLogger("distributed.nanny").error("heard again")
    assert cluster.heard() == "chatter"
    assert terminal.getvalue() == "heard again\n"


@pytest.mark.slow
def test_a_scheduler_that_is_there_is_used_and_left(shared_scheduler, opened):
    cluster = opened(shared_scheduler.address)

    assert cluster.client.submit(pid_of, 1).result() != os.getpid()
    assert (cluster.owned, cluster.threads_max) == (False, 2)
    cluster.size(100)
    cluster.close()
    shared_scheduler.wait_for(2)


@pytest.mark.slow
def test_a_scheduler_that_comes_back_is_used_again(scheduler, opened):
    cluster = opened(scheduler.address)
    assert cluster.client.submit(pid_of, 1).result()
    scheduler.restart()
    scheduler.add_worker()

    cluster.renew()

    assert cluster.client.submit(pid_of, 2).result(timeout=30)


async def stumble(client):
    """As where an event comes along with the greeting when it connects again: it expects one message, and breaks."""

    async def heard_two():
        raise AssertionError

    client._handle_report_task.cancel()
    client._handle_report_task = asyncio.ensure_future(heard_two())


@pytest.mark.slow
def test_a_client_that_stumbles_when_it_connects_again_is_replaced(scheduler, opened):
    cluster = opened(scheduler.address)
    client = cluster.client
    client.sync(stumble, client)

    cluster.renew()

    assert client.status == "closed"
    assert cluster.client.submit(pid_of, 3).result(timeout=30)


# A client that is closed while it looks for its scheduler forgets a socket now and then.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
def test_a_scheduler_that_stays_away_is_told_in_time(scheduler, opened, monkeypatch):
    monkeypatch.setattr(module, "RENEW_S", 2.0)
    cluster = opened(scheduler.address)
    end(scheduler.process)

    with pytest.raises(ClusterError, match=rf"no scheduler answers at {scheduler.address} within 2 s"):
        cluster.renew()

    began = time.monotonic()
    cluster.close()
    assert time.monotonic() - began < 3


def test_a_wrong_address_is_told_in_time(opened, monkeypatch):
    monkeypatch.setattr(module, "OPEN_S", 0.5)

    with pytest.raises(ClusterError, match=r"no scheduler answers at .* within .* see whether it runs"):
        opened(f"tcp://127.0.0.1:{free_port()}")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"memory_limt": "1GB"}, "LocalCluster takes no such keyword; did you mean 'memory_limit'"),
        ({"kind": "slurm", "quue": "main", "workers": 1}, "SLURMCluster takes no such keyword; did you mean 'queue'"),
        ({"kind": "slurm", "cores": 1}, "slurm cluster starts without workers"),
        ({"kind": "no_such_package.Cluster"}, "needs what is not installed"),
        ({"kind": "distributed.NoSuchCluster"}, "distributed has no class 'NoSuchCluster'"),
        ({"kind": "collections.OrderedDict", "n": 3}, "starts no Dask cluster"),
        (
            {"kind": "kubernetes", "workers": 1},
            r"needs what is not installed: .*pip install -e '\.\[kubernetes\]' in a checkout",
        ),
    ],
)
def test_what_a_class_does_not_take_is_named_before_anything_starts(opened, document, message, tmp_path, monkeypatch):
    (tmp_path / "sbatch").write_text("#!/bin/sh\n")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    # Its parts, too: what is loaded already is found without looking for the whole.
    for name in [name for name in sys.modules if name.startswith("dask_kubernetes.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "dask_kubernetes", None)
    monkeypatch.delitem(sys.modules, "tilepipe.executors.kubernetes", raising=False)

    with pytest.raises(RecipeError, match=message):
        opened(document)


def test_a_queue_that_is_not_here_is_told(opened, monkeypatch):
    monkeypatch.setenv("PATH", "")

    with pytest.raises(ClusterError, match="there is no sbatch on this machine"):
        opened({"kind": "slurm", "cores": 1, "memory": "1GB", "workers": 1})


QUEUED = {
    "kind": "dask_jobqueue.local.LocalCluster",
    "cores": 1,
    "processes": 1,
    "memory": "1GiB",
    "interface": "lo",
    "scheduler_options": {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"},
    "worker_extra_args": ["--dashboard-address", "127.0.0.1:0"],
    "workers": 2,
}


# That class is for tests and leaves its processes to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
def test_a_class_by_its_name_is_opened_sized_and_closed(opened):
    cluster = opened(QUEUED)
    cluster.size(10)
    cluster.client.wait_for_workers(2, timeout=30)
    processes = pids(cluster)

    assert cluster.threads_max == 2
    cluster.close()
    assert ended(processes)


CLIENT = """
import sys, time, json
sys.path.insert(0, {here!r})
from tilepipe.executors.cluster import cluster_spec, open_cluster
import os
if __name__ == "__main__":
    cluster = open_cluster(cluster_spec(json.loads(sys.argv[1])))
    cluster.size(10)
    cluster.client.wait_for_workers(2, timeout=60)
    futures = [cluster.client.submit(time.sleep, 600, pure=False) for _ in range(2)]
    print(*set(cluster.client.run(os.getpid).values()), flush=True)
    {then}
    time.sleep(600)
"""


def client(tmp_path, document, *, then="pass"):
    """A script that has opened a cluster with two busy workers; and their process ids."""
    import json

    (tmp_path / "client.py").write_text(CLIENT.format(here=HERE, then=then))
    script = subprocess.Popen(
        [sys.executable, str(tmp_path / "client.py"), json.dumps(document)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    return script, [int(pid) for pid in script.stdout.readline().split()]


@pytest.mark.slow
def test_local_workers_end_when_the_client_is_killed(tmp_path):
    script, processes = client(tmp_path, {"workers": 2})
    assert len(processes) == 2

    script.kill()
    script.communicate()

    assert ended(processes, timeout_s=15)


@pytest.mark.slow
@pytest.mark.parametrize("way", [signal.SIGINT, "raise SystemExit(3)", "raise KeyError(3)"])
def test_local_workers_end_when_the_client_does(tmp_path, way):
    script, processes = client(tmp_path, {"workers": 2}, then="pass" if way is signal.SIGINT else way)
    if way is signal.SIGINT:
        script.send_signal(way)

    script.communicate(timeout=20)

    assert len(processes) == 2
    assert ended(processes, timeout_s=15)


def test_the_default_is_this_machine():
    assert ClusterSpec().kind == "local"


# Dask may leave what was broken for the garbage collector to close.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
def test_a_scheduler_that_breaks_connections_at_first_is_asked_again(tmp_path):
    with running_scheduler(tmp_path, workers=0) as scheduler, breaking(scheduler.port, times=3) as (port, broken):
        client = connected(f"tcp://127.0.0.1:{port}", timeout_s=20)
        client.close()

    assert len(broken) == 3


@contextmanager
def breaking(port, *, times):
    """A port that breaks its first connections and passes on the others, and those it broke."""
    broken = []

    async def passed_on(reader, writer):
        if len(broken) < times:
            broken.append(writer)
            # Not an end but a reset.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.close()
            return
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copied(reader, back), copied(there, writer))

    async def copied(source, target):
        with suppress(OSError):
            while part := await source.read(1 << 16):
                target.write(part)
                await target.drain()
        target.close()

    async def serve():
        async with await asyncio.start_server(passed_on, "127.0.0.1", 0) as server:
            found.append(server.sockets[0].getsockname()[1])
            await asyncio.to_thread(over.wait)

    found, over = [], threading.Event()
    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    try:
        assert until(lambda: found)
        yield found[0], broken
    finally:
        over.set()
        thread.join()
