"""Which processes there are: the registered ones, those in a folder, and the service's own two.

A file of the folder is looked at each time the processes are listed: where its size, times or inode differ, it is read
again; where its text differs, it is loaded again, as a module of its own beside the old one. A registered process is
installed code and read once. So no text is ever run twice, and a job can say by its checksum which text it was for.
What a file imports is not watched.
"""

import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata, resources
from typing import Literal, NamedTuple

from tilepipe.errors import ProcessError
from tilepipe.plugins import names
from tilepipe.process import Process, find_process
from tilepipe_hub.processes.signature import Signature, read_signature

__all__ = ["ECHO", "RECIPE", "Broken", "Catalog", "Entry"]

ECHO = "echo"
RECIPE = "recipe"
PROCESS_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
"""So that it stands in a URL as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A process that can be executed."""

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


class Broken(NamedTuple):
    """A file or a registered name that should be a process and is none; for the operator's eyes only."""

    id: str
    path: str
    error: str


Stamp = tuple[int, ...]


@dataclass(slots=True)
class Catalog:
    """The processes, read when they are asked for; several threads may ask at once."""

    folder: str | None = None
    """Each `.py` file in it is a process, unless its name starts with `_` or `.`."""
    _installed: tuple[Entry | Broken, ...] | None = field(default=None, init=False)
    _files: dict[str, tuple[Stamp, Entry | Broken]] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def entries(self) -> tuple[Entry, ...]:
        """Those that work, in the order of their ids; never fails."""
        found = [entry for entry in self._read() if isinstance(entry, Entry)]
        return tuple(sorted(found, key=lambda entry: entry.id))

    def find(self, process_id: str) -> Entry | None:
        """The process of this id; None where there is none that works."""
        return next((entry for entry in self.entries() if entry.id == process_id), None)

    def broken(self) -> tuple[Broken, ...]:
        """Those that do not work, and why."""
        return tuple(sorted(entry for entry in self._read() if isinstance(entry, Broken)))

    def _read(self) -> tuple[Entry | Broken, ...]:
        with self._lock:
            if self._installed is None:
                self._installed = tuple(_installed())
            taken = {RECIPE, ECHO} | {entry.id for entry in self._installed}
            files = tuple(self._from_folder(taken))
            return (Entry(id=ECHO, kind="echo"), Entry(id=RECIPE, kind="recipe"), *self._installed, *files)

    def _from_folder(self, taken: set[str]) -> Iterator[Entry | Broken]:
        if self.folder is None:
            return
        folder = os.path.abspath(self.folder)
        try:
            found = sorted(name for name in os.listdir(folder) if name.endswith(".py") and name[0] not in "_.")
        except OSError as error:
            yield Broken(
                "", folder, f"the folder of processes cannot be read: {error.strerror}; make it, or name another"
            )
            found = []
        self._files = {path: kept for path, kept in self._files.items() if os.path.basename(path) in found}
        for name in found:
            path = os.path.join(folder, name)
            yield self._file(path, name.removesuffix(".py"), taken)

    def _file(self, path: str, process_id: str, taken: set[str]) -> Entry | Broken:
        if not PROCESS_ID.fullmatch(process_id):
            return Broken(process_id, path, "is no id of a process; name the file with letters, digits, _ . and -")
        if process_id in taken:
            return Broken(process_id, path, "is the id of a process that is installed; name the file otherwise")
        try:
            facts = os.stat(path)
        except OSError as error:
            return Broken(process_id, path, f"cannot be read: {error.strerror}")
        stamp = (facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino)
        known = self._files.get(path)
        if known is None or known[0] != stamp:
            known = (stamp, _loaded(path, process_id, known[1] if known else None))
            self._files[path] = known
        return known[1]


def _loaded(path: str, process_id: str, before: Entry | Broken | None) -> Entry | Broken:
    """The process of a file; the one from *before* where its text is the same."""
    try:
        process = find_process(path, folder="")
        if isinstance(before, Entry) and before.process == process:
            return before
        return Entry(id=process_id, reference=path, process=process, signature=read_signature(process), mutable=True)
    except ProcessError as error:
        return Broken(process_id, path, str(error))


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
