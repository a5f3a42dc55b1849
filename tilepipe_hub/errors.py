"""Every error the hub raises on purpose.

    TilepipeError
      HubError
        StoreError      the store cannot be reached, or is none of ours (tried again before it is raised)
        NoSuchJob       there is no job of this id, or it has expired
        MoveRefused     the job is in a state from which it may not go where it was sent
          LeaseLost     a worker speaks of a job that another one holds by now
        SettingsError   what the operator decided cannot be read, or is wrong

A message says what was asked, what was found, and what to do about it.
"""

from tilepipe.errors import TilepipeError

__all__ = ["HubError", "LeaseLost", "MoveRefused", "NoSuchJob", "SettingsError", "StoreError"]


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
