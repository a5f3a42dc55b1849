"""Every error tilepipe raises on purpose.

    TilepipeError
      RecipeError     the recipe, or a value given beside it, is wrong
      ProcessError    the user's function cannot be loaded, or asks for what is not there
      InputError      an input cannot be read (tried again where `passing`)
      OutputError     an output cannot be written, or does not fit what is there
      StorageError    bytes cannot be had or kept (tried again where `passing`)
      PlanError       the selection asks for what cannot be made
      JournalError    what was made before was made by another recipe, process, or run
      WorkerLost      a worker ended while it held a task
      ClusterError    a cluster cannot be reached, started, or used
      RunFailed       some tiles failed; carries how many and the first reasons

A message says what was asked, what was found, and what to do about it.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

__all__ = [
    "ClusterError",
    "DataError",
    "InputError",
    "JournalError",
    "OutputError",
    "PlanError",
    "ProcessError",
    "RecipeError",
    "RunFailed",
    "StorageError",
    "TilepipeError",
    "WorkerLost",
    "nearest",
]


class TilepipeError(Exception):
    """The root of the tree; catch it to catch whatever tilepipe raises on purpose."""


class RecipeError(TilepipeError):
    """The recipe, an option of the command line or an environment variable is wrong."""


class ProcessError(TilepipeError):
    """The user's function cannot be loaded, cannot be called with this recipe, or returned what does not fit."""


class DataError(TilepipeError):
    """Data cannot be had or kept, perhaps only for a moment."""

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing
        """Whether the same call may succeed a little later, as after a fault of a network or a disk."""


class InputError(DataError):
    """An input cannot be opened or read."""


class OutputError(TilepipeError):
    """An output cannot be written, or is not what the recipe describes."""


class StorageError(DataError):
    """Bytes cannot be had or kept."""


class PlanError(TilepipeError):
    """The selection asks for tiles that cannot be made."""


class JournalError(TilepipeError):
    """The output was made by another recipe, process or inputs, or another run holds it."""


class WorkerLost(TilepipeError):
    """A worker ended (killed, crashed, out of memory) while it ran a task.

    `peak_bytes` is the most memory it was seen to use and `limit_bytes` what it was allowed; None where not known.
    """

    def __init__(self, reason: str, *, peak_bytes: int | None = None, limit_bytes: int | None = None) -> None:
        super().__init__(reason)
        self.peak_bytes = peak_bytes
        self.limit_bytes = limit_bytes


class ClusterError(TilepipeError):
    """A cluster cannot be reached, started, or used."""


class RunFailed(TilepipeError):
    """The run ended with failed tiles."""

    def __init__(self, failed: int, reasons: Sequence[str]) -> None:
        shown = "\n".join(reasons)
        super().__init__(f"{failed} tile{'s' if failed != 1 else ''} failed:\n{shown}")
        self.failed = failed


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the closest known one, then all of them."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1, cutoff=0.6)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(names) or 'none'}"
