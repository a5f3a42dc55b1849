"""Which calls of the kernel code may not make while it is described: it stays alone, and lets other processes be.

Landlock guards files; by signals, limits and priorities a process reaches others of the same user all the same, and the
server is one of them. So the process gives up all that reaches beyond itself: signals, other processes, sockets, new
programs, and what Landlock lets pass (modes, owners and times of files). Threads remain.
"""

import ctypes
import os
import struct
from typing import NamedTuple

from tilepipe_hub.running.parent import PR_SET_PDEATHSIG
from tilepipe_hub.running.seccomp import ALLOW, DENY, NOT_THERE, Step, any_bit, argument, install, machine, when

__all__ = ["give_up_calls"]


class _Machine(NamedTuple):
    """Numbers of a machine's calls; those behind a name depend on the arguments."""

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
CLONE_THREAD = 0x10000
CAPABILITIES = 0x20080522
"""The version of their layout."""


def give_up_calls() -> None:
    """Make those calls no more, and have no rights of the superuser; for this thread and all it starts.

    Raises:
        OSError: the kernel did not do it.
    """
    numbers = MACHINES[machine()]
    if ctypes.CDLL(None, use_errno=True).syscall(numbers.capset, struct.pack("=Ii", CAPABILITIES, 0), bytes(24)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    install(_steps(numbers))


def _steps(numbers: _Machine) -> list[Step]:
    return [
        # The C library falls back on `clone`, whose arguments can be looked at.
        *when(CLONE3, [NOT_THERE]),
        *when(numbers.clone, [*argument(0), *any_bit(CLONE_THREAD, [ALLOW]), DENY]),
        # Limits of its own, and not those of others.
        *when(numbers.prlimit, [*argument(0), *when(0, [ALLOW]), DENY]),
        # It ends with who started it.
        *when(numbers.prctl, [*argument(0), *when(PR_SET_PDEATHSIG, [DENY]), ALLOW]),
        *(step for number in numbers.refused for step in when(number, [DENY])),
    ]
