"""Many workers in several processes: no job is lost, and none is run twice at once."""

import random
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from tilepipe_hub.errors import LeaseLost
from tilepipe_hub.job import Job, Progress
from tilepipe_hub.store import open_store

JOBS, PROCESSES, THREADS = 200, 4, 5


def work(store, seed, *, faint):
    """Claim and end jobs until none is left; now and then faint, sleep over the lease, and come back.

    Returns:
        The claims that were had, and the jobs that were ended.
    """
    chance, lease_s = random.Random(seed), 0.5 if faint else 100
    had, ended = [], []
    while sum(store.counts()[status] for status in ("accepted", "running")):
        job = store.claim(f"worker {seed}", lease_s=lease_s)
        if job is None:
            time.sleep(0.02)
            continue
        had.append((job.id, job.number))
        if faint and chance.random() < 0.1:
            time.sleep(0.6)
        try:
            store.beat(job.id, number=job.number, lease_s=lease_s, progress=Progress(percent=chance.randrange(101)))
            store.move(job.id, "successful", expect=["running"], number=job.number)
        except LeaseLost:
            continue
        ended.append(job.id)
    return had, ended


def work_in_threads(url, process, faint):
    with open_store(url, patience_s=30) as store, ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda thread: work(store, process * THREADS + thread, faint=faint), range(THREADS)))


@pytest.mark.slow
@pytest.mark.parametrize("faint", [False, True], ids=["steady", "faint"])
def test_twenty_workers_run_each_of_two_hundred_jobs_once(store_url, faint):
    with open_store(store_url, patience_s=30) as store:
        names = [store.add(Job(id=f"job-{number}", process="p", owner="abc"[number % 3])).id for number in range(JOBS)]

        with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
            futures = [pool.submit(work_in_threads, store_url, process, faint) for process in range(PROCESSES)]
            results = [result for future in futures for result in future.result()]

        claims = Counter(claim for had, _ in results for claim in had)
        ends = Counter(name for _, ended in results for name in ended)
        assert ends == Counter(names)
        assert max(claims.values()) == 1
        for name in names:
            job = store.get(name)
            assert job.status == "successful"
            assert {(name, number + 1) for number in range(job.number)} == {
                claim for claim in claims if claim[0] == name
            }
            assert job.attempts == job.number - 1
        if not faint:
            assert len(claims) == JOBS
