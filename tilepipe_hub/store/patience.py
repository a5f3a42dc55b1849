"""How long to wait for a store that is away."""

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from tilepipe_hub.errors import StoreError

__all__ = ["patiently"]

log = logging.getLogger(__name__)

Result = TypeVar("Result")
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0


def patiently(
    call: Callable[[int], Result], *, passing: tuple[type[Exception], ...], place: str, for_s: float
) -> Result:
    """What *call* returns, called again after passing errors, with growing pauses.

    Args:
        call: is told how many calls of it have failed; they may have had their effect without our knowing.
        passing: errors that may go away by themselves.
        place: the store's name for messages, without secrets.
        for_s: how long to go on; the first call is made in any case.

    Raises:
        StoreError: if it still fails after that time.
    """
    began, pause, failed = time.monotonic(), FIRST_PAUSE_S, 0
    while True:
        try:
            return call(failed)
        except passing as error:
            waited = time.monotonic() - began
            if waited + pause > for_s:
                raise StoreError(
                    f"{place}: the store of jobs has not answered for {waited:.0f} s ({str(error)[:200]}); "
                    "check that it runs and can be reached from here"
                ) from error
            if not failed:
                log.warning("%s does not answer, trying again for %g s", place, for_s)
            failed += 1
        # Many workers lose the store at the same moment and should not all come back at the same moment.
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
        pause = min(2 * pause, LONGEST_PAUSE_S)
