"""What the process does that those of jobs are forked from: it answers its worker, one question after the other.

A question is a message of JSON: `folder` and `environment`, with three open files, for a new process; `code` or `bury`
with the number of one that has ended. The answer is `number`, or `error` in words. The first message greets.
"""

import json
import os
import socket
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tilepipe_hub.running.parent import die_with_parent

__all__ = ["forked"]

QUESTION_BYTES = 1 << 16


def forked(line: int) -> bool:
    """Start the processes that are asked for on *line*, a socket.

    Returns:
        True in each of them; False here, once nobody can ask any more.
    """
    here = os.getpid()
    with socket.socket(fileno=line) as asked:
        try:
            asked.send(b"{}")
        except ConnectionError:
            return False
        while True:
            text, ends = _question(asked)
            if not text:
                return False
            question = json.loads(text)
            try:
                answer: dict[str, Any] = {"number": _number(question)}
            except OSError as error:
                answer = {"error": str(error)}
            if os.getpid() != here:
                break
            for end in ends:
                os.close(end)
            asked.send(json.dumps(answer).encode())
    die_with_parent(here)
    _take_place(ends, **question)
    return True


def _question(asked: socket.socket) -> tuple[bytes, list[int]]:
    """The next one with its files; empty once nobody can ask, who may have gone without hearing the greeting."""
    try:
        text, ends, _, _ = socket.recv_fds(asked, QUESTION_BYTES, 3)
    except ConnectionError:
        return b"", []
    return text, ends


def _number(question: Mapping[str, Any]) -> int:
    if "code" in question:
        return _code(question["code"])
    if "bury" in question:
        return os.waitpid(question["bury"], 0)[0]
    pid = os.fork()
    if pid:
        # By us, so that it is so before anybody is told of the process.
        os.setpgid(pid, pid)
    return pid


def _code(pid: int) -> int:
    """What a process ended with, negative for a signal; it stays to be buried."""
    told = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert told is not None  # noqa: S101 - it waits
    return told.si_status if told.si_code == os.CLD_EXITED else -told.si_status


def _take_place(ends: Sequence[int], *, folder: str, environment: Mapping[str, str]) -> None:
    """Be the process of a job, which shares nothing by chance with others."""
    for number, end in enumerate(ends):
        os.dup2(end, number)
        os.close(end)
    os.chdir(folder)
    os.environ.update(environment)
    tempfile.tempdir = None
    np.random.seed()  # noqa: NPY002 - the one that user's code takes unasked
