"""What the text of a recipe says, and on which line it says so.

YAML 1.2's core schema: `no` and `12:30` are text, `1e5` is a number, dates are text, keys are text as written.
Anchors, aliases and `<<` work; tags do not.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Never

import yaml

from tilepipe.errors import RecipeError
from tilepipe.per_zoom import Path

__all__ = ["MAX_DEPTH", "Places", "parse"]

MAX_BYTES = 2**20
"""A recipe is some kilobytes; whoever has more has an area that belongs in a file of its own."""
MAX_VALUES = 250_000
"""More than a megabyte of numbers has without aliases, and little enough to be built in a second."""
MAX_DEPTH = 60
# The C parser is 20 times faster and always there in the wheels.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

SPELLINGS = {
    "null": (None, ("", "~", "null", "Null", "NULL")),
    "true": (True, ("true", "True", "TRUE")),
    "false": (False, ("false", "False", "FALSE")),
    "infinity": (math.inf, (".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF")),
    "minus infinity": (-math.inf, ("-.inf", "-.Inf", "-.INF")),
    "not a number": (math.nan, (".nan", ".NaN", ".NAN")),
}
CONSTANTS: dict[str, Any] = {text: value for value, texts in SPELLINGS.values() for text in texts}
DECIMAL = re.compile(r"[-+]?[0-9]{1,300}")
BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
REAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
TEXT_TAG = "tag:yaml.org,2002:str"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the values of a recipe were read, for messages."""

    name: str
    """What to call the recipe."""
    origins: Mapping[Path, str] = field(default_factory=dict)
    """File and line, or option of the command line, that each value comes from."""

    def of(self, path: Path) -> str:
        """The start of a message about *path*: its origin, or that of the nearest value around it, and its keys."""
        around = (path[:length] for length in range(len(path), -1, -1))
        origin = next((self.origins[keys] for keys in around if keys in self.origins), self.name)
        return ": ".join(part for part in (origin, ".".join(path)) if part)


class _Node(NamedTuple):
    value: Any
    """A scalar, a list of nodes or a mapping of keys to nodes."""
    line: int
    """From 1: the line of the key, in a list that of the item."""


@dataclass(slots=True)
class _Reader:
    """Reads one document; an alias costs nothing until it is written out."""

    name: str
    events: Iterator[Any]
    anchors: dict[str, _Node] = field(default_factory=dict)
    doubled: list[str] = field(default_factory=list)
    count: int = 0

    def fail(self, event: Any, message: str) -> Never:
        mark = event.start_mark
        raise RecipeError(f"{self.name}:{mark.line + 1}:{mark.column + 1}: {message}")

    def spend(self, values: int, depth: int) -> None:
        self.count += values
        if self.count > MAX_VALUES:
            raise RecipeError(
                f"{self.name}: holds more than {MAX_VALUES} values once aliases are written out; use fewer"
            )
        if depth > MAX_DEPTH:
            raise RecipeError(f"{self.name}: lists and mappings lie more than {MAX_DEPTH} deep; use fewer levels")

    def document(self) -> _Node:
        """The only document; null where there is none."""
        next(self.events)
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return _Node(None, 1)
        root = self.node(next(self.events), 0)
        next(self.events)
        rest = next(self.events)
        if not isinstance(rest, yaml.StreamEndEvent):
            self.fail(rest, "a second document starts here; a file holds one recipe, without ---")
        return root

    def node(self, event: Any, depth: int) -> _Node:
        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                self.fail(event, f"*{event.anchor} stands for nothing; write &{event.anchor} before a value above it")
            return _Node(self.anchors[event.anchor].value, line)
        self.spend(1, depth)
        if event.tag not in (None, "!") and not (isinstance(event, yaml.ScalarEvent) and event.tag == TEXT_TAG):
            self.fail(event, f"the tag {event.tag} is not read; write the value without it, text in quotes")
        if isinstance(event, yaml.ScalarEvent):
            plain = event.implicit[0] and event.tag is None
            node = _Node(_scalar(event.value) if plain else event.value, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = _Node([self.node(item, depth + 1) for item in iter(self._next, None)], line)
        else:
            node = _Node(self._mapping(depth), line)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def _next(self) -> Any:
        """The next event, or None at the end of a list or mapping."""
        event = next(self.events)
        return None if isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent) else event

    def _mapping(self, depth: int) -> dict[str, _Node]:
        own: dict[str, _Node] = {}
        merged: dict[str, _Node] = {}
        for event in iter(self._next, None):
            if not isinstance(event, yaml.ScalarEvent):
                self.fail(event, "a key has to be text, not a list, a mapping or an alias")
            key, line = event.value, _line(event)
            value = self.node(next(self.events), depth + 1).value
            if key == "<<" and event.implicit[0]:
                merged = self._merged(event, value) | merged
            elif key in own:
                self.doubled.append(
                    f"{self.name}:{line}: {key}: stands here again after line {own[key].line}; keep one"
                )
            else:
                own[key] = _Node(value, line)
        return merged | own

    def _merged(self, event: Any, value: Any) -> dict[str, _Node]:
        merged: dict[str, _Node] = {}
        for part in [node.value for node in value] if isinstance(value, list) else [value]:
            if not isinstance(part, dict):
                self.fail(event, "<< takes an alias of a mapping, or a list of them")
            self.spend(len(part), 0)
            merged = part | merged
        return merged

    def written_out(self, node: _Node, path: Path, origins: dict[Path, str]) -> Any:
        """The plain value of *node*; notes in *origins* where it and all below it stand."""
        self.spend(1, len(path))
        origins[path] = f"{self.name}:{node.line}"
        if isinstance(node.value, dict):
            return {key: self.written_out(item, (*path, key), origins) for key, item in node.value.items()}
        if isinstance(node.value, list):
            return [self.written_out(item, (*path, str(place)), origins) for place, item in enumerate(node.value)]
        return node.value


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _scalar(text: str) -> Any:
    if text in CONSTANTS:
        return CONSTANTS[text]
    if DECIMAL.fullmatch(text):
        return int(text)
    if BASED.fullmatch(text):
        return int(text, 0)
    number = float(text) if REAL.fullmatch(text) else math.inf
    return number if math.isfinite(number) else text


def parse(text: str, name: str) -> tuple[Any, Places]:
    """The value that the YAML *text* spells, null for no text, and where each part of it stands.

    Raises:
        RecipeError: the text is too long, is not YAML, names a key twice, or uses what the module's words exclude.
    """
    if len(text) > MAX_BYTES:
        raise RecipeError(f"{name}: is longer than {MAX_BYTES} bytes; put the area into a file and name that")
    reader = _Reader(name=name, events=yaml.parse(text, Loader=LOADER))
    try:
        root = reader.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{mark.line + 1}:{mark.column + 1}" if mark else "1"
        raise RecipeError(f"{name}:{place}: not YAML: {error.problem} {error.context or ''}".rstrip()) from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{name}: is not text: {str(error).splitlines()[0]}; is it a recipe?") from error
    if reader.doubled:
        raise RecipeError("\n".join(reader.doubled))
    origins: dict[Path, str] = {}
    return reader.written_out(root, (), origins), Places(name=name, origins=origins)
