"""The process of one job: takes an order, tells how it goes, and ends with the worker that started it.

It is forked from one that has loaded what most jobs need and has used it once; that one runs nobody's code but ours.

Standard input brings the order, then until when the job is its own, and perhaps that it is to stop. Standard output
takes away messages, a line of JSON each. Both are hidden from the user's code, whose prints go to standard error.

Nobody may rely on this process's goodwill: a worker that is paused beyond its lease cannot stop it, so it ends itself
when the time it was told of is over, and the kernel ends it when the worker is killed.
"""

import gc
import json
import os
import resource
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from tilepipe.errors import RecipeError
from tilepipe.plugins import Kind, find
from tilepipe_hub.running.confine import enclose, passing_ports
from tilepipe_hub.running.discreet import discreet
from tilepipe_hub.running.execution import execution
from tilepipe_hub.running.forking import forked
from tilepipe_hub.running.order import Order, order_of
from tilepipe_hub.running.rehearsal import rehearse

__all__ = ["main"]

LEAST_BYTES = 500_000_000
"""What the engine itself and its libraries may need at once."""
REST_S = 0.2
"""Without an order; then there is time for what makes a small job a third faster."""
USUAL: tuple[tuple[Kind, str], ...] = (("inputs", "raster_file"), ("formats", "gtiff"), ("executors", "sequential"))
"""What most jobs ask for by name."""


def main() -> None:
    """Load what jobs need, and carry out an order in each process that is forked from here."""
    _warm()
    if forked(sys.stdin.fileno()):
        _work()


def _work() -> None:
    """Carry out the order that comes in."""
    _go_first()
    orders, wire = _hide_ends()
    if not select.select([orders], [], [], REST_S)[0]:
        # Memory is shared with the process that this one was forked from until it is touched, which takes its time.
        rehearse(os.getcwd())
        gc.freeze()
    text, rest = _first_line(orders)
    if not text:
        return
    order = order_of(text)
    if order.confined:
        # Before there are threads, which would stay outside.
        enclose(readable=order.readable, writable=order.writable, ports=_ports(order))
    threading.Thread(target=_watch, args=(orders, rest), daemon=True).start()
    warnings.formatwarning = _plain
    if order.memory_bytes is not None and order.executor != "dask":
        # Not the address space: most of that is libraries and places kept free. The engine refuses what is projected
        # above a low limit, and needs some memory to say so.
        limit = max(order.memory_bytes, LEAST_BYTES)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    _carry_out(order, wire)


def _ports(order: Order) -> tuple[int, ...] | None:
    """The programs of a local cluster choose theirs."""
    return order.ports if order.ports is None or order.executor != "dask" else (*order.ports, *passing_ports())


def _warm() -> None:
    """Load what most jobs need, and use it once."""
    for kind, name in USUAL:
        # A job that asks for it will say what is wrong with it.
        with suppress(RecipeError):
            find(kind, name)
    rehearse(os.getcwd())
    gc.collect()
    # What is loaded by now stays to the end and is shared by all; looking through it takes as long as a small tile.
    gc.freeze()


def _carry_out(order: Order, wire: int) -> None:
    own, told = os.getpid(), partial(discreet, secrets=order.secrets, folders=order.folders)
    try:
        for message in execution(order, told=told):
            if os.getpid() != own:
                # The user's code has forked and come back twice.
                os._exit(0)
            _send(wire, message)
    except KeyboardInterrupt:
        _send(wire, {"kind": "end", "status": "stopped"})


def _send(wire: int, message: Mapping[str, Any]) -> None:
    payload = json.dumps(message).encode() + b"\n"
    while payload:
        payload = payload[os.write(wire, payload) :]


def _hide_ends() -> tuple[int, int]:
    """Our two ends of the pipes, where the user's code does not look for them and no other program gets them."""
    orders, wire = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return orders, wire


def _first_line(orders: int) -> tuple[str, bytes]:
    """The order, and what came behind it; nothing where there is none."""
    read = bytearray()
    while b"\n" not in read:
        part = os.read(orders, 1 << 16)
        if not part:
            return "", b""
        read += part
    line, _, rest = bytes(read).partition(b"\n")
    return line.decode(), rest


def _watch(orders: int, rest: bytes) -> None:
    """Follow what comes in, and end where that cannot be done: the user's code may close whatever is open."""
    try:
        _obey(orders, rest)
    except (OSError, ValueError):
        _end_all()


def _obey(orders: int, rest: bytes) -> None:
    """Follow what comes in: `until` a moment of the monotonic clock, or `stop`; end where time or worker is gone."""
    until, lines = float("inf"), bytearray(rest)
    while True:
        while b"\n" in lines:
            line, _, after = bytes(lines).partition(b"\n")
            lines = bytearray(after)
            said = json.loads(line)
            until = said.get("until", until)
            if "stop" in said:
                main_thread = threading.main_thread().ident
                assert main_thread is not None  # noqa: S101 - it runs
                # Sent to that very thread, so that it does not go on waiting for a lock.
                signal.pthread_kill(main_thread, signal.SIGINT)
        left = until - time.monotonic()
        if select.select([orders], [], [], min(max(left, 0.0), 3600.0))[0]:
            part = os.read(orders, 1 << 16)
            if not part:
                _end_all()
            lines += part
        elif until <= time.monotonic():
            _end_all()


def _end_all() -> None:
    """End this process and those it started."""
    os.killpg(0, signal.SIGKILL)


def _go_first() -> None:
    """Where memory runs out, let the kernel end a job before a worker or a store."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("500")


def _plain(message: Warning | str, *_args: object, **_facts: object) -> str:
    return f"warning: {message}\n"


if __name__ == "__main__":
    main()
