"""How calls travel through a Dask scheduler."""

import pickle
from queue import Empty

import pytest

from contracts.calls import end_worker, multiply, nap, refuse
from executors.servers import running_scheduler, until
from tilepipe.errors import RecipeError, WorkerLost
from tilepipe.executors.dask import MOST_TOGETHER, Dask
from tilepipe.executors.link import Gone
from tilepipe.executors.remote import Answer, Answers

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with running_scheduler(tmp_path_factory.mktemp("farm")) as cluster:
        yield cluster


@pytest.fixture
def executor(cluster):
    with Dask(cluster=cluster.address) as executor:
        yield executor


def outcomes(executor, futures):
    """What became of each call: its result, or the error it raised."""
    pending = set(futures)
    while pending:
        pending -= executor.wait(pending)
    return [future.exception() or future.result() for future in futures]


def started(client):
    """How many tasks of ours the scheduler has been given, and how many it holds."""

    def count(dask_scheduler):
        groups = dask_scheduler.task_prefixes.values()
        given = sum(prefix.state_counts["memory"] for prefix in groups if prefix.name.startswith("tilepipe"))
        return given, len(dask_scheduler.tasks)

    return client.run_on_scheduler(count)


def warm(executor):
    """An executor that has seen how short the calls are."""
    executor.share(1, calls=1000)
    outcomes(executor, [executor.submit(multiply, item) for item in range(50)])


def test_short_calls_travel_together(executor, cluster):
    warm(executor)
    with cluster.client() as client:
        before, _ = started(client)
        assert outcomes(executor, [executor.submit(multiply, item) for item in range(3000)]) == list(range(3000))
        after, _ = started(client)

    assert after - before <= 3000 / MOST_TOGETHER * 1.5 + 4


def test_long_calls_travel_alone(executor, cluster):
    executor.share(None, calls=20)
    with cluster.client() as client:
        before, _ = started(client)
        outcomes(executor, [executor.submit(nap, 0.1) for _ in range(12)])

        # An answer may be here before the scheduler has counted its task.
        assert until(lambda: started(client)[0] - before == 12)
    assert executor.slots == 2 * executor.workers


def test_of_calls_that_travel_together_only_the_one_that_raises_fails(executor):
    warm(executor)

    futures = [executor.submit(multiply, item) for item in range(100)]
    futures[17:18] = [executor.submit(refuse, "nonsense")]

    found = outcomes(executor, futures)
    assert isinstance(found.pop(17), KeyError)
    assert found == [item for item in range(100) if item != 17]


def test_of_calls_that_travel_together_only_the_one_that_ends_its_worker_is_lost(executor):
    warm(executor)

    futures = [executor.submit(multiply, item) for item in range(100)]
    futures[17:18] = [executor.submit(end_worker, None)]

    found = outcomes(executor, futures)
    lost = found.pop(17)
    assert isinstance(lost, WorkerLost)
    assert lost.limit_bytes == 1 << 30
    assert 10_000_000 < lost.peak_bytes < 1 << 30
    assert found == [item for item in range(100) if item != 17]


def test_a_call_that_waits_where_another_ends_the_worker_is_not_lost(executor):
    executor.share(3, calls=20)

    found = outcomes(executor, [executor.submit(end_worker, None), *(executor.submit(multiply, n) for n in range(9))])

    assert isinstance(found[0], WorkerLost)
    assert found[1:] == list(range(0, 27, 3))


def test_a_worker_that_ends_idle_makes_no_call_suspect(tmp_path):
    with running_scheduler(tmp_path) as own, Dask(cluster=own.address) as executor:
        executor.share(3, calls=10)
        own.kill_worker(own.workers[0])
        assert until(lambda: executor._link.cluster.client.scheduler_info(n_workers=0)["n_workers"] == 1)

        assert outcomes(executor, [executor.submit(multiply, item) for item in range(10)]) == list(range(0, 30, 3))
        assert not executor._careful


def test_a_result_that_went_with_its_worker_is_made_again_under_the_same_connection(tmp_path, monkeypatch):
    monkeypatch.setattr("tilepipe.executors.link.RENEWALS", 0)
    with running_scheduler(tmp_path) as own, Dask(cluster=own.address) as executor:
        executor.share(b"far too much to be told at once " * 1000, calls=2)
        call = executor.submit(multiply, 2)
        executor._flush()
        (task,) = executor._tasks.values()
        assert until(lambda: task.future.status == "finished")
        for worker in own.workers:
            own.kill_computing(worker)
        assert until(lambda: task.future.status == "lost")

        assert outcomes(executor, [call]) == [b"far too much to be told at once " * 2000]


def test_no_more_is_given_to_a_scheduler_than_can_begin_until_some_of_it_has(executor):
    executor.share(0, calls=8)
    pending = {executor.submit(nap, 0.3) for _ in range(8)}
    executor._flush()
    given = len(executor._tasks)
    while len(executor._begun) < 2:
        executor._collect()
    executor._flush()

    assert (given, len(executor._tasks)) == (2, 4)
    outcomes(executor, pending)


def test_a_small_result_is_not_asked_for(executor, monkeypatch):
    executor.share(3, calls=10)
    asked = []
    client = executor._link.cluster.client
    monkeypatch.setattr(client, "gather", lambda futures: asked.extend(futures) or type(client).gather(client, futures))

    assert outcomes(executor, [executor.submit(multiply, n) for n in range(10)]) == list(range(0, 30, 3))
    assert not asked


def begun(executor, number):
    """Wait until a worker has told that it makes a call."""
    executor._flush()
    while number not in executor._begun:
        executor._collect()


def test_what_was_told_by_a_worker_that_ends_then_is_not_made_again(executor, cluster):
    executor.share(3, calls=1)
    call = executor.submit(nap, 30)
    begun(executor, 0)
    # It could not be timed otherwise: the end of a task is told next to its answer.
    executor._link.news.put(Answer(executor._link.run, 0, pickle.dumps(Answers(["told"], 30.0))))
    assert outcomes(executor, [call]) == ["told"]

    for worker in cluster.workers:
        cluster.kill_computing(worker)
    gone = executor._link.news.get(timeout=20)
    while not isinstance(gone, Gone) or not gone.held:
        gone = executor._link.news.get(timeout=20)
    executor._lose(gone)

    with cluster.client() as client:
        assert until(lambda: started(client)[1] == 0, timeout_s=5)
    cluster.wait_for(2)


def test_what_ended_early_for_nobody_is_not_told(executor, cluster):
    executor.share(3, calls=1)
    executor.submit(nap, 0.5)
    begun(executor, 0)
    _, task = executor._tasks.popitem()
    task.future.cancel(force=True)

    with pytest.raises(Empty):
        while not isinstance(executor._link.news.get(timeout=2), Answer):
            pass


def test_a_guess_blames_nobody(executor):
    executor.share(3, calls=2)
    calls = [executor.submit(nap, 0.2), executor.submit(nap, 0.2)]
    executor._flush()
    # Another worker has ended meanwhile.
    executor._careful = True
    executor._lose(Gone("tcp://127.0.0.1:1", [0, 1]))

    assert outcomes(executor, calls) == [0.2, 0.2]


def test_the_most_urgent_calls_start_first(executor):
    executor.share(0, calls=40)
    ended = []
    futures = {executor.submit(nap, 0.05, priority=number % 2): number % 2 for number in range(40)}
    pending = set(futures)
    while pending:
        done = executor.wait(pending)
        pending -= done
        ended += [futures[future] for future in done]

    assert sum(ended[:20]) >= 17


def test_what_a_worker_may_take_is_known(executor):
    assert executor.worker_limit == 1 << 30
    assert executor.workers == 2


def test_the_workers_of_a_scheduler_cannot_be_counted_by_us(cluster):
    with pytest.raises(RecipeError, match="leave the workers out"):
        Dask(3, cluster=cluster.address)
