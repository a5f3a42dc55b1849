"""One run at a time on an output."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tilepipe.errors import JournalError, OutputError, StorageError

__all__ = ["hold"]


@contextmanager
def hold(path: str, holder: Mapping[str, str | int]) -> Iterator[None]:
    """Hold the file at *path* while the block runs.

    The operating system lets go of it when the process ends, however it ends, so a killed run leaves nothing to
    clean up.

    Args:
        path: a file in an existing folder; it stays there.
        holder: what a second run is told about this one.

    Raises:
        JournalError: another process holds it.
        OutputError: the file cannot be opened.
        StorageError: it cannot be written or locked.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be opened: {error.strerror}; an output is a folder that a run may write to"
        ) from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.truncate(file, 0)
            os.pwrite(file, json.dumps(holder).encode(), 0)
        except BlockingIOError as error:
            raise JournalError(_refusal(path, os.read(file, 1 << 16))) from error
        except OSError as error:
            raise StorageError(
                f"{path} cannot be locked: {error.strerror}; an output needs space, and a file system that knows locks"
            ) from error
        yield
    finally:
        os.close(file)


def _refusal(path: str, note: bytes) -> str:
    try:
        facts = ", ".join(f"{name} {value}" for name, value in json.loads(note).items())
    except ValueError:
        facts = "it has not said who it is"
    return f"another run holds {path} ({facts}); wait for it or stop it"
