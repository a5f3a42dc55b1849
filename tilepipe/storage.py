"""Where bytes lie: whole objects under string keys."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple, Protocol

from tilepipe.errors import StorageError

__all__ = ["Entry", "LocalStorage", "Storage"]

SERIAL = count()
TOKEN = os.urandom(4).hex()
"""Process ids repeat on the machines that share a folder."""

REMEDIES = {
    errno.ENOSPC: "free some space and run again, what is finished is kept",
    errno.EDQUOT: "free some space or have your quota raised, and run again, what is finished is kept",
    errno.EFBIG: "the limit for file sizes is lower than this file needs; raise it (ulimit -f)",
    errno.EACCES: "check who owns the folder and who may write in it",
    errno.EPERM: "check who owns the folder and who may write in it",
    errno.EROFS: "choose a folder that is not mounted read-only",
    errno.ENOTDIR: "a part of this path is a file; move it away or choose another path",
    errno.EISDIR: "there is a folder of this name; move it away or choose another path",
    errno.EEXIST: "a part of this path is a file; move it away or choose another path",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.EMFILE: "raise the limit for open files (ulimit -n)",
}
"""What to do about the errors that do not go away by trying again; all others may."""


class Entry(NamedTuple):
    """An object in a listing."""

    key: str
    size: int
    modified: float
    """Seconds since 1970."""


class Storage(Protocol):
    """Objects under keys with `/` between their parts."""

    def put(self, key: str, payload: bytes) -> None:
        """Keep *payload* under *key*, wholly or not at all, instead of what was there."""
        ...

    def get(self, key: str) -> bytes | None:
        """The bytes under *key*, or None where there are none."""
        ...

    def delete(self, key: str) -> None:
        """Remove what is under *key*; nothing there is no error."""
        ...

    def list(self, prefix: str) -> Iterator[Entry]:
        """What lies directly in the folder *prefix*, in the order of the keys; nothing where there is no folder."""
        ...


@dataclass(frozen=True, slots=True)
class LocalStorage:
    """A folder of this machine.

    New objects are written to the folder `.tilepipe/part` first and renamed, so that a killed process leaves
    nothing half-written under a final name, and what it does leave is all in one place.
    """

    root: str

    def put(self, key: str, payload: bytes) -> None:
        part = f"{self._parts}/{os.getpid()}-{TOKEN}-{next(SERIAL)}"
        final = self._path(key)
        try:
            try:
                self._write(part, payload)
            except FileNotFoundError:
                os.makedirs(self._parts, exist_ok=True)
                self._write(part, payload)
            self._rename(part, final)
        except OSError as error:
            with suppress(OSError):
                os.unlink(part)
            raise _failed(final, "written", error) from error

    def get(self, key: str) -> bytes | None:
        try:
            with open(self._path(key), "rb", buffering=0) as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _failed(self._path(key), "read", error) from error

    def delete(self, key: str) -> None:
        try:
            os.unlink(self._path(key))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise _failed(self._path(key), "deleted", error) from error

    def list(self, prefix: str) -> Iterator[Entry]:
        try:
            with os.scandir(self._path(prefix)) as found:
                files = sorted((entry for entry in found if entry.is_file()), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise _failed(self._path(prefix), "listed", error) from error
        for entry in files:
            # Somebody else may have deleted it since.
            with suppress(FileNotFoundError):
                facts = entry.stat()
                yield Entry(f"{prefix}/{entry.name}" if prefix else entry.name, facts.st_size, facts.st_mtime)

    def remove(self, folder: str) -> None:
        """Remove *folder* and all that is in it."""
        try:
            shutil.rmtree(self._path(folder))
        except FileNotFoundError:
            return
        except OSError as error:
            raise _failed(self._path(folder), "removed", error) from error

    def sweep(self) -> None:
        """Remove what killed processes left half-written; only while nobody writes."""
        shutil.rmtree(self._parts, ignore_errors=True)

    @property
    def _parts(self) -> str:
        return f"{self.root}/.tilepipe/part"

    def _path(self, key: str) -> str:
        return f"{self.root}/{key}"

    @staticmethod
    def _write(path: str, payload: bytes) -> None:
        with open(path, "wb") as file:
            file.write(payload)

    @staticmethod
    def _rename(part: str, final: str) -> None:
        try:
            os.replace(part, final)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(final), exist_ok=True)
            os.replace(part, final)


def _failed(path: str, what: str, error: OSError) -> StorageError:
    remedy = REMEDIES.get(error.errno or 0)
    reason = f"{path} cannot be {what}: {error.strerror or error}"
    return StorageError(f"{reason}; {remedy}") if remedy else StorageError(reason, passing=True)
