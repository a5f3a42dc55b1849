"""Where bytes lie: whole objects under string keys."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple, Protocol

from tilepipe.errors import StorageError

__all__ = ["Entry", "LocalStorage", "Storage"]

SERIAL = count()


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
        part = f"{self._parts}/{os.getpid()}-{next(SERIAL)}"
        try:
            try:
                self._write(part, payload)
            except FileNotFoundError:
                os.makedirs(self._parts, exist_ok=True)
                self._write(part, payload)
            self._rename(part, self._path(key))
        except OSError as error:
            Path(part).unlink(missing_ok=True)
            raise StorageError(f"{self._path(key)} cannot be written: {error.strerror}") from error

    def get(self, key: str) -> bytes | None:
        try:
            return Path(self._path(key)).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"{self._path(key)} cannot be read: {error.strerror}") from error

    def delete(self, key: str) -> None:
        try:
            os.unlink(self._path(key))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise StorageError(f"{self._path(key)} cannot be deleted: {error.strerror}") from error

    def list(self, prefix: str) -> Iterator[Entry]:
        try:
            with os.scandir(self._path(prefix)) as found:
                files = sorted((entry for entry in found if entry.is_file()), key=lambda entry: entry.name)
            for entry in files:
                facts = entry.stat()
                key = f"{prefix}/{entry.name}" if prefix else entry.name
                yield Entry(key, facts.st_size, facts.st_mtime)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise StorageError(f"{self._path(prefix)} cannot be listed: {error.strerror}") from error

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
