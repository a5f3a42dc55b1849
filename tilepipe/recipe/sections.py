"""Which keys a recipe has, which values they take, and what they mean.

The words under each key are the reference: the JSON Schema and the page about the recipe are made of them.
"""

import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from tilepipe import plugins
from tilepipe.errors import nearest
from tilepipe.per_zoom import ZOOMS
from tilepipe.recipe.geometry import AreaForms, OwnGrid, Section, Text
from tilepipe.recipe.values import shown

__all__ = ["GRIDS", "OutputSection", "Overviews", "PyramidSection", "RecipeFile", "Zooms"]

GRIDS = ("WebMercatorQuad", "WorldCRS84Quad", "geodetic", "mercator")
CASCADED = Literal["nearest", "average", "mode", "min", "max", "med", "q1", "q3", "sum", "rms"]
# These look beyond the four pixels that one pixel of an overview covers.
KERNELS = ("bilinear", "cubic", "cubic_spline", "cubicspline", "lanczos", "gauss")
SINGLE_FILES = (".tif", ".tiff", ".pmtiles", ".mbtiles")
Zoom = Annotated[int, Field(ge=ZOOMS[0], le=ZOOMS[-1])]
Values = Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)]


def _zooms(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return {"min": value, "max": value}
    if isinstance(value, list) and len(value) in (1, 2):
        return {"min": value[0], "max": value[-1]}
    if isinstance(value, Mapping | Zooms):
        return value
    raise ValueError(f"is {shown(value)}; write one zoom, [min, max] or {{min: ..., max: ...}}")


def _power_of_two(number: int) -> int:
    if number & (number - 1):
        below = 1 << (number.bit_length() - 1)
        raise ValueError(f"is {number}, no power of two; take {below} or {2 * below}")
    return number


Metatile = Annotated[
    int,
    Field(ge=1, le=512, json_schema_extra={"enum": [2**power for power in range(10)]}),
    AfterValidator(_power_of_two),
]


def _kind_of_grid(value: Any) -> str:
    return "<own>" if isinstance(value, Mapping | OwnGrid) else "<name>"


class PyramidSection(Section):
    """Where the tiles lie, and how large they are."""

    grid: Annotated[
        Annotated[str, Tag("<name>")] | Annotated[OwnGrid, Tag("<own>")],
        Discriminator(_kind_of_grid),
    ]
    """`WebMercatorQuad` (also `mercator`), `WorldCRS84Quad` (also `geodetic`), or a grid of your own."""
    tile_size: Annotated[int, Field(ge=16, le=8192, multiple_of=16)] = 256
    """Rows and columns of a tile; a multiple of 16, because the blocks of TIFF files are."""
    metatile: Metatile = 4
    """`execute()` gets this many times this many tiles at once; a power of two. 4 makes 1024 pixels: so large that
    calls and buffers cost little, so small that a band of float32 takes 4 MB."""
    pixelbuffer: Annotated[int, Field(ge=0)] = 0
    """Pixels around a process tile that `execute()` gets too; they are cut off from what it returns."""
    edge: Literal["nodata", "clip"] = "nodata"
    """Beyond the data the buffer is masked (`nodata`), or it ends there (`clip`), so that a filter's own treatment of
    borders acts as on the whole image."""

    @field_validator("grid")
    @classmethod
    def _is_a_known_name(cls, grid: str | OwnGrid) -> str | OwnGrid:
        if isinstance(grid, str) and grid not in GRIDS:
            raise ValueError(f"there is no grid {grid!r}; {nearest(grid, GRIDS)}")
        return grid


class Zooms(Section):
    """The zooms that are made."""

    min: Zoom
    """The coarsest."""
    max: Zoom
    """The finest."""

    @model_validator(mode="after")
    def _are_in_order(self) -> "Zooms":
        if self.min > self.max:
            raise ValueError(f"has min {self.min} above max {self.max}; swap them")
        return self


ZoomList = Annotated[list[Zoom], Field(min_length=1, max_length=2)]
ZoomForms = Annotated[Zooms, BeforeValidator(_zooms, json_schema_input_type=Zoom | ZoomList | Zooms)]


class Overviews(Section):
    """Zooms that are made of the zoom above them instead of by the process."""

    below: Zoom | None = None
    """Zooms under this one are made of the one whose number is one higher. Default: the highest zoom."""
    resampling: CASCADED = "nearest"
    """How four pixels become one."""

    @field_validator("resampling", mode="before")
    @classmethod
    def _needs_no_neighbours(cls, value: Any) -> Any:
        if value in KERNELS:
            raise ValueError(
                f"{value} looks beyond the tiles that an overview tile covers; choose one of "
                f"{', '.join(typing.get_args(CASCADED))} (average comes nearest)"
            )
        return value


class OutputSection(Section):
    """Where the tiles go. What is not listed here is for the format."""

    model_config = ConfigDict(extra="allow")

    format: Text = "gtiff"
    """Name of an output format."""
    path: Text
    """A folder, seen from the recipe's."""
    metatile: Metatile | None = None
    """A file holds this many times this many tiles; a power of two, at most the pyramid's, which is the default."""
    clamp: bool = False
    """Values that the dtype cannot hold become the nearest that it can; else they are an error."""

    @property
    def for_format(self) -> dict[str, Any]:
        """What the format gets."""
        return dict(self.model_extra or {})

    @field_validator("format")
    @classmethod
    def _is_a_known_format(cls, name: str) -> str:
        if name not in plugins.names("formats"):
            raise ValueError(f"there is no output format {name!r}; {nearest(name, plugins.names('formats'))}")
        return name

    @field_validator("path")
    @classmethod
    def _is_a_folder(cls, path: str) -> str:
        if path.lower().endswith(SINGLE_FILES):
            raise ValueError(f"is {path!r}, the name of a file; tiles go to a folder, so name one")
        return path


class RecipeFile(Section):
    """What is made: one process over the tiles of one pyramid."""

    process: Text
    """A Python file with the function `execute()`, seen from the recipe's folder; a dotted module; or a registered
    name."""
    parameters: Values = Field(default_factory=dict)
    """Arguments of `execute()` by name; any value may differ by zoom."""
    inputs: Values = Field(default_factory=dict)
    """The data: for each argument of `execute()` a path, or a mapping of an input's options; any value may differ by
    zoom."""
    pyramid: PyramidSection
    """Where the tiles lie, how large they are, and what `execute()` sees around them."""
    zooms: ZoomForms | None = None
    """One zoom, `[min, max]` or `{min: ..., max: ...}`. May be left out where the grid has a highest useful zoom
    (`like` or `resolution`): then that one, with `overviews` also all below it."""
    area: AreaForms | None = None
    """What is made: bounds, WKT, GeoJSON, the path of a vector file, or a mapping that says which of these and the
    crs. Default: where there is data."""
    overviews: Overviews | None = None
    """Zooms that are made of the zoom above them instead of by the process."""
    cluster: Text | dict[str, Any] | None = None
    """The Dask cluster that makes the tiles: the address of a scheduler, or a mapping with its `kind`. Where
    a run goes on, another cluster is no change of the recipe. Default: none, this machine."""
    output: dict[str, Any]
    """Where the tiles go and how they are written; `clamp`, `tags`, `options` may differ by zoom."""
