"""A Slurm of one host for tests: real daemons on loopback, with ports and folders of their own.

`def test_x(slurm)` is given a `Slurm`; mark such a test with `@pytest.mark.slurm`. Where the daemons are not installed
(`apt-get install -y --no-install-recommends slurm-wlm munge`) it is skipped. A test that any queue can pass asks for
`queue`.
"""

import getpass
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from daemons import daemon, free_ports, program, said, until

__all__ = ["Slurm", "slurm", "started"]

PARTITION = "tests"
CPUS = 4
"""Claimed, whatever the machine has, so that some jobs run at once."""

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")

CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort={controller_port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_min_interval=0
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
KillWait=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000
PartitionName={partition} Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


@dataclass(frozen=True, slots=True)
class Slurm:
    """A running cluster of one node."""

    kind: ClassVar[str] = "slurm"
    name: ClassVar[str] = PARTITION
    refusal: ClassVar[str] = "invalid partition"
    task: ClassVar[str] = "$SLURM_ARRAY_TASK_ID"
    tasks: ClassVar[str] = "$SLURM_ARRAY_TASK_COUNT"

    folder: Path

    @property
    def settings(self) -> dict[str, str]:
        """What Slurm's commands, and whatever calls them, need to find this cluster."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def run(self, *command: str | Path, cwd: Path | None = None) -> str:
        """What a command of Slurm says."""
        return said(*command, settings=self.settings, cwd=cwd)

    def jobs(self) -> list[str]:
        """The jobs that wait, run or are being ended."""
        return self.run("squeue", "--noheader", "--format=%i").split()

    def cancel(self, job: str, *, task: int | None = None) -> None:
        """End a job, or a task of an array."""
        self.run("scancel", job if task is None else f"{job}_{task}")

    def submit(self, script: str, *, cwd: Path, tasks: str = "", after: str = "") -> str:
        """The id of the job that runs *script*, a text; what it says goes to `slurm-*.out` in *cwd*."""
        path = cwd / f"job-{time.monotonic_ns()}.sh"
        path.write_text(f"#!/bin/sh\n{script}")
        options = [f"--array={tasks}"] * bool(tasks) + [f"--dependency=afterok:{after}"] * bool(after)
        return self.run("sbatch", "--parsable", *options, path, cwd=cwd).strip().partition(";")[0]

    def wait(self, job: str, *, timeout_s: float = 60) -> list[bool]:
        """Whether a job, or each task of an array that has begun, ended well, once they all have ended."""
        end = time.monotonic() + timeout_s
        states = self._states(job)
        while set(states) & {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED"}:
            assert time.monotonic() < end, f"job {job}: {states} after {timeout_s} s"
            time.sleep(0.1)
            states = self._states(job)
        return [state == "COMPLETED" for state in states]

    def _states(self, job: str) -> list[str]:
        return self.run("squeue", "--noheader", "--states=all", "--format=%T", "--jobs", job).split()


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """A cluster that ends with the tests."""
    missing = [name for name in PROGRAMS if program(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} of slurm-wlm and munge are not installed")
    with started() as cluster:
        yield cluster


@contextmanager
def started() -> Iterator[Slurm]:
    """Start the daemons, each in the foreground, so that it is stopped by its own id."""
    with ExitStack() as stack:
        # A socket's path holds a hundred letters, which a test's own folder may exceed.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-", ignore_cleanup_errors=True)))
        facts = {"host": socket.gethostname().partition(".")[0], "user": getpass.getuser(), "folder": folder}
        controller_port, node_port = free_ports(2)
        (folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                **facts, controller_port=controller_port, node_port=node_port, cpus=CPUS, partition=PARTITION
            )
        )
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        files = {
            "socket": "munge.sock",
            "key-file": "munge.key",
            "pid-file": "munged.pid",
            "log-file": "munged.log",
            "seed-file": "munged.seed",
        }
        stack.enter_context(
            daemon(folder, "munged", "-F", "--force", *(f"--{name}={folder / file}" for name, file in files.items()))
        )
        until((folder / "munge.sock").exists, folder)
        cluster = Slurm(folder)
        for name in ("slurmctld", "slurmd"):
            stack.enter_context(daemon(folder, name, "-D", "-f", str(folder / "slurm.conf")))
        until(lambda: _is_idle(cluster), folder)
        stack.callback(_cancel_all, cluster)
        yield cluster


def _is_idle(cluster: Slurm) -> bool:
    command = ["sinfo", "--noheader", "--format=%T"]
    done = subprocess.run(
        command, env={**os.environ, **cluster.settings}, capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout.strip() == "idle"


def _cancel_all(cluster: Slurm) -> None:
    """End what still runs, and the processes of it."""
    cluster.run("scancel", "--partition", PARTITION)
    end = time.monotonic() + 10
    while cluster.jobs() and time.monotonic() < end:
        time.sleep(0.1)
