"""Which class or module a name in a recipe stands for.

Plug-ins, ours among them, are entry points of the groups `tilepipe.inputs`, `tilepipe.formats`, `tilepipe.executors`
and `tilepipe.processes`. None is imported before it is asked for.
"""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, get_args

from tilepipe.errors import RecipeError, nearest

__all__ = ["Kind", "find", "names"]

Kind = Literal["inputs", "formats", "executors", "processes"]
"""The last part of the name of an entry point group."""


def names(kind: Kind) -> dict[str, str]:
    """What is registered for *kind*: each name, and the `module` or `module:object` it stands for; imports nothing."""
    return {entry.name: entry.value for entry in sorted(_entries(kind))}


def find(kind: Kind, name: str) -> Any:
    """What is registered for *kind* under *name*: a class, for processes a module or a function.

    Raises:
        RecipeError: nothing or more than one thing is registered under the name, or it cannot be imported.
    """
    found = {entry.value: entry for entry in _entries(kind) if entry.name == name}
    if not found:
        raise RecipeError(f"there is no {_one(kind)} {name!r}; {nearest(name, names(kind))}")
    if len(found) > 1:
        claims = ", ".join(sorted(f"{entry.value} of {_owner(entry)}" for entry in found.values()))
        raise RecipeError(f"the {_one(kind)} {name!r} is registered more than once ({claims}); uninstall all but one")
    (entry,) = found.values()
    try:
        return entry.load()
    except (ImportError, AttributeError, OSError, SyntaxError) as error:
        raise RecipeError(
            f"the {_one(kind)} {name!r} ({entry.value} of {_owner(entry)}) cannot be imported: {error}; "
            f"{_remedy(entry)}"
        ) from error


def _entries(kind: Kind) -> tuple[EntryPoint, ...]:
    return _installed()[kind]


@cache
def _installed() -> Mapping[str, tuple[EntryPoint, ...]]:
    """All kinds at once, and once: it takes some milliseconds, and what is installed does not change meanwhile."""
    found = entry_points()
    return {kind: tuple(found.select(group=f"tilepipe.{kind}")) for kind in get_args(Kind)}


def _one(kind: Kind) -> str:
    return {"inputs": "input format", "formats": "output format", "executors": "executor", "processes": "process"}[kind]


def _remedy(entry: EntryPoint) -> str:
    """What to do about one that cannot be imported: where its package has an extra of that name, that is missing."""
    if entry.dist and entry.name in (entry.dist.metadata.get_all("Provides-Extra") or ()):
        return f"pip install '{entry.dist.name}[{entry.name}]'"
    return "install what it needs, or another version of it"


def _owner(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unnamed package"
