from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from tilepipe.geo.grid import Bounds, Grid


@dataclass
class Memory:
    """An input that serves slices of one array and counts its reads."""

    pixels: np.ma.MaskedArray
    grid: Grid
    asked: list[tuple[int | list[int] | None, str | None]] = field(default_factory=list)

    def extents(self, crs: str) -> tuple[Bounds, ...]:
        return (self.grid.bounds,)

    def fingerprint(self) -> Mapping[str, str]:
        return {}

    def shape(self) -> tuple[int, str]:
        return self.pixels.shape[0], self.pixels.dtype.name

    def read(self, grid, *, bands=None, resampling=None):
        self.asked.append((bands, resampling))
        row = round((self.grid.top - grid.top) / grid.resolution)
        col = round((grid.left - self.grid.left) / grid.resolution)
        beyond = 64
        around = ((0, 0), (beyond, beyond), (beyond, beyond))
        padded = np.ma.MaskedArray(
            np.pad(self.pixels.data, around), mask=np.pad(np.ma.getmaskarray(self.pixels), around, constant_values=True)
        )
        rows, cols = slice(row + beyond, row + beyond + grid.height), slice(col + beyond, col + beyond + grid.width)
        layers = slice(None) if bands is None else bands - 1 if isinstance(bands, int) else [n - 1 for n in bands]
        return padded[:, rows, cols][layers].copy()


@pytest.fixture
def world():
    return Grid(crs="EPSG:3857", left=1000.0, top=2000.0, resolution=10.0, height=32, width=48)


@pytest.fixture
def three_bands(world):
    rng = np.random.default_rng(3)
    values = rng.integers(1, 900, size=(3, *world.shape)).astype("int16")
    return Memory(np.ma.MaskedArray(values, mask=values < 30), world)


@pytest.fixture
def dem(world):
    rng = np.random.default_rng(4)
    values = (500 + np.cumsum(rng.normal(size=(1, *world.shape)), axis=2) * 9).astype("float32")
    return Memory(np.ma.MaskedArray(values, mask=rng.random(values.shape) < 0.02), world)
