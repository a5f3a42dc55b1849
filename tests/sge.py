"""A Grid Engine of one host for tests: real daemons, with a cell, ports and folders of their own.

`def test_x(sge)` is given an `Sge`; mark such a test with `@pytest.mark.sge`. Where the daemons of Debian are not
installed (`apt-get install -y --no-install-recommends gridengine-master gridengine-exec gridengine-client`) it is
skipped. A test that any queue can pass asks for `queue`. The name of the machine has to resolve, to any address.

The daemons listen at all addresses of the machine, which cannot be set, but take orders from loopback only: no other
host is one of the cell's.
"""

import getpass
import os
import re
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from daemons import daemon, free_ports, said, until

__all__ = ["Sge", "sge", "started"]

QUEUE = "tests"
SLOTS = 4
"""Claimed, whatever the machine has, so that some jobs run at once."""

LIBRARY = Path("/usr/lib/gridengine")
SHARE = Path("/usr/share/gridengine")

PROGRAMS = ("sge_qmaster", "sge_execd", "sge_shepherd", "spoolinit", "spooldefaults", "qconf", "qsub", "qstat", "qdel")

BOOTSTRAP = """
admin_user {user}
default_domain none
ignore_fqdn true
spooling_method classic
spooling_lib libspoolc
spooling_params {spool}
binary_path {library}
qmaster_spool_dir {folder}/qmaster
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
"""


@dataclass(frozen=True, slots=True)
class Sge:
    """A running cell of one host."""

    kind: ClassVar[str] = "sge"
    name: ClassVar[str] = QUEUE
    refusal: ClassVar[str] = "unknown queue"
    task: ClassVar[str] = "$SGE_TASK_ID"
    tasks: ClassVar[str] = "$SGE_TASK_LAST"

    folder: Path
    ports: tuple[int, int]
    """Of the master and of the host's daemon."""

    @property
    def settings(self) -> dict[str, str]:
        """What the commands, and whatever calls them, need to find this cell."""
        master, host = map(str, self.ports)
        place = {"SGE_ROOT": str(self.folder), "SGE_CELL": "cell"}
        return {**place, "SGE_QMASTER_PORT": master, "SGE_EXECD_PORT": host}

    def run(self, *command: str | Path, cwd: Path | None = None) -> str:
        """What a command says."""
        return said(LIBRARY / command[0], *command[1:], settings=self.settings, cwd=cwd)

    def jobs(self) -> list[str]:
        """The jobs that wait, run or are being ended."""
        lines = self.run("qstat", "-u", "*").splitlines()[2:]
        return list(dict.fromkeys(line.split()[0] for line in lines))

    def cancel(self, job: str, *, task: int | None = None) -> None:
        """End a job, or a task of an array."""
        self.run("qdel", job if task is None else f"{job}.{task}")

    def submit(self, script: str, *, cwd: Path, tasks: str = "", after: str = "") -> str:
        """The id of the job that runs *script*, a text; what it says goes to `job-*.o*` in *cwd*."""
        path = cwd / f"job-{time.monotonic_ns()}.sh"
        path.write_text(f"#!/bin/sh\n{script}")
        options = ["-t", tasks] * bool(tasks) + ["-hold_jid", after] * bool(after)
        said = self.run("qsub", "-terse", "-cwd", "-j", "y", *options, path, cwd=cwd)
        return said.strip().partition(".")[0]

    def wait(self, job: str, *, timeout_s: float = 60) -> list[bool]:
        """Whether a job, or each task of an array that has begun, ended well, once they all have ended."""
        end = time.monotonic() + timeout_s
        while job in self.jobs():
            assert time.monotonic() < end, f"job {job}: {self.run('qstat', '-j', job)}"
            time.sleep(0.1)
        # One line a task, with the fields of accounting(5); it is written before a job leaves the queue.
        lines = [line.split(":") for line in (self.folder / "cell/common/accounting").read_text().splitlines()]
        return [line[11:13] == ["0", "0"] for line in lines if line[5:6] == [job]]


@pytest.fixture(scope="session")
def sge() -> Iterator[Sge]:
    """A cell that ends with the tests."""
    missing = [name for name in PROGRAMS if not (LIBRARY / name).exists()]
    if missing:
        pytest.skip(f"{', '.join(missing)} of gridengine-master, -exec and -client are not installed")
    with started() as cell:
        yield cell


@contextmanager
def started() -> Iterator[Sge]:
    """Make a cell and start its daemons."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sge-", ignore_cleanup_errors=True)))
        master_port, host_port = free_ports(2)
        cell = Sge(folder, (master_port, host_port))
        _make(cell)
        settings = {**cell.settings, "SGE_ND": "1"}
        # Asked to end, they take twelve seconds; nothing they hold is wanted any more.
        kill = signal.SIGKILL
        stack.enter_context(daemon(folder, "sge_qmaster", settings=settings, ends_by=kill))
        until(lambda: _answers(cell), folder)
        _set_up(cell)
        stack.enter_context(daemon(folder, "sge_execd", settings=settings, ends_by=kill))
        until(lambda: _is_heard(cell), folder)
        stack.callback(_cancel_all, cell)
        yield cell


def _make(cell: Sge) -> None:
    """Write what the master reads when it starts."""
    common, spool = cell.folder / "cell/common", cell.folder / "qmaster"
    for path in (common, spool, cell.folder / "execd"):
        path.mkdir(parents=True)
    parameters = f"{common};{spool}"
    (common / "bootstrap").write_text(
        BOOTSTRAP.format(user=getpass.getuser(), folder=cell.folder, library=LIBRARY, spool=parameters)
    )
    (common / "act_qmaster").write_text("localhost\n")
    # The daemons refuse whom they know by another name than the address they are called from.
    own = socket.gethostname()
    names = {own, own.partition(".")[0], socket.getfqdn(), "localhost.localdomain"} - {"localhost"}
    (common / "host_aliases").write_text(f"localhost {' '.join(sorted(names))}\n")
    # A job's processes are known by a group of their own; another cell beside this one must not end them.
    first_group = 30000 + os.getpid() % 300 * 100
    text = _edited(
        (SHARE / "default-configuration").read_text(),
        execd_spool_dir=cell.folder / "execd",
        min_uid=0,
        min_gid=0,
        load_report_time="00:00:01",
        gid_range=f"{first_group}-{first_group + 99}",
        reporting_params="accounting=true reporting=false accounting_flush_time=00:00:00 joblog=false",
    )
    (cell.folder / "configuration").write_text(text)
    cell.run("spoolinit", "classic", "libspoolc", parameters, "init")
    cell.run("spooldefaults", "configuration", cell.folder / "configuration")
    cell.run("spooldefaults", "complexes", SHARE / "util/resources/centry")
    cell.run("spooldefaults", "usersets", SHARE / "util/resources/usersets")
    cell.run("spooldefaults", "managers", getpass.getuser())


def _set_up(cell: Sge) -> None:
    """Tell the master of its host and queue, and to be quick."""
    cell.run("qconf", "-as", "localhost")
    queue = cell.folder / "queue"
    changed = {"qname": QUEUE, "hostlist": "localhost", "slots": SLOTS, "load_thresholds": "NONE", "pe_list": "NONE"}
    queue.write_text(_edited(cell.run("qconf", "-sq"), **changed))
    cell.run("qconf", "-Aq", queue)
    scheduler = cell.folder / "scheduler"
    quick = {"schedule_interval": "0:0:1", "flush_submit_sec": 1, "flush_finish_sec": 1}
    # The load of the machine is none of this cell's: the tests that run beside these make it.
    calm = {"job_load_adjustments": "NONE", "load_adjustment_decay_time": "0:0:0"}
    scheduler.write_text(_edited(cell.run("qconf", "-ssconf"), **quick, **calm))
    cell.run("qconf", "-Msconf", scheduler)


def _edited(text: str, **values: object) -> str:
    """A text of keys and values with other values."""
    for key, value in values.items():
        text, count = re.subn(rf"^{key}\s.*$", f"{key} {value}", text, flags=re.MULTILINE)
        assert count == 1, f"{key} is not in\n{text}"
    return text


def _answers(cell: Sge) -> bool:
    with suppress(AssertionError):
        cell.run("qconf", "-sh")
        return True
    return False


def _is_heard(cell: Sge) -> bool:
    """Whether the master knows what kind of machine its host is."""
    return cell.run("qhost", "-h", "localhost").splitlines()[-1].split()[1] != "-"


def _cancel_all(cell: Sge) -> None:
    """End what still runs, and the processes of it."""
    # It fails where there is none.
    with suppress(AssertionError):
        cell.run("qdel", "-u", "*")
    end = time.monotonic() + 10
    while cell.jobs() and time.monotonic() < end:
        time.sleep(0.1)
