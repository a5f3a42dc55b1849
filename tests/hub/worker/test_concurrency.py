"""How many jobs a worker runs at the same time: as many as its settings say, and no more."""

import pytest

pytestmark = pytest.mark.slow

PAUSE_S = 0.15


def spans(local, jobs):
    """When each job began its first tile and ended its last one."""
    for job in jobs:
        assert local.ended(job, within_s=60).status == "successful"
        times = [float(line[2]) for line in local.marks(job)]
        yield min(times), max(times)


def most_at_once(found):
    changes = sorted([(begins, 1) for begins, _ in found] + [(ends, -1) for _, ends in found])
    count = most = 0
    for _, change in changes:
        count += change
        most = max(most, count)
    return most


@pytest.mark.parametrize(("concurrency", "jobs"), [(1, 3), (2, 2), (2, 4)])
def test_a_worker_runs_as_many_jobs_at_once_as_it_is_told(local, concurrency, jobs):
    made = [local.submit(pause=PAUSE_S) for _ in range(jobs)]

    local.hire(worker={"concurrency": concurrency})

    found = list(spans(local, made))
    assert most_at_once(found) == concurrency


def test_echoes_wait_for_their_turn_as_well(local):
    made = [local.echo(pause_s=0.5) for _ in range(4)]

    local.hire(worker={"concurrency": 2})

    found = [(job.started, job.finished) for job in (local.ended(name) for name in made)]
    assert most_at_once(found) == 2
