"""What a process says of itself: its title and texts, and what its function takes, as a schema where it is JSON."""

import ast
import inspect
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from tilepipe import TileInput
from tilepipe.errors import ProcessError
from tilepipe.geo.grid import Grid
from tilepipe.geo.pyramid import Tile
from tilepipe.process import FUNCTION, Process, hints
from tilepipe_hub.processes.engine import engine_schemas
from tilepipe_hub.processes.schema import Schema, is_json, narrowed
from tilepipe_hub.processes.values import mistakes

__all__ = ["Argument", "Signature", "read_signature", "recipe_sections"]

HEADING = re.compile(r"(Args|Arguments|Returns|Yields|Raises|Example|Examples|Note|Notes):\s*$")
ENTRY = re.compile(r"(\w+)(?:\s*\([^)]*\))?:\s*(.*)")
SECTIONS = ("pyramid", "overviews", "output")
"""What a process may say of the recipes it is made for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """Something that a request gives to the function."""

    name: str
    kind: Literal["input", "parameter"]
    """Data to be read tile by tile, or a value."""
    required: bool
    schema: Schema = field(default_factory=dict)
    """Of a parameter; nothing where any value is taken."""
    text: str = ""
    adapter: TypeAdapter[Any] | None = field(default=None, compare=False, repr=False)
    """Judges a parameter as the engine will; only of a process that was loaded here."""

    def misfit(self, value: object) -> str | None:
        """Why the engine would not take *value* for a parameter, where that is known; else the job will say it."""
        if self.adapter is None:
            return None
        try:
            self.adapter.validate_python(value, strict=True)
        except ValidationError as error:
            return error.errors()[0]["msg"].removeprefix("Input ").lower()
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A process as its source tells it."""

    title: str
    """First line of its docstring."""
    text: str
    """The rest, and what the function's docstring says."""
    version: str
    keywords: tuple[str, ...]
    arguments: tuple[Argument, ...]
    is_open: bool
    """Whether the function takes arguments of any name, which only whole recipes can give."""
    recipe: Mapping[str, Mapping[str, Any]]
    """What the sections pyramid, overviews and output are unless a request says otherwise."""


def read_signature(process: Process, *, version: str | None = None) -> Signature:
    """What *process* says of itself; loads its code, which the loader does once.

    A file may say more than Python asks for, as literals: `__version__`, `__keywords__`, and `RECIPE`, a mapping with
    what its recipes start from, such as `{"pyramid": {"pixelbuffer": 1}, "output": {"dtype": "uint8", "nodata": 0}}`.

    Args:
        process: found, not necessarily loaded.
        version: what the process is said to be unless it says so itself; without it, a text that changes with the
            code.

    Raises:
        ProcessError: the file cannot be loaded, or needs an argument that no request can give.
    """
    function = process.function()
    tree = ast.parse(process.source)
    said = _literals(tree)
    about = (ast.get_docstring(tree) or process.name).strip()
    title, _, rest = about.partition("\n")
    own, texts = _parsed(inspect.getdoc(function) or "")
    arguments = tuple(_arguments(process, texts))
    return Signature(
        title=title.strip(),
        text="\n\n".join(part for part in (_joined(rest), own) if part),
        version=str(said.get("__version__") or version or f"0+{process.checksum[:8]}"),
        keywords=tuple(str(word) for word in said.get("__keywords__", ())),
        arguments=arguments,
        is_open=any(item.kind is item.VAR_KEYWORD for item in inspect.signature(function).parameters.values()),
        recipe=recipe_sections(process.name, said.get("RECIPE", {})),
    )


def recipe_sections(name: str, said: Any) -> dict[str, dict[str, Any]]:
    """What a process says of the recipes it is made for, once it is sure that it can be meant so.

    Args:
        name: of the process, for the messages.
        said: its `RECIPE`.

    Raises:
        ProcessError: it is none.
    """
    if not isinstance(said, dict) or not is_json(said) or not all(isinstance(part, dict) for part in said.values()):
        raise ProcessError(f"process {name}: RECIPE is no mapping of sections to mappings; make it one")
    unknown = sorted(set(map(str, said)) - set(SECTIONS))
    if unknown:
        raise ProcessError(f"process {name}: RECIPE has {', '.join(unknown)}; it takes {', '.join(SECTIONS)} only")
    for section, values in said.items():
        schema = {key: part for key, part in engine_schemas()[section].items() if key != "required"}
        for problem in mistakes(values, schema, f"/{section}"):
            raise ProcessError(f"process {name}: RECIPE: {problem.pointer} {problem.message}")
    return dict(said)


def _literals(tree: ast.Module) -> dict[str, Any]:
    """The module's names that stand for literals."""
    found = {}
    for statement in tree.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ) if name in {"RECIPE", "__keywords__", "__version__"}:
                try:
                    found[name] = ast.literal_eval(value)
                except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                    continue
    return found


def _arguments(process: Process, texts: Mapping[str, str]) -> typing.Iterator[Argument]:
    annotated = _hints(process)
    for name, argument in inspect.signature(process.function()).parameters.items():
        hint = annotated.get(name)
        required = argument.default is argument.empty
        text = texts.get(name, "")
        if argument.kind is argument.POSITIONAL_ONLY and required:
            raise ProcessError(
                f"process {process.name}: {FUNCTION}() takes {name} by place only; the engine gives arguments by name"
            )
        if argument.kind not in {argument.POSITIONAL_OR_KEYWORD, argument.KEYWORD_ONLY} or hint in {Tile, Grid}:
            continue
        if _is_input(hint) or (hint is None and required):
            yield Argument(name=name, kind="input", required=required, text=text)
        elif (parameter := _parameter(name, hint, argument.default, text)) is not None:
            yield parameter
        elif required:
            raise ProcessError(
                f"process {process.name}: {FUNCTION}() needs {name}, a {hint}, which is no JSON; give it a default"
            )


def _hints(process: Process) -> dict[str, Any]:
    try:
        return hints(process)
    except (ArithmeticError, AttributeError, LookupError, SyntaxError, TypeError, ValueError) as error:
        raise ProcessError(
            f"process {process.name}: an annotation of {FUNCTION}() means nothing: {type(error).__name__}: {error}"
        ) from error


def _is_input(hint: Any) -> bool:
    if typing.get_origin(hint) is typing.Annotated:
        return _is_input(typing.get_args(hint)[0])
    if typing.get_origin(hint) in {typing.Union, types.UnionType}:
        return any(_is_input(part) for part in typing.get_args(hint))
    return hint is TileInput


def _parameter(name: str, hint: Any, default: object, text: str) -> Argument | None:
    """None where its values cannot be told in JSON."""
    required = default is inspect.Parameter.empty
    adapter: TypeAdapter[Any] | None = None
    schema: Schema = {}
    if hint is not None:
        try:
            adapter = _adapter(hint)
            schema = narrowed(adapter.json_schema())
        except PydanticUserError:
            return None
    if not required:
        schema |= _default(adapter, default, schema)
    return Argument(name=name, kind="parameter", required=required, schema=schema, text=text, adapter=adapter)


def _adapter(hint: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            raise
    return TypeAdapter(hint)


def _default(adapter: TypeAdapter[Any] | None, default: object, schema: Schema) -> Schema:
    """The default as a schema has it; nothing for None, which is what leaving a value out means."""
    if default is None:
        return {}
    try:
        plain = default if adapter is None else adapter.dump_python(default, mode="json", warnings=False)
    except (ValueError, TypeError, AttributeError):
        return {}
    if not is_json(plain) or any(mistakes(plain, schema)):
        return {}
    return {"default": plain}


def _parsed(docstring: str) -> tuple[str, dict[str, str]]:
    """A function's docstring before its first section, and what its Args section says of each name."""
    parts: dict[str, list[str]] = {"": []}
    heading = ""
    for line in docstring.splitlines():
        if found := HEADING.match(line):
            heading = "Args" if found[1].startswith("Arg") else found[1]
        parts.setdefault(heading, []).append("" if found else line)
    lines = inspect.cleandoc("\n".join(parts.get("Args", ()))).splitlines()
    texts: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        found = ENTRY.match(line)
        if found:
            name = found[1]
            texts[name] = [found[2]]
        elif name:
            texts[name].append(line.strip())
    return _joined("\n".join(parts[""])), {name: " ".join(lines).strip() for name, lines in texts.items()}


def _joined(text: str) -> str:
    """Paragraphs, each on one line."""
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs if paragraph)
