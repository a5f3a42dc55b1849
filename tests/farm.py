"""A Dask scheduler and its workers for tests: processes of their own on loopback, which can be killed one by one."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import distributed

__all__ = ["Farm", "children", "farm"]

TESTS = str(Path(__file__).parent)


def children(pid):
    """The processes that descend from *pid*, parents first."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            if int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found += [int(folder.name), *children(int(folder.name))]
    return found


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@dataclass
class Farm:
    """What runs; workers are processes that watch over the one that computes."""

    folder: Path
    port: int = field(default_factory=free_port)
    scheduler: subprocess.Popen | None = None
    workers: list = field(default_factory=list)

    @property
    def address(self):
        return f"tcp://127.0.0.1:{self.port}"

    def start(self, program, *arguments, path=()):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, path), TESTS]), "PYTHONWARNINGS": ""}
        log = (self.folder / f"{program}-{time.monotonic_ns()}.log").open("w")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{program}", *map(str, arguments)],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def add_scheduler(self):
        """Start the scheduler, at the same address each time."""
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", self.port, "--no-dashboard")

    def add_worker(self, *options, threads=1, memory="1GiB", path=()):
        """Start a worker."""
        fixed = ["--host", "127.0.0.1", "--no-dashboard", "--nthreads", threads, "--memory-limit", memory]
        worker = self.start("worker", self.address, *fixed, "--death-timeout", "30", *options, path=path)
        self.workers.append(worker)
        return worker

    def await_workers(self, count):
        """Wait until the scheduler has that many."""
        with self.client() as client:
            client.wait_for_workers(count, timeout=30)

    def client(self):
        return distributed.Client(self.address, set_as_default=False, timeout=30)

    def computing(self, worker):
        """The process that computes under a worker's watch."""
        return [pid for pid in children(worker.pid) if b"spawn_main" in _command(pid)]

    def kill_computing(self, worker):
        """SIGKILL the process that computes; the one that watches starts another."""
        for pid in self.computing(worker):
            os.kill(pid, signal.SIGKILL)

    def kill_worker(self, worker):
        """SIGKILL a worker with all it started."""
        for pid in [worker.pid, *children(worker.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        worker.wait()
        self.workers.remove(worker)

    def kill_scheduler(self):
        self.scheduler.kill()
        self.scheduler.wait()

    def close(self):
        for worker in list(self.workers):
            self.kill_worker(worker)
        if self.scheduler is not None:
            self.kill_scheduler()


def _command(pid):
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@contextmanager
def farm(folder, *, workers=2, **options):
    """A scheduler with workers, all ended afterwards."""
    it = Farm(Path(folder))
    try:
        it.add_scheduler()
        for _ in range(workers):
            it.add_worker(**options)
        it.await_workers(workers)
        yield it
    finally:
        it.close()
