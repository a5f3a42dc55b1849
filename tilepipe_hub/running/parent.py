"""A process that ends with the one that started it, however that went."""

import ctypes
import os
import signal

__all__ = ["PR_SET_PDEATHSIG", "die_with_parent"]

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int | None = None, *, by: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel end this process with its parent; at once, where that is gone already.

    Args:
        parent: its number, where it is known; None for whichever it is now.
        by: the signal.
    """
    parent = parent or os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:
        os._exit(1)
