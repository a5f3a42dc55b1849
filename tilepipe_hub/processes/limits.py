"""How large a request may be before it is looked at."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tilepipe_hub.processes.values import Problem, pointed

__all__ = ["Limits", "excesses"]

_Place = tuple[Any, str | int] | None
"""The key of a value, after the place of what it lies in."""

WHOLE = 2**63
"""Databases keep whole numbers in 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most there may be of everything in a request; more is refused unread."""

    depth: int = 32
    """Objects and lists within each other."""
    items: int = 100_000
    """In one list; an outline of a country has so many numbers."""
    keys: int = 1_000
    """In one object."""
    key_letters: int = 500
    text_letters: int = 8_000_000
    """In one text, which may be a file of 6 MB in base64."""
    values: int = 250_000
    """In all."""


def excesses(request: Any, limits: Limits) -> Iterator[Problem]:
    """What is too large, or cannot be stored; ends at the first of them.

    Does not call itself, so that no depth of nesting can break it.
    """
    waiting: list[tuple[Any, _Place, int]] = [(request, None, 0)]
    count = 0
    while waiting:
        value, place, depth = waiting.pop()
        count += 1
        message = _excess(value, depth, limits)
        if message is None and count > limits.values:
            message = f"the request holds more than {limits.values} values; use fewer, or give large data as a link"
        if message is not None:
            yield Problem(_pointer(place), message)
            return
        if isinstance(value, dict):
            waiting += [(item, (place, key), depth + 1) for key, item in value.items()]
        elif isinstance(value, list):
            waiting += [(item, (place, number), depth + 1) for number, item in enumerate(value)]


def _pointer(place: _Place) -> str:
    keys: list[str | int] = []
    while place is not None:
        place, key = place
        keys.append(key)
    return pointed("", *reversed(keys))


def _excess(value: Any, depth: int, limits: Limits) -> str | None:
    if depth > limits.depth:
        return f"lies more than {limits.depth} deep; use fewer levels"
    if isinstance(value, list) and len(value) > limits.items:
        return f"is a list of {len(value)}; it may have at most {limits.items}, so give large data as a link"
    if isinstance(value, dict):
        if len(value) > limits.keys:
            return f"has {len(value)} keys; it may have at most {limits.keys}"
        if any(len(key) > limits.key_letters or "\0" in key or not _is_text(key) for key in value):
            return f"has a key that is no text of at most {limits.key_letters} letters; shorten it"
    return _text_excess(value, limits) if isinstance(value, str) else _number_excess(value)


def _text_excess(value: str, limits: Limits) -> str | None:
    if len(value) > limits.text_letters:
        return f"has {len(value)} letters; it may have at most {limits.text_letters}, so give large data as a link"
    return None if _is_text(value) else "holds half of a surrogate pair, which is no text; send UTF-8"


def _number_excess(value: Any) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return f"is {value}, which JSON has no number for; leave it out"
    if isinstance(value, int) and not -WHOLE <= value < WHOLE:
        return "is a whole number of more than 64 bits; use a smaller one"
    return None


def _is_text(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
