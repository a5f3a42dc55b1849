"""The recipe file, read and checked: text with line numbers, sections, checks, and what other modules use of them."""

from tilepipe.recipe.load import Recipe, build, load_mapping, load_recipe, make_recipe
from tilepipe.recipe.schema import json_schema
from tilepipe.recipe.values import describe_changes, fill

__all__ = ["Recipe", "build", "describe_changes", "fill", "json_schema", "load_mapping", "load_recipe", "make_recipe"]
