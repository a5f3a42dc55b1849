"""The user's function: found, loaded once in each worker, called."""

import hashlib
import importlib
import importlib.util
import linecache
import os
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from tilepipe.errors import ProcessError, TilepipeError, nearest
from tilepipe.geo.grid import Grid
from tilepipe.geo.pyramid import Tile
from tilepipe.plugins import names

__all__ = ["FUNCTION", "Process", "call", "engine_arguments", "find_process", "hints", "title"]

FUNCTION = "execute"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A Python module with a function `execute`, as text, so that it runs where its file is not."""

    name: str
    """As the recipe has it."""
    path: str
    """Where the text is from; tracebacks name it."""
    source: str

    @property
    def checksum(self) -> str:
        """Changes with the code."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:16]

    def function(self) -> Callable[..., Any]:
        """The function itself; the module is run once in each worker, so what it keeps in globals stays.

        Raises:
            ProcessError: the module cannot be run or has no such function.
        """
        return _load(self.path, self.source)


def find_process(reference: str, *, folder: str) -> Process:
    """The process a recipe names.

    Args:
        reference: a path that ends in `.py`, seen from *folder*; a registered name; or a dotted module.
        folder: the folder of the recipe.

    Raises:
        ProcessError: there is no such file, name or module.
    """
    if reference.endswith(".py"):
        path = os.path.normpath(os.path.join(folder, os.path.expanduser(reference)))
    else:
        path = _module_path(reference)
    try:
        with open(path, encoding="utf-8") as file:
            return Process(name=reference, path=path, source=file.read())
    except OSError as error:
        raise ProcessError(f"process {reference}: {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ProcessError(f"process {reference}: {path} is not Python source: {error}") from error


def title(process: Process) -> str:
    """First line of the module's docstring, or the process's name."""
    module = sys.modules[process.function().__module__]
    return (module.__doc__ or process.name).strip().splitlines()[0]


def call(process: Process, arguments: Mapping[str, Any]) -> object:
    """What the function returns.

    Raises:
        ProcessError: whatever the function raised, which is the cause; errors of tilepipe pass as they are.
    """
    function = process.function()
    try:
        return function(**arguments)
    except (TilepipeError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise ProcessError(f"{process.name}: {_told(error, process.path)}") from error


@lru_cache(maxsize=64)
def engine_arguments(process: Process) -> Mapping[str, type]:
    """Arguments that the engine fills in itself: those annotated with Tile or Grid."""
    return {name: hint for name, hint in hints(process).items() if hint in {Tile, Grid}}


def hints(process: Process) -> dict[str, Any]:
    """The annotations of the function's arguments, also of those written as text.

    Raises:
        ProcessError: one names what is not there.
    """
    try:
        return typing.get_type_hints(process.function(), include_extras=True)
    except NameError as error:
        raise ProcessError(
            f"process {process.name}: an annotation of {FUNCTION}() names what is not there: {error}"
        ) from error


def _module_path(reference: str) -> str:
    registered = {name: f"tilepipe.processes.{name}" for name in _shipped()} | names("processes")
    module = registered.get(reference, reference)
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        found = None
    if found is None or not found.origin or not found.origin.endswith(".py"):
        raise ProcessError(
            f"process {reference}: neither a file ending in .py, nor a Python module, nor a registered name; "
            f"{nearest(reference, registered)}"
        )
    return found.origin


def _shipped() -> list[str]:
    folder = resources.files("tilepipe.processes")
    files = (entry.name for entry in folder.iterdir())
    return [name.removesuffix(".py") for name in files if name.endswith(".py") and not name.startswith("_")]


@lru_cache(maxsize=64)
def _load(path: str, source: str) -> Callable[..., Any]:
    name = f"tilepipe_process_{hashlib.sha256((path + source).encode()).hexdigest()[:16]}"
    module = types.ModuleType(name)
    module.__file__ = path
    # Without a file on this machine, a traceback still shows the lines.
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    sys.modules[name] = module
    folder = os.path.dirname(path)
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102 - running the user's code is the purpose
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        del sys.modules[name]
        raise ProcessError(f"process {path} cannot be loaded: {_told(error, path)}") from error
    function = getattr(module, FUNCTION, None)
    if not callable(function):
        raise ProcessError(f"process {path} has no function {FUNCTION}(); write one that returns the pixels of a tile")
    return typing.cast("Callable[..., Any]", function)


def _told(error: BaseException, path: str) -> str:
    """The line of the user's file that was being run, and what it raised."""
    lines = []
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    what = str(error)
    if isinstance(error, SyntaxError) and error.filename == path:
        # Its text says the line a second time.
        lines.append(error.lineno or 1)
        what = error.msg
    kind = type(error).__name__
    return f"{f'line {lines[-1]}: ' if lines else ''}{kind}{f': {what}' if what else ''}"
