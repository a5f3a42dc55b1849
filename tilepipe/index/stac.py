"""What a STAC item says of a tile set, so that GDAL and QGIS open all its tiles as one raster.

The item is written as text, in a fixed order of keys: GDAL 3.6 knows the file only by a word that must stand near its
beginning, and the tile matrix set has the older of OGC's two encodings because no newer one is read there.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from tilepipe.errors import OutputError
from tilepipe.geo.grid import Bounds, Grid
from tilepipe.geo.pyramid import Pyramid, Tile
from tilepipe.geo.warp import crs_wkt, is_geographic, metres_per_unit, transform_points
from tilepipe.index.extent import Footprint, Level, Limits, footprint, levels, raster_grid

__all__ = ["TileSet", "listed", "prototype", "stac_item"]

PIXEL_M = 0.28e-3
"""Side of a pixel of OGC's imaginary screen, by which scale denominators are reckoned."""
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
WELL_KNOWN = {
    "WebMercatorQuad": ("EPSG:3857", "GoogleMapsCompatible", (-math.pi * 6378137, math.pi * 6378137), 1),
    "WorldCRS84Quad": ("EPSG:4326", "GoogleCRS84Quad", (-180.0, 90.0), 2),
}
"""Code of the crs, scale set, left and top, columns at zoom 0."""
STAC_TYPES = {
    **{f"{kind}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    "float32": "float32",
    "float64": "float64",
    "complex64": "cfloat32",
    "complex128": "cfloat64",
}
"""Names of dtypes that readers know; an item that declares another one is refused, one that declares none is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileSet:
    """The tiles of one output as they lie in its folder, under `{zoom}/{row}/{col}.{extension}`."""

    name: str
    """Id of the item."""
    title: str
    pyramid: Pyramid
    """Its tiles are the files."""
    limits: Mapping[int, Limits]
    """For each zoom at which tiles hold data: where those are."""
    extension: str
    """End of the file names, without the dot."""
    media_type: str
    dtype: str
    bands: int
    nodata: float | None
    created: datetime
    """The moment the pixels stand for, with its time zone."""
    band_names: tuple[str, ...] = ()
    """One for each band, or none at all."""
    colors: tuple[str, ...] = ()
    """What each band shows, as GDAL names it: `Red`, `Green`, `Blue`, `Alpha`, `Gray`, `Palette`; or nothing at all."""
    palette: Mapping[int, tuple[int, int, int, int]] | None = None
    """Red, green, blue, alpha from 0 to 255 for values of a single band."""

    def __post_init__(self) -> None:
        for key, found in (("band_names", self.band_names), ("colors", self.colors)):
            if found and len(found) != self.bands:
                raise ValueError(f"{key} has {len(found)} entries, there are {self.bands} bands")
        if self.created.tzinfo is None:
            raise ValueError(f"{self.created} has no time zone")


def listed(tile_set: TileSet) -> tuple[Level, ...]:
    """The levels that readers are told of, coarse to fine.

    Raises:
        OutputError: there is none.
    """
    found = levels(tile_set.pyramid, tile_set.limits)
    if not found:
        raise OutputError(
            f"{tile_set.name} cannot be indexed: "
            f"{'no zoom is small enough for GDAL' if tile_set.limits else 'no tile holds data'}"
        )
    return found


def prototype(tile_set: TileSet) -> Tile | None:
    """The tile that older GDALs read to learn dtype and bands; to be written as nodata where it holds no data.

    Returns:
        The upper left tile of the coarsest listed level, or None where there is nothing to list.
    """
    for level in levels(tile_set.pyramid, tile_set.limits):
        return Tile(level.zoom, level.limits.min_row, level.limits.min_col)
    return None


def stac_item(tile_set: TileSet) -> str:
    """The text of `stac.json`, to lie in the folder of the zooms.

    Raises:
        OutputError: no tile holds data.
    """
    shown = listed(tile_set)
    grid = raster_grid(tile_set.pyramid, shown[-1])
    place = _footprint(tile_set.pyramid, grid.bounds)
    item: dict[str, object] = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/tiled-assets/v1.0.0/schema.json",
            "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
        ],
        "id": tile_set.name,
        "properties": _properties(tile_set, shown, grid),
        "geometry": place.geometry if place else None,
    }
    if place:
        item["bbox"] = list(place.bbox)
    item["links"] = []
    item["assets"] = {
        "vrt": {"href": "./stac.vrt", "type": "application/x-gdal-vrt", "title": "The same with holes as nodata"}
    }
    item["asset_templates"] = {"data": _template(tile_set)}
    return json.dumps(item, indent=1, allow_nan=False) + "\n"


def _properties(tile_set: TileSet, shown: Sequence[Level], grid: Grid) -> dict[str, object]:
    pyramid = tile_set.pyramid
    name = _matrix_set_name(pyramid)
    return {
        # GDAL 3.6 looks for this word, and every GDAL's vector driver steps back if it finds it soon enough.
        "keywords": ["tiled-assets"],
        "title": tile_set.title,
        "datetime": tile_set.created.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        **_projection(grid),
        "tiles:tile_matrix_links": {
            name: {
                "url": f"#{name}",
                "limits": {
                    str(level.zoom): {
                        "min_tile_col": level.limits.min_col,
                        "max_tile_col": level.limits.max_col,
                        "min_tile_row": level.limits.min_row,
                        "max_tile_row": level.limits.max_row,
                    }
                    for level in shown
                },
            }
        },
        "tiles:tile_matrix_sets": {name: _matrix_set(pyramid, [level.zoom for level in shown], name)},
    }


def _projection(grid: Grid) -> dict[str, object]:
    return {
        "proj:code": grid.crs if re.fullmatch(r"[A-Za-z]\w*:\w+", grid.crs) else None,
        "proj:shape": [grid.height, grid.width],
        "proj:bbox": list(grid.bounds),
        "proj:transform": [grid.resolution, 0.0, grid.left, 0.0, -grid.resolution, grid.top],
    }


def _matrix_set(pyramid: Pyramid, zooms: Sequence[int], name: str) -> dict[str, object]:
    uri = _crs_uri(pyramid.crs)
    metres = _metres_per_unit(pyramid.crs)
    known = WELL_KNOWN.get(name)
    scale_set = {"wellKnownScaleSet": f"http://www.opengis.net/def/wkss/OGC/1.0/{known[1]}"} if known else {}
    left, bottom, right, top = pyramid.bounds
    return {
        "type": "TileMatrixSetType",
        "identifier": name,
        "title": name,
        "supportedCRS": uri,
        **scale_set,
        "boundingBox": {
            "type": "BoundingBoxType",
            "crs": uri,
            "lowerCorner": [left, bottom],
            "upperCorner": [right, top],
        },
        "tileMatrix": [_matrix(pyramid, zoom, metres) for zoom in zooms],
    }


def _matrix(pyramid: Pyramid, zoom: int, metres_per_unit: float) -> dict[str, object]:
    tile_height, tile_width = pyramid.tile_shape(zoom)
    rows, cols = pyramid.matrix_shape(zoom)
    return {
        "type": "TileMatrixType",
        "identifier": str(zoom),
        # All digits, and in this order: GDAL multiplies back and must find the very same resolution.
        "scaleDenominator": pyramid.resolution_at(zoom) * metres_per_unit / PIXEL_M,
        "topLeftCorner": [pyramid.left, pyramid.top],
        "tileWidth": tile_width,
        "tileHeight": tile_height,
        "matrixWidth": cols,
        "matrixHeight": rows,
    }


def _matrix_set_name(pyramid: Pyramid) -> str:
    """The common name of a matrix set, only where its tiles are the common ones too."""
    if pyramid.tile_size == 256 and pyramid.metatile == 1:
        for name, (crs, _, (left, top), cols) in WELL_KNOWN.items():
            same_place = math.isclose(pyramid.left, left) and math.isclose(pyramid.top, top)
            same_pixels = math.isclose(pyramid.resolution_at(0) * 256 * cols, -2 * left)
            if pyramid.crs == crs and same_place and same_pixels:
                return name
    return "custom"


def _template(tile_set: TileSet) -> dict[str, object]:
    """The one asset template: several would make the item a list of rasters instead of one.

    Declared bands hide the colours that the tiles carry, so there are none where colours matter.
    """
    template: dict[str, object] = {
        "href": f"./{{TileMatrix}}/{{TileRow}}/{{TileCol}}.{tile_set.extension}",
        "type": tile_set.media_type,
        "roles": ["data"],
    }
    if tile_set.dtype in STAC_TYPES and not tile_set.colors and tile_set.palette is None:
        nodata = {} if tile_set.nodata is None else {"nodata": _number(tile_set.nodata)}
        names = [{"name": name} for name in tile_set.band_names] or [{}] * tile_set.bands
        template["bands"] = [{**name, "data_type": STAC_TYPES[tile_set.dtype], **nodata} for name in names]
    return template


def _number(value: float) -> float | str:
    if not math.isfinite(value):
        return str(float(value))
    return int(value) if value == int(value) and abs(value) < 2**53 else float(value)


def _crs_uri(crs: str) -> str:
    """What GDAL reads as *crs*, always with x before y."""
    if crs in {"EPSG:4326", "OGC:CRS84"}:
        return CRS84
    return f"http://www.opengis.net/def/crs/EPSG/0/{crs[5:]}" if crs.startswith("EPSG:") else crs


def _footprint(pyramid: Pyramid, raster: Bounds) -> Footprint | None:
    whole = pyramid.bounds
    inside = Bounds(
        max(raster.left, whole.left),
        max(raster.bottom, whole.bottom),
        min(raster.right, whole.right),
        min(raster.top, whole.top),
    )
    return footprint(inside, lambda xs, ys: _lonlat(pyramid.crs, xs, ys))


def _lonlat(crs: str, xs: Sequence[float], ys: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    try:
        lons, lats = transform_points(np.array(xs), np.array(ys), src_crs=crs, dst_crs="EPSG:4326")
    except ValueError:
        # The plane of a building site has no place on the globe, and needs none to be shown.
        return [math.inf] * len(xs), [math.inf] * len(ys)
    return lons.tolist(), lats.tolist()


def _metres_per_unit(crs: str) -> float:
    """As GDAL reckons it when it reads a scale: a degree by the radius of the crs's own globe."""
    radius = re.search(r'(?:SPHEROID|ELLIPSOID)\["[^"]*",\s*([0-9.]+)', crs_wkt(crs)) if is_geographic(crs) else None
    # Multiplied in the order in which GDAL does it, else the last bit of the resolution is another one.
    return float(radius[1]) * math.pi / 180 if radius else metres_per_unit(crs)
