"""The recipe file, read and checked.

All that is wrong is told at once, each mistake with the place it stands at. Behind this wall values are trusted.
`${NAME}` stays as it is: `fill` puts in what it stands for, where the data is opened.
"""

import dataclasses
import os
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import PrivateAttr, TypeAdapter, ValidationError

from tilepipe import per_zoom
from tilepipe.errors import RecipeError, nearest
from tilepipe.per_zoom import Path
from tilepipe.recipe.checks import INPUT, Problem, problems, wanted
from tilepipe.recipe.sections import OutputSection, RecipeFile
from tilepipe.recipe.text import MAX_BYTES, Places, parse
from tilepipe.recipe.values import plain, shown, with_settings

__all__ = ["Recipe", "build", "load_mapping", "load_recipe", "make_recipe"]

Built = TypeVar("Built")


class Recipe(RecipeFile):
    """What `load_recipe` and `make_recipe` return: a checked recipe; it pickles."""

    _places: Places = PrivateAttr(default=Places(name="recipe"))
    _folder: str = PrivateAttr(default=".")
    _document: dict[str, Any] = PrivateAttr(default_factory=dict)

    def model_post_init(self, context: Any) -> None:
        self._places, self._folder, self._document = context or (Places(name="recipe"), ".", {})

    @property
    def name(self) -> str:
        """The file, or what else to call the recipe in messages."""
        return self._places.name

    @property
    def folder(self) -> str:
        """What relative paths are relative to; absolute."""
        return self._folder

    @property
    def document(self) -> dict[str, Any]:
        """What was read and set, before anything was filled in or left to a default; plain enough for JSON."""
        return self._document

    @property
    def places(self) -> Places:
        """Where each value was read."""
        return self._places

    def parameters_at(self, zoom: int) -> dict[str, Any]:
        """The parameters that there are at *zoom*."""
        return typing.cast("dict[str, Any]", per_zoom.at_zoom(self.parameters, zoom))

    def inputs_at(self, zoom: int) -> dict[str, dict[str, Any]]:
        """The options of each input that there is at *zoom*, `format` always among them."""
        here = per_zoom.at_zoom(self.inputs, zoom)
        return {
            name: {"format": INPUT} | (value if isinstance(value, dict) else {"path": value})
            for name, value in here.items()
        }

    def output_at(self, zoom: int) -> OutputSection:
        """The output as it is at *zoom*."""
        return OutputSection.model_validate(per_zoom.at_zoom(self.output, zoom))


def load_recipe(path: str, *, settings: Sequence[str] = ()) -> Recipe:
    """The recipe that the file *path* holds.

    Args:
        path: a YAML file.
        settings: `key.sub=value` texts that replace or add values, later ones over earlier ones; values are YAML.

    Raises:
        RecipeError: the file cannot be read, is not YAML or not a right recipe; one line for each mistake, with the
            line of the file or the setting it comes from.
    """
    document, places = parse(_read(path), path)
    if document is None:
        raise RecipeError(f"{path}: is empty; a recipe has at least process, pyramid and output")
    folder = os.path.dirname(os.path.abspath(path))
    return _checked(*with_settings(_mapping(document, places), places, settings), folder)


def load_mapping(path: str) -> dict[str, Any]:
    """The mapping that the YAML file *path* holds.

    Raises:
        RecipeError: the file cannot be read, or holds no YAML mapping.
    """
    document, places = parse(_read(path), path)
    if not isinstance(document, Mapping):
        raise RecipeError(f"{path}: is {shown(document)}; expected keys with values")
    return typing.cast("dict[str, Any]", plain(document, places))


def make_recipe(document: Mapping[str, Any], *, folder: str, name: str = "recipe") -> Recipe:
    """The recipe that *document* spells.

    Args:
        document: keys and values as in a file.
        folder: what relative paths are relative to.
        name: what messages call it.

    Raises:
        RecipeError: as for `load_recipe`, with keys instead of lines.
    """
    places = Places(name=name)
    return _checked(plain(_mapping(document, places), places), places, os.path.abspath(folder))


def build(plugin: type[Built], options: Mapping[str, Any], *, where: str, places: Places | None = None) -> Built:
    """A plug-in, which is a frozen dataclass whose fields are its options.

    Args:
        plugin: the class.
        options: values for its fields, filled in; no text among them is ever shown in a message.
        where: the keys that lead to the options in the recipe.
        places: the recipe's, so that messages name lines.

    Returns:
        An instance; values are converted to the fields' annotations where that loses nothing.

    Raises:
        RecipeError: options are unknown, missing or of another type, or the class itself refuses them with a
            ValueError.
    """
    start = tuple(where.split("."))
    at = (places or Places(name="recipe")).of
    fields = {field.name: field for field in dataclasses.fields(typing.cast("Any", plugin)) if field.init}
    hints = typing.get_type_hints(plugin, include_extras=True)
    wrong: list[Problem] = []
    values = {}
    for key, value in options.items():
        if key not in fields:
            wrong.append(((key,), f"unknown key; {nearest(key, fields)}"))
            continue
        try:
            values[key] = _converted(hints[key], value)
        except ValidationError as error:
            wrong.append(_misfit(key, value, error))
    for key, field in fields.items():
        if key not in options and field.default is field.default_factory is dataclasses.MISSING:
            wrong.append(((key,), "is missing; add it"))
    if wrong:
        raise RecipeError("\n".join(f"{at((*start, *path))}: {message}" for path, message in wrong))
    try:
        return plugin(**values)
    except ValueError as error:
        raise RecipeError(f"{at(start)}: {error}") from error


def _misfit(key: str, value: Any, error: ValidationError) -> Problem:
    """Where in the value of an option something is of another type, and of which; texts may be secrets."""
    items = error.errors()
    below: Path = ()
    if len(items) == 1:
        below, value = tuple(str(part) for part in items[0]["loc"]), items[0]["input"]
    found = "text" if isinstance(value, str) else shown(value)
    takes = " or ".join(dict.fromkeys(wanted(item) for item in items))
    return (key, *below), f"is {found}; it takes {takes}"


def _converted(hint: Any, value: Any) -> Any:
    adapter = TypeAdapter(hint)
    try:
        return adapter.validate_python(value, strict=True)
    except ValidationError:
        if isinstance(value, bool):
            raise
        # What an environment variable was filled in for is text, and a list may stand for a tuple.
        return adapter.validate_python(value)


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        message = "is not there; name the file of a recipe"
    except IsADirectoryError:
        message = "is a folder; name the file of a recipe in it"
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        message = f"is not text in UTF-8 (byte {error.start}); is it a recipe?"
    raise RecipeError(f"{path}: {message}")


def _mapping(document: Any, places: Places) -> Mapping[str, Any]:
    if isinstance(document, Mapping):
        return document
    raise RecipeError(
        f"{places.name}: is {shown(document)}; a recipe is a mapping of keys such as process, pyramid, output"
    )


def _checked(document: dict[str, Any], places: Places, folder: str) -> Recipe:
    lines = dict.fromkeys(f"{places.of(path)}: {message}" for path, message in problems(document))
    if lines:
        raise RecipeError("\n".join(lines))
    return Recipe.model_validate(document, context=(places, folder, document))
