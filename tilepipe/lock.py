"""One run at a time on an output, or several parts of one."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tilepipe.errors import JournalError, OutputError, StorageError

__all__ = ["hold"]

Holder = Mapping[str, str | int]
"""What others are told about who holds a lock."""

PARTS = "part-"
"""How the names of the locks of parts begin."""


@contextmanager
def hold(folder: str, holder: Holder, *, part: str | None = None) -> Iterator[None]:
    """Hold the output whose locks lie in *folder* while the block runs: against everybody, or as one of its parts.

    Parts share the lock that a whole run has for itself, and each has one of its own. The operating system lets go
    of them when the process ends, however it ends, so a killed run leaves nothing to clean up.

    Args:
        folder: an existing folder; the lock of the output stays there.
        holder: what others are told about this one.
        part: name of the part; None for a whole run.

    Raises:
        JournalError: another process holds it.
        OutputError: the files cannot be opened.
        StorageError: they cannot be written or locked.
    """
    whole = os.path.join(folder, "lock")
    if part is None:
        with _held(whole, holder, others=folder):
            _forget_parts(folder)
            yield
    else:
        with _held(whole, None), _held(os.path.join(folder, PARTS + part), holder):
            yield


@contextmanager
def _held(path: str, holder: Holder | None, *, others: str | None = None) -> Iterator[None]:
    """Hold a file; without *holder* together with others. In the folder *others* lie the locks of who may share it."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be opened: {error.strerror}; an output is a folder that a run may write to"
        ) from error
    try:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if holder is None else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            if holder is not None:
                os.truncate(file, 0)
                os.pwrite(file, json.dumps(holder).encode(), 0)
        except BlockingIOError as error:
            note = os.pread(file, 1 << 16, 0)
            raise JournalError(_refusal(path, (_part_note(others) if others else None) or note)) from error
        except OSError as error:
            raise StorageError(
                f"{path} cannot be locked: {error.strerror}; an output needs space, and a file system that knows locks"
            ) from error
        yield
    finally:
        os.close(file)


def _part_note(folder: str) -> bytes | None:
    """What a part says that holds its lock now."""
    for name in _parts(folder):
        with open(os.path.join(folder, name), "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read()
    return None


def _forget_parts(folder: str) -> None:
    """Remove the locks of parts; none is held, for each part shares the lock of the whole."""
    for name in _parts(folder):
        os.unlink(os.path.join(folder, name))


def _parts(folder: str) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name.startswith(PARTS))


def _refusal(path: str, note: bytes) -> str:
    try:
        facts = ", ".join(f"{name} {value}" for name, value in json.loads(note).items())
    except ValueError:
        facts = "it has not said who it is"
    return f"another run holds {path} ({facts}); wait for it or stop it"
