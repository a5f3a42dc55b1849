"""Whose tokens are looked at: past too many wrong ones, those that were right there before, and few others."""

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from tilepipe_hub.errors import TooOften

__all__ = ["Guesses", "place_of"]

MINUTE_S = 60.0
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
"""Others may share the address, so nobody waits much longer than it takes to look what is wrong."""

QUIET_S = 600.0
"""After which the pauses of an address begin at the first again."""

MOST_PLACES = 10_000
MOST_RIGHT = 10_000

NETWORK_BITS = 64
"""Of an address of IPv6: whoever has one has all that begin alike."""


@dataclass(slots=True)
class _Wrong:
    """What came from one place."""

    since: float
    """When the first of those came that are counted; once there were too many, when the last one came."""
    count: int = 0
    until: float = -math.inf
    """Nothing new is looked at before."""
    waiting: dict[str, float] = field(default_factory=dict)
    """When a token that came in a pause may be looked at, if it comes again: few guessers send the same twice."""


@dataclass(slots=True)
class Guesses:
    """Wrong tokens by where they come from, and right ones with them, by their hash; takes no more memory with time."""

    allowed: int
    """Wrong tokens of one place in a minute."""
    clock: Callable[[], float] = time.monotonic
    _wrong: OrderedDict[str, _Wrong] = field(default_factory=OrderedDict, init=False)
    _right: OrderedDict[tuple[str, str], None] = field(default_factory=OrderedDict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def check(self, address: str, mark: str) -> None:
        """Let a token be looked at.

        Args:
            address: where it comes from.
            mark: hash of the token.

        Raises:
            TooOften: its place has to wait, and it was never right there.
        """
        with self._lock:
            self._check(place_of(address), mark)

    def right(self, address: str, mark: str) -> None:
        """Remember a token that was right; raise TooOften as `check` does, where others were wrong meanwhile."""
        key = (place_of(address), mark)
        with self._lock:
            self._check(*key)
            self._right[key] = None
            self._right.move_to_end(key)
            if len(self._right) > MOST_RIGHT:
                self._right.popitem(last=False)

    def wrong(self, address: str, mark: str) -> int:
        """Count a token that was wrong.

        Returns:
            Seconds for which nothing new from its place is looked at; 0: none.

        Raises:
            TooOften: as `check` does.
        """
        place, now = place_of(address), self.clock()
        with self._lock:
            self._check(place, mark)
            self._right.pop((place, mark), None)
            found = self._wrong.pop(place, None)
            if found is None or now - found.since > (MINUTE_S if found.count < self.allowed else QUIET_S):
                found = _Wrong(since=now)
            found.count += 1
            found.waiting.pop(mark, None)
            self._wrong[place] = found
            if len(self._wrong) > MOST_PLACES:
                self._wrong.popitem(last=False)
            more = found.count - self.allowed
            if more < 0:
                return 0
            found.since = now
            found.until = now + min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(more, 30))
            return math.ceil(found.until - now)

    def _check(self, place: str, mark: str) -> None:
        found, now = self._wrong.get(place), self.clock()
        if found is None or now >= found.until or (place, mark) in self._right:
            return
        due = found.waiting.get(mark)
        if due is None:
            found.waiting = {item: moment for item, moment in found.waiting.items() if now < moment + MINUTE_S}
            due = found.until
            # As many as may be wrong in a minute: whoever sends all of them twice guesses no faster than that.
            if len(found.waiting) < self.allowed:
                found.waiting[mark] = due
        if now < due:
            rest_s = math.ceil(due - now)
            raise TooOften(f"too many wrong tokens came from your address; wait {rest_s} s", after_s=rest_s)


@lru_cache(maxsize=4096)
def place_of(address: str) -> str:
    """What counts as one place: an address of IPv4, or a network of IPv6."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), NETWORK_BITS), strict=False))
