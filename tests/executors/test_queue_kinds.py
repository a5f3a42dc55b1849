"""Every kind of queue by its commands.

The commands are stand-ins: scripts of the names that dask-jobqueue calls, which take a job as the command of that name
takes it, run it at once on this machine and answer as it answers. They show what is asked of each queue, and that it is
asked to end what it was given; a queue itself runs in `test_queue`.
"""

import os
import re
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import dask
import pytest

from executors.projects import Project
from executors.servers import alive, until
from tilepipe.errors import ClusterError, RecipeError
from tilepipe.executors.cluster_spec import QUEUES
from tilepipe.executors.dask import Dask

pytestmark = pytest.mark.skipif(shutil.which("setsid") is None, reason="there is no setsid")

SUBMIT = """#!/bin/sh
for last; do :; done
job=$(mktemp "{folder}/job-XXXXXX")
{take}
printf '%s\\n' "$*" >> "$job"
setsid sh "$job" > "$job.out" 2>&1 < /dev/null &
ln "$job" "{folder}/number-$!"
printf '{answer}\\n' $!
"""

CANCEL = """#!/bin/sh
for last; do :; done
echo "$last" >> "{folder}/cancelled"
kill -- "-${{last%.*}}"
"""

FILE = 'cat "$last" > "$job"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """What a queue is spoken to with."""

    submit: str
    cancel: str
    answer: str
    """What is said where a job was taken, with its number."""
    asks: str
    """Where a job asks for one core and one GiB."""
    take: str = FILE
    """How the script of the job is had."""
    keywords: tuple[tuple[str, object], ...] = ()
    """What its class needs besides."""


COMMANDS = {
    "slurm": Commands(
        submit="sbatch",
        cancel="scancel",
        answer="Submitted batch job %s",
        asks="-n 1\n.*--cpus-per-task=1\n.*--mem=1G\n",
    ),
    "pbs": Commands(submit="qsub", cancel="qdel", answer="%s.host", asks="#PBS -l select=1:ncpus=1:mem=1024MB\n"),
    "moab": Commands(submit="msub", cancel="canceljob", answer="%s", asks="#PBS -l select=1:ncpus=1:mem=1024MB\n"),
    # What its jobs take is for the site to say.
    "sge": Commands(submit="qsub", cancel="qdel", answer='Your job %s ("dask-worker") has been submitted', asks=""),
    "lsf": Commands(
        submit="bsub",
        cancel="bkill",
        answer="Job <%s> is submitted to queue <main>.",
        asks="#BSUB -n 1\n.*#BSUB -M 1073742\n",
        take='cat > "$job"',
    ),
    "oar": Commands(
        submit="oarsub",
        cancel="oardel",
        answer="OAR_JOB_ID=%s",
        asks="-l /nodes=1/core=1,.* -p mem>=1024 ",
        take='printf "%s" "$last" > "$job"',
        keywords=(("memory_per_core_property_name", "mem"),),
    ),
    "htcondor": Commands(
        submit="condor_submit",
        cancel="condor_rm",
        answer="1 job(s) submitted to cluster %s.",
        asks="# MY.DaskWorkerCores = 1\n# MY.DaskWorkerMemory = 1073741824\n",
        take="""sed 's/^/# /' "$last" > "$job"
sed -n "s/^Arguments = \\"-c '\\(.*\\)'\\"$/\\1/p" "$last" >> "$job\"""",
        keywords=(("disk", "1GiB"),),
    ),
}

SPEC = {
    "cores": 1,
    "memory": "1GiB",
    "interface": "lo",
    "scheduler_options": {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"},
    "worker_extra_args": ["--dashboard-address", "127.0.0.1:0"],
    "workers": 2,
}


@dataclass(frozen=True, slots=True)
class StandIn:
    """The commands of a kind, in a folder that has what they were asked."""

    folder: Path
    kind: str

    @property
    def spec(self):
        """What stands under `cluster`."""
        return {**SPEC, **dict(COMMANDS[self.kind].keywords), "kind": self.kind}

    def scripts(self):
        """The text of each job, by its number."""
        return {int(path.name[7:]): path.read_text() for path in self.folder.glob("number-*")}

    def running(self):
        return {job for job in self.scripts() if alive(job)}

    def cancelled(self):
        """The jobs that were to be ended."""
        with suppress(FileNotFoundError):
            return {int(line.partition(".")[0]) for line in (self.folder / "cancelled").read_text().split()}
        return set()


@pytest.fixture(params=sorted(QUEUES))
def queue(request, tmp_path, monkeypatch):
    """A stand-in for each kind of queue."""
    commands, folder = COMMANDS[request.param], tmp_path / "queue"
    folder.mkdir()
    for name, text in ((commands.submit, SUBMIT), (commands.cancel, CANCEL)):
        (folder / name).write_text(text.format(folder=folder, take=commands.take, answer=commands.answer))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    # Units of LSF's limits are looked up in its settings, which another test or machine may have.
    monkeypatch.setenv("LSF_ENVDIR", str(tmp_path))
    queue = StandIn(folder, request.param)
    yield queue
    for job in queue.running():
        with suppress(ProcessLookupError):
            os.killpg(job, signal.SIGKILL)


def test_every_kind_is_spoken_to():
    assert COMMANDS.keys() == QUEUES.keys()


@pytest.mark.slow
def test_the_bytes_are_those_of_a_run_in_sequence_and_its_jobs_end(queue, tmp_path):
    project = Project(tmp_path, seconds=0.0)
    project.document |= {"zooms": [0, 3], "overviews": {"below": 3, "resampling": "average"}}
    reference = project.reference()

    for _ in project.outcomes(Dask(cluster=queue.spec)):
        pass

    assert project.tiles() == reference
    assert len(queue.scripts()) == 2
    assert queue.cancelled() == queue.scripts().keys()
    assert until(lambda: queue.running() == set())


def test_a_job_asks_for_what_its_worker_takes(queue, opened):
    cluster = opened({**queue.spec, "workers": 1, "death_timeout": 7})

    cluster.size(1)

    assert until(queue.scripts)
    (script,) = queue.scripts().values()
    worker = f"-m distributed.cli.dask_worker {re.escape(cluster.client.scheduler.address)} "
    assert re.search(COMMANDS[queue.kind].asks, script), script
    assert re.search(f"{worker}.*--nthreads 1 --memory-limit 1.00GiB ", script), script
    assert "--death-timeout 7 " in script


@pytest.mark.slow
@pytest.mark.parametrize("queue", ["pbs"], indirect=True)
def test_a_job_of_several_workers_that_ends_has_another_in_its_place(queue, opened):
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"}):
        # Dask makes two workers of one thread of it.
        cluster = opened({**queue.spec, "cores": 2, "workers": 1})
        cluster.size(10)
        cluster.client.wait_for_workers(2, timeout=30)
        (first,) = queue.scripts()
        assert cluster.threads_max == 2

        os.killpg(first, signal.SIGKILL)

        assert until(lambda: queue.running() - {first}, timeout_s=20)
        cluster.client.wait_for_workers(2, timeout=30)
        time.sleep(2)
        assert len(queue.scripts()) == 2


def test_what_its_class_does_not_take_is_named(queue, opened):
    with pytest.raises(RecipeError, match=f"cluster.memry: {QUEUES[queue.kind]} takes no such keyword; .* 'memory'"):
        opened({**queue.spec, "memry": "1GB"})


# A class that refuses its keywords leaves half a cluster behind, which says that it was not closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_its_class_asks_for_is_named(queue, opened):
    with pytest.raises(RecipeError, match=f"{QUEUES[queue.kind]} does not take these keywords: .*cores and memory"):
        opened({**queue.spec, "memory": None})


def test_a_command_that_is_not_here_is_told(queue, opened, monkeypatch):
    monkeypatch.setenv("PATH", "")

    with pytest.raises(ClusterError, match=f"there is no {COMMANDS[queue.kind].submit} on this machine"):
        opened(queue.spec)
