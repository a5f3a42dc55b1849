"""Where a recipe says that things lie: a grid of its own, an area."""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from tilepipe.recipe.values import shown

__all__ = ["Area", "AreaForms", "OwnGrid", "Section", "Text"]

VECTOR_FILES = (".fgb", ".geojson", ".gml", ".gpkg", ".json", ".kml", ".shp")
GEOMETRIES = (
    "Point",
    "MultiPoint",
    "LineString",
    "MultiLineString",
    "Polygon",
    "MultiPolygon",
    "GeometryCollection",
)
WKT = re.compile(rf"\s*({'|'.join(GEOMETRIES)})\s*(Z|M|ZM)?\s*(\(|EMPTY)", re.IGNORECASE)
AREA_FORMS = "[left, bottom, right, top], WKT, GeoJSON or the path of a vector file"


def _bounds(value: Any) -> Any:
    if isinstance(value, list | tuple) and len(value) == 4:
        return value
    raise ValueError(f"is {shown(value)}; bounds are four numbers [left, bottom, right, top]")


def _area(value: Any) -> Any:
    """The long form of an area."""
    if isinstance(value, list):
        return {"bounds": value}
    if isinstance(value, Mapping):
        return {"geojson": value} if "type" in value else value
    if isinstance(value, str) and WKT.match(value):
        return {"wkt": value}
    if isinstance(value, str) and value.lower().endswith(VECTOR_FILES):
        return {"path": value}
    raise ValueError(
        f"is {shown(value)}; an area is {AREA_FORMS} ({', '.join(VECTOR_FILES)}), and {{path: ...}} or {{wkt: ...}} "
        "says which of them a text is"
    )


Finite = Annotated[float, Field(allow_inf_nan=False)]
Rectangle = Annotated[list[Finite], BeforeValidator(_bounds), Field(min_length=4, max_length=4)]
Text = Annotated[str, Field(min_length=1)]


def _check_order(bounds: list[float]) -> None:
    left, bottom, right, top = bounds
    if left >= right or bottom >= top:
        raise ValueError(f"has bounds {bounds} that enclose nothing; the order is [left, bottom, right, top]")


def _check_area_bounds(bounds: list[float], *, degrees: bool) -> None:
    left, bottom, right, top = bounds
    if degrees and (max(-left, right) > 360 or max(-bottom, top) > 90):
        raise ValueError("has bounds that are no degrees; say in which crs: {bounds: [...], crs: EPSG:3857}")
    # From 170 to -170 is meant, and 20 degrees wide; from 8.5 to 8 is a slip.
    across = degrees and -180 <= right < left <= 180 and left - right >= 180
    if not across or bottom >= top:
        _check_order(bounds)


def _check_geojson(value: dict[str, Any]) -> None:
    kind = value.get("type")
    if kind not in (*GEOMETRIES, "Feature", "FeatureCollection"):
        raise ValueError(
            f"has GeoJSON of the type {shown(kind, kinds=False)}; it is a geometry, a Feature or a FeatureCollection"
        )
    if "crs" in value:
        raise ValueError("has a crs inside the GeoJSON, where it means nothing; write {geojson: {...}, crs: ...}")


class Section(BaseModel):
    """What all sections have in common: no key but the known ones, no value of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class OwnGrid(Section):
    """A grid that is not one of the known ones: `{like: ...}`, or `crs`, `bounds` and one of `resolution`, `shape`."""

    like: Text | None = None
    """Name of an input: its pixels are those of the highest useful zoom, so that nothing is resampled."""
    crs: Text | None = None
    """Authority code such as `EPSG:3035`, else WKT."""
    bounds: Rectangle | None = None
    """`[left, bottom, right, top]` in units of the crs; tiles start at the left top corner."""
    resolution: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Side of a pixel of the highest useful zoom, in units of the crs."""
    shape: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=2)] | None = None
    """`[rows, columns]` of tiles that fill the bounds at zoom 0."""

    @model_validator(mode="after")
    def _is_one_of_the_forms(self) -> "OwnGrid":
        rest = [key for key in ("crs", "bounds", "resolution", "shape") if getattr(self, key) is not None]
        if self.like is not None and rest:
            raise ValueError(f"has like and {', '.join(rest)}; the input's grid says these, so keep one or the other")
        if self.like is None and rest not in (["crs", "bounds", "resolution"], ["crs", "bounds", "shape"]):
            raise ValueError(
                f"has {', '.join(rest) or 'no keys'}; write {{like: an input}}, {{crs, bounds, resolution}} "
                "or {crs, bounds, shape}"
            )
        if self.bounds is not None:
            _check_order(self.bounds)
        if self.bounds is not None and self.shape is not None:
            left, bottom, right, top = self.bounds
            rows, cols = self.shape
            if not math.isclose((right - left) / cols, (top - bottom) / rows, rel_tol=1e-9):
                raise ValueError(
                    f"has tiles of {(right - left) / cols:g} x {(top - bottom) / rows:g} units, but pixels are square; "
                    "change bounds or shape"
                )
        return self

    @property
    def has_native_zoom(self) -> bool:
        """Whether the grid itself says what its highest useful zoom is."""
        return self.shape is None


class Area(Section):
    """What is made: one of `bounds`, `wkt`, `geojson` and `path`."""

    bounds: Rectangle | None = None
    """`[left, bottom, right, top]`; in degrees also across the antimeridian, as `[170, -20, -170, 0]`."""
    wkt: Text | None = None
    """A geometry as WKT."""
    geojson: dict[str, Any] | None = None
    """A GeoJSON geometry, feature or feature collection."""
    path: Text | None = None
    """A vector file, seen from the recipe's folder."""
    crs: Text | None = None
    """Authority code such as `EPSG:3857`, else WKT. Without it, `EPSG:4326` (longitude, latitude) whatever the
    pyramid; for a vector file, the one that the file says."""

    @model_validator(mode="after")
    def _is_one_of_the_forms(self) -> "Area":
        given = [key for key in ("bounds", "wkt", "geojson", "path") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"has {', '.join(given) or 'no area'}; keep one of bounds, wkt, geojson and path")
        if self.bounds is not None:
            _check_area_bounds(self.bounds, degrees=self.crs in (None, "EPSG:4326"))
        if self.wkt is not None and "${" not in self.wkt and not WKT.match(self.wkt):
            raise ValueError(f"has wkt {self.wkt[:40]!r}, which is none; it starts like POLYGON ((")
        if self.geojson is not None:
            _check_geojson(self.geojson)
        return self

    @property
    def value(self) -> list[float] | str | dict[str, Any]:
        """The bounds, WKT, GeoJSON or path, whichever there is."""
        return self.bounds or self.wkt or self.geojson or self.path or ""


GeoJson = Annotated[dict[str, Any], Field(json_schema_extra={"required": ["type"]})]
AreaForms = Annotated[Area, BeforeValidator(_area, json_schema_input_type=Rectangle | str | GeoJson | Area)]
