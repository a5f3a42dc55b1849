"""The process that those of jobs are forked from, and what each of them has of its own."""

import os
import signal
from contextlib import contextmanager

import pytest

from tilepipe_hub.running.spawner import Spawner

pytestmark = pytest.mark.slow

WAIT_S = 20

CHANCE = '''"""What two jobs must not have in common."""

import os
import random
import tempfile

import numpy as np

from tilepipe import Grid


def execute(grid: Grid, *, notes: str = ""):
    """Args:
        notes: nothing.
    """
    own = {os.getcwd(), tempfile.gettempdir(), os.environ["HOME"], os.environ["TMPDIR"]}
    print("chance", np.random.random(), random.random(), *own)
'''


@pytest.fixture
def spawner():
    spawner = Spawner(())
    yield spawner
    spawner.close()


@contextmanager
def started(spawner, folder, **environment):
    """A process that waits for its order, our end of its input, and that of its output."""
    (theirs_in, ours_in), (ours_out, theirs_out) = os.pipe(), os.pipe()
    process = spawner.start((theirs_in, theirs_out, theirs_out), folder=str(folder), environment=environment)
    os.close(theirs_in)
    os.close(theirs_out)
    with open(ours_in, "wb", buffering=0) as orders, open(ours_out, "rb", buffering=0) as output:
        yield process, orders, output
    process.bury()


def state_of(pid):
    with open(f"/proc/{pid}/stat") as facts:
        return facts.read().rsplit(")", 1)[1].split()[:2]


def test_a_process_that_gets_no_order_ends_and_keeps_its_number_until_it_is_buried(spawner, tmp_path):
    with started(spawner, tmp_path) as (process, orders, _):
        assert process.poll() is None
        orders.close()

        assert process.wait(WAIT_S) == 0
        assert state_of(process.pid)[0] == "Z"
    assert not os.path.exists(f"/proc/{process.pid}")


def test_it_is_known_by_which_signal_a_process_ended(spawner, tmp_path):
    with started(spawner, tmp_path) as (process, _, _):
        os.killpg(process.pid, signal.SIGTERM)

        assert process.wait(WAIT_S) == -signal.SIGTERM


def test_a_process_holds_nothing_open_of_another(spawner, tmp_path):
    with started(spawner, tmp_path) as (one, orders, output), started(spawner, tmp_path) as (other, *_):
        orders.close()

        assert one.wait(WAIT_S) == 0
        assert output.read() == b""
        assert other.poll() is None


def test_where_their_source_ends_all_end_and_the_next_has_another(spawner, tmp_path):
    with started(spawner, tmp_path) as (process, _, output):
        source = int(state_of(process.pid)[1])
        os.kill(source, signal.SIGKILL)

        assert output.read() == b""
        assert process.wait(WAIT_S) == -signal.SIGKILL
    with started(spawner, tmp_path) as (process, orders, _):
        assert int(state_of(process.pid)[1]) != source
        orders.close()
        assert process.wait(WAIT_S) == 0


def test_nothing_stays_of_a_spawner_that_is_closed(tmp_path):
    spawner = Spawner(())
    with started(spawner, tmp_path) as (process, _, output):
        source = int(state_of(process.pid)[1])
        place = os.readlink(f"/proc/{source}/cwd")
        spawner.close()

        assert output.read() == b""
        assert process.wait(WAIT_S) == -signal.SIGKILL
    assert not os.path.exists(f"/proc/{source}")
    assert not os.path.exists(place)


def test_jobs_share_neither_chance_nor_folders(local):
    local.process.write_text(CHANCE)
    local.hire()

    jobs = [local.submit(zoom=2, tiles=(1, 1)) for _ in range(2)]

    said = []
    for job in jobs:
        assert local.ended(job).status == "successful"
        (line,) = [line for line in local.log(job) if line.startswith("chance")][:1]
        said.append(line.split()[1:])
    one, other = said
    # One folder, by all names.
    assert len(one) == len(other) == 3
    assert not set(one) & set(other)
