"""Steepness of an elevation model.

Needs a pixelbuffer of 1 or more: each pixel is computed from the 3 x 3 pixels around it.
"""

from numpy.ma import MaskedArray

from tilepipe import TileInput
from tilepipe.algorithms.neighbourhood import Gradient
from tilepipe.algorithms.slope import Unit, slope


def execute(
    dem: TileInput,
    *,
    unit: Unit = "degrees",
    scale: float = 1.0,
    gradient: Gradient = "horn",
    computed_edges: bool = False,
) -> MaskedArray | None:
    """Slope in degrees or percent, as `gdaldem slope` computes it.

    Args:
        dem: elevation, one band.
        unit: `degrees` or `percent`.
        scale: units of elevation that a unit of the crs is long: 111120 for metres on degrees, the cosine of the
            latitude for metres on Web Mercator.
        gradient: `horn`, or `zevenbergen_thorne` for smooth ground.
        computed_edges: whether pixels beside missing ones and, with `edge: clip`, at the end of the data get a value.
    """
    if dem.is_empty():
        return None
    return slope(
        dem.read(1),
        dem.grid.resolution,
        unit=unit,
        scale=scale,
        gradient=gradient,
        computed_edges=computed_edges,
    )
