"""How a call that runs learns that nobody waits for it any more."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import local

__all__ = ["stopping", "told_by"]

_THREAD = local()


def stopping() -> bool:
    """Whether the call that runs in this thread should end at the next good moment; its result is thrown away."""
    asked: Callable[[], bool] | None = getattr(_THREAD, "asked", None)
    return asked is not None and asked()


@contextmanager
def told_by(asked: Callable[[], bool]) -> Iterator[None]:
    """Within the block, `stopping` in this thread answers with *asked*."""
    _THREAD.asked = asked
    try:
        yield
    finally:
        _THREAD.asked = None
