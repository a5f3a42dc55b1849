"""Whatever is asked of a store in whatever order, it behaves like a dictionary."""

from collections import Counter
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from tilepipe_hub.errors import LeaseLost, MoveRefused, NoSuchJob
from tilepipe_hub.job import ENDED, STATUSES, Job, Progress, Request
from tilepipe_hub.store import Query, open_store

ORDER = count(1)


def targets(status, number):
    """Where a job may be sent, by a worker or by somebody else."""
    if status == "accepted":
        return {"failed", "dismissed"}
    if status == "running":
        return {"dismissed"} if number is None else {"accepted", "successful", "failed", "dismissed"}
    return set()


class Machine(RuleBasedStateMachine):
    """Needs a `store`, which it leaves empty."""

    store = None
    jobs = Bundle("jobs")

    def __init__(self):
        super().__init__()
        self.model = {}
        self.keys = {}

    @rule(
        target=jobs,
        owner=st.sampled_from("abc"),
        key=st.sampled_from([None, None, "k"]),
        links=st.sets(st.sampled_from(["successUri", "failedUri"])),
    )
    def add(self, owner, key, links):
        order = next(ORDER)
        request = Request(subscriber=dict.fromkeys(links, "https://example.org"))
        job = self.store.add(Job(id=f"{order:06}", process="p", owner=owner, key=key, request=request))
        known = self.keys.get((owner, key)) if key else None
        if known:
            assert job.id == known
            return known
        if key:
            self.keys[owner, key] = job.id
        self.model[job.id] = {
            "status": "accepted", "owner": owner, "number": 0, "attempts": 0, "percent": 0, "silent": False,
            "created": job.created, "key": key, "links": links, "due": False, "tries": 0,
        }  # fmt: skip
        return job.id

    @rule(lease_s=st.sampled_from([1000.0, -1.0]))
    def claim(self, lease_s):
        silent = {name for name, job in self.model.items() if job["silent"]}
        waiting = {name: job for name, job in self.model.items() if job["status"] == "accepted"}
        running = Counter(job["owner"] for job in self.model.values() if job["status"] == "running")

        job = self.store.claim("worker", lease_s=lease_s)

        if silent:
            assert job.id in silent
        elif waiting:
            fewest = min(running[other["owner"]] for other in waiting.values())
            due = [other for other in waiting.values() if running[other["owner"]] == fewest]
            assert running[waiting[job.id]["owner"]] == fewest
            assert waiting[job.id]["created"] == min(other["created"] for other in due)
        else:
            assert job is None
            return
        own = self.model[job.id]
        own["attempts"] += own["status"] == "running"
        own["number"] += 1
        own["status"] = "running"
        own["silent"] = lease_s < 0

    @rule(name=jobs, number=st.integers(0, 3), lease_s=st.sampled_from([1000.0, -1.0]), percent=st.integers(0, 100))
    def beat(self, name, number, lease_s, percent):
        own = self.model.get(name)

        signal = self.store.beat(name, number=number, lease_s=lease_s, progress=Progress(percent=percent))

        if own and own["status"] == "running" and own["number"] == number:
            assert signal == "continue"
            own["percent"] = max(own["percent"], percent)
            own["silent"] = lease_s < 0
        else:
            stop = own and own["status"] == "dismissed" and own["number"] == number
            assert signal == ("stop" if stop else "lost")

    @rule(
        name=jobs,
        to=st.sampled_from(STATUSES),
        expect=st.lists(st.sampled_from(STATUSES), unique=True),
        number=st.one_of(st.none(), st.integers(0, 3)),
    )
    def move(self, name, to, expect, number):
        own = self.model.get(name)
        error = None
        if own is None:
            error = NoSuchJob
        elif number not in {None, own["number"]}:
            error = LeaseLost
        elif own["status"] not in expect or to not in targets(own["status"], number):
            error = MoveRefused

        if error:
            with pytest.raises(error, match=name):
                self.store.move(name, to, expect=expect, number=number)
            return
        self.store.move(name, to, expect=expect, number=number)

        own["status"] = to
        own["silent"] = False
        if to == "successful":
            own["percent"] = 100
        if to in ENDED:
            own["due"] = ("successUri" if to == "successful" else "failedUri") in own["links"]

    @rule(lease_s=st.sampled_from([1000.0, -1.0]))
    def take_call(self, lease_s):
        due = {name for name, job in self.model.items() if job["due"]}

        call = self.store.take_call(lease_s=lease_s)

        assert (call is not None) == bool(due)
        if call:
            own = self.model[call.job.id]
            own["tries"] += 1
            assert call.job.id in due
            assert (call.tries, call.job.status) == (own["tries"], own["status"])
            own["due"], own["taken"] = lease_s < 0, True

    @rule(name=jobs, tries=st.integers(1, 3), after_s=st.sampled_from([1000.0, -1.0]))
    def retry_call(self, name, tries, after_s):
        own = self.model.get(name)

        self.store.retry_call(name, tries=tries, after_s=after_s)

        if own and own.get("taken") and own["tries"] == tries:
            own["due"] = after_s < 0

    @rule(name=jobs)
    def end_call(self, name):
        self.store.end_call(name)

        if name in self.model:
            self.model[name].update(due=False, taken=False)

    @rule(name=consumes(jobs))
    def remove(self, name):
        own = self.model.get(name)
        ended = own is not None and own["status"] in ENDED

        assert self.store.remove(name) == ended
        if ended:
            self.model.pop(name)
            self.keys.pop((own["owner"], own["key"]), None)

    @rule(statuses=st.lists(st.sampled_from(STATUSES), unique=True, max_size=3))
    def find(self, statuses):
        found = [job.id for job in self.store.find(Query(statuses=statuses, limit=1000)).jobs]

        wanted = {name: job for name, job in self.model.items() if not statuses or job["status"] in statuses}
        assert found == sorted(wanted, key=lambda name: (wanted[name]["created"], name), reverse=True)

    @invariant()
    def same(self):
        counts = Counter(job["status"] for job in self.model.values())
        assert self.store.counts() == {status: counts[status] for status in STATUSES}
        for name, own in self.model.items():
            job = self.store.get(name)
            assert (job.status, job.number, job.attempts, job.progress.percent) == (
                own["status"], own["number"], own["attempts"], own["percent"],
            )  # fmt: skip

    def teardown(self):
        for job in self.store.find(Query(limit=1000)).jobs:
            if job.status not in ENDED:
                self.store.move(job.id, "dismissed", expect=STATUSES)
            assert self.store.remove(job.id)


@pytest.mark.slow
def test_a_store_behaves_like_a_dictionary(store_url):
    with open_store(store_url, patience_s=10) as store:
        run_state_machine_as_test(
            type("Bound", (Machine,), {"store": store}),
            settings=settings(max_examples=20, stateful_step_count=25, suppress_health_check=list(HealthCheck)),
        )
