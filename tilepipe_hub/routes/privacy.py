"""How much of a request those see who may see its job, but did not send it."""

from typing import Any

from tilepipe_hub.auth import ANONYMOUS, Caller
from tilepipe_hub.job import Job
from tilepipe_hub.running.discreet import unsigned

__all__ = ["for_others", "is_of"]


def is_of(job: Job, caller: Caller | None) -> bool:
    """Whether it is certain that the caller sent the job; nobody knows that of who gives no name."""
    return caller is not None and caller.owner == job.owner != ANONYMOUS


def for_others(document: dict[str, Any]) -> dict[str, Any]:
    """A request as others see it: its data without what lets somebody in there, and not who is called.

    The whole address of a receiver may be a secret, as those of chats are.
    """
    shown: dict[str, Any] = _unsigned({key: item for key, item in document.items() if key != "subscriber"})
    return shown


def _unsigned(part: Any) -> Any:
    if isinstance(part, str):
        return unsigned(part)
    if isinstance(part, dict):
        return {key: _unsigned(item) for key, item in part.items()}
    return [_unsigned(item) for item in part] if isinstance(part, list) else part
