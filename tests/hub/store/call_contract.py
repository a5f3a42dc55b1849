"""What every store promises of the ends that are still to be told; a plug-in inherits the tests."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hub.store.store_contract import new
from tilepipe_hub.errors import LeaseLost
from tilepipe_hub.job import End, Request

CALLED = Request(subscriber={"successUri": "https://example.org/ok", "failedUri": "https://example.org/no"})


def running(store, **values):
    store.add(new(**values))
    return store.claim("worker", lease_s=100)


def called(store):
    """A job whose end is to be told."""
    return store.move(store.add(new(request=CALLED)).id, "dismissed", expect=["accepted"])


class CallContract:
    """Needs a fixture `open_it`: a function that opens a store, empty at first."""

    @pytest.fixture
    def store(self, open_it):
        with open_it() as store:
            yield store

    def test_the_end_that_was_subscribed_to_is_to_be_told(self, store):
        job = running(store, request=CALLED)

        assert store.take_call(lease_s=100) is None
        ended = store.move(job.id, "successful", expect=["running"], number=1, end=End(results={"a": 1}))

        assert store.take_call(lease_s=100) == (ended, 1)

    def test_a_job_that_is_given_back_has_nothing_to_tell(self, store):
        job = running(store, request=CALLED)

        store.move(job.id, "accepted", expect=["running"], number=1)

        assert store.take_call(lease_s=100) is None

    @pytest.mark.parametrize("status", ["failed", "dismissed"])
    def test_a_job_that_never_ran_may_have_an_end_to_tell(self, store, status):
        job = store.add(new(request=CALLED))

        store.move(job.id, status, expect=["accepted"])

        assert store.take_call(lease_s=100).job.id == job.id

    @pytest.mark.parametrize(
        "subscriber", [None, {}, {"inProgressUri": "https://e.org"}, {"failedUri": "https://e.org"}]
    )
    def test_an_end_that_nobody_subscribed_to_is_told_to_nobody(self, store, subscriber):
        job = running(store, request=Request(subscriber=subscriber))

        store.move(job.id, "successful", expect=["running"], number=1)

        assert store.take_call(lease_s=100) is None

    def test_a_refused_end_is_not_told(self, store):
        job = running(store, request=CALLED)

        with pytest.raises(LeaseLost, match="lease 7"):
            store.move(job.id, "failed", expect=["running"], number=7)

        assert store.take_call(lease_s=100) is None

    def test_a_call_is_given_to_one_and_to_another_when_its_time_is_over(self, store):
        job = called(store)

        assert store.take_call(lease_s=0.1).tries == 1
        assert store.take_call(lease_s=100) is None
        time.sleep(0.15)

        assert store.take_call(lease_s=100) == (job, 2)

    def test_of_many_who_ask_at_once_each_call_goes_to_one(self, store):
        jobs = {called(store).id for _ in range(5)}

        with ThreadPoolExecutor(8) as pool:
            calls = list(pool.map(lambda _: store.take_call(lease_s=100), range(24)))

        assert sorted(call.job.id for call in calls if call) == sorted(jobs)

    def test_the_call_that_is_due_longest_comes_first(self, store):
        first = called(store)
        time.sleep(0.002)
        second = called(store)
        store.take_call(lease_s=100)
        time.sleep(0.002)
        store.retry_call(first.id, tries=1, after_s=0)

        assert [store.take_call(lease_s=100).job.id for _ in range(2)] == [second.id, first.id]

    def test_a_call_is_made_again_when_it_is_said_to_be(self, store):
        job = called(store)
        store.take_call(lease_s=100)

        store.retry_call(job.id, tries=1, after_s=0.1)

        assert store.take_call(lease_s=100) is None
        time.sleep(0.15)
        assert store.take_call(lease_s=100) == (job, 2)

    def test_a_call_that_another_took_since_is_not_put_off(self, store):
        job = called(store)
        store.take_call(lease_s=-1)
        store.take_call(lease_s=-1)

        store.retry_call(job.id, tries=1, after_s=100)

        assert store.take_call(lease_s=100).tries == 3

    def test_a_call_that_was_heard_is_not_made_again(self, store):
        job = called(store)
        store.take_call(lease_s=-1)

        store.end_call(job.id)
        store.end_call(job.id)
        store.retry_call(job.id, tries=1, after_s=0)

        assert store.take_call(lease_s=100) is None
        assert store.get(job.id) == job

    def test_of_a_job_that_is_gone_nothing_is_told(self, store):
        job = called(store)
        store.remove(job.id)

        store.retry_call(job.id, tries=0, after_s=0)
        store.end_call(job.id)

        assert store.take_call(lease_s=100) is None
        assert store.add(new(id=job.id)).status == "accepted"

    def test_calls_survive_the_store_being_closed(self, open_it):
        with open_it() as store:
            job = called(store)
            store.take_call(lease_s=0)
            store.close()

        with open_it() as store:
            assert store.take_call(lease_s=100) == (job, 2)
