"""Binding a recipe: its process loaded, its inputs opened, all of it checked against each other."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from tilepipe.arguments import check
from tilepipe.errors import RecipeError, nearest
from tilepipe.formats.protocol import Format
from tilepipe.geo.grid import Grid
from tilepipe.geo.pyramid import Pyramid, global_pyramid, pixel_pyramid
from tilepipe.geo.warp import crs_name
from tilepipe.inputs.protocol import Input
from tilepipe.outputs.tile_directory import TileDirectory
from tilepipe.pipeline import Pipeline, Stage
from tilepipe.plugins import find
from tilepipe.process import Process, find_process
from tilepipe.recipe import Recipe, build, fill, load_mapping
from tilepipe.recipe.sections import OutputSection
from tilepipe.storage import LocalStorage

__all__ = ["HasGrid", "cluster_of", "load_cluster", "open_pipeline"]


@runtime_checkable
class HasGrid(Protocol):
    """An input whose pixels can be those of a pyramid."""

    def native_grid(self) -> Grid:
        """Its own pixels.

        Raises:
            InputError: they are not square, or do not lie in rows from the north.
        """
        ...


@dataclass(slots=True)
class _Opened:
    """What was made of equal options once, for all zooms."""

    inputs: dict[str, Input] = field(default_factory=dict)
    formats: dict[str, Format] = field(default_factory=dict)


def open_pipeline(recipe: Recipe) -> Pipeline:
    """Load the process, open the inputs, and check that all fits together.

    Raises:
        RecipeError: a name, an option or a zoom of the recipe is wrong, or `${NAME}` is not set.
        ProcessError: the process cannot be loaded or does not take these arguments.
        InputError: an input cannot be opened.
    """
    process = find_process(fill(recipe.process, os.environ, where="process"), folder=recipe.folder)
    opened = _Opened()
    pyramid = _pyramid(recipe, opened)
    zooms = _zooms(recipe, pyramid)
    below = zooms[0]
    if recipe.overviews is not None:
        below = zooms[-1] if recipe.overviews.below is None else recipe.overviews.below
    reduced = frozenset(zoom for zoom in zooms if zoom < below)
    stages = {}
    for zoom in zooms:
        calls = process if zoom not in reduced else None
        stages[zoom] = _stage(recipe, zoom, process=calls, pyramid=pyramid, opened=opened)
    form = stages[zooms[-1]].output.format
    pipeline = Pipeline(
        name=recipe.name,
        folder=recipe.folder,
        document=recipe.document,
        process=process,
        pyramid=pyramid,
        buffer_px=recipe.pyramid.pixelbuffer,
        area=fill(recipe.area.value, os.environ, where="area") if recipe.area else None,
        area_crs=recipe.area.crs if recipe.area else None,
        clip=recipe.pyramid.edge == "clip",
        zooms=zooms,
        reduced=reduced,
        resampling=recipe.overviews.resampling if recipe.overviews else "nearest",
        stages=stages,
        bands=form.bands,
        dtype=form.dtype,
        nodata=form.nodata,
    )
    if not any(map(pyramid.bounds.intersects, pipeline.reach)):
        reach = " and ".join(map(str, pipeline.reach))
        raise RecipeError(
            f"{recipe.name}: the inputs lie in {reach} of {pyramid.crs}, outside of the pyramid's {pyramid.bounds}; "
            "choose another pyramid.grid"
        )
    return pipeline


def cluster_of(recipe: Recipe) -> Any:
    """The cluster that a recipe names, filled in; None where it names none.

    Raises:
        RecipeError: `${NAME}` is not set.
    """
    return fill(recipe.cluster, os.environ, where="cluster")


def load_cluster(path: str) -> Any:
    """The cluster that a YAML file describes, as under `cluster` of a recipe, filled in.

    Raises:
        RecipeError: the file cannot be read or is not YAML, or `${NAME}` is not set.
    """
    return fill(load_mapping(path), os.environ, where="cluster")


def _stage(recipe: Recipe, zoom: int, *, process: Process | None, pyramid: Pyramid, opened: _Opened) -> Stage:
    """What holds at *zoom*; without a *process* where overviews are made."""
    inputs: Mapping[str, Input] = {}
    parameters: Mapping[str, Any] = {}
    if process is not None:
        inputs = _inputs(recipe, zoom, opened)
        given = fill(recipe.parameters_at(zoom), os.environ, where="parameters")
        parameters = check(process, inputs=inputs, parameters=given)
    section = recipe.output_at(zoom)
    output = TileDirectory(
        storage=LocalStorage(_folder(recipe, fill(section.path, os.environ, where="output.path"))),
        format=_format(recipe, section, opened),
        pyramid=pyramid,
        metatile=section.metatile or pyramid.metatile,
    )
    extents = {name: source.extents(pyramid.crs) for name, source in inputs.items()}
    return Stage(parameters=parameters, inputs=inputs, extents=extents, output=output, clamp=section.clamp)


def _format(recipe: Recipe, section: OutputSection, opened: _Opened) -> Format:
    """How pixels become bytes; made once for all zooms at which it is the same."""
    options = fill(section.for_format, os.environ, where="output")
    key = json.dumps([section.format, options], sort_keys=True)
    if key not in opened.formats:
        plugin = find("formats", section.format)
        opened.formats[key] = build(plugin, options, where="output", places=recipe.places)
    return opened.formats[key]


def _inputs(recipe: Recipe, zoom: int, opened: _Opened) -> dict[str, Input]:
    """The inputs at *zoom*; those with equal options are one and the same at all zooms."""
    inputs = {}
    for name, options in recipe.inputs_at(zoom).items():
        key = json.dumps([name, options], sort_keys=True)
        if key not in opened.inputs:
            opened.inputs[key] = _open_input(recipe, name, options)
        inputs[name] = opened.inputs[key]
    return inputs


def _open_input(recipe: Recipe, name: str, options: Mapping[str, Any]) -> Input:
    filled = fill(dict(options), os.environ, where=f"inputs.{name}")
    plugin = find("inputs", filled.pop("format"))
    if isinstance(filled.get("path"), str):
        filled["path"] = _folder(recipe, filled["path"])
    source: Input = build(plugin, filled, where=f"inputs.{name}", places=recipe.places)
    # Now, so that a band that is not there is told before the first tile.
    source.shape()
    return source


def _folder(recipe: Recipe, path: str) -> str:
    """A path as seen from the recipe's folder; what names a protocol stays as it is."""
    if "://" in path or path.startswith("/vsi"):
        return path
    return os.path.normpath(os.path.join(recipe.folder, os.path.expanduser(path)))


def _pyramid(recipe: Recipe, opened: _Opened) -> Pyramid:
    section = recipe.pyramid
    grid = section.grid
    if isinstance(grid, str):
        return global_pyramid(grid, tile_size=section.tile_size, metatile=section.metatile)
    if grid.like is not None:
        return pixel_pyramid(_like(recipe, grid.like, opened), tile_size=section.tile_size, metatile=section.metatile)
    assert grid.crs is not None and grid.bounds is not None  # noqa: PT018, S101 - the recipe has one of three forms
    left, bottom, right, top = grid.bounds
    try:
        crs = crs_name(grid.crs)
    except ValueError as error:
        raise RecipeError(f"{recipe.name}: pyramid.grid.crs: {error}") from error
    if grid.shape is not None:
        rows, cols = grid.shape
        return Pyramid(
            crs=crs,
            left=left,
            top=top,
            resolution=(right - left) / (cols * section.tile_size),
            base_zoom=0,
            height=rows * section.tile_size,
            width=cols * section.tile_size,
            tile_size=section.tile_size,
            metatile=section.metatile,
        )
    assert grid.resolution is not None  # noqa: S101 - the recipe has one of three forms
    height, width = (math.ceil(side / grid.resolution - 1e-6) for side in (top - bottom, right - left))
    native = Grid(crs=crs, left=left, top=top, resolution=grid.resolution, height=height, width=width)
    return pixel_pyramid(native, tile_size=section.tile_size, metatile=section.metatile)


def _like(recipe: Recipe, name: str, opened: _Opened) -> Grid:
    """The pixel grid of an input."""
    zoom = recipe.zooms.max if recipe.zooms else 0
    inputs = _inputs(recipe, zoom, opened)
    if name not in inputs:
        raise RecipeError(f"{recipe.name}: pyramid.grid.like: there is no input {name!r}; {nearest(name, inputs)}")
    source = inputs[name]
    if not isinstance(source, HasGrid):
        raise RecipeError(f"{recipe.name}: pyramid.grid.like: input {name!r} has no pixel grid; name a raster file")
    return source.native_grid()


def _zooms(recipe: Recipe, pyramid: Pyramid) -> tuple[int, ...]:
    if recipe.zooms is not None:
        return tuple(range(recipe.zooms.min, recipe.zooms.max + 1))
    return tuple(range(0 if recipe.overviews else pyramid.base_zoom, pyramid.base_zoom + 1))
