"""What is wrong with a recipe, all of it, in the words of this house."""

import keyword
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from tilepipe import per_zoom, plugins
from tilepipe.errors import nearest
from tilepipe.per_zoom import ZOOMS, Path
from tilepipe.recipe.geometry import Area, OwnGrid, Section
from tilepipe.recipe.sections import GRIDS, OutputSection, Overviews, PyramidSection, RecipeFile, Zooms
from tilepipe.recipe.values import shown

__all__ = ["INPUT", "Problem", "problems", "wanted"]

Problem = tuple[Path, str]
"""Where something is wrong, and what."""

INPUT = "raster_file"
"""The format of an input that names none."""
ONE_RASTER = ("format", "path", "dtype", "bands", "nodata", "metatile")
"""What the output cannot have otherwise from zoom to zoom: a pyramid is one raster."""
MISSING = {
    "process": "name the Python file that has execute(), a module or a registered process",
    "pyramid": "say at least {grid: WebMercatorQuad}",
    "pyramid.grid": f"choose one of {', '.join(GRIDS)}, or a grid of your own",
    "output": "say at least {path: a folder}",
    "output.path": "name the folder for the tiles",
}
SECTIONS: dict[Path, type[Section]] = {
    ("pyramid",): PyramidSection,
    ("pyramid", "grid"): OwnGrid,
    ("zooms",): Zooms,
    ("area",): Area,
    ("overviews",): Overviews,
    ("output",): OutputSection,
}
STAND_INS = {"process": "none", "pyramid": {"grid": GRIDS[0], "metatile": 512}, "output": {"path": "none"}}
"""What a broken section is replaced by, so that the others can still be compared with each other."""
KINDS = {
    "bool": "true or false",
    "dict": "a mapping",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "model": "a mapping",
    "none": "null",
    "string": "text",
    "tuple": "a list",
}
LIMITS = {
    "finite_number": "a finite number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "string_too_short": "text of at least one letter",
    "too_long": "a list of {max_length}",
    "too_short": "a list of {min_length}",
}


def problems(document: dict[str, Any]) -> Iterator[Problem]:
    """Each mistake in *document*; some may come twice, where several zooms share one."""
    broken: set[str] = set()
    try:
        recipe = RecipeFile.model_validate(document)
    except ValidationError as error:
        found = list(_told(error, ()))
        yield from found
        broken = {path[0] for path, _ in found}
        sound = {key: value for key, value in document.items() if key not in broken}
        recipe = RecipeFile.model_validate(STAND_INS | sound)
    yield from _argument_problems(recipe)
    yield from _output_problems(recipe, broken)
    yield from _zoom_problems(recipe, broken)
    grid = recipe.pyramid.grid
    if (
        isinstance(grid, OwnGrid)
        and grid.like is not None
        and grid.like not in recipe.inputs
        and "inputs" not in broken
    ):
        yield ("pyramid", "grid", "like"), f"there is no input {grid.like!r}; {nearest(grid.like, recipe.inputs)}"


def _argument_problems(recipe: RecipeFile) -> Iterator[Problem]:
    for section, values in (("parameters", recipe.parameters), ("inputs", recipe.inputs)):
        for name, value in values.items():
            yield from _name_problems((section, name))
            yield from per_zoom.mistakes(value, (section, name))
    for name in recipe.parameters.keys() & recipe.inputs.keys():
        yield ("parameters", name), "is the name of an input too; rename one of them"
    for name, value in recipe.inputs.items():
        yield from _input_problems(name, value)


def _name_problems(path: Path) -> Iterator[Problem]:
    name = path[-1]
    if per_zoom.is_per_zoom({name: None}):
        yield path, "a condition cannot stand here; put it below a name"
    elif not name.isidentifier() or keyword.iskeyword(name):
        yield path, "is no name of an argument of execute(); use letters, digits and _"


def _input_problems(name: str, value: Any) -> Iterator[Problem]:
    if any(per_zoom.mistakes({name: value})) or per_zoom.is_per_zoom({name: value}):
        return
    formats = plugins.names("inputs")
    zooms = ZOOMS if any(per_zoom.per_zoom_values(value)) else ZOOMS[:1]
    for here in (per_zoom.at_zoom({name: value}, zoom).get(name, "absent") for zoom in zooms):
        if not isinstance(here, str | dict) or not here:
            found = shown(here)
            yield (
                ("inputs", name),
                f"is {found}; an input is a path or a mapping such as {{format: {INPUT}, path: ...}}",
            )
        elif isinstance(here, dict) and here.get("format", INPUT) not in formats:
            asked = here["format"]
            yield ("inputs", name, "format"), f"there is no input format {asked!r}; {nearest(str(asked), formats)}"


def _output_problems(recipe: RecipeFile, broken: set[str]) -> Iterator[Problem]:
    output, most = recipe.output, recipe.pyramid.metatile
    zooms = range(recipe.zooms.min, recipe.zooms.max + 1) if recipe.zooms else ZOOMS
    found = list(_condition_problems(output, () if "zooms" in broken else zooms))
    yield from found
    if found:
        return
    for zoom in zooms if any(per_zoom.per_zoom_values(output)) else zooms[:1]:
        try:
            metatile = OutputSection.model_validate(per_zoom.at_zoom(output, zoom)).metatile
        except ValidationError as error:
            yield from _told(error, ("output",))
        else:
            if metatile is not None and metatile > most:
                message = f"is {metatile}, larger than the process's {most} (pyramid.metatile); make it that or less"
                yield ("output", "metatile"), message


def _condition_problems(output: dict[str, Any], zooms: Iterable[int]) -> Iterator[Problem]:
    """Mistakes in the conditions of the output; gaps only where there are no others, for they would mean nothing."""
    start = ("output",)
    found = list(per_zoom.mistakes(output, start))
    if not found and per_zoom.is_per_zoom(output):
        found.append((start, "cannot differ by zoom as a whole; put conditions below options, tags or clamp"))
    for key in ONE_RASTER:
        paths = per_zoom.per_zoom_values(output.get(key), (*start, key))
        found += [(path, "cannot differ by zoom, because a pyramid is one raster; keep one value") for path in paths]
    yield from found
    if not found:
        for path, zoom in per_zoom.gaps(output, zooms, start):
            yield path, f"no condition holds at zoom {zoom}; add one that does"


def _zoom_problems(recipe: RecipeFile, broken: set[str]) -> Iterator[Problem]:
    grid, zooms, overviews = recipe.pyramid.grid, recipe.zooms, recipe.overviews
    if zooms is None:
        if not broken & {"zooms", "pyramid"} and (isinstance(grid, str) or not grid.has_native_zoom):
            yield ("zooms",), "is missing, and the grid has no zoom of its own; write {min: ..., max: ...}"
    elif overviews is not None and overviews.below is not None and not zooms.min <= overviews.below <= zooms.max:
        yield (
            ("overviews", "below"),
            f"is {overviews.below}, which is not among the zooms {zooms.min} to {zooms.max}; take one of them",
        )


def _told(error: ValidationError, start: Path) -> Iterator[Problem]:
    for item in error.errors():
        path = (*start, *(str(key) for key in item["loc"] if not str(key).startswith("<")))
        if item["type"] == "missing":
            message = f"is missing; {MISSING.get('.'.join(path), 'add it')}"
        elif item["type"] == "extra_forbidden":
            message = f"unknown key; {nearest(path[-1], SECTIONS.get(path[:-1], RecipeFile).model_fields)}"
        elif item["type"] == "value_error":
            message = str(item["ctx"]["error"])
        elif item["type"] == "literal_error":
            message = f"is {shown(item['input'])}; {nearest(str(item['input']), _choices(item))}"
        else:
            message = f"is {shown(item['input'])}; it takes {wanted(item)}"
        yield path, message


def wanted(item: Mapping[str, Any]) -> str:
    """What one of pydantic's errors would rather have had, to follow the words `it takes`."""
    kind = item["type"]
    if kind == "literal_error":
        return ", ".join(_choices(item))
    if kind in LIMITS:
        return LIMITS[kind].format(**item.get("ctx", {}))
    return KINDS.get(kind.split("_")[0]) or str(item["msg"])


def _choices(item: Mapping[str, Any]) -> list[str]:
    return re.findall(r"'([^']*)'", item["ctx"]["expected"])
