"""Runs on a Dask cluster, and what becomes of them when a part of it ends."""

import re
import signal
import time

import pytest

from executors.projects import TILES, Project, ended
from executors.servers import running_scheduler, tasks
from tilepipe.errors import ClusterError, RunFailed
from tilepipe.executors.dask import Dask

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A cluster for tests that kill nothing."""
    with running_scheduler(tmp_path_factory.mktemp("farm")) as there:
        yield there


@pytest.fixture
def own(tmp_path_factory):
    """A cluster for a test that kills parts of it."""
    with running_scheduler(tmp_path_factory.mktemp("farm")) as there:
        yield there


def test_the_bytes_are_those_of_a_run_in_sequence(project, shared):
    reference = project.reference()

    for _ in project.outcomes(Dask(cluster=shared.address)):
        pass

    assert project.tiles() == reference
    assert project.calls() == TILES


def test_the_bytes_are_those_of_a_run_in_sequence_on_this_machine(project):
    reference = project.reference()

    out = ended(project.command("-e", "dask", "-w", 2))
    assert project.tiles() == reference
    assert "0 failed" in out


def test_a_process_travels_to_workers_that_do_not_have_its_file(project, shared):
    outcomes = project.outcomes(Dask(cluster=shared.address))
    (project.folder / "mine.py").unlink()

    for _ in outcomes:
        pass

    assert project.calls() == TILES


def test_two_runs_share_a_scheduler(project, shared, tmp_path_factory):
    other = Project(tmp_path_factory.mktemp("other"))
    reference = project.reference()

    runs = [each.command("--scheduler", shared.address) for each in (project, other)]

    for process in runs:
        ended(process)
    assert project.tiles() == other.tiles() == reference


def test_never_more_is_with_the_scheduler_than_it_can_give_away_soon(project, shared):
    with shared.client() as client:
        held = [client.run_on_scheduler(tasks) for _ in project.outcomes(Dask(cluster=shared.address))]

    assert len(held) > 8
    # Two for each of two threads, and as many that have ended and are let go of next.
    assert max(held) <= 8


def test_nothing_of_a_run_stays_on_the_workers(project, shared):
    for _ in project.outcomes(Dask(cluster=shared.address)):
        pass

    with shared.client() as client:
        plugins = client.run(lambda dask_worker: [name for name in dask_worker.plugins if "tilepipe" in name])
        held = client.run_on_scheduler(tasks)
    assert list(plugins.values()) == [[], []]
    assert held == 0


def test_a_killed_worker_costs_what_it_ran(project, own):
    reference = project.reference()
    process = project.command("--scheduler", own.address)
    project.await_calls(40)

    own.kill_computing(own.workers[0])

    ended(process)
    assert project.tiles() == reference
    assert project.calls() <= TILES + 2 * 16


def test_all_workers_killed_at_once_cost_what_they_ran(project, own):
    reference = project.reference()
    process = project.command("--scheduler", own.address)
    project.await_calls(40)

    for worker in own.workers:
        own.kill_computing(worker)

    ended(process)
    assert project.tiles() == reference
    assert project.calls() <= TILES + 4 * 16


def test_workers_may_leave_and_come_during_a_run(project, own):
    reference = project.reference()
    process = project.command("--scheduler", own.address)
    project.await_calls(30)
    own.add_worker()
    project.await_calls(80)
    own.workers[0].send_signal(signal.SIGINT)
    own.kill_worker(own.workers[1])

    ended(process)
    assert project.tiles() == reference


def test_a_killed_scheduler_costs_what_was_under_way(project, own):
    reference = project.reference()
    process = project.command("--scheduler", own.address)
    project.await_calls(40)
    for worker in list(own.workers):
        own.kill_worker(worker)
    own.restart()
    own.add_worker()
    own.add_worker()

    ended(process)
    assert project.tiles() == reference
    assert project.calls() <= TILES + 4 * 16


def test_a_killed_client_costs_what_was_under_way(project, own):
    reference = project.reference()
    process = project.command("--scheduler", own.address)
    project.await_calls(60)
    process.kill()
    process.communicate()
    known = project.known()
    time.sleep(1)
    before = project.calls()

    ended(project.command("--scheduler", own.address))

    assert project.tiles() == reference
    assert 0 < known <= before <= known + 4 * 16
    assert project.calls() - before == TILES - known


def test_an_interrupt_ends_what_runs_on_workers_that_stay(tmp_path, own):
    project = Project(tmp_path, seconds=1.0)
    process = project.command("--scheduler", own.address)
    project.await_calls(2)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    ended(process, code=130)
    assert time.monotonic() - begun < 8
    calls = project.calls()
    time.sleep(2)
    assert project.calls() == calls


def test_a_call_that_does_not_end_is_ended_with_its_worker(tmp_path, own):
    project = Project(tmp_path, seconds=600.0)
    pids = {pid for worker in own.workers for pid in own.computing(worker)}
    process = project.command("--scheduler", own.address)
    project.await_calls(2)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    ended(process, code=130)
    assert time.monotonic() - begun < 15
    own.wait_for(2)
    assert pids.isdisjoint(pid for worker in own.workers for pid in own.computing(worker))


def test_the_tile_that_takes_workers_down_is_named_and_set_apart(tmp_path, tmp_path_factory):
    project = Project(tmp_path, seconds=0.0, hungry=[5, 7, 9])
    reference = project.reference()
    with (
        running_scheduler(tmp_path_factory.mktemp("farm"), memory="600MB") as there,
        pytest.raises(RunFailed) as failed,
    ):
        for _ in project.outcomes(Dask(cluster=there.address), stop=False):
            pass

    message = str(failed.value)
    assert "1 tile failed" in message
    assert "tile 5/7/9" in message
    projected, peak, limit = (int(word.replace(",", "")) for word in figures(message))
    assert limit == 600
    assert 300 < peak < 800
    assert 200 < projected < 600
    missing = {file for up in range(6) for file in files_of(5 - up, 7 >> up, 9 >> up)}
    found = project.tiles()
    assert reference.keys() - found.keys() <= missing
    assert all(found[file] == reference[file] for file in found if file not in missing)


def files_of(zoom, row, col):
    """The files that a process tile of 2 x 2 tiles goes to."""
    return {f"{zoom}/{2 * row + down}/{2 * col + right}.tif" for down in (0, 1) for right in (0, 1)}


def figures(message):
    return re.search(r"projected ([\d,]+) MB, peak seen ([\d,]+) MB, limit of the worker ([\d,]+) MB", message).groups()


def test_workers_of_another_version_are_refused_before_the_first_tile(project, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "tilepipe-9.9.dist-info").mkdir()
    (other / "tilepipe-9.9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: tilepipe\nVersion: 9.9\n")
    with (
        running_scheduler(tmp_path_factory.mktemp("farm"), workers=1, path=[other]) as there,
        pytest.raises(ClusterError, match=r"has tilepipe 9\.9 \(here"),
    ):
        for _ in project.outcomes(Dask(cluster=there.address)):
            pass

    assert project.calls() == 0


def test_workers_without_tilepipe_are_refused_before_the_first_tile(project, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "tilepipe.py").write_text("raise ImportError('No module named tilepipe')\n")
    with (
        running_scheduler(tmp_path_factory.mktemp("farm"), workers=1, path=[other]) as there,
        pytest.raises(ClusterError, match=r"worker .* cannot run tilepipe: .*; install it there"),
    ):
        for _ in project.outcomes(Dask(cluster=there.address)):
            pass

    assert project.calls() == 0


def test_a_scheduler_without_tilepipe_is_refused_before_the_first_tile(project, tmp_path_factory, monkeypatch):
    other = tmp_path_factory.mktemp("other")
    (other / "tilepipe.py").write_text("raise ImportError('No module named tilepipe')\n")
    monkeypatch.setenv("PYTHONPATH", str(other))
    with (
        running_scheduler(tmp_path_factory.mktemp("farm"), workers=0) as there,
        pytest.raises(ClusterError, match="the scheduler cannot run tilepipe"),
    ):
        for _ in project.outcomes(Dask(cluster=there.address)):
            pass
