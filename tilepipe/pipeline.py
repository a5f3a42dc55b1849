"""A recipe bound to real inputs, process and output: what every worker gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from tilepipe.geo.grid import Bounds
from tilepipe.geo.pyramid import Pyramid
from tilepipe.inputs.protocol import Input
from tilepipe.outputs.tile_directory import TileDirectory
from tilepipe.process import Process
from tilepipe.storage import LocalStorage

__all__ = ["Pipeline", "Stage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What holds at one zoom."""

    parameters: Mapping[str, Any]
    inputs: Mapping[str, Input]
    extents: Mapping[str, tuple[Bounds, ...]]
    """The rectangles in which each input has data, in the pyramid's crs."""
    output: TileDirectory
    clamp: bool

    @property
    def reach(self) -> tuple[Bounds, ...]:
        """The rectangles outside of which no input has data; none where there are no inputs."""
        return tuple(dict.fromkeys(chain.from_iterable(self.extents.values())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """All that a worker needs to make tiles; it pickles, and holds no handles."""

    name: str
    """What messages call the recipe."""
    folder: str
    """What its relative paths are relative to."""
    document: Mapping[str, Any]
    """The recipe itself, `${NAME}` not filled in."""
    process: Process
    pyramid: Pyramid
    buffer_px: int
    area: Any
    """The recipe's area as it spells it, None where it has none."""
    area_crs: str | None
    """What the recipe says of its crs."""
    clip: bool
    """Whether the buffer ends where the data does."""
    zooms: tuple[int, ...]
    reduced: frozenset[int]
    """Zooms made from the one whose number is one higher."""
    resampling: str
    """How they are made."""
    stages: Mapping[int, Stage]
    bands: int
    dtype: str
    nodata: float | None

    @property
    def output(self) -> TileDirectory:
        """Where tiles go; the zooms differ in how pixels become bytes only."""
        return self.stages[self.zooms[-1]].output

    @property
    def storage(self) -> LocalStorage:
        """The output's folder."""
        storage = self.output.storage
        assert isinstance(storage, LocalStorage)  # noqa: S101 - nothing else is bound yet
        return storage

    @property
    def fill(self) -> float:
        """The value of pixels that nobody made."""
        return 0 if self.nodata is None else self.nodata

    @property
    def reach(self) -> tuple[Bounds, ...]:
        """The rectangles outside of which no input has data; the whole pyramid where there are no inputs."""
        found = dict.fromkeys(chain.from_iterable(stage.reach for stage in self.stages.values()))
        return tuple(found) or (self.pyramid.bounds,)
