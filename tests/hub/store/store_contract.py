"""What every store of jobs promises; a plug-in inherits the tests and says what is tested."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count

import pytest

from tilepipe_hub.errors import LeaseLost, MoveRefused, NoSuchJob, QuotaReached
from tilepipe_hub.job import STATUSES, End, Job, Progress, Request
from tilepipe_hub.store import Query

ODD = "ünï $set {$ne: 1} 'quote\" \\ \n瓦片; DROP TABLE jobs"
NUMBERS = count(1)


def new(**values):
    return Job(**{"id": f"job-{next(NUMBERS)}", "process": "hillshade", "owner": "ann", **values})


def ids(page):
    return [job.id for job in page.jobs]


class StoreContract:
    """Needs a fixture `open_it`: a function that opens a store, empty at first, with `keep_s` or without."""

    @pytest.fixture
    def store(self, open_it):
        with open_it() as store:
            yield store

    def running(self, store, **values):
        job = store.add(new(**values))
        claimed = store.claim("worker", lease_s=100)
        assert claimed.id == job.id
        return claimed

    def test_what_is_added_comes_back_with_all_its_values(self, store):
        request = Request(
            inputs={"$where": [1, 2**70, None, 1.5, {"a.b": "$x"}], "lone": "\ud800"},
            outputs={"out": {"transmissionMode": "value"}},
            response="document",
            subscriber={"successUri": "https://example.org/ok"},
        )
        job = new(request=request, title=ODD, labels=("alps", ODD), key="k", continues="job-0", message=ODD)

        kept = store.add(job)

        assert replace(kept, created=0.0, updated=0.0) == job
        assert store.get(job.id) == kept
        assert kept.created == kept.updated == pytest.approx(time.time(), abs=60)

    def test_text_that_cannot_be_encoded_does_no_harm(self, store):
        kept = store.add(new(title="half \ud800", labels=("\udfff",)))
        store.log(kept.id, ["half \ud800"])

        assert kept.title == "half ?"
        assert store.get(kept.id) == kept
        assert store.logs(kept.id)[0].text == "half ?"

    def test_the_same_idempotency_key_of_the_same_owner_is_the_same_job(self, store):
        first = store.add(new(key="once"))

        again = store.add(new(key="once"))
        other = store.add(new(key="once", owner="bob"))

        assert again == first
        assert other.owner == "bob"
        assert sum(store.counts().values()) == 2

    def test_adding_a_job_again_leaves_it_as_it_is(self, store):
        job = self.running(store)

        again = store.add(replace(job, status="accepted"))

        assert again == job

    def test_one_key_used_by_many_at_once_is_one_job(self, store):
        with ThreadPoolExecutor(16) as pool:
            added = list(pool.map(lambda _: store.add(new(key="once")).id, range(32)))

        assert len(set(added)) == 1

    def test_a_job_is_found_by_its_key_among_any_number_of_younger_ones(self, store):
        job = store.add(new(key="once", request=Request(inputs={"x": 1})))
        for _ in range(110):
            store.add(new())
        store.add(new(owner="bob", key="other"))

        assert store.keyed("ann", "once") == job
        assert store.keyed("bob", "once") is store.keyed("ann", "other") is None
        store.move(job.id, "dismissed", expect=["accepted"])
        store.remove(job.id)
        assert store.keyed("ann", "once") is None

    def test_an_owner_has_at_most_so_many_jobs_that_wait_or_run(self, store):
        first, second = store.add(new(key="once"), most=2), store.add(new(), most=2)

        with pytest.raises(QuotaReached, match="2 of your jobs wait or run, which is the most"):
            store.add(new(), most=2)

        assert store.add(new(key="once"), most=2) == first
        assert store.add(replace(second), most=2) == second
        assert store.add(new(owner="bob"), most=2).owner == "bob"
        assert store.counts("ann")["accepted"] == 2

    def test_a_job_that_ended_makes_place_for_another(self, store):
        waiting, running = store.add(new(), most=2), store.add(new(), most=2)
        store.claim("worker", lease_s=100)
        store.move(waiting.id, "accepted", expect=["running"], number=1)

        with pytest.raises(QuotaReached, match="2 of your jobs"):
            store.add(new(), most=2)
        store.move(running.id, "dismissed", expect=["accepted"])

        assert store.add(new(), most=2).status == "accepted"
        with pytest.raises(QuotaReached, match="2 of your jobs"):
            store.add(new(), most=2)

    @pytest.mark.parametrize("before", [0, 5])
    def test_however_many_are_added_at_once_there_are_never_more_than_the_quota(self, store, before):
        for _ in range(before):
            store.add(new())

        def add(_):
            try:
                return store.add(new(), most=7).id
            except QuotaReached:
                return None

        with ThreadPoolExecutor(16) as pool:
            added = [name for name in pool.map(add, range(48)) if name]

        assert len(set(added)) == 7 - before
        assert store.counts("ann")["accepted"] == 7

    def test_an_unknown_job_is_an_error(self, store):
        with pytest.raises(NoSuchJob, match="there is no job 'nix'"):
            store.get("nix")
        with pytest.raises(NoSuchJob, match="nix"):
            store.move("nix", "dismissed", expect=STATUSES)
        with pytest.raises(NoSuchJob, match="nix"):
            store.log("nix", ["line"])

    def test_jobs_are_claimed_in_the_order_they_came(self, store):
        added = []
        for _ in range(3):
            added.append(store.add(new()).id)
            time.sleep(0.002)

        claimed = [store.claim("worker", lease_s=100).id for _ in range(3)]

        assert claimed == added
        assert store.claim("worker", lease_s=100) is None

    def test_an_owner_with_few_running_jobs_comes_before_one_with_many(self, store):
        for owner in ("ann", "ann", "ann", "bob"):
            store.add(new(owner=owner))
            time.sleep(0.002)

        owners = [store.claim("worker", lease_s=100).owner for _ in range(4)]

        assert owners == ["ann", "bob", "ann", "ann"]

    def test_a_claimed_job_tells_who_has_it_and_until_when(self, store):
        job = self.running(store)

        assert (job.status, job.lease.worker, job.number, job.attempts) == ("running", "worker", 1, 0)
        assert job.started == job.updated
        assert job.lease.until == pytest.approx(job.started + 100)
        assert store.get(job.id) == job

    def test_a_silent_worker_loses_its_job_and_is_counted(self, store):
        job = self.running(store)
        assert job.lost is None
        store.beat(job.id, number=1, lease_s=-1)

        taken = store.claim("other", lease_s=100)

        assert (taken.id, taken.number, taken.attempts, taken.lease.worker) == (job.id, 2, 1, "other")
        assert taken.started == job.started
        assert (taken.lost.worker, taken.lost.number) == ("worker", 1)
        assert taken.lost.until == pytest.approx(taken.updated - 1, abs=1)
        assert store.claim("third", lease_s=100) is None
        store.move(job.id, "accepted", expect=["running"], number=2)
        assert store.claim("third", lease_s=100).lost is None

    def test_a_lease_that_runs_out_by_time_can_be_claimed(self, store):
        store.add(new())
        store.claim("worker", lease_s=0.05)

        time.sleep(0.1)

        assert store.claim("other", lease_s=100).number == 2

    def test_a_worker_that_lost_its_job_can_neither_beat_nor_end_it(self, store):
        job = self.running(store)
        store.beat(job.id, number=1, lease_s=-1)
        store.claim("other", lease_s=100)

        signal = store.beat(job.id, number=1, lease_s=1000, progress=Progress(percent=99))

        assert signal == "lost"
        for to in ("successful", "failed", "accepted"):
            with pytest.raises(LeaseLost, match="lease 1, the job is at lease 2"):
                store.move(job.id, to, expect=["running"], number=1)
        assert store.get(job.id).progress.percent == 0

    def test_a_late_worker_whose_job_nobody_took_may_go_on(self, store):
        job = self.running(store)
        store.beat(job.id, number=1, lease_s=-1)

        assert store.beat(job.id, number=1, lease_s=100) == "continue"
        assert store.claim("other", lease_s=100) is None

    def test_the_worker_of_a_dismissed_job_is_told_to_stop(self, store):
        job = self.running(store)

        dismissed = store.move(job.id, "dismissed", expect=["accepted", "running"])

        assert dismissed.finished == dismissed.updated
        assert store.beat(job.id, number=1, lease_s=100) == "stop"
        with pytest.raises(MoveRefused, match="dismissed, not running"):
            store.move(job.id, "successful", expect=["running"], number=1)

    def test_the_worker_of_a_removed_job_has_lost_it(self, store):
        job = self.running(store)
        store.move(job.id, "dismissed", expect=["running"])
        store.remove(job.id)

        assert store.beat(job.id, number=1, lease_s=100) == "lost"

    def test_a_job_given_back_waits_again_without_blame(self, store):
        job = self.running(store)

        back = store.move(job.id, "accepted", expect=["running"], number=1)
        taken = store.claim("other", lease_s=100)

        assert (back.status, back.finished, back.started) == ("accepted", None, job.started)
        assert (taken.number, taken.attempts, taken.started) == (2, 0, job.started)
        assert store.beat(job.id, number=1, lease_s=100) == "lost"

    def test_progress_never_goes_back(self, store):
        job = self.running(store)
        store.beat(job.id, number=1, lease_s=100, progress=Progress(percent=50, done=5, total=10), message=ODD)

        store.beat(job.id, number=1, lease_s=100, progress=Progress(percent=1, total=12, failed=2, rate=0.5, eta_s=3.0))
        store.beat(job.id, number=1, lease_s=100)

        told = store.get(job.id)
        assert told.progress == Progress(percent=50, done=5, total=12, failed=2, rate=0.5, eta_s=3.0)
        assert told.message == ODD

    def test_a_silent_sign_of_life_is_no_update(self, store):
        job = self.running(store)

        time.sleep(0.01)
        store.beat(job.id, number=1, lease_s=200)

        told = store.get(job.id)
        assert told.updated == job.updated
        assert told.lease.until > job.lease.until

    def test_a_successful_job_has_its_results_and_all_its_progress(self, store):
        job = self.running(store)
        end = End(message="$done", results={"item": {"href": "$x"}, "$y": 2**70})

        ended = store.move(job.id, "successful", expect=["running"], number=1, end=end)

        assert ended == store.get(job.id)
        assert (ended.message, ended.results, ended.progress.percent) == ("$done", end.results, 100)
        assert ended.finished >= ended.started

    def test_the_end_may_tell_the_last_progress_too(self, store):
        job, other = self.running(store), self.running(store)
        store.beat(other.id, number=1, lease_s=100, progress=Progress(percent=50, done=6, total=9))
        end = End(progress=Progress(percent=40, done=4, total=12, failed=3, rate=0.5, eta_s=3.0))

        done = store.move(job.id, "successful", expect=["running"], number=1, end=end)
        failed = store.move(other.id, "failed", expect=["running"], number=1, end=end)

        assert done.progress == Progress(percent=100, done=4, total=12, failed=3, rate=0.5, eta_s=None)
        assert failed.progress == Progress(percent=50, done=6, total=12, failed=3, rate=0.5, eta_s=None)
        assert (store.get(job.id), store.get(other.id)) == (done, failed)

    @pytest.mark.parametrize("to", ["accepted", "dismissed"])
    def test_what_does_not_run_has_no_time_to_go(self, store, to):
        job = self.running(store)
        told = Progress(percent=50, done=6, total=9, rate=0.5, eta_s=6.0)
        store.beat(job.id, number=1, lease_s=100, progress=told)

        after = store.move(job.id, to, expect=["running"], number=1)

        assert after.progress == replace(told, eta_s=None)
        assert store.get(job.id) == after

    def test_a_failed_job_has_its_problem_and_may_have_results(self, store):
        job = self.running(store)
        end = End(message="no", problem={"type": "x", "$detail": ODD}, results={})

        ended = store.move(job.id, "failed", expect=["running"], number=1, end=end)

        assert (ended.problem, ended.results, ended.progress.percent) == (end.problem, {}, 0)

    def test_a_job_that_ended_goes_nowhere(self, store):
        job = store.add(new())
        store.move(job.id, "dismissed", expect=["accepted"])

        for to in STATUSES:
            with pytest.raises(MoveRefused, match=r"cannot become|not accepted"):
                store.move(job.id, to, expect=STATUSES if to != "accepted" else ["accepted"])
        assert store.claim("worker", lease_s=100) is None

    def test_who_dismisses_at_the_same_time_wins_once(self, store):
        job = store.add(new())

        def dismiss(_):
            try:
                return store.move(job.id, "dismissed", expect=["accepted", "running"]).status
            except MoveRefused:
                return None

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(dismiss, range(16))).count("dismissed") == 1

    def test_log_lines_are_numbered_without_gaps(self, store):
        job = store.add(new())
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda part: store.log(job.id, [f"{part} {line}" for line in range(3)]), range(20)))

        lines = store.logs(job.id)

        assert [line.number for line in lines] == list(range(1, 61))
        assert sorted(line.text for line in lines) == sorted(
            f"{part} {line}" for part in range(20) for line in range(3)
        )
        assert lines[0].time == pytest.approx(time.time(), abs=60)

    def test_a_log_is_read_on_from_any_line(self, store):
        job = store.add(new())
        store.log(job.id, [str(number) for number in range(1, 1201)])
        store.log(job.id, [])

        assert [line.text for line in store.logs(job.id, after=498, limit=5)] == ["499", "500", "501", "502", "503"]
        assert store.logs(job.id, after=1200) == ()
        assert store.logs("nix") == ()

    def test_counts_name_every_status(self, store):
        self.running(store, owner="bob")
        store.add(new())
        store.add(new())

        assert store.counts() == {"accepted": 2, "running": 1, "successful": 0, "failed": 0, "dismissed": 0}
        assert store.counts("bob") == {"accepted": 0, "running": 1, "successful": 0, "failed": 0, "dismissed": 0}

    def test_only_ended_jobs_can_be_removed(self, store):
        job = self.running(store, title="gone")
        store.log(job.id, ["line"])

        assert not store.remove(job.id)
        store.move(job.id, "failed", expect=["running"], number=1)
        assert store.remove(job.id)

        assert not store.remove(job.id)
        assert store.logs(job.id) == ()
        assert ids(store.find(Query(text="gone"))) == []

    def test_ended_jobs_expire_and_others_do_not(self, open_it):
        with open_it(keep_s=0.05) as store:
            waiting, ended = store.add(new()), store.add(new())
            store.log(ended.id, ["line"])
            store.move(ended.id, "dismissed", expect=["accepted"])
            assert store.get(ended.id).expires == pytest.approx(store.get(ended.id).finished + 0.05)

            time.sleep(0.1)

            assert store.expire() == (ended.id,)
            assert store.expire() == ()
            assert ids(store.find(Query())) == [waiting.id]
            assert store.logs(ended.id) == ()

    def test_without_a_time_to_keep_jobs_nothing_expires(self, store):
        job = store.add(new())
        store.move(job.id, "dismissed", expect=["accepted"])

        assert store.get(job.id).expires is None
        assert store.expire() == ()

    def test_jobs_survive_the_store_being_closed(self, open_it):
        with open_it() as store:
            job = store.add(new(title="kept"))
            store.close()

        with open_it() as store:
            assert store.get(job.id) == job
