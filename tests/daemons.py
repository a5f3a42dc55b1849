"""Daemons that tests start on this machine: each in the foreground, so that it is stopped by its own id."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

__all__ = ["daemon", "free_ports", "program", "said", "until"]


def program(name: str) -> str | None:
    """Where a program is, those that only administrators have in their path included."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens at."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def daemon(
    folder: Path,
    *command: str,
    settings: Mapping[str, str] | None = None,
    ends_by: signal.Signals = signal.SIGTERM,
) -> Iterator[None]:
    """Run a daemon for the block; what it says goes to `*.out` in *folder*."""
    path = program(command[0])
    assert path is not None
    with (folder / f"{command[0]}.out").open("wb") as said:
        process = subprocess.Popen(
            [path, *command[1:]],
            env={**os.environ, **(settings or {})},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:
        yield
    finally:
        process.send_signal(ends_by)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def said(*command: str | Path, settings: Mapping[str, str], cwd: Path | None = None) -> str:
    """What a command says that speaks to a daemon, and ends well."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, f"{command}: {done.stderr or done.stdout}"
    return done.stdout


def until(holds: Callable[[], bool], folder: Path, *, timeout_s: float = 30) -> None:
    """Wait until the daemons are ready; if they do not come to be, what they said is told."""
    end = time.monotonic() + timeout_s
    while not holds():
        logs = "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in folder.glob("*.[lo]*"))
        assert time.monotonic() < end, f"the queue did not start in {timeout_s} s\n{logs}"
        time.sleep(0.1)
