"""Processes to describe: those that are shipped, and one with every kind of argument."""

import textwrap

import pytest

from tilepipe_hub.processes.catalog import Catalog

RICH = '''
"""Everything at once.

What it does, in a
few words.

More words.
"""

from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

from annotated_types import Gt
from pydantic import BaseModel, Field

from tilepipe import Grid, Tile, TileInput

__version__ = "2.1"
__keywords__ = ["test"]
RECIPE = {"pyramid": {"grid": "WebMercatorQuad", "pixelbuffer": 4}, "output": {"dtype": "uint8", "nodata": 0}}


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    x: float
    y: Annotated[float, Field(gt=0)] = 1.5
    below: "Point | None" = None


def execute(
    dem: TileInput,
    tile: Tile,
    grid: Grid,
    size: int,
    *,
    mask: TileInput | None = None,
    ratio: Annotated[float, Field(gt=0, le=2, description="of sides")] = 0.5,
    odd: Annotated[int, Gt(2), Field(multiple_of=3)] = 9,
    name: Annotated[str, Field(min_length=1, max_length=8, pattern="^[a-z]+$")] = "abc",
    kind: Literal["a", "b"] | None = None,
    one: Literal["only"] = "only",
    bands: list[Annotated[int, Field(ge=1)]] = [1, 2],
    weights: dict[str, float] = {"x": 1.0},
    either: int | str = 3,
    anything: Any = None,
    bare=5,
    flags: set[str] = frozenset(),
    colour: Colour = Colour.RED,
    pair: tuple[int, str] = (1, "a"),
    point: Point | None = None,
    zooms: int = 3,
    not_a_number: float = float("nan"),
    function: type = int,
):
    """Does it.

    Args:
        dem: elevation,
            one band.
        size (int): how large.
        ratio: sides.
    """
    return None
'''


@pytest.fixture
def write(tmp_path):
    """Writes a process, its text without indentation."""

    def written(name, text):
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(text).lstrip())
        return path

    return written


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("processes")
    (path / "rich.py").write_text(RICH.lstrip())
    return path


@pytest.fixture(scope="session")
def catalog(folder):
    return Catalog(folder=str(folder))


@pytest.fixture(scope="session")
def shipped():
    return Catalog()
