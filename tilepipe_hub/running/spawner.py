"""The worker's end of the process that those of jobs are forked from: it has loaded all that they need, once for all.

Else each job would wait for Python, the engine and GDAL, which takes longer than a small one. Nobody's code but ours
runs in it. It ends with the worker, and the processes of jobs end with it.
"""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tilepipe_hub.running.confine import gdal_options

__all__ = ["Process", "Spawner"]

PASSED = (
    *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH"),
    *("GDAL_DATA", "GDAL_DRIVER_PATH", "PROJ_DATA", "PROJ_LIB", "PROJ_NETWORK", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("CURL_CA_BUNDLE", "GDAL_CURL_CA_BUNDLE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "COVERAGE_PROCESS_START"),
)
"""Variables of our environment that a job may know."""

PATHS = (
    *("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "GDAL_DATA", "GDAL_DRIVER_PATH", "PROJ_DATA", "PROJ_LIB"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "GDAL_CURL_CA_BUNDLE"),
)
"""Those that name files it needs."""

ANSWER_BYTES = 1 << 16
KILLED = -int(signal.SIGKILL)


class Spawner:
    """Starts processes of `tilepipe_hub.runner`, from any thread; one that fails is replaced at the next start."""

    def __init__(self, secrets: Collection[str]) -> None:
        """Nothing is started yet.

        Args:
            secrets: names of further variables that jobs may know.
        """
        passed = {name: os.environ[name] for name in (*PASSED, *secrets) if name in os.environ}
        self.needed = tuple(path for name in PATHS for path in passed.get(name, "").split(os.pathsep) if path)
        """Files and folders that jobs have to read, whatever they do."""
        self._environment = {**passed, **gdal_options()}
        self._lock = threading.Lock()
        self._source: _Source | None = None

    def start(self, ends: Sequence[int], *, folder: str, environment: Mapping[str, str]) -> "Process":
        """A new process, the first of a group of its own.

        Args:
            ends: what becomes its standard input, output and error; may be closed then.
            folder: in which it starts.
            environment: further variables.

        Raises:
            OSError: there can be none now.
        """
        source = self._running()
        pid = source.ask({"folder": folder, "environment": dict(environment)}, ends)
        return Process(source, pid)

    def is_ready(self) -> bool:
        """Whether a start would not have to wait for what is loaded first; has that begin.

        Raises:
            OSError: it cannot.
        """
        return self._running().is_ready()

    def _running(self) -> "_Source":
        with self._lock:
            if self._source is None or self._source.has_ended:
                self.close()
                self._source = _Source(self._environment)
            return self._source

    def close(self) -> None:
        """End it, and those that it started; may be called again."""
        source, self._source = self._source, None
        if source is not None:
            source.close()


class Process:
    """One that a spawner started; its number is given to no other before it is buried."""

    def __init__(self, source: "_Source", pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        """What it ended with, negative for a signal; None while it runs."""
        self._source = source
        try:
            self._handle: int | None = os.pidfd_open(pid)
        except ProcessLookupError:
            self._handle = None

    def poll(self) -> int | None:
        """What it ended with; None while it runs."""
        return self.wait(0)

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for its end, at most so long."""
        if self.returncode is None:
            if self._handle is not None and not select.select([self._handle], [], [], timeout_s)[0]:
                return None
            try:
                self.returncode = self._source.ask({"code": self.pid})
            except OSError:
                # It ended with the process that knew.
                self.returncode = KILLED
        return self.returncode

    def bury(self) -> None:
        """Let its number be given to others; may be called again."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)
            try:
                self._source.ask({"bury": self.pid})
            except OSError:
                # With the process that kept it, the system has buried it already.
                return


class _Source:
    """The process itself, and what is said to it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._place = tempfile.mkdtemp(prefix="tilepipe-jobs-")
        self._lock = threading.Lock()
        self._is_greeted = False
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tilepipe_hub.runner"],
                stdin=theirs.fileno(),
                cwd=self._place,
                env={**environment, "HOME": self._place, "TMPDIR": self._place, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def is_ready(self) -> bool:
        """Whether it has greeted, or ended before that."""
        return self._is_greeted or bool(select.select([self._line], [], [], 0)[0])

    def ask(self, question: Mapping[str, Any], files: Sequence[int] = ()) -> int:
        """What it answers.

        Raises:
            OSError: it cannot, or is gone.
        """
        with self._lock:
            if not self._is_greeted:
                self._is_greeted = bool(self._line.recv(ANSWER_BYTES))
            socket.send_fds(self._line, [json.dumps(question).encode()], files)
            answer = self._line.recv(ANSWER_BYTES)
        if not answer:
            raise ConnectionError("the process that those of jobs come from has ended; the worker's log may say why")
        said = json.loads(answer)
        if "error" in said:
            raise OSError(said["error"])
        number: int = said["number"]
        return number

    def close(self) -> None:
        # It ends by itself; so do those that it started.
        self._line.close()
        self._process.wait()
        shutil.rmtree(self._place, ignore_errors=True)
