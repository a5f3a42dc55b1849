"""Runs a Python function over the tiles of a pyramid, on one core or many."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tilepipe.bind import open_pipeline
    from tilepipe.errors import TilepipeError
    from tilepipe.geo.grid import Grid
    from tilepipe.geo.pyramid import Tile
    from tilepipe.inputs.tile_input import TileInput
    from tilepipe.outcome import Outcome
    from tilepipe.pipeline import Pipeline
    from tilepipe.plan import Share
    from tilepipe.recipe import Recipe, load_recipe, make_recipe
    from tilepipe.run import run
    from tilepipe.selection import Selection, make_plan, select

__all__ = [
    "Grid",
    "Outcome",
    "Pipeline",
    "Recipe",
    "Selection",
    "Share",
    "Tile",
    "TileInput",
    "TilepipeError",
    "load_recipe",
    "make_plan",
    "make_recipe",
    "open_pipeline",
    "run",
    "select",
]

HOMES = {
    "Grid": "geo.grid",
    "Outcome": "outcome",
    "Pipeline": "pipeline",
    "Recipe": "recipe",
    "Selection": "selection",
    "Share": "plan",
    "Tile": "geo.pyramid",
    "TileInput": "inputs.tile_input",
    "TilepipeError": "errors",
    "load_recipe": "recipe",
    "make_plan": "selection",
    "make_recipe": "recipe",
    "open_pipeline": "bind",
    "run": "run",
    "select": "selection",
}


def __getattr__(name: str) -> object:
    """A public name, imported when it is asked for, so that the command line answers at once."""
    if name not in HOMES:
        raise AttributeError(f"module 'tilepipe' has no attribute {name!r}")
    return getattr(import_module(f"tilepipe.{HOMES[name]}"), name)
