"""Workers that are killed, paused, drained and misused by the code they run."""

import json
import os
import signal
import time

import pytest

from hub.worker.workplace import Workplace

pytestmark = pytest.mark.slow


def alive(group):
    """Whether a process of the group runs; its leader may have ended without its parent having looked."""
    try:
        os.killpg(int(group), 0)
        with open(f"/proc/{group}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return True


def test_a_job_makes_the_same_bytes_as_the_command_line(workplace):
    workplace.hire()

    job = workplace.ended(workplace.submit())

    assert (job.status, job.message) == ("successful", "tiles: 6 written")
    assert job.results["item"] == {"file": "stac.json", "mediaType": "application/geo+json"}
    assert (job.progress.percent, job.progress.done, job.progress.total) == (100, 6, 6)
    assert workplace.tiles(workplace.outputs / job.id) == workplace.expected()
    report = json.loads((workplace.outputs / job.id / "report.json").read_text())
    assert report["complete"] is True
    assert report["tiles"]["written"] == 6


@pytest.mark.parametrize("executor", ["sequential", "threads", "processes"])
def test_a_dismissed_job_stops_within_three_seconds(local, executor):
    local.hire(worker={"executor": executor, "lease_s": 30, "beat_s": 10})
    job_id = local.submit(pause=0.3, tiles=(8, 8))
    group = local.until(lambda: local.begun(job_id))[0][1]

    local.store.move(job_id, "dismissed", expect=("running",))
    local.until(lambda: not alive(group), within_s=3)

    assert local.store.get(job_id).status == "dismissed"


def test_code_that_ignores_being_stopped_is_killed(local):
    local.hire()
    job_id = local.submit(deed="deaf", pause=0.3, tiles=(8, 8))
    group = local.until(lambda: local.begun(job_id))[0][1]

    local.store.move(job_id, "dismissed", expect=("running",))

    local.until(lambda: not alive(group), within_s=4)


def test_code_that_ends_processes_of_a_pool_fails_as_a_tile(local):
    local.hire(worker={"executor": "processes"})

    job = local.ended(local.submit(deed="exit"), within_s=40)

    assert job.status == "failed"
    assert "3 workers ended over this tile" in job.message


def test_another_worker_goes_on_where_a_killed_one_stopped(workplace):
    first = workplace.hire(worker={"lease_s": 3})
    job_id = workplace.submit(pause=0.1, tiles=(4, 4))
    group = workplace.until(lambda: len(workplace.begun(job_id)) >= 6 and workplace.begun(job_id))[0][1]

    first.kill()
    workplace.until(lambda: not alive(group), within_s=2)
    workplace.hire(worker={"lease_s": 3})
    job = workplace.ended(job_id)

    assert (job.status, job.number, job.attempts) == ("successful", 2, 1)
    assert workplace.tiles(workplace.outputs / job_id) == workplace.expected(tiles=(4, 4))


def test_tiles_that_were_journalled_are_not_made_again(local):
    first = local.hire(worker={"lease_s": 3})
    job_id = local.submit(zoom=6, pause=0.02, tiles=(12, 12))
    local.until(lambda: local.store.get(job_id).progress.done >= 80)

    first.kill()
    local.hire(worker={"lease_s": 3})
    job = local.ended(job_id)
    made = [tuple(line[3:]) for line in local.begun(job_id)]

    assert job.message.endswith("kept")
    assert len(made) < 144 + 48
    assert local.tiles(local.outputs / job_id) == local.expected(zoom=6, tiles=(12, 12))


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("exit", "its process ended with the code 7, and that 3 times"),
        ("crash", "its process was ended by the signal SIGSEGV, and that 3 times"),
        ("kill", "its process was ended by the signal SIGKILL (out of memory?), and that 3 times"),
    ],
)
def test_code_that_ends_its_process_fails_after_three_attempts(local, deed, reason):
    local.hire(worker={"concurrency": 2})
    other = local.submit(pause=0.2)

    job = local.ended(local.submit(deed=deed))

    assert job.status == "failed"
    assert reason in job.message
    assert job.problem["detail"] == job.message
    assert len(local.begun(job.id)) == 3
    assert local.ended(other).status == "successful"


def test_code_that_eats_memory_fails_and_harms_no_other(local):
    local.hire(worker={"concurrency": 2, "memory": "1GB"})
    other = local.submit(pause=0.2)

    job = local.ended(local.submit(deed="eat"))

    assert job.status == "failed"
    assert "MemoryError: Unable to allocate" in job.message
    assert local.ended(other).status == "successful"


def test_a_process_that_forks_leaves_nothing_behind(local):
    local.hire()

    job = local.ended(local.submit(deed="fork"))
    group = local.begun(job.id)[0][1]

    assert job.status == "successful"
    local.until(lambda: not alive(group), within_s=3)


def test_code_that_closes_all_files_leaves_nothing_behind(local):
    local.hire()

    job = local.ended(local.submit(deed="close", pause=0.5))
    groups = {line[1] for line in local.begun(job.id)}

    assert job.status == "failed"
    local.until(lambda: not any(map(alive, groups)), within_s=3)


def test_a_job_is_refused_that_is_projected_above_the_memory(local):
    local.hire(worker={"memory": "100MB"})

    job = local.ended(local.submit())

    assert job.status == "failed"
    assert "the limit is 100 MB" in job.message
    assert local.begun(job.id) == []


def test_the_owner_reads_what_the_code_said_without_paths_and_secrets(local):
    local.hire()

    job = local.ended(local.submit(deed="raise", words="printed"))
    log = local.log(job.id)
    told = json.dumps([job.message, job.problem, log, (local.outputs / job.id / "report.json").read_text()])

    assert "no luck with ${SECRET_WORD} in processes/figures.py" in job.message
    assert "printed" in log
    assert any('File "processes/figures.py"' in line for line in log)
    assert "hush-hush" not in told
    assert str(local.folder) not in told


def test_the_last_words_are_in_the_log_also_without_the_end_of_their_line(local):
    (local.folder / "figures.py").write_text(
        '"""Words."""\ndef execute(*, notes: str = ""):\n'
        '    for number in range(60):\n        print(f"{number} " + "x" * 1000)\n    print("the last", end="")\n'
    )
    local.hire()

    log = local.log(local.ended(local.submit(tiles=(1, 1))).id)

    assert sum(line.endswith("x" * 1000) for line in log) == 60
    assert "the last" in log


def test_a_process_knows_no_variable_that_was_not_named(local):
    (local.folder / "figures.py").write_text(
        '"""Variables."""\nimport os\n\ndef execute(*, notes: str = ""):\n    print(sorted(os.environ))\n'
    )
    local.hire()

    log = " ".join(local.log(local.ended(local.submit()).id))

    assert "SECRET_WORD" in log
    assert "PYTEST_CURRENT_TEST" not in log


def test_a_paused_worker_leaves_the_job_to_another_and_writes_nothing_more(served):
    first = served.hire(worker={"lease_s": 3})
    job_id = served.submit(pause=0.2, tiles=(6, 6))
    group = served.until(lambda: served.begun(job_id))[0][1]

    first.send_signal(signal.SIGSTOP)
    served.until(lambda: not alive(group) or served.store.get(job_id).number > 1, within_s=6)
    assert not alive(group)
    second = served.hire(worker={"lease_s": 3})
    served.until(lambda: served.store.get(job_id).number == 2)
    first.send_signal(signal.SIGCONT)
    job = served.ended(job_id)
    time.sleep(1)

    groups = [line[1] for line in served.marks(job_id)]
    lines = served.log(job_id)
    assert job.status == "successful"
    assert groups == sorted(groups, key=lambda item: item != group)
    assert job.lease.worker.split("-")[-2] == str(second.pid)
    taken = next(number for number, line in enumerate(lines) if line.startswith("lease 2:"))
    assert not [line for line in lines[taken:] if line.startswith("lease 1:")]


def test_a_worker_that_drains_lets_its_job_end(local):
    worker = local.hire(worker={"drain_s": 20})
    job_id = local.submit(pause=0.1)
    local.until(lambda: local.begun(job_id))
    waiting = local.submit()

    worker.terminate()

    assert worker.wait(timeout=10) == 0
    assert local.store.get(job_id).status == "successful"
    assert local.store.get(waiting).status == "accepted"


def test_a_worker_that_drains_gives_back_what_takes_too_long(local):
    worker = local.hire(worker={"drain_s": 0.5})
    job_id = local.submit(pause=0.3, tiles=(8, 8))
    local.until(lambda: local.begun(job_id))

    worker.terminate()

    assert worker.wait(timeout=5) == 0
    job = local.store.get(job_id)
    assert (job.status, job.attempts) == ("accepted", 0)
    assert job.message == "given back by a worker that ends"


def test_a_job_that_takes_longer_than_allowed_fails(local):
    local.hire(quotas={"runtime_s": 1})

    job = local.ended(local.submit(pause=0.3, tiles=(8, 8)), within_s=6)

    assert job.status == "failed"
    assert "it ran for 1 s, which is the most a job may take here" in job.message


def test_a_job_of_more_tiles_than_allowed_makes_none(local):
    local.hire(quotas={"tiles": 5})

    job = local.ended(local.submit())

    assert job.status == "failed"
    assert "the job has 6 process tiles, a job may have 5 here" in job.message
    assert job.problem["status"] == 422


def test_a_retried_job_goes_on_in_the_folder_of_the_first(local):
    local.hire()
    first = local.submit(zoom=6, pause=0.02, tiles=(12, 12))
    local.until(lambda: local.store.get(first).progress.done >= 80)
    local.store.move(first, "dismissed", expect=("running",))

    again = local.ended(local.submit(zoom=6, tiles=(12, 12), folder=first, continues=first, pause=0.02))

    assert again.status == "successful"
    assert "kept" in again.message
    assert len(local.begun(first)) < 144 + 48
    assert (local.outputs / again.id).resolve() == local.outputs / first


@pytest.mark.mongodb
def test_a_store_that_is_away_fails_no_job(tmp_path, own_mongod):
    place = Workplace(tmp_path, f"{own_mongod.url}/away")
    try:
        place.hire(worker={"lease_s": 3})
        job_id = place.submit(pause=0.1, tiles=(8, 8))
        place.until(lambda: len(place.begun(job_id)) > 3)

        own_mongod.kill()
        time.sleep(5)
        own_mongod.start()
        job = place.ended(job_id, within_s=40)

        assert (job.status, job.number, job.attempts) == ("successful", 1, 0)
        assert len(place.begun(job_id)) == 64
        assert place.tiles(place.outputs / job_id) == place.expected(tiles=(8, 8))
    finally:
        place.close()


def test_an_echo_comes_back_at_once(local):
    local.hire()
    results = {"text": {"value": "hello", "mediaType": "text/plain"}}

    job = local.ended(local.echo(results=results))
    failed = local.ended(local.echo(fails=True))

    assert (job.status, job.results) == ("successful", results)
    assert (failed.status, failed.message) == ("failed", "failed as asked")
