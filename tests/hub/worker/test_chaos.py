"""Workers, the server and the store are killed, paused and drained at random, and no job notices.

`TILEPIPE_CHAOS=20,200,120` sets the workers, the jobs and the seconds of it.
"""

import os
import random
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from hub.worker.receiver import FENCE
from hub.worker.visitors import OWNERS, Server, Visitor, inputs_of
from hub.worker.workplace import Workplace
from tilepipe_hub.errors import StoreError
from tilepipe_hub.store.protocol import Query

pytestmark = [pytest.mark.slow, pytest.mark.mongodb, pytest.mark.timeout(900)]

WORKERS, JOBS, SECONDS = (int(text) for text in os.environ.get("TILEPIPE_CHAOS", "4,24,20").split(","))
WORKER = {"lease_s": 3, "beat_s": 1, "poll_s": 0.2, "max_attempts": 10_000, "drain_s": 1}
TILES = (4, 4)


class Watch(threading.Thread):
    """Looks at all jobs again and again, and keeps what should not have been seen."""

    def __init__(self, store):
        super().__init__(daemon=True)
        self.store = store
        self.seen = {}
        self.wrong = []
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.wait(0.2):
            try:
                page = self.store.find(Query(limit=1000))
            except StoreError:
                continue
            for job in page.jobs:
                before = self.seen.get(job.id, job)
                if before.progress.done > job.progress.done or before.progress.percent > job.progress.percent:
                    self.wrong.append(f"progress of {job.id} went back: {before.progress} -> {job.progress}")
                if before.number > job.number or (
                    before.ended and (before.status, before.finished) != (job.status, job.finished)
                ):
                    self.wrong.append(f"{job.id} moved after its end: {before} -> {job}")
                self.seen[job.id] = job


class Chaos:
    def __init__(self, place, *, mongod, server, seed):
        self.place = place
        self.mongod = mongod
        self.server = server
        self.dice = random.Random(seed)
        self.deeds = Counter()
        self.paused = []
        self.away_from = self.server_from = time.monotonic() + 5

    def go_on(self, seconds):
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            time.sleep(self.dice.uniform(0.2, 1.0))
            self.deed()
        for _, worker in self.paused:
            worker.send_signal(signal.SIGCONT)

    def deed(self):
        now = time.monotonic()
        for moment, worker in list(self.paused):
            if now > moment:
                worker.send_signal(signal.SIGCONT)
                self.paused.remove((moment, worker))
        paused = [worker for _, worker in self.paused]
        living = [worker for worker in self.place.workers if worker.poll() is None and worker not in paused]
        chance = self.dice.random()
        if chance < 0.1:
            self.dice.choice(living).terminate()
            self.place.hire(worker=WORKER)
            self.deeds["drain"] += 1
        elif chance < 0.6:
            victim = self.dice.choice(living)
            victim.kill()
            victim.wait()
            self.place.hire(worker=WORKER)
            self.deeds["kill"] += 1
        elif chance < 0.72:
            victim = self.dice.choice(living)
            victim.send_signal(signal.SIGSTOP)
            self.paused.append((now + self.dice.uniform(1, 6), victim))
            self.deeds["pause"] += 1
        elif chance < 0.88 and now > self.server_from:
            self.server.kill()
            time.sleep(self.dice.uniform(0, 2))
            self.server.start()
            # Killed while it starts, now and then, but up for most of the time.
            self.server_from = time.monotonic() + self.dice.uniform(1, 8)
            self.deeds["server"] += 1
        elif now > self.away_from:
            self.mongod.kill()
            time.sleep(self.dice.uniform(0.2, 4))
            self.mongod.start()
            self.away_from = time.monotonic() + 8
            self.deeds["store"] += 1


def attempts(marks):
    """When the first and the last note of each group of processes was left."""
    times = defaultdict(list)
    for _, group, moment, *_ in marks:
        times[group].append(float(moment))
    return sorted((min(found), max(found)) for found in times.values())


def visitors_of(server, place, subscriber, seed):
    """Three owners who post JOBS jobs between them, most of them early."""
    recipes = [place.recipe(zoom=5, tiles=TILES, job=f"key {number}", pause=0.08) for number in range(JOBS)]
    bodies = {f"key {number}": inputs_of(recipe) for number, recipe in enumerate(recipes)}
    shares = [dict(list(bodies.items())[start :: len(OWNERS)]) for start in range(len(OWNERS))]
    return [
        Visitor(server, owner, bodies=share, subscriber=subscriber, within_s=SECONDS * 0.6, seed=seed + number)
        for number, (owner, share) in enumerate(zip(OWNERS, shares, strict=True))
    ]


def heard(receiver):
    """How often each job's end was taken note of."""
    return Counter(call.headers["X-Tilepipe-Job"] for call in receiver.calls if call.answer == 200)


def test_whatever_is_killed_every_job_ends_once_and_right_and_is_told_of(tmp_path, own_mongod, receiver):
    place = Workplace(tmp_path, f"{own_mongod.url}/chaos")
    place.settings |= {"fence": FENCE, "callbacks": {"timeout_s": 1, "attempts": 100}}
    seed = int(os.environ.get("TILEPIPE_CHAOS_SEED", time.time()))
    receiver.hears_at_once = False
    watch = Watch(place.store)
    server = Server(place)
    visitors = []
    try:
        expected = place.expected(zoom=5, tiles=TILES)
        server.start()
        for _ in range(WORKERS):
            place.hire(worker=WORKER)
        visitors = visitors_of(server, place, receiver.subscriber, seed)
        for thread in (watch, *visitors):
            thread.start()
        chaos = Chaos(place, mongod=own_mongod, server=server, seed=seed)
        began = time.monotonic()
        chaos.go_on(SECONDS)
        done = place.store.counts()["successful"]
        place.until(lambda: all(visitor.is_done for visitor in visitors), within_s=300)
        place.until(lambda: len(heard(receiver)) == JOBS, within_s=300)
        took = time.monotonic() - began
        for thread in (watch, *visitors):
            thread.stopping.set()
            thread.join()

        jobs = {key: job for visitor in visitors for key, job in visitor.jobs.items()}
        ended = {key: place.store.get(job) for key, job in jobs.items()}
        told = dict(sorted(Counter(heard(receiver).values()).items()))
        claims = dict(sorted(Counter(job.number for job in ended.values()).items()))
        requests = sum((visitor.deeds for visitor in visitors), Counter())
        # For `pytest -rP`.
        sys.stdout.write(
            f"seed {seed}: {dict(chaos.deeds)}; {done} of {JOBS} jobs in {SECONDS} s, all in {took:.0f} s; "
            f"jobs by claims: {claims}, by times told of: {told}; requests: {dict(requests)}\n"
        )
        assert watch.wrong == []
        assert [fault for visitor in visitors for fault in visitor.wrong] == []
        assert heard(receiver).keys() == set(jobs.values())
        assert {call.path for call in receiver.calls} == {"/successUri"}
        assert len(set(jobs.values())) == sum(place.store.counts().values()) == JOBS
        for key, job in ended.items():
            assert place.tiles(place.outputs / job.id) == expected, f"seed {seed}, job {job.id}"
            runs = attempts(place.marks(key))
            assert all(one[1] < two[0] for one, two in pairwise(runs)), f"seed {seed}: {runs}"
            taken = [int(line.split()[1][:-1]) for line in place.log(job.id) if "takes the job" in line]
            assert taken == sorted(set(taken)), f"seed {seed}, job {job.id}"
            assert taken[-1] <= job.number
    finally:
        for thread in (watch, *visitors):
            thread.stopping.set()
        server.close()
        place.close()
