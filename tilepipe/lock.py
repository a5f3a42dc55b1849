"""One run at a time on an output."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tilepipe.errors import JournalError, StorageError

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
        StorageError: the file cannot be opened.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise JournalError(_refusal(path, os.read(file, 1 << 16))) from error
        os.truncate(file, 0)
        os.pwrite(file, json.dumps(holder).encode(), 0)
        yield
    finally:
        os.close(file)


def _refusal(path: str, note: bytes) -> str:
    try:
        facts = ", ".join(f"{name} {value}" for name, value in json.loads(note).items())
    except ValueError:
        facts = "it has not said who it is"
    return f"another run holds {path} ({facts}); wait for it or stop it"
