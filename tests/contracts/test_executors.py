"""What every executor must do; a plug-in's author adds it to EXECUTORS and runs this."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from contracts.calls import count_up, end_worker, multiply, nap, pid_of, refuse
from executors.servers import running_scheduler
from tilepipe.errors import WorkerLost
from tilepipe.executors.dask import Dask
from tilepipe.executors.inline import Inline
from tilepipe.executors.pool import Processes, Threads

EXECUTORS = {"sequential": Inline, "threads": Threads, "processes": Processes}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with running_scheduler(tmp_path_factory.mktemp("farm")) as cluster:
        yield cluster


@pytest.fixture(params=[*sorted(EXECUTORS), pytest.param("dask", marks=pytest.mark.slow)])
def executor(request):
    if request.param == "dask":
        made = Dask(cluster=request.getfixturevalue("cluster").address)
    else:
        made = EXECUTORS[request.param](2)
    with made as executor:
        yield executor


@pytest.fixture
def processes():
    with Processes(2) as executor:
        yield executor


def all_of(executor, futures):
    pending, results = set(futures), []
    while pending:
        done = executor.wait(pending)
        assert done <= pending
        results.extend(future.result() for future in done)
        pending -= done
    return results


def test_calls_get_the_shared_value_and_the_item(executor):
    executor.share(7, calls=20)

    assert sorted(all_of(executor, [executor.submit(multiply, item) for item in range(20)])) == list(range(0, 140, 7))


def test_what_a_call_raises_comes_to_the_caller(executor):
    executor.share(None, calls=20)

    with pytest.raises(KeyError, match="nonsense"):
        all_of(executor, [executor.submit(refuse, "nonsense")])


def test_an_executor_works_after_a_call_raised(executor):
    executor.share(2, calls=20)
    with pytest.raises(KeyError):
        all_of(executor, [executor.submit(refuse, 1)])

    assert all_of(executor, [executor.submit(multiply, 4)]) == [8]


def test_the_shared_value_lives_on_in_its_worker(executor):
    executor.share([], calls=20)

    counts = all_of(executor, [executor.submit(count_up, item) for item in range(12)])

    assert max(counts) >= 6


def test_there_are_at_least_as_many_slots_as_workers(executor):
    assert 1 <= executor.workers <= executor.slots


def test_any_number_of_calls_may_wait(executor):
    executor.share(1, calls=500)

    assert sorted(all_of(executor, [executor.submit(multiply, item) for item in range(500)])) == list(range(500))


def test_leaving_does_not_wait_for_calls_that_wait(executor):
    started = time.monotonic()
    executor.share(None, calls=4)
    if executor.slots > 1:
        for _ in range(20):
            executor.submit(nap, 1)
    executor.__exit__(None, None, None)

    assert time.monotonic() - started < 6


def test_work_is_spread_over_the_processes(processes):
    processes.share(None, calls=20)

    pids = set(all_of(processes, [processes.submit(pid_of, None) for _ in range(8)]))

    assert len(pids) == 2
    assert os.getpid() not in pids


def test_a_worker_that_ends_is_named_as_lost_and_replaced(processes):
    processes.share(3, calls=20)
    lost = processes.submit(end_worker, None)
    fine = processes.submit(multiply, 2)

    with pytest.raises(WorkerLost, match="killed, out of memory, or crashed"):
        lost.result()

    assert fine.result() == 6
    assert all_of(processes, [processes.submit(multiply, 4) for _ in range(4)]) == [12] * 4


def test_a_killed_worker_costs_only_its_own_call(processes):
    processes.share(None, calls=20)
    pids = {future.result() for future in [processes.submit(pid_of, None) for _ in range(2)]}
    naps = [processes.submit(nap, 0.6) for _ in range(2)]
    time.sleep(0.2)
    os.kill(pids.pop(), signal.SIGKILL)

    failed = [isinstance(future.exception(), WorkerLost) for future in naps]

    assert sorted(failed) == [False, True]


def test_leaving_ends_what_runs():
    started = time.monotonic()
    with Processes(2) as executor:
        executor.share(None, calls=20)
        pids = {future.result() for future in [executor.submit(pid_of, None) for _ in range(2)]}
        executor.submit(nap, 60)

    assert time.monotonic() - started < 20
    assert not any(alive(pid) for pid in pids)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as facts:
            return facts.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


ORPHANS = """
import os, sys, time
from tilepipe.executors.pool import Processes
sys.path.insert(0, sys.argv[1])
from contracts.calls import nap, pid_of
if __name__ == "__main__":
    executor = Processes(2)
    executor.share(None, calls=20)
    print(*{future.result() for future in [executor.submit(pid_of, None) for _ in range(2)]}, flush=True)
    futures = [executor.submit(nap, 60) for _ in range(2)]
    time.sleep(60)
"""


def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    parent = subprocess.Popen(
        [sys.executable, script, os.path.dirname(os.path.dirname(__file__))], stdout=subprocess.PIPE, text=True
    )
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert all(alive(pid) for pid in pids)

    parent.kill()
    parent.communicate()

    limit = time.monotonic() + 10
    while any(alive(pid) for pid in pids) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in pids)


def test_threads_share_one_process():
    with Threads(2) as executor:
        executor.share(None, calls=20)

        assert {future.result() for future in [executor.submit(pid_of, None) for _ in range(4)]} == {os.getpid()}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tilepipe")]
