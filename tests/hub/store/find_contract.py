"""What every store promises of its lists."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.store.store_contract import ids, new
from tilepipe_hub.job import STATUSES, Request, words_of
from tilepipe_hub.store import Query

OWNERS = ["ann", "bob"]
PROCESSES = ["hillshade", "slope", "contours"]
WORDS = ["alps", "2024", "Ünï", "dem"]


def queries():
    def of(values):
        return st.lists(st.sampled_from(values), max_size=2, unique=True)

    moment = st.one_of(st.none(), st.floats(-0.05, 0.3))
    length = st.one_of(st.none(), st.sampled_from([0.0, 0.02, 100.0]))
    return st.fixed_dictionaries(
        {
            "processes": of(PROCESSES),
            "statuses": of(STATUSES),
            "owner": st.sampled_from([None, *OWNERS]),
            "created_from": moment,
            "created_to": moment,
            "min_duration_s": length,
            "max_duration_s": length,
            "text": st.lists(st.sampled_from(WORDS), max_size=2).map(" ".join),
            "limit": st.integers(1, 7),
        }
    )


def fits(job, query, now):
    """Whether a job fits a query, said once more in plain words."""
    duration = job.duration_s(now)
    timed = query.min_duration_s is not None or query.max_duration_s is not None
    return (
        (not query.processes or job.process in query.processes)
        and (not query.statuses or job.status in query.statuses)
        and query.owner in {None, job.owner}
        and (query.created_from is None or job.created >= query.created_from)
        and (query.created_to is None or job.created <= query.created_to)
        and (not timed or duration is not None)
        and (query.min_duration_s is None or duration >= query.min_duration_s)
        and (query.max_duration_s is None or duration <= query.max_duration_s)
        and set(words_of(query.text)) <= set(words_of(job.id, job.process, job.title, *job.labels))
    )


class FindContract:
    """Needs a fixture `open_it`."""

    @pytest.fixture
    def store(self, open_it):
        with open_it() as store:
            yield store

    @pytest.fixture
    def full(self, store):
        """A store of jobs of every kind; those that run have done so for longer than 20 ms."""
        for number in range(60):
            process, owner = PROCESSES[number % 3], OWNERS[number % 7 == 0]
            words = [word for bit, word in enumerate(WORDS) if number >> bit & 1]
            store.add(new(process=process, owner=owner, title=" ".join(words[:2]), labels=tuple(words[2:])))
        for number in range(48):
            job = store.claim("worker", lease_s=1000)
            to = ["successful", "failed", "dismissed", "accepted", None][number % 5]
            if number % 2:
                time.sleep(0.03)
            if to:
                store.move(job.id, to, expect=["running"], number=job.number)
            elif number % 3 == 0:
                store.move(job.id, "dismissed", expect=["running"])
        time.sleep(0.03)
        return store

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(values=queries())
    def test_every_filter_finds_what_fits(self, full, values):
        everything = full.find(Query(limit=1000)).jobs
        first = everything[-1].created
        for end in ("created_from", "created_to"):
            if values[end] is not None:
                values[end] = round(first + values[end], 3)
        query = Query(**values)

        found, after = [], None
        while True:
            page = full.find(Query(**values, after=after))
            assert len(page.jobs) <= query.limit
            found += ids(page)
            after = page.next
            if after is None:
                break

        now = everything[0].created + 10
        assert found == [job.id for job in everything if fits(job, query, now)]

    def test_the_newest_come_first(self, store):
        added = []
        for _ in range(5):
            added.append(store.add(new()).id)
            time.sleep(0.002)

        assert ids(store.find(Query())) == added[::-1]

    def test_a_list_leaves_out_requests_and_results(self, store):
        job = store.add(new(request=Request(inputs={"long": "x" * 1000})))

        listed = store.find(Query()).jobs[0]

        assert listed.request == Request()
        assert (listed.id, listed.created, listed.status) == (job.id, job.created, "accepted")

    def test_new_jobs_do_not_disturb_the_pages(self, store):
        before = [store.add(new()).id for _ in range(20)]

        seen, after = [], None
        while True:
            page = store.find(Query(limit=3, after=after))
            seen += ids(page)
            time.sleep(0.002)
            store.add(new())
            after = page.next
            if after is None:
                break

        assert sorted(seen) == sorted(before)

    def test_the_last_page_has_no_next_one(self, store):
        for _ in range(4):
            store.add(new())

        first = store.find(Query(limit=2))
        last = store.find(Query(limit=2, after=first.next))

        assert first.next is not None
        assert len(last.jobs) == 2
        assert last.next is None
        assert store.find(Query(limit=2, text="nix")) == ((), None)

    def test_all_jobs_are_of_type_process(self, store):
        store.add(new())

        assert len(store.find(Query(types=["process"])).jobs) == 1
        assert store.find(Query(types=["openeo"])).jobs == ()

    @pytest.mark.parametrize("created", [-1e300, -1e12, 0.0, 1e12, 1e300])
    def test_any_time_can_be_asked_for(self, store, created):
        store.add(new())

        assert len(store.find(Query(created_from=created)).jobs) == (created < 1e12)
        assert len(store.find(Query(created_to=created)).jobs) == (created >= 1e12)

    def test_words_are_found_whatever_their_case_and_place(self, store):
        job = store.add(new(id="abc-1", title="Relief of the Älps", labels=("dem_2024",)))
        store.add(new(title="another"))

        for text in ("relief", "ÄLPS 2024", "the dem", "ABC-1", "hillshade relief"):
            assert ids(store.find(Query(text=text))) == [job.id]
        assert ids(store.find(Query(text="relief another"))) == []
