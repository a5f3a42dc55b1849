"""Which of the values of a recipe holds at a zoom.

A mapping whose keys are all zoom conditions - `zoom<=8`, `zoom<8`, `zoom>8`, `zoom>=8`, `zoom=8`, `zoom 9-11` - is one
value that differs by zoom. It may stand at any depth, also below another one. Where no condition holds, the key above
it (in a list, the item) is absent; where two hold, or where conditions and other keys are mixed, the value has no
meaning and is refused.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tilepipe.errors import RecipeError

__all__ = ["ZOOMS", "Path", "at_zoom", "gaps", "is_per_zoom", "mistakes", "per_zoom_values"]

Path = tuple[str, ...]
"""The keys that lead to a value, from the outermost on; items of a list by their number from 0."""

ZOOMS = range(31)
"""All zooms there are: at zoom 30 a pixel of the world in tiles of 256 is 0.15 mm."""

COMPARED = re.compile(r"zoom\s*(<=|>=|<|>|=)\s*(\d{1,4})")
BETWEEN = re.compile(r"zoom\s+(\d{1,4})\s*-\s*(\d{1,4})")
LIKE_A_CONDITION = re.compile(r"zoom\s*[<>=!]|zoom\s+\d", re.IGNORECASE)
SPELLINGS = "zoom<=8, zoom<8, zoom>8, zoom>=8, zoom=8 or zoom 9-11"


def is_per_zoom(value: object) -> bool:
    """Whether *value* is a mapping with at least one key that is meant as a zoom condition."""
    return isinstance(value, Mapping) and any(LIKE_A_CONDITION.match(str(key)) for key in value)


def at_zoom(value: Any, zoom: int) -> Any:
    """*value* as it holds at *zoom*, with no condition left at any depth.

    Args:
        value: text, numbers, lists and mappings, as read from a recipe.
        zoom: one of ZOOMS.

    Returns:
        A new value. Keys of mappings and items of lists are absent where no condition in their place holds.

    Raises:
        RecipeError: no condition of *value* itself holds at *zoom*; two hold; or conditions and other keys are mixed.
    """
    found = _resolved(value, zoom, ())
    if not found:
        raise RecipeError(f"no condition holds at zoom {zoom}, only {', '.join(value)}; add one that does")
    return found[0]


def _resolved(value: Any, zoom: int, path: Path) -> tuple[()] | tuple[Any]:
    """The value at *zoom*, or nothing where it is absent."""
    if is_per_zoom(value):
        for place, message in _own_mistakes(value, path):
            raise RecipeError(f"{'.'.join(place)}: {message}")
        for key, choice in value.items():
            if zoom in _zooms_of(key):
                return _resolved(choice, zoom, (*path, key))
        return ()
    if isinstance(value, Mapping):
        found = {key: _resolved(item, zoom, (*path, str(key))) for key, item in value.items()}
        return ({key: item[0] for key, item in found.items() if item},)
    if isinstance(value, list | tuple):
        items = (_resolved(item, zoom, (*path, str(place))) for place, item in enumerate(value))
        return ([item[0] for item in items if item],)
    return (value,)


def mistakes(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """What is wrong with the conditions in *value*, at any depth.

    Yields:
        The place of each mistake, *path* first, and what is wrong there.
    """
    if is_per_zoom(value):
        yield from _own_mistakes(value, path)
    for key, item in _items(value):
        yield from mistakes(item, (*path, key))


def per_zoom_values(value: Any, path: Path = ()) -> Iterator[Path]:
    """The places in *value*, *path* first, of whatever differs by zoom; not what lies below such a place."""
    if is_per_zoom(value):
        yield path
        return
    for key, item in _items(value):
        yield from per_zoom_values(item, (*path, key))


def gaps(value: Any, zooms: Iterable[int], path: Path = ()) -> Iterator[tuple[Path, int]]:
    """The places in *value* where no condition holds, with the first such zoom of *zooms*.

    Args:
        value: free of `mistakes`.
        zooms: those a value is needed at.
        path: keys that lead to *value*.
    """
    zooms = tuple(zooms)
    if not is_per_zoom(value):
        for key, item in _items(value):
            yield from gaps(item, zooms, (*path, key))
        return
    left = [zoom for zoom in zooms if not any(zoom in _zooms_of(key) for key in value)]
    if left:
        yield path, left[0]
    for key, item in value.items():
        yield from gaps(item, [zoom for zoom in zooms if zoom in _zooms_of(key)], (*path, key))


def _own_mistakes(value: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, str]]:
    taken: dict[int, str] = {}
    for key in map(str, value):
        if not LIKE_A_CONDITION.match(key):
            yield (
                (*path, key),
                f"{key!r} stands beside zoom conditions; keep conditions and other keys in mappings of their own",
            )
            continue
        zooms = _zooms_of(key)
        if not zooms:
            yield (*path, key), f"{key!r} holds at no zoom from 0 to {ZOOMS[-1]}; write {SPELLINGS}"
        shared = next((zoom for zoom in zooms if zoom in taken), None)
        if shared is not None:
            yield (*path, key), f"{taken[shared]!r} and {key!r} both hold at zoom {shared}; let one of them end before"
        taken |= dict.fromkeys(zooms, key)


def _zooms_of(key: str) -> range:
    """The zooms at which the condition *key* holds; none where it is no condition."""
    if found := BETWEEN.fullmatch(key):
        return range(int(found[1]), min(int(found[2]), ZOOMS[-1]) + 1)
    if not (found := COMPARED.fullmatch(key)):
        return range(0)
    number = int(found[2])
    first, end = {
        "<=": (0, number + 1),
        "<": (0, number),
        ">": (number + 1, ZOOMS.stop),
        ">=": (number, ZOOMS.stop),
        "=": (number, number + 1),
    }[found[1]]
    return range(first, min(end, ZOOMS.stop))


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((str(key), item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        yield from ((str(place), item) for place, item in enumerate(value))
