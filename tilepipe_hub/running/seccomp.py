"""How a process gives up calls of the kernel: a filter of steps that the kernel takes at each call (seccomp).

A filter finds the number of the call, the machine and the arguments at places in what is given to it; the answer of the
first step that has one holds.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Sequence

__all__ = ["ALLOW", "DENY", "NOT_THERE", "Step", "any_bit", "argument", "install", "is_possible", "machine", "when"]

Step = tuple[int, int, int, int]
"""What to do, how many steps to leave out if so and if not, and with which number."""

PR_GET_SECCOMP, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, FILTER = 21, 22, 38, 2
LOAD, AND, EQUAL, AT_LEAST, ANY_BIT, ANSWER = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCH, ARGUMENTS = 0, 4, 16
"""Places in bytes; of an argument the lower half."""
OTHER_CALLS = 0x40000000
"""From here on the same calls have other numbers, on x86."""
ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

ALLOW: Step = (ANSWER, 0, 0, 0x7FFF0000)
DENY: Step = (ANSWER, 0, 0, 0x00050000 | errno.EPERM)
NOT_THERE: Step = (ANSWER, 0, 0, 0x00050000 | errno.ENOSYS)
"""As a kernel says that has no such call."""


def is_possible() -> bool:
    """Whether the kernel filters calls, and those of this machine are known here."""
    known = sys.platform == "linux" and machine() in ARCHES
    return known and ctypes.CDLL(None).prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def machine() -> str:
    """Whose numbers calls have."""
    return platform.machine()


def install(steps: Sequence[Step]) -> None:
    """Judge each call by these, and let pass what none answers; for this thread and all it starts.

    Raises:
        OSError: the kernel did not do it.
    """
    whole = [
        *(_load(ARCH), (EQUAL, 1, 0, ARCHES[machine()]), DENY),
        *(_load(NUMBER), (AT_LEAST, 0, 1, OTHER_CALLS), DENY),
        *steps,
        ALLOW,
    ]
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in whole))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(whole), ctypes.addressof(code)))
    for done in (
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        libc.prctl(PR_SET_SECCOMP, FILTER, program, 0, 0),
    ):
        if done < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def when(value: int, steps: Sequence[Step]) -> list[Step]:
    """Take these, which have an answer, where what was looked at last is this: at first, the number of the call."""
    return [(EQUAL, 0, len(steps), value), *steps]


def any_bit(bits: int, steps: Sequence[Step]) -> list[Step]:
    """Take these, which have an answer, where any of the bits is set."""
    return [(ANY_BIT, 0, len(steps), bits), *steps]


def argument(place: int, *, bits: int | None = None) -> list[Step]:
    """Look at an argument of the call, the first is 0, or at some bits of it."""
    return [_load(ARGUMENTS + 8 * place), *([] if bits is None else [(AND, 0, 0, bits)])]


def _load(place: int) -> Step:
    return (LOAD, 0, 0, place)
