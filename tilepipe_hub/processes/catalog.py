"""Which processes there are: the registered ones, those in a folder, and the service's own two.

A registered process is installed code, and loaded here once. A file of the folder never is: somebody may have deployed
it, so `inspection` asks it in a process of its own. It is looked at each time the processes are listed: where its size,
times or inode differ, it is read again; where its text differs, it is asked again, and where it is broken, after a
while, as the reason may have passed. So a job can say by its checksum which text it was for. What a file imports is not
watched.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from importlib import metadata, resources
from typing import Literal, NamedTuple

from tilepipe.errors import ProcessError
from tilepipe.plugins import names
from tilepipe.process import Process, find_process
from tilepipe_hub.errors import TooOften
from tilepipe_hub.processes.inspection import inspect
from tilepipe_hub.processes.signature import Signature, read_signature

__all__ = ["ECHO", "RECIPE", "Broken", "Catalog", "Entry"]

ECHO = "echo"
RECIPE = "recipe"
PROCESS_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
"""So that it stands in a URL as it is."""
PATIENCE_S = 3.0
"""How long the list waits for files that were not known before."""
TURNS = 2
"""How many files that are to be deployed are examined at once."""
BROKEN_S = 300.0
"""After which a file that did not work is tried again."""
AGAIN_S = 15
"""When others may try, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """A process that can be executed; another text or signature makes another one, and each is only like itself."""

    id: str
    kind: Literal["tiles", "recipe", "echo"] = "tiles"
    """A function over tiles, a whole recipe, or the one that gives back what it gets."""
    reference: str = ""
    """What a recipe calls it: a registered name, or the path of its file."""
    process: Process | None = None
    """Of kind `tiles`."""
    signature: Signature | None = None
    """Of kind `tiles`."""
    mutable: bool = False
    """Whether it may be replaced or removed by a request."""


OWN = (Entry(id=ECHO, kind="echo"), Entry(id=RECIPE, kind="recipe"))


class Broken(NamedTuple):
    """A file or a registered name that should be a process and is none; for the operator's eyes only."""

    id: str
    path: str
    error: str


Stamp = tuple[int, ...]
Answer = Entry | Broken


class _Asked(NamedTuple):
    """What a file is or will be known to be."""

    answer: "Future[Answer]"
    at: float
    """When it was asked, by the monotonic clock."""

    def holds(self) -> bool:
        """Whether that is still believed."""
        done = self.answer.done()
        return not done or isinstance(self.answer.result(), Entry) or time.monotonic() < self.at + BROKEN_S


@dataclass(slots=True)
class Catalog:
    """The processes, read when they are asked for; several threads may ask at once."""

    folder: str | None = None
    """Each `.py` file in it is a process, unless its name starts with `_` or `.`."""
    ask: Callable[[Sequence[Process]], Iterable[tuple[Process, Signature | ProcessError]]] = inspect
    """What finds out what the files say of themselves."""
    _installed: tuple[Answer, ...] | None = field(default=None, init=False)
    _files: dict[str, tuple[Stamp, Process]] = field(default_factory=dict, init=False)
    _answers: dict[Process, "_Asked"] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _turns: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(TURNS), init=False)

    def entries(self) -> tuple[Entry, ...]:
        """Those that work, in the order of their ids; never fails. What takes long to load is left out until then."""
        found = [entry for entry in self._read(PATIENCE_S) if isinstance(entry, Entry)]
        return tuple(sorted(found, key=lambda entry: entry.id))

    def find(self, process_id: str) -> Entry | None:
        """The process of this id, however long it takes; None where there is none that works."""
        own = next((entry for entry in self._own() if entry.id == process_id), None)
        if own is not None or self.folder is None or not PROCESS_ID.fullmatch(process_id):
            return own if isinstance(own, Entry) else None
        with self._lock:
            process = self._file(self.path(process_id), process_id)
        if not isinstance(process, Process):
            return None
        answer = self._asked([process])[process].result()
        return answer if isinstance(answer, Entry) else None

    def broken(self) -> tuple[Broken, ...]:
        """Those that do not work, and why, however long that takes to know."""
        return tuple(sorted(entry for entry in self._read(None) if isinstance(entry, Broken)))

    def examine(self, process_id: str, code: str) -> Answer:
        """What a file of this text would be; it need not be there.

        Raises:
            TooOften: others are examined now.
        """
        process = Process(name=self.path(process_id), path=self.path(process_id), source=code)
        if not self._turns.acquire(timeout=PATIENCE_S):
            raise TooOften("other processes are examined now; send it again later", after_s=AGAIN_S)
        try:
            answer = self._asked([process])[process].result()
        finally:
            self._turns.release()
        if isinstance(answer, Entry):
            with self._lock:
                # So that it is known when it is written.
                self._files[process.path] = ((), process)
        return answer

    def path(self, process_id: str) -> str:
        """The file of a process of the folder, which has to be named."""
        return os.path.join(os.path.abspath(self.folder or ""), f"{process_id}.py")

    def _own(self) -> tuple[Answer, ...]:
        with self._lock:
            if self._installed is None:
                self._installed = tuple(_installed())
            return (*OWN, *self._installed)

    def _read(self, patience_s: float | None) -> Iterator[Answer]:
        asked = self._asked_folder()
        own = self._own()
        yield from own
        taken = {entry.id for entry in own}
        ends = None if patience_s is None else time.monotonic() + patience_s
        for process_id, path, found in asked:
            if process_id in taken:
                yield Broken(process_id, path, "is the id of a process that is installed; name the file otherwise")
            elif isinstance(found, Broken):
                yield found
            else:
                try:
                    yield found.result(None if ends is None else max(0.0, ends - time.monotonic()))
                except TimeoutError:
                    yield Broken(process_id, path, "is still being loaded; ask again")

    def _asked_folder(self) -> list[tuple[str, str, "Broken | Future[Answer]"]]:
        """Id and path of each file of the folder, and what it is or will be known to be."""
        if self.folder is None:
            return []
        try:
            names = sorted(name for name in os.listdir(self.folder) if name.endswith(".py") and name[0] not in "_.")
        except OSError as error:
            words = f"the folder of processes cannot be read: {error.strerror}; make it, or name another"
            return [("", self.folder, Broken("", self.folder, words))]
        ids = [name.removesuffix(".py") for name in names]
        with self._lock:
            found = {process_id: self._file(self.path(process_id), process_id) for process_id in ids}
            paths = {self.path(process_id) for process_id in ids}
            self._files = {path: kept for path, kept in self._files.items() if path in paths}
        answers = self._asked([process for process in found.values() if isinstance(process, Process)])
        return [
            (process_id, self.path(process_id), answers[item] if isinstance(item, Process) else item)
            for process_id, item in found.items()
        ]

    def _file(self, path: str, process_id: str) -> Process | Broken:
        """The text of a file, read where the file is another than before; under the lock."""
        if not PROCESS_ID.fullmatch(process_id):
            return Broken(process_id, path, "is no id of a process; name the file with letters, digits, _ . and -")
        try:
            facts = os.stat(path)
        except OSError as error:
            self._files.pop(path, None)
            return Broken(process_id, path, f"cannot be read: {error.strerror}")
        stamp = (facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino)
        known = self._files.get(path)
        if known is None or known[0] != stamp:
            try:
                process = find_process(path, folder="")
            except ProcessError as error:
                return Broken(process_id, path, str(error))
            known = (stamp, known[1] if known is not None and known[1] == process else process)
            self._files[path] = known
        return known[1]

    def _asked(self, processes: Sequence[Process]) -> dict[Process, "Future[Answer]"]:
        """What each will be known to be; those that nobody has asked yet are asked now."""
        with self._lock:
            current = {process for _, process in self._files.values()}
            self._answers = {
                process: asked
                for process, asked in self._answers.items()
                if asked.holds() and (process in current or process in processes or not asked.answer.done())
            }
            unknown = [process for process in processes if process not in self._answers]
            self._answers |= {process: _Asked(Future(), time.monotonic()) for process in unknown}
            found = {process: self._answers[process].answer for process in processes}
        if unknown:
            # It lives until the process that it starts has ended, which the kernel would else end with it.
            threading.Thread(target=self._ask, args=(unknown, found), name="inspection", daemon=True).start()
        return found

    def _ask(self, processes: Sequence[Process], answers: Mapping[Process, "Future[Answer]"]) -> None:
        error = "could not be looked into"
        try:
            for process, said in self.ask(processes):
                answers[process].set_result(_answer(process, said))
        except OSError as problem:
            error = f"cannot be looked into now: {problem.strerror}"
        finally:
            for process in processes:
                if not answers[process].done():
                    answers[process].set_result(Broken(_id(process), process.path, error))


def _id(process: Process) -> str:
    return os.path.basename(process.path).removesuffix(".py")


def _answer(process: Process, said: Signature | ProcessError) -> Answer:
    if isinstance(said, ProcessError):
        return Broken(_id(process), process.path, str(said))
    return Entry(id=_id(process), reference=process.path, process=process, signature=said, mutable=True)


def _installed() -> Iterator[Entry | Broken]:
    registered = names("processes")
    shipped = sorted(
        entry.name.removesuffix(".py")
        for entry in resources.files("tilepipe.processes").iterdir()
        if entry.name.endswith(".py") and not entry.name.startswith("_")
    )
    for name in dict.fromkeys([*registered, *shipped]):
        if not PROCESS_ID.fullmatch(name) or name in {RECIPE, ECHO}:
            yield Broken(name, registered.get(name, name), "cannot be the id of a process; register another name")
            continue
        try:
            process = find_process(name, folder="")
            version = None if name in registered else metadata.version("tilepipe")
            signature = read_signature(process, version=version)
        except ProcessError as error:
            yield Broken(name, registered.get(name, name), str(error))
        else:
            yield Entry(id=name, reference=name, process=process, signature=signature)
