"""When a worker says that it lives: in each turn of its loop, by a file that it touches, whose age others can see.

A turn asks the store for a job, but not that it answers: to end workers because their store is away would end their
jobs too. Nor does it ask how jobs fare. A file that grows old means that the loop goes on no more.
"""

import logging
from pathlib import Path

from tilepipe_hub.errors import SettingsError

__all__ = ["Alive"]

log = logging.getLogger(__name__)


class Alive:
    """The sign of life of one worker."""

    def __init__(self, path: str) -> None:
        """Nothing is touched yet.

        Args:
            path: a file of this worker alone, on a disk of this machine: one that can be away would stop the loop.
        """
        self._path = Path(path)
        self._failed = False

    def begin(self) -> None:
        """Make the file, or touch it where it is there; what stands in it stays.

        Raises:
            SettingsError: it cannot be.
        """
        if self._path.is_dir():
            raise SettingsError(f"--alive-file {self._path}: is a folder; name a file in it")
        try:
            self._path.touch()
        except OSError as error:
            raise SettingsError(
                f"--alive-file {self._path}: cannot be touched: {error.strerror}; name a file in a folder that is "
                "there and that the worker may write to"
            ) from error

    def tell(self) -> None:
        """Touch the file; where that fails, the log says so once, and the worker goes on."""
        try:
            self._path.touch()
        except OSError as error:
            if not self._failed:
                log.warning("the worker lives, but cannot say so: %s", error)
            self._failed = True
        else:
            self._failed = False
