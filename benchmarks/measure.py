"""How systems are measured: whole processes, in interleaved rounds.

Wall times on a shared machine say little by themselves. Each round therefore runs every system once, one after the
other, so that what disturbs one disturbs all. CPU seconds (user and system) stand next to wall seconds and are those of
the whole process tree: what its members do not wait for is handed to the benchmark, which waits for it. Memory is the
proportional set size summed over the tree: shared pages count once. Linux only.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Command", "Run", "alone", "compare", "demand", "run"]

SAMPLE_S = 0.1
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A system under the clock: one or more programs run one after the other."""

    name: str
    steps: tuple[tuple[str, ...], ...]
    """Arguments of each program."""
    clears: str = ""
    """Directory or file removed before each run, outside of the measured time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run of a command took."""

    wall_s: float
    cpu_s: float
    """User and system seconds of all processes."""
    peak_bytes: int
    """Largest sum of proportional set sizes seen, every 0.1 s; 0 for programs shorter than that."""
    finished: bool = True
    """False when the time was over first."""


def run(command: Command, *, timeout_s: float | None = None) -> Run:
    """Run all steps of *command*; wall and CPU are sums over them, memory is the largest.

    Raises:
        SystemExit: a step failed; with the end of what it printed.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if command.clears:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            shutil.rmtree(command.clears)
        with contextlib.suppress(FileNotFoundError):
            os.remove(command.clears)
    runs = [_step(command.name, step, timeout_s) for step in command.steps]
    return Run(
        wall_s=sum(r.wall_s for r in runs),
        cpu_s=sum(r.cpu_s for r in runs),
        peak_bytes=max(r.peak_bytes for r in runs),
        finished=all(r.finished for r in runs),
    )


def _step(name: str, arguments: Sequence[str], timeout_s: float | None) -> Run:
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        process = subprocess.Popen(arguments, stdout=said, stderr=said, start_new_session=True)
        done, late, peak = threading.Event(), threading.Event(), [0]

        def watch() -> None:
            while not done.wait(SAMPLE_S):
                peak[0] = max(peak[0], sum(map(_pss, _tree(process.pid))))
                if timeout_s is not None and time.perf_counter() - started > timeout_s and not late.is_set():
                    late.set()
                    _kill(process.pid)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - started
        finally:
            done.set()
            watcher.join()
            _kill(process.pid)
        cpu_s = usage.ru_utime + usage.ru_stime + _orphans_s(process.pid)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode and not late.is_set():
            said.seek(0)
            tail = said.read().decode(errors="replace")[-2000:]
            raise SystemExit(f"{name}: {' '.join(arguments)} ended with {process.returncode}:\n{tail}")
    return Run(wall_s=wall_s, cpu_s=cpu_s, peak_bytes=peak[0], finished=not late.is_set())


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _orphans_s(root: int) -> float:
    """CPU seconds of the processes that an ended command left behind; what the benchmark itself started goes on."""
    seconds = 0.0
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
            if pid:
                seconds += usage.ru_utime + usage.ru_stime
            elif any(_tree(root)):
                time.sleep(0.01)
            else:
                break
    return seconds


def _tree(root: int) -> Iterator[int]:
    """Processes of the session *root* leads, and their descendants that started sessions of their own."""
    parents, members = {}, {root}
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(name)
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                _, parent, _, session = file.read().rpartition(")")[2].split()[:4]
            parents[pid] = int(parent)
            if int(session) == root:
                members.add(pid)
    for pid in parents:
        ancestor = pid
        while ancestor in parents and ancestor not in members:
            ancestor = parents[ancestor]
        if ancestor in members:
            yield pid


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def compare(commands: Sequence[Command], *, rounds: int, check: Callable[[], None]) -> Mapping[str, Sequence[Run]]:
    """Runs of each command by name: a warm-up that fills the page cache, *check* of what it made, then the rounds."""
    for command in commands:
        run(command)
    check()
    runs: dict[str, list[Run]] = {command.name: [] for command in commands}
    for _ in range(rounds):
        for command in commands:
            runs[command.name].append(run(command))
    return runs


def demand(holds: object, message: str) -> None:
    """End the benchmark with status 1 unless *holds*: what is wrong is not timed."""
    if not holds:
        raise SystemExit(f"not timed, the outputs are wrong: {message}")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Keep other benchmarks of this checkout out: they would disturb the times and share the outputs.

    Raises:
        SystemExit: one is running.
    """
    with open(__file__, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit("another benchmark is running in this checkout; wait for its end") from None
        yield
