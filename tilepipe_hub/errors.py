"""Every error the hub raises on purpose.

    TilepipeError
      HubError
        StoreError      the store cannot be reached, or is none of ours (tried again before it is raised)
        NoSuchJob       there is no job of this id, or it has expired
        MoveRefused     the job is in a state from which it may not go where it was sent
          LeaseLost     a worker speaks of a job that another one holds by now
        SettingsError   what the operator decided cannot be read, or is wrong
        NotKnown        nobody can say who sends a request
        NotAllowed      who sends it may not do this
        TooOften        too much at once: wrong tokens, or processes to be examined
          QuotaReached  an owner has as many jobs as they may
        NoSuchProcess   there is no process of this id
        BadRequest      a request does not fit; carries all that is wrong with it
          BadQuery        a parameter of its query does not
        TooLarge        a request is larger than what is taken
        KeyReused       an idempotency key was used for something else
        NotReady        a job has not ended, so that there are no results yet
        NoResult        a job that has ended has no such result
        NoSuchOutput    a process has no output of this id
        JobFailed       a job failed, so that there are no results; carries the reason
        ProcessTaken    there is a process of this id already
        ProcessFixed    the process cannot be replaced or removed

A message says what was asked, what was found, and what to do about it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tilepipe.errors import TilepipeError

__all__ = [
    "BadQuery",
    "BadRequest",
    "HubError",
    "JobFailed",
    "KeyReused",
    "LeaseLost",
    "MoveRefused",
    "NoResult",
    "NoSuchJob",
    "NoSuchOutput",
    "NoSuchProcess",
    "NotAllowed",
    "NotKnown",
    "NotReady",
    "ProcessFixed",
    "ProcessTaken",
    "QuotaReached",
    "SettingsError",
    "StoreError",
    "TooLarge",
    "TooOften",
]


class HubError(TilepipeError):
    """The root of the hub's errors."""


class StoreError(HubError):
    """The jobs cannot be read or kept."""


class NoSuchJob(HubError):
    """There is no such job."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id!r}; it may have been removed, or have expired")
        self.job_id = job_id


class MoveRefused(HubError):
    """A job may not make this move."""


class SettingsError(HubError):
    """The settings are wrong."""


class LeaseLost(MoveRefused):
    """The worker does not hold the job any more."""

    def __init__(self, job_id: str, *, number: int, held: int) -> None:
        super().__init__(
            f"job {job_id!r}: the worker speaks with lease {number}, the job is at lease {held}; "
            "another worker has taken it over, so this one has to stop and leave the job alone"
        )
        self.job_id = job_id


class NotKnown(HubError):
    """Nobody can say who sends a request."""


class NotAllowed(HubError):
    """Whoever sends a request may not do what it asks for."""


class TooOften(HubError):
    """Too much at once."""

    def __init__(self, message: str, *, after_s: int) -> None:
        super().__init__(message)
        self.after_s = after_s
        """When to try again, in seconds."""


class QuotaReached(TooOften):
    """An owner has as many jobs as they may."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} of your jobs wait or run, which is the most; wait for one to end", after_s=60)
        self.most = most


class NoSuchProcess(HubError):
    """There is no such process."""

    def __init__(self, process_id: str) -> None:
        super().__init__(f"there is no process {process_id!r}; the list of processes names those there are")
        self.process_id = process_id


class BadRequest(HubError):
    """A request does not fit what it is for."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{pointer.lstrip('/') or 'the request'}: {words}" for pointer, words in problems))
        self.problems = tuple(problems)
        """Each with the place as a JSON pointer and the words that follow it."""


class BadQuery(BadRequest):
    """A parameter of a query does not fit."""


class TooLarge(HubError):
    """A request is larger than what is taken."""


class KeyReused(HubError):
    """An idempotency key was used before, for something else."""


class NotReady(HubError):
    """A job has not ended."""


class NoResult(HubError):
    """A job that has ended has no such result."""


class NoSuchOutput(HubError):
    """A process has no such output."""


class JobFailed(HubError):
    """A job failed, so that it has no results."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("detail") or problem.get("title") or "the job failed"))
        self.problem = problem
        """The exception document, as the worker wrote it."""


class ProcessTaken(HubError):
    """There is a process of this id already."""


class ProcessFixed(HubError):
    """The process belongs to the service and cannot be replaced or removed."""
