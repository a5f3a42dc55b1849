"""Which calls of the kernel code may not make while it is described: it stays alone, and lets other processes be.

Landlock guards files; by signals, limits and priorities a process reaches others of the same user all the same, and the
server is one of them. So the process gives up all that reaches beyond itself: signals, other processes, sockets, new
programs, and what Landlock lets pass (modes, owners and times of files). Threads remain.
"""

import ctypes
import os
import platform
import struct
from typing import NamedTuple

__all__ = ["give_up_calls", "is_possible"]


class _Machine(NamedTuple):
    """Numbers of a machine's calls; those behind a name depend on the arguments."""

    arch: int
    clone: int
    prlimit: int
    prctl: int
    capset: int
    refused: tuple[int, ...]


BOTH = (
    *(424, 434, 438),  # pidfd_send_signal, pidfd_open, pidfd_getfd
    *(440, 448),  # process_madvise, process_mrelease
    *(425, 426, 427),  # io_uring, which opens sockets by itself
    452,  # fchmodat2
)
MACHINES = {
    "x86_64": _Machine(
        arch=0xC000003E,
        clone=56,
        prlimit=302,
        prctl=157,
        capset=126,
        refused=(
            *BOTH,
            *(62, 200, 234, 129, 297),  # kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo
            *(101, 310, 311, 312),  # ptrace, process_vm_readv, process_vm_writev, kcmp
            *(112, 109),  # setsid, setpgid
            *(41, 57, 58, 59, 322),  # socket, fork, vfork, execve, execveat
            *(141, 251, 203, 144, 142, 314),  # setpriority, ioprio_set, sched_set...
            *(256, 279),  # migrate_pages, move_pages
            *(321, 298, 323),  # bpf, perf_event_open, userfaultfd
            *(272, 308, 165, 166, 161, 155),  # unshare, setns, mount, umount2, chroot, pivot_root
            *(250, 248, 249),  # keyctl, add_key, request_key
            *(29, 30, 68, 64, 240),  # shmget, shmat, msgget, semget, mq_open
            *(90, 91, 268, 92, 93, 94, 260),  # chmod, chown and their like
            *(188, 189, 190, 197, 198, 199),  # setxattr, removexattr and their like
            *(132, 235, 261, 280, 76),  # utime and its like, truncate
        ),
    ),
    "aarch64": _Machine(
        arch=0xC00000B7,
        clone=220,
        prlimit=261,
        prctl=167,
        capset=91,
        refused=(
            *BOTH,
            *(129, 130, 131, 138, 240),
            *(117, 270, 271, 272),
            *(157, 154),
            *(198, 221, 281),
            *(140, 30, 122, 119, 118, 274),
            *(238, 239),
            *(280, 241, 282),
            *(97, 268, 40, 39, 51, 41),
            *(219, 217, 218),
            *(194, 196, 186, 190, 180),
            *(52, 53, 54, 55),
            *(5, 6, 7, 14, 15, 16),
            *(88, 45),
        ),
    ),
}
CLONE3 = 435
X32 = 0x40000000
"""Numbers from here on mean the calls of another convention."""

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
FILTER = 2
CLONE_THREAD = 0x10000
CAPABILITIES = 0x20080522
"""The version of their layout."""

ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS = 1, 38
NUMBER, ARCH, FIRST = 0, 4, 16
"""Where the filter finds a call's number, its machine and the lower half of its first argument, in bytes."""
LOAD, EQUAL, AT_LEAST, ANY_BIT, ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06


def is_possible() -> bool:
    """Whether the calls of this machine are known."""
    return platform.system() == "Linux" and platform.machine() in MACHINES


def give_up_calls() -> None:
    """Make those calls no more, and have no rights of the superuser; for this thread and all it starts.

    Raises:
        OSError: the kernel did not do it.
    """
    machine = MACHINES[platform.machine()]
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.syscall(machine.capset, struct.pack("=Ii", CAPABILITIES, 0), bytes(24)))
    steps = _steps(machine)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    _checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(libc.prctl(PR_SET_SECCOMP, FILTER, program, 0, 0))


def _steps(machine: _Machine) -> list[tuple[int, int, int, int]]:
    """The filter: what to do, how many steps to leave out if so and if not, and with which number."""
    no, allowed = (ANSWER, 0, 0, ERROR | EPERM), (ANSWER, 0, 0, ALLOW)
    return [
        (LOAD, 0, 0, ARCH),
        (EQUAL, 1, 0, machine.arch),
        (ANSWER, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, 0, 1, X32),
        no,
        # The C library falls back on `clone`, whose arguments can be looked at.
        (EQUAL, 0, 1, CLONE3),
        (ANSWER, 0, 0, ERROR | ENOSYS),
        *_by_argument(machine.clone, (ANY_BIT, 1, 0, CLONE_THREAD)),
        # Limits of its own, and not those of others.
        *_by_argument(machine.prlimit, (EQUAL, 1, 0, 0)),
        # It ends with who started it.
        *_by_argument(machine.prctl, (EQUAL, 0, 1, PR_SET_PDEATHSIG)),
        *(step for number in machine.refused for step in ((EQUAL, 0, 1, number), no)),
        allowed,
    ]


def _by_argument(number: int, judge: tuple[int, int, int, int]) -> list[tuple[int, int, int, int]]:
    """Of a call of *number*: refused or let pass by its first argument."""
    return [
        (EQUAL, 0, 4, number),
        (LOAD, 0, 0, FIRST),
        judge,
        (ANSWER, 0, 0, ERROR | EPERM),
        (ANSWER, 0, 0, ALLOW),
    ]


def _checked(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
