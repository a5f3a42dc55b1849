"""Commands that look at a recipe only."""

import json

import click

from tilepipe.bind import open_pipeline
from tilepipe.cli.options import recipe_arguments
from tilepipe.gdal import session
from tilepipe.process import title
from tilepipe.recipe import json_schema, load_recipe
from tilepipe.selection import Selection, make_plan

__all__ = ["schema", "validate"]


@click.command()
@recipe_arguments
def validate(recipe: str, settings: tuple[str, ...]) -> None:
    """Check RECIPE, its process, its inputs and its area; nothing is written."""
    with session():
        pipeline = open_pipeline(load_recipe(recipe, settings=settings))
        # The area is looked at when a plan is made.
        make_plan(pipeline, Selection(), slots=1)
    click.echo(
        f"{recipe}: {title(pipeline.process)}, zooms {pipeline.zooms[0]} to {pipeline.zooms[-1]}, "
        f"{len(pipeline.stages[pipeline.zooms[-1]].inputs)} inputs: all right"
    )


@click.command()
def schema() -> None:
    """Print the JSON Schema of recipes, for editors."""
    click.echo(json.dumps(json_schema(), indent=2))
