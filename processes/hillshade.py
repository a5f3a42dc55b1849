"""Shaded relief of an elevation model.

Needs a pixelbuffer of 1 or more: each pixel is computed from the 3 x 3 pixels around it.
"""

from numpy.ma import MaskedArray

from tilepipe import TileInput
from tilepipe.algorithms.hillshade import Variant, hillshade
from tilepipe.algorithms.neighbourhood import Gradient


def execute(
    dem: TileInput,
    *,
    azimuth: float = 315.0,
    altitude: float = 45.0,
    z_factor: float = 1.0,
    scale: float = 1.0,
    gradient: Gradient = "horn",
    variant: Variant = "regular",
    computed_edges: bool = False,
) -> MaskedArray | None:
    """Brightness of the ground, 1 in full shadow to 255 in full light, as `gdaldem hillshade` computes it.

    Args:
        dem: elevation, one band.
        azimuth: degrees clockwise from north to the sun.
        altitude: degrees of the sun above the horizon.
        z_factor: how many times too high the ground is drawn.
        scale: units of elevation that a unit of the crs is long: 111120 for metres on degrees, the cosine of the
            latitude for metres on Web Mercator.
        gradient: `horn`, or `zevenbergen_thorne` for smooth ground.
        variant: `regular`, `combined`, `multidirectional` or `igor`.
        computed_edges: whether pixels beside missing ones and, with `edge: clip`, at the end of the data get a value.
    """
    if dem.is_empty():
        return None
    return hillshade(
        dem.read(1),
        dem.grid.resolution,
        azimuth=azimuth,
        altitude=altitude,
        z_factor=z_factor,
        scale=scale,
        gradient=gradient,
        variant=variant,
        computed_edges=computed_edges,
    )
