"""What is done to the values of a recipe before and after it is checked: set, fill in, compare."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from tilepipe.errors import RecipeError
from tilepipe.per_zoom import Path
from tilepipe.recipe.text import MAX_DEPTH, Places, parse

__all__ = ["describe_changes", "fill", "plain", "shown", "with_settings"]

NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# A condition such as zoom<=8 in a key holds a = of its own.
SETTING = re.compile(r"((?:zoom\s*(?:<=|>=|=)\s*\d+(?==)|[^=])+)=(.*)", re.DOTALL)


def plain(value: Any, places: Places, path: Path = ()) -> Any:
    """A copy of *value* in lists and dicts with text as keys.

    Raises:
        RecipeError: there is anything else in it than text, numbers, truth values, None, lists and mappings.
    """
    if len(path) > MAX_DEPTH:
        raise RecipeError(f"{places.of(())}: lists and mappings lie more than {MAX_DEPTH} deep; use fewer levels")
    if isinstance(value, Mapping):
        return {str(key): plain(item, places, (*path, str(key))) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, places, (*path, str(place))) for place, item in enumerate(value)]
    if value is None or isinstance(value, bool):
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    found = type(value).__name__
    raise RecipeError(
        f"{places.of(path)}: is a {found}; a recipe holds text, numbers, true, false, null, lists, mappings"
    )


def with_settings(document: Any, places: Places, settings: Sequence[str]) -> tuple[Any, Places]:
    """*document* with the values of `key.sub=value` texts set in it, later ones over earlier ones.

    Raises:
        RecipeError: a text has no `=`, its value is not YAML, or its keys lead through a value that has no keys.
    """
    document = plain(document, places)
    origins = dict(places.origins)
    for setting in settings:
        origin = f"--set {setting}"
        if not (found := SETTING.fullmatch(setting)):
            raise RecipeError(f"{origin}: has no =; write --set key.sub=value")
        path = tuple(key.strip() for key in found[1].split("."))
        value, _ = parse(found[2], origin)
        document = _set(document, path, value, places=Places(name=origin))
        origins = {keys: was for keys, was in origins.items() if keys[: len(path)] != path}
        origins = {path[:length]: origin for length in range(1, len(path) + 1)} | origins
    return document, Places(name=places.name, origins=origins)


def _set(within: Any, path: Path, value: Any, *, places: Places, above: Path = ()) -> Any:
    if not path:
        return value
    key, rest = path[0], path[1:]
    if within is None or isinstance(within, dict):
        held = within or {}
        return {**held, key: _set(held.get(key), rest, value, places=places, above=(*above, key))}
    if isinstance(within, list) and key.isdigit() and int(key) < len(within):
        at = int(key)
        return [*within[:at], _set(within[at], rest, value, places=places, above=(*above, key)), *within[at + 1 :]]
    raise RecipeError(f"{places.of(above)}: is {shown(within)}, which has no key {key!r}; set the whole of it")


def fill(value: Any, environment: Mapping[str, str], *, where: str = "") -> Any:
    """A copy of *value* in which each `${NAME}` inside a text, at any depth, is what *environment* has for NAME.

    Args:
        value: as read from a recipe; keys of mappings stay as they are.
        environment: names and their texts; what they hold is not filled again.
        where: keys that lead to *value*, for the message.

    Raises:
        RecipeError: names are missing in *environment*; tells all of them and where each stands.
    """
    missing: dict[str, list[str]] = {}
    filled = _filled(value, environment, path=(where,) if where else (), missing=missing)
    if missing:
        names = ", ".join(f"{name} (in {', '.join(places)})" for name, places in missing.items())
        raise RecipeError(f"environment variables are not set: {names}; set them, or write the values into the recipe")
    return filled


def _filled(value: Any, environment: Mapping[str, str], *, path: Path, missing: dict[str, list[str]]) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(item, environment, path=(*path, str(key)), missing=missing) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [
            _filled(item, environment, path=(*path, str(place)), missing=missing) for place, item in enumerate(value)
        ]
    if not isinstance(value, str):
        return value
    for name in NAME.findall(value):
        if name not in environment:
            missing.setdefault(name, []).append(".".join(path) or "the value")
    return NAME.sub(lambda found: environment.get(found[1], ""), value)


def describe_changes(old: Mapping[str, Any], new: Mapping[str, Any], *, ignore: Sequence[str] = ()) -> list[str]:
    """Each key that differs, as `output.nodata: 0 -> 255`; `unset` where a side does not have it.

    Args:
        old: a document, as `Recipe.document` gives it.
        new: another.
        ignore: keys, dots between their parts, that do not count, with all below them.
    """
    return [
        f"{'.'.join(path)}: {was} -> {now}"
        for path, was, now in _changes(old, new, ())
        if not any(".".join(path[:length]) in ignore for length in range(1, len(path) + 1))
    ]


def _changes(old: Any, new: Any, path: Path) -> Iterator[tuple[Path, str, str]]:
    if isinstance(old, list | tuple) and isinstance(new, list | tuple) and len(old) == len(new) > 4:
        old, new = ({str(place): item for place, item in enumerate(side)} for side in (old, new))
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        if not _same(old, new):
            yield path, shown(old, kinds=False), shown(new, kinds=False)
        return
    for key in dict.fromkeys([*old, *new]):
        below = (*path, str(key))
        if key not in old:
            yield below, "unset", shown(new[key], kinds=False)
        elif key not in new:
            yield below, shown(old[key], kinds=False), "unset"
        else:
            yield from _changes(old[key], new[key], below)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return all(_same(*pair) for pair in zip_longest(left, right, fillvalue=zip_longest))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left) and math.isnan(right):
        return True
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def shown(value: Any, *, kinds: bool = True) -> str:
    """*value* in the words of a message, at most some 60 letters; with *kinds*, text is called text."""
    constants = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        text = constants[value]
    elif isinstance(value, str) and kinds:
        text = f"text {value!r}"
    elif isinstance(value, Mapping) and kinds:
        text = "a mapping"
    elif isinstance(value, list | tuple) and kinds:
        text = f"a list of {len(value)}"
    else:
        text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
