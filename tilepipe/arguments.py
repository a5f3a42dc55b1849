"""Whether a process takes what a recipe gives it, said before the first tile."""

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError

from tilepipe.errors import ProcessError, nearest
from tilepipe.geo.grid import Grid
from tilepipe.geo.pyramid import Tile
from tilepipe.process import FUNCTION, Process, hints

__all__ = ["check"]


def check(process: Process, *, inputs: Mapping[str, object], parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters as the function's annotations have them, once it is sure that it can be called.

    Args:
        process: what is to be called.
        inputs: the names it will be given.
        parameters: the values it will be given.

    Returns:
        *parameters*, each converted to its annotation where that loses nothing, as `1` to `1.0`.

    Raises:
        ProcessError: an argument is missing, unknown, or of another type.
    """
    arguments = inspect.signature(process.function()).parameters
    annotated = hints(process)
    named = {
        name: argument
        for name, argument in arguments.items()
        if argument.kind in {argument.POSITIONAL_OR_KEYWORD, argument.KEYWORD_ONLY}
    }
    open_ended = any(argument.kind is argument.VAR_KEYWORD for argument in arguments.values())
    engine = {name for name in named if annotated.get(name) in {Tile, Grid}}
    twice = sorted(set(inputs) & set(parameters))
    if twice:
        raise ProcessError(f"process {process.name}: {', '.join(twice)}: both an input and a parameter; rename one")
    for name in (*inputs, *parameters):
        kind = "input" if name in inputs else "parameter"
        if name in engine or (name not in named and not open_ended):
            raise ProcessError(
                f"process {process.name}: {FUNCTION}() takes no {kind} {name!r}; {nearest(name, named.keys() - engine)}"
            )
    missing = [
        name
        for name, argument in named.items()
        if argument.default is argument.empty and name not in engine | set(inputs) | set(parameters)
    ]
    if missing:
        raise ProcessError(
            f"process {process.name}: {FUNCTION}() needs {', '.join(missing)}, which the recipe does not give; "
            f"it gives {', '.join([*inputs, *parameters]) or 'nothing'}"
        )
    return {name: _value(process, name, annotated.get(name), value) for name, value in parameters.items()}


def _value(process: Process, name: str, hint: Any, value: object) -> object:
    if hint is None:
        return value
    try:
        return _adapter(hint).validate_python(value, strict=True)
    except PydanticSchemaGenerationError:
        return value
    except ValidationError as error:
        # Pydantic calls every value an input, which is another thing here.
        wanted = error.errors()[0]["msg"].removeprefix("Input ").lower()
        raise ProcessError(f"process {process.name}: parameter {name} is {value!r}; it {wanted}") from error


def _adapter(hint: Any) -> TypeAdapter[Any]:
    if isinstance(hint, type) and (hasattr(hint, "model_config") or hasattr(hint, "__dataclass_fields__")):
        return TypeAdapter(hint)
    return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
