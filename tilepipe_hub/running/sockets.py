"""Which sockets the process of a job may open: plain TCP, whose ports the kernel guards, and those of this machine.

The guard of ports (Landlock) looks at TCP alone, and only when it is asked to connect. Of what leads round it, the
kernel takes the calls away (seccomp): datagrams, TCP over several paths, other protocols, connecting by sending.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Sequence

__all__ = ["can_be_few", "only_tcp"]

PR_GET_SECCOMP, PR_SET_SECCOMP, FILTER = 21, 22, 2
UNIX, INET, INET6, NETLINK = 1, 2, 10, 16
STREAM, TCP = 1, 6
FASTOPEN = 0x20000000
"""Of the flags of a message: connect by sending it."""
OTHER_CALLS = 0x40000000
"""From here on the same calls have other numbers, on x86."""
IO_URING_SETUP = 425
"""What is done by that way is filtered by nobody."""

MACHINES = {
    "x86_64": (0xC000003E, {"socket": 41, "sendto": 44, "sendmsg": 46, "sendmmsg": 307}),
    "aarch64": (0xC00000B7, {"socket": 198, "sendto": 206, "sendmsg": 211, "sendmmsg": 269}),
}
"""How the kernel calls a machine, and the numbers of its calls."""

Step = tuple[int, int, int, int]

ALLOW: Step = (0x06, 0, 0, 0x7FFF0000)
DENY: Step = (0x06, 0, 0, 0x00050000 | errno.EPERM)
LOW_BITS: Step = (0x54, 0, 0, 0xF)


def can_be_few() -> bool:
    """Whether the kernel filters calls, and those of this machine are known here."""
    known = sys.platform == "linux" and platform.machine() in MACHINES
    return known and ctypes.CDLL(None).prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def only_tcp() -> None:
    """Give up all other ways to other machines; for this thread and all it starts. It has to have no new privileges.

    Raises:
        OSError: the kernel did not do it.
    """
    machine, calls = MACHINES[platform.machine()]
    steps = _program(machine, calls)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("HP", len(steps), ctypes.addressof(code))
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_SECCOMP, FILTER, ctypes.c_char_p(program)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _program(machine: int, calls: dict[str, int]) -> list[Step]:
    """What the kernel does at each call; the number of the call, the machine and the arguments are given to it."""
    protocol = [_load(32), *_when(0, [ALLOW]), *_when(TCP, [ALLOW]), DENY]
    inet = [_load(24), LOW_BITS, *_when(STREAM, protocol), DENY]
    socket = [
        *(_load(16), *_when(UNIX, [ALLOW]), *_when(NETLINK, [ALLOW])),
        *(*_when(INET, inet), *_when(INET6, inet), DENY),
    ]
    return [
        *(_load(4), (0x15, 1, 0, machine), DENY),
        *(_load(0), (0x35, 0, 1, OTHER_CALLS), DENY),
        *_when(calls["sendto"], _without(FASTOPEN, place=40)),
        *_when(calls["sendmsg"], _without(FASTOPEN, place=32)),
        *_when(calls["sendmmsg"], _without(FASTOPEN, place=40)),
        *_when(calls["socket"], socket),
        *_when(IO_URING_SETUP, [DENY]),
        ALLOW,
    ]


def _load(place: int) -> Step:
    """Look at a number of what is given."""
    return (0x20, 0, 0, place)


def _when(value: int, steps: Sequence[Step]) -> list[Step]:
    """Do these, which have an end, where the number is this one."""
    return [(0x15, 0, len(steps), value), *steps]


def _without(bits: int, *, place: int) -> list[Step]:
    return [_load(place), (0x45, 0, 1, bits), DENY, ALLOW]
