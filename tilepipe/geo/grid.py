"""A pixel grid: where each pixel of an array lies."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from affine import Affine

__all__ = ["Bounds", "Grid", "merged"]


class Bounds(NamedTuple):
    """A rectangle in the units of some crs; x runs east, y north."""

    left: float
    bottom: float
    right: float
    top: float

    def __str__(self) -> str:
        return f"[{', '.join(f'{value:g}' for value in self)}]"

    def intersects(self, other: "Bounds") -> bool:
        """Whether the two share an area; touching edges do not."""
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )

    def union(self, other: "Bounds") -> "Bounds":
        """The smallest rectangle around both."""
        return Bounds(
            min(self.left, other.left),
            min(self.bottom, other.bottom),
            max(self.right, other.right),
            max(self.top, other.top),
        )


def merged(rectangles: Iterable[Bounds]) -> tuple[Bounds, ...]:
    """The same places in rectangles that do not meet; those that do become the one around them."""
    apart: list[Bounds] = []
    for rectangle in rectangles:
        grown = rectangle
        while meeting := [other for other in apart if _meet(grown, other)]:
            apart = [other for other in apart if other not in meeting]
            for other in meeting:
                grown = grown.union(other)
        apart.append(grown)
    return tuple(apart)


def _meet(one: Bounds, other: Bounds) -> bool:
    """Whether the two share a point, be it on an edge."""
    return one.left <= other.right and other.left <= one.right and one.bottom <= other.top and other.bottom <= one.top


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Square pixels in rows from the top and columns from the left."""

    crs: str
    """Authority code such as `EPSG:3857`, else WKT."""
    left: float
    """x of the outer edge of the first column."""
    top: float
    """y of the outer edge of the first row."""
    resolution: float
    """Side of a pixel in units of the crs."""
    height: int
    """Rows."""
    width: int
    """Columns."""

    def __post_init__(self) -> None:
        if self.height < 0 or self.width < 0 or not self.resolution > 0:
            raise ValueError(f"a grid of {self.height} x {self.width} pixels of {self.resolution} does not exist")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    @property
    def bounds(self) -> Bounds:
        """The rectangle the pixels cover."""
        return Bounds(
            self.left,
            self.top - self.height * self.resolution,
            self.left + self.width * self.resolution,
            self.top,
        )

    @property
    def transform(self) -> Affine:
        """From (column, row) of a pixel's corner to (x, y)."""
        return Affine(self.resolution, 0.0, self.left, 0.0, -self.resolution, self.top)

    def window(self, *, row: int, col: int, height: int, width: int) -> "Grid":
        """The grid of the same pixels that starts at *row* and *col* of this one; both may be negative."""
        return Grid(
            crs=self.crs,
            left=self.left + col * self.resolution,
            top=self.top - row * self.resolution,
            resolution=self.resolution,
            height=height,
            width=width,
        )

    def pad(self, pixels: int) -> "Grid":
        """The grid with *pixels* more on each side."""
        return self.window(
            row=-pixels,
            col=-pixels,
            height=self.height + 2 * pixels,
            width=self.width + 2 * pixels,
        )
