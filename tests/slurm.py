"""A Slurm of one host for tests: real daemons on loopback, with ports and folders of their own.

`def test_x(slurm)` is given a `Slurm`; mark such a test with `@pytest.mark.slurm`. Where the daemons are not installed
(`apt-get install -y --no-install-recommends slurm-wlm munge`) it is skipped.
"""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["PARTITION", "Slurm", "slurm", "started"]

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

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What Slurm's commands, and whatever calls them, need to find this cluster."""
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def run(self, *command: str | Path, cwd: Path | None = None) -> str:
        """What a command of Slurm says."""
        done = subprocess.run(
            [str(word) for word in command],
            cwd=cwd,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{command}: {done.stderr or done.stdout}"
        return done.stdout

    def submit(self, script: str, *options: str, cwd: Path) -> str:
        """The id of the job that runs *script*, a text; its output goes to `slurm-*.out` in *cwd*."""
        path = cwd / f"job-{time.monotonic_ns()}.sh"
        path.write_text(script if script.startswith("#!") else f"#!/bin/sh\n{script}")
        return self.run("sbatch", "--parsable", *options, path, cwd=cwd).strip().partition(";")[0]

    def states(self, job: str) -> dict[str, str]:
        """The state of a job, or of each task of an array that has begun, by its id."""
        lines = self.run("squeue", "--noheader", "--states=all", "--format=%i %T", "--jobs", job).split("\n")
        return dict(line.split(maxsplit=1) for line in lines if line)

    def wait(self, job: str, *, timeout_s: float = 60) -> dict[str, str]:
        """The states of a job once it does not wait or run any more."""
        end = time.monotonic() + timeout_s
        states = self.states(job)
        while set(states.values()) & {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED"}:
            assert time.monotonic() < end, f"job {job}: {states} after {timeout_s} s"
            time.sleep(0.1)
            states = self.states(job)
        return states


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """A cluster that ends with the tests."""
    missing = [name for name in PROGRAMS if _program(name) is None]
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
        controller_port, node_port = _free_ports(2)
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
            _daemon(folder, "munged", "-F", "--force", *(f"--{name}={folder / file}" for name, file in files.items()))
        )
        _until((folder / "munge.sock").exists, folder)
        cluster = Slurm(folder)
        for name in ("slurmctld", "slurmd"):
            stack.enter_context(_daemon(folder, name, "-D", "-f", str(folder / "slurm.conf")))
        _until(lambda: _is_idle(cluster), folder)
        stack.callback(_cancel_all, cluster)
        yield cluster


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def _daemon(folder: Path, name: str, *arguments: str) -> Iterator[None]:
    program = _program(name)
    assert program is not None
    with (folder / f"{name}.out").open("wb") as said:
        process = subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_idle(cluster: Slurm) -> bool:
    command = ["sinfo", "--noheader", "--format=%T"]
    done = subprocess.run(command, env=cluster.environment, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.strip() == "idle"


def _cancel_all(cluster: Slurm) -> None:
    """End what still runs, and the processes of it."""
    cluster.run("scancel", "--partition", PARTITION)
    end = time.monotonic() + 10
    while cluster.run("squeue", "--noheader") and time.monotonic() < end:
        time.sleep(0.1)


def _until(holds: Callable[[], bool], folder: Path, *, timeout_s: float = 30) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        logs = "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in folder.glob("*.[lo]*"))
        assert time.monotonic() < end, f"Slurm did not start in {timeout_s} s\n{logs}"
        time.sleep(0.1)
