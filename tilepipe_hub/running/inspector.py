"""The process that reads process files for a server: runs each in a process of its own, and passes on what it says.

Standard input brings what to read, as one JSON document; standard output takes away a line of JSON for each file, in
the order in which they are done. This process runs nobody's code but ours. For each file it forks one that gives up
files, calls and all but one pipe, and only then loads the file: what comes through that pipe is said by the file's
code, of that file alone, and the server judges it.
"""

import gc
import json
import math
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tilepipe.errors import ProcessError
from tilepipe.process import Process
from tilepipe_hub.processes.engine import engine_schemas
from tilepipe_hub.processes.signature import read_signature
from tilepipe_hub.processes.told import LONGEST, written
from tilepipe_hub.running import calls, confine, seccomp
from tilepipe_hub.running.parent import die_with_parent

__all__ = ["main"]

AT_ONCE = 2
MEMORY_BYTES = 1 << 30
FILE_BYTES = 1 << 24
FILES = 256
WIRE = 3
"""What the described code's process has open beside the usual three."""


@dataclass(slots=True, kw_only=True)
class _Reading:
    """A file that is being read."""

    place: int
    pid: int
    ends: float
    """By the monotonic clock."""
    text: bytearray = field(default_factory=bytearray)


def main() -> None:
    """Read what standard input asks for."""
    die_with_parent()
    order = json.load(sys.stdin.buffer)
    wire = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for end in (0, 1, 2):
        os.dup2(nothing, end)
    # Those that are forked find it made.
    engine_schemas()
    gc.freeze()
    waiting = list(enumerate(order["processes"]))[::-1]
    running: dict[int, _Reading] = {}
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            place, process = waiting.pop()
            pipe, reading = _begun(place, process, order)
            running[pipe] = reading
        left = min(reading.ends for reading in running.values()) - time.monotonic()
        for pipe in select.select(list(running), [], [], max(left, 0.0))[0]:
            reading = running[pipe]
            part = os.read(pipe, 1 << 16)
            reading.text += part
            if not part or len(reading.text) > LONGEST:
                _send(wire, _ended(running.pop(pipe), pipe))
        for pipe in [pipe for pipe, reading in running.items() if reading.ends <= time.monotonic()]:
            said = _ended(running.pop(pipe), pipe)
            _send(wire, {**said, "end": f"was not loaded within {order['limit_s']:g} s"})


def _begun(place: int, process: Mapping[str, str], order: Mapping[str, Any]) -> tuple[int, _Reading]:
    """The pipe from a new process that describes the file, and what is known of it."""
    theirs, ours = os.pipe()
    own = os.path.join(os.getcwd(), str(place))
    os.mkdir(own)
    pid = os.fork()
    if pid == 0:
        _describe(Process(**process), ours, own, order)
    os.close(ours)
    return theirs, _Reading(place=place, pid=pid, ends=time.monotonic() + order["limit_s"])


def _describe(process: Process, wire: int, own: str, order: Mapping[str, Any]) -> None:
    """Say what the file says of itself, and end; does not come back."""
    said: Mapping[str, Any] = {"error": "could not be described"}
    try:
        _give_up(wire, own, order)
        said = {"signature": written(read_signature(process))}
    except ProcessError as error:
        said = {"error": str(error)}
    finally:
        # Whatever the file's code raises has come this far, and must come no farther.
        kind = sys.exc_info()[0]
        if kind is not None:
            said = {"error": f"process {process.name} cannot be described: {kind.__name__}"}
        with suppress(OSError, ValueError, TypeError, RecursionError):
            _send(WIRE, said)
        os._exit(0)


def _give_up(wire: int, own: str, order: Mapping[str, Any]) -> None:
    """All that describing a file does not take."""
    os.dup2(wire, WIRE)
    os.closerange(WIRE + 1, os.sysconf("SC_OPEN_MAX"))
    die_with_parent()
    os.setpgid(0, 0)
    os.chdir(own)
    sys.dont_write_bytecode = True
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")
    # By the clock it ends sooner, with better words.
    seconds = math.ceil(2 * order["limit_s"])
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_DATA, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, FILES),
    ):
        hard = resource.getrlimit(kind)[1]
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (limit, limit))
    try:
        if confine.is_possible():
            confine.enclose(readable=order["readable"], writable=[own])
        if seccomp.is_possible():
            calls.give_up_calls()
    except OSError as error:
        raise ProcessError(f"its process cannot be kept from files and others here: {error}") from error


def _ended(reading: _Reading, pipe: int) -> dict[str, Any]:
    """What was said by a process that is ended now, if it was not before, and how it ended."""
    os.close(pipe)
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError):
            kill(reading.pid, signal.SIGKILL)
    status = os.waitpid(reading.pid, 0)[1]
    end = "said too much" if len(reading.text) > LONGEST else _words(status)
    return {"place": reading.place, "text": reading.text[: LONGEST + 1].decode(errors="replace"), "end": end}


def _words(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"was ended by signal {os.WTERMSIG(status)} while it was loaded"
    code = os.waitstatus_to_exitcode(status)
    return f"ended with code {code} while it was loaded" if code else ""


def _send(wire: int, message: Mapping[str, Any]) -> None:
    payload: Sequence[int] = json.dumps(message).encode() + b"\n"
    while payload:
        payload = payload[os.write(wire, bytes(payload)) :]


if __name__ == "__main__":
    main()
