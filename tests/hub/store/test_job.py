"""The moves of a job."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilepipe_hub.errors import HubError, LeaseLost, MoveRefused
from tilepipe_hub.job import ENDED, MOVES, STATUSES, Job, Lease, Progress, beaten, claimable, claimed, moved, words_of


def job(**values):
    return Job(**{"id": "j", "process": "p", "owner": "o", **values})


def running(**values):
    return job(status="running", started=1.0, lease=Lease(worker="w", number=3, until=10.0), **values)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("to", STATUSES)
def test_only_the_listed_moves_are_made(status, to):
    before = job(status=status, lease=Lease(worker="w", number=3, until=10.0))

    if to in MOVES[status]:
        assert moved(before, to, expect=STATUSES, now=5.0, number=3).status == to
    else:
        with pytest.raises(MoveRefused, match=f"is {status} and cannot become {to}"):
            moved(before, to, expect=STATUSES, now=5.0, number=3)


def test_no_move_leads_out_of_an_end():
    assert all((MOVES[status] == frozenset()) == (status in ENDED) for status in STATUSES)


def test_a_move_from_another_state_than_expected_is_refused():
    with pytest.raises(MoveRefused, match="is running, not accepted; read it again"):
        moved(running(), "dismissed", expect=["accepted"], now=5.0)


@pytest.mark.parametrize("to", ["successful", "failed", "accepted"])
def test_only_the_worker_ends_a_running_job_unless_it_is_dismissed(to):
    with pytest.raises(MoveRefused, match="only the worker that holds it"):
        moved(running(), to, expect=["running"], now=5.0)

    assert moved(running(), "dismissed", expect=["running"], now=5.0).finished == 5.0


@pytest.mark.parametrize("number", [2, 4])
def test_another_lease_number_than_the_latest_is_refused(number):
    with pytest.raises(LeaseLost, match=f"lease {number}, the job is at lease 3"):
        moved(running(), "failed", expect=["running"], now=5.0, number=number)
    with pytest.raises(LeaseLost, match=f"lease {number}"):
        beaten(running(), number=number, now=5.0, lease_s=1.0)


def test_a_held_job_cannot_be_claimed():
    assert not claimable(running(), 10.0)
    assert claimable(running(), 10.001)
    with pytest.raises(MoveRefused, match="cannot be claimed"):
        claimed(running(), "other", now=10.0, lease_s=1.0)


def test_a_job_that_does_not_run_does_not_beat():
    with pytest.raises(MoveRefused, match="its worker has to stop"):
        beaten(moved(running(), "dismissed", expect=["running"], now=5.0), number=3, now=6.0, lease_s=1.0)


@given(st.lists(st.builds(Progress, percent=st.integers(0, 100), done=st.integers(0, 50))))
def test_whatever_is_told_progress_never_goes_back(told):
    before = running()

    for progress in told:
        after = beaten(before, number=3, now=5.0, lease_s=1.0, progress=progress)
        assert after.progress.percent >= max(before.progress.percent, progress.percent)
        assert after.progress.done >= before.progress.done
        before = after


@pytest.mark.parametrize("percent", [-1, 101])
def test_progress_lies_between_0_and_100(percent):
    with pytest.raises(ValueError, match=f"progress of {percent} %"):
        Progress(percent=percent)


def test_the_duration_is_that_of_the_run():
    assert job().duration_s(9.0) is None
    assert running().duration_s(9.0) == 8.0
    assert moved(running(), "accepted", expect=["running"], now=5.0, number=3).duration_s(9.0) is None
    assert moved(running(), "failed", expect=["running"], now=5.0, number=3).duration_s(9.0) == 4.0


def test_words_are_letters_and_digits():
    assert words_of("The dem_2024-alps.tif", "ÄLPS the") == ("2024", "alps", "dem", "the", "tif", "älps")


def test_every_refusal_is_an_error_of_the_hub():
    assert issubclass(LeaseLost, MoveRefused)
    assert issubclass(MoveRefused, HubError)
