"""Which sockets the process of a job may open: plain TCP, whose ports the kernel guards, and those of this machine.

The guard of ports (Landlock) looks at TCP alone, and only when it is asked to connect. Of what leads round it, the
kernel takes the calls away (seccomp): datagrams, TCP over several paths, other protocols, connecting by sending.
"""

from tilepipe_hub.running.seccomp import ALLOW, DENY, Step, any_bit, argument, install, machine, when

__all__ = ["only_tcp"]

UNIX, INET, INET6, NETLINK = 1, 2, 10, 16
STREAM, TCP = 1, 6
KIND_BITS = 0xF
"""Of the second argument of `socket`; others are flags."""
FASTOPEN = 0x20000000
"""Of the flags of a message: connect by sending it."""
IO_URING_SETUP = 425
"""What is done by that way is filtered by nobody."""

CALLS = {
    "x86_64": {"socket": 41, "sendto": 44, "sendmsg": 46, "sendmmsg": 307},
    "aarch64": {"socket": 198, "sendto": 206, "sendmsg": 211, "sendmmsg": 269},
}
"""Their numbers on each machine."""


def only_tcp() -> None:
    """Give up all other ways to other machines; for this thread and all it starts.

    Raises:
        OSError: the kernel did not do it.
    """
    calls = CALLS[machine()]
    protocol = [*argument(2), *when(0, [ALLOW]), *when(TCP, [ALLOW]), DENY]
    inet = [*argument(1, bits=KIND_BITS), *when(STREAM, protocol), DENY]
    family = [
        *argument(0),
        *(*when(UNIX, [ALLOW]), *when(NETLINK, [ALLOW])),
        *(*when(INET, inet), *when(INET6, inet), DENY),
    ]
    install(
        [
            *when(calls["sendto"], _without_fastopen(3)),
            *when(calls["sendmsg"], _without_fastopen(2)),
            *when(calls["sendmmsg"], _without_fastopen(3)),
            *when(calls["socket"], family),
            *when(IO_URING_SETUP, [DENY]),
        ]
    )


def _without_fastopen(place: int) -> list[Step]:
    """By the argument that holds the flags."""
    return [*argument(place), *any_bit(FASTOPEN, [DENY]), ALLOW]
