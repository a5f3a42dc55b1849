"""What process files say of themselves, heard from a process that may do nothing else: their code is never run here.

`tilepipe_hub.running.inspector` is started for each round of questions, with a clean environment, and forks one process
for each file; see there for what that may not do. Whatever such a process does to itself costs its own file alone.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

from tilepipe.errors import ProcessError
from tilepipe.process import Process
from tilepipe_hub.processes.signature import Signature
from tilepipe_hub.processes.told import LONGEST, believed

__all__ = ["LIMIT_S", "inspect"]

LIMIT_S = 15.0
"""For loading one file."""
START_S = 30.0
"""For what comes before the first and after the last."""
LINE = 8 * LONGEST
"""Characters; what stands for one letter in JSON may be six."""

PATHS = ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "GDAL_DATA", "GDAL_DRIVER_PATH", "PROJ_DATA", "PROJ_LIB")
"""Variables of our environment that the code may know, and whose files it may read: fewer than a job, for it reaches
neither data nor hosts."""
PASSED = (*PATHS, "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "VIRTUAL_ENV")
"""All that it may know."""
SET = {
    # Each file's process stands in a folder of its own.
    "HOME": ".",
    "TMPDIR": ".",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def inspect(
    processes: Sequence[Process], *, readable: Sequence[str] = (), limit_s: float = LIMIT_S
) -> Iterator[tuple[Process, Signature | ProcessError]]:
    """What each says of itself, or why nothing can be known of it; in the order in which they are done.

    Args:
        processes: files.
        readable: files and folders that their code may read, beside their own folders and what Python is made of.
        limit_s: for loading one of them.
    """
    left = dict(enumerate(processes))
    for reply in _replies(processes, readable=readable, limit_s=limit_s):
        process = left.pop(reply["place"], None)
        if process is not None:
            yield process, _understood(process, reply)
    if len(processes) > 1:
        # One of them may have ended the process that is asked.
        for process in left.values():
            yield from inspect([process], readable=readable, limit_s=limit_s)
    elif left:
        yield processes[0], ProcessError(f"process {processes[0].name}: nothing came back when it was loaded")


def _understood(process: Process, reply: Mapping[str, Any]) -> Signature | ProcessError:
    if reply["end"]:
        return ProcessError(f"process {process.name}: {reply['end']}")
    try:
        return believed(process.name, reply["text"])
    except ProcessError as error:
        return error


def _replies(processes: Sequence[Process], *, readable: Sequence[str], limit_s: float) -> Iterator[Mapping[str, Any]]:
    """What the inspector tells, until it has told all or its time is over."""
    folders = {os.path.dirname(process.path) for process in processes}
    order = {
        "processes": [asdict(process) for process in processes],
        "readable": [*sorted(folders), *readable, *_needed()],
        "limit_s": limit_s,
    }
    with _inspector(START_S + limit_s * len(processes)) as inspector:
        assert inspector.stdin and inspector.stdout  # noqa: PT018, S101
        with suppress(BrokenPipeError), inspector.stdin as orders:
            orders.write(json.dumps(order))
        while line := inspector.stdout.readline(LINE):
            try:
                reply = json.loads(line)
            except ValueError:
                return
            yield reply


@contextmanager
def _inspector(limit_s: float) -> Iterator[subprocess.Popen[str]]:
    """One that is gone, with its files, when it is left or its time is over."""
    place = tempfile.mkdtemp(prefix="tilepipe-inspection-")
    try:
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "tilepipe_hub.running.inspector"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=place,
            env={name: os.environ[name] for name in PASSED if name in os.environ} | SET,
            encoding="utf-8",
            start_new_session=True,
        ) as process:
            # Those that it started end with it.
            timer = threading.Timer(limit_s, process.kill)
            timer.daemon = True
            timer.start()
            try:
                yield process
            finally:
                timer.cancel()
                process.kill()
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _needed() -> Iterator[str]:
    """What the variables name."""
    for name in PATHS:
        yield from (path for path in os.environ.get(name, "").split(os.pathsep) if os.path.isabs(path))
