"""The worker's end of a job's process: what it is given, what is heard of it, how it is ended.

The process gets a clean environment: what programs need to find their files, and the secrets that the operator named.
"""

import json
import os
import select
import shutil
import signal
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from tilepipe.recipe import fill
from tilepipe_hub.running.order import Order
from tilepipe_hub.running.proxy import Proxy, blamed, variables
from tilepipe_hub.running.spawner import Spawner

__all__ = ["Child", "Message", "Undertaking", "filled_here", "secrets_here"]

Message = Mapping[str, Any]

PART, PIPE_READS = 1 << 16, 16
"""Bytes read at once, and how often that is done to have all that a pipe holds: a MiB at the most."""
LONGEST = 1 << 20
"""Bytes of a line; what is longer is cut in pieces."""


class Undertaking(Protocol):
    """Something under way that a worker attends."""

    def hear(self, timeout_s: float) -> list[Message]:
        """What it has told since the last call; waits for something up to a time."""
        ...

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will be heard."""
        ...

    def how_it_ended(self) -> str:
        """In words: by which signal, or with which code."""
        ...

    def hold_until(self, moment: float) -> None:
        """Let it go on until a moment of the monotonic clock, also after a pause; then it ends by itself."""
        ...

    def pause(self) -> None:
        """Let it do nothing until it hears a new moment."""
        ...

    def stop(self) -> None:
        """Ask it to end soon, and tidily."""
        ...

    def kill(self) -> None:
        """End it now, with all that it started; does not wait, and may be called again."""
        ...

    def reap(self) -> None:
        """Wait for its end, and remove what it had; kills it where it was not, and may be called again."""
        ...


class Child:
    """A process of `tilepipe_hub.runner`: satisfies `Undertaking`. It may wait for its order."""

    def __init__(self, spawner: Spawner, proxy: Proxy | None = None) -> None:
        """Start it.

        Raises:
            OSError: there can be none now.
        """
        self._needed = spawner.needed
        self._proxy, self._guest = proxy, proxy.admit() if proxy else None
        self._place = tempfile.mkdtemp(prefix="tilepipe-job-")
        environment = {"HOME": self._place, "TMPDIR": self._place, **(variables(self._guest) if self._guest else {})}
        (order_end, self._orders), (self._wire, wire_end), (self._words, words_end) = (os.pipe() for _ in range(3))
        theirs = (order_end, wire_end, words_end)
        try:
            self._process = spawner.start(theirs, folder=self._place, environment=environment)
        except OSError:
            self._let_go()
            raise
        finally:
            for end in theirs:
                os.close(end)
        self._read = {self._wire: bytearray(), self._words: bytearray()}
        self._over = False
        self._paused = False

    def begin(self, order: Order, *, until: float) -> None:
        """Give it its order, and until when it holds."""
        whole = replace(
            order, readable=(*order.readable, *self._needed), writable=(*order.writable, order.folder, self._place)
        )
        if self._guest is not None:
            self._guest.name = f"job {order.job}"
            whole = replace(whole, ports=(self._guest.port,))
        self._say(whole.line() + json.dumps({"until": until}) + "\n")

    @property
    def pid(self) -> int:
        """Of the process, and the group of those that it starts."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def hear(self, timeout_s: float) -> list[Message]:
        if self._over:
            return []
        # What a job started may keep the pipes open when the job itself is gone.
        gone = self._process.poll() is not None
        found: list[Message] = []
        for _ in range(1000 if gone else 1):
            ready = select.select(list(self._read), [], [], 0 if gone else timeout_s)[0] if self._read else []
            for file in ready:
                found += self._take(file)
            if not ready:
                break
        if gone:
            found += [message for file in list(self._read) for message in self._rest(file)]
            self._end()
        elif not self._read:
            self._process.wait(max(timeout_s, 0.01))
        elif any(message["kind"] == "end" for message in found):
            found += self._last_words()
        return found if self._guest is None else blamed(self._guest, found)

    @property
    def has_ended(self) -> bool:
        return self._over

    def how_it_ended(self) -> str:
        code = self._process.returncode
        if code is not None and code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = str(-code)
            return f"was ended by the signal {name}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
        return f"ended with the code {code}"

    def hold_until(self, moment: float) -> None:
        self._say(json.dumps({"until": moment}) + "\n")
        if self._paused:
            self._paused = False
            self._signal(signal.SIGCONT)

    def pause(self) -> None:
        self._paused = True
        self._signal(signal.SIGSTOP)

    def stop(self) -> None:
        self._say(json.dumps({"stop": True}) + "\n")
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        if not self._over:
            self._signal(signal.SIGKILL)

    def reap(self) -> None:
        self.kill()
        self._process.wait()
        self._end()

    def _say(self, text: str) -> None:
        payload = text.encode() if not self._over else b""
        with suppress(BrokenPipeError):
            while payload:
                payload = payload[os.write(self._orders, payload) :]

    def _signal(self, number: signal.Signals) -> None:
        """To the whole group; its number is not given to others while the process has not been waited for."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _take(self, file: int) -> list[Message]:
        part = os.read(file, PART)
        if not part:
            return self._rest(file)
        lines = self._read[file]
        lines += part
        *whole, last = bytes(lines).split(b"\n")
        if len(last) > LONGEST:
            whole, last = [*whole, last], b""
        self._read[file] = bytearray(last)
        return [message for line in whole for message in self._message(file, line)]

    def _last_words(self) -> list[Message]:
        """What was printed before the end was told by another pipe; not what somebody goes on printing."""
        found: list[Message] = []
        for file in [file for file in self._read if file != self._wire]:
            for _ in range(PIPE_READS):
                if file not in self._read or not select.select([file], [], [], 0)[0]:
                    break
                found += self._take(file)
            found += self._message(file, bytes(self._read.get(file, b"")))
            if file in self._read:
                self._read[file].clear()
        return found

    def _rest(self, file: int) -> list[Message]:
        return self._message(file, bytes(self._read.pop(file)))

    def _message(self, file: int, line: bytes) -> list[Message]:
        text = line.decode(errors="replace").strip("\r")
        if file == self._wire:
            try:
                said = json.loads(text) if text else None
            except ValueError:
                said = None
            return [said] if isinstance(said, dict) and "kind" in said else []
        return [{"kind": "print", "line": text}] if text.strip() else []

    def _end(self) -> None:
        if not self._over:
            self._over = True
            # The group outlives its leader where something in it does.
            self._signal(signal.SIGKILL)
            self._process.bury()
            self._let_go()

    def _let_go(self) -> None:
        if self._proxy is not None and self._guest is not None:
            self._proxy.dismiss(self._guest)
        for end in (self._orders, self._wire, self._words):
            os.close(end)
        shutil.rmtree(self._place, ignore_errors=True)


def secrets_here(names: Collection[str]) -> dict[str, str]:
    """What the secrets are on this machine, by name."""
    return {name: os.environ[name] for name in names if name in os.environ}


def filled_here(cluster: Any) -> Any:
    """The cluster of the settings, with what `${NAME}` in it stands for; the job itself does not get to know these.

    Raises:
        RecipeError: a name is not set.
    """
    return fill(cluster, os.environ, where="worker.cluster")
