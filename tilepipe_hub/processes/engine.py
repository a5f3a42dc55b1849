"""What every job over tiles may be told beside the process's own arguments, and what that is in a recipe."""

import dataclasses
import re
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from rasterio.crs import CRS, epsg_treats_as_latlong, epsg_treats_as_northingeasting
from rasterio.errors import CRSError

from tilepipe import plugins
from tilepipe.formats.gtiff import DTYPES
from tilepipe.recipe import json_schema
from tilepipe_hub.processes.schema import Schema, field_texts, is_json, narrowed

__all__ = ["BBOX", "BUFFER_PX", "ENGINE", "LINKED", "area_of", "data_schema", "engine_schemas"]

ENGINE = ("zooms", "area", "pyramid", "overviews", "output")
"""Inputs that every process over tiles has."""

BUFFER_PX = 2
"""Unless somebody says otherwise: a function of the 3 x 3 pixels around each sees them all, which costs little; without
a buffer it would draw the edges of tiles."""

LINKED = (
    "image/tiff; application=geotiff",
    "image/tiff; application=geotiff; profile=cloud-optimized",
    "image/jp2",
    "image/png",
    "image/jpeg",
    "application/netcdf",
    "application/x-hdf5",
)
"""Media types of data that inputs read."""

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
URI = re.compile(
    r"https?://www\.opengis\.net/def/crs/(?P<uri>\w+)/[^/]+/(?P<code>\w+)"
    r"|urn:ogc:def:crs:(?P<urn>\w+):[^:]*:(?P<number>\w+)"
    r"|\[(?P<safe>\w+):(?P<curie>\w+)\]"
)
SHORT = re.compile(r"[A-Za-z]+:\w+")

NUMBERS: Schema = {
    "type": "array",
    "items": {"type": "number"},
    "oneOf": [{"minItems": 4, "maxItems": 4}, {"minItems": 6, "maxItems": 6}],
}
BBOX: Schema = {
    "type": "object",
    "format": "ogc-bbox",
    "required": ["bbox"],
    "properties": {
        "bbox": NUMBERS,
        "crs": {"type": "string", "format": "uri", "default": CRS84},
    },
    "additionalProperties": False,
}
GEOMETRY: Schema = {
    "type": "object",
    "format": "geojson-geometry",
    "contentMediaType": "application/geo+json",
    "required": ["type"],
    "properties": {"type": {"type": "string"}},
}


@cache
def engine_schemas() -> Mapping[str, Schema]:
    """For each name of ENGINE, what it takes."""
    recipe = narrowed(json_schema())["properties"]
    pyramid = dict(recipe["pyramid"])
    # Said by the process or the service where the request says nothing.
    pyramid.pop("required", None)
    return {
        "zooms": recipe["zooms"],
        "area": {
            "oneOf": [BBOX, GEOMETRY],
            "description": "What is made: a bounding box, or GeoJSON in longitude and latitude. Default: where there "
            "is data.",
        },
        "pyramid": pyramid,
        "overviews": recipe["overviews"],
        "output": _output(recipe["output"]),
    }


@cache
def data_schema() -> Schema:
    """What an input that is read tile by tile takes: the data itself as a link, or a mapping of its options."""
    formats = plugins.names("inputs")
    properties, required = _options("inputs")
    options: Schema = {
        "type": "object",
        "description": "Options of an input, as in a recipe.",
        "required": sorted(required),
        "properties": {
            "format": {"type": "string", "enum": list(formats), "default": "raster_file"},
            **properties,
        },
        "additionalProperties": False,
    }
    files = [{"type": "string", "contentEncoding": "binary", "contentMediaType": kind} for kind in LINKED]
    return {"oneOf": [*files, {key: value for key, value in options.items() if value != []}]}


def area_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """The area of a recipe that a bounding box or GeoJSON means.

    Raises:
        ValueError: the box has not four or six numbers, or its crs is none that is known.
    """
    if "bbox" not in value or "type" in value:
        return {"geojson": dict(value)}
    numbers = list(value["bbox"])
    if len(numbers) not in {4, 6}:
        raise ValueError(f"has {len(numbers)} numbers; a box has four, or six with heights")
    half = len(numbers) // 2
    first, second = numbers[:2], numbers[half : half + 2]
    crs, swapped = _crs_of(value.get("crs", CRS84))
    if swapped:
        first, second = first[::-1], second[::-1]
    bounds = {"bounds": [*first, *second]}
    return bounds if crs is None else {**bounds, "crs": crs}


def _crs_of(name: str) -> tuple[str | None, bool]:
    """The crs as recipes have it, None for longitude and latitude; and whether its numbers come as y, x.

    An OGC name means the order of axes that the authority says; a short one such as `EPSG:3857` always x, y.
    """
    found = URI.fullmatch(name)
    if not found and not SHORT.fullmatch(name):
        raise ValueError(f"has the crs {name!r}; give one like {CRS84} or EPSG:3857")
    if found:
        authority = found["uri"] or found["urn"] or found["safe"]
        code = found["code"] or found["number"] or found["curie"]
        if authority.upper() == "OGC" and code.upper() in {"CRS84", "CRS84H"}:
            return None, False
        name = f"{authority.upper()}:{code}"
    try:
        crs = CRS.from_user_input(name)
        swapped = found is not None and (epsg_treats_as_latlong(crs) or epsg_treats_as_northingeasting(crs))
    except CRSError as error:
        raise ValueError(f"has the crs {name!r}, which is not known; give one like {CRS84} or EPSG:3857") from error
    return name, swapped


def _output(recipe: Schema) -> Schema:
    """The section of the recipe without the folder, which is for the service to choose."""
    section = next((part for part in recipe.get("anyOf", ()) if "properties" in part), recipe)["properties"]
    properties, _ = _options("formats")
    # What the recipe says of these is for everybody; what the classes say is for who writes Python.
    for key in properties.keys() & section.keys():
        properties[key] = {**properties[key], "description": section[key].get("description", "")}
    properties["dtype"] = {**properties["dtype"], "type": "string", "enum": list(DTYPES)}
    known = {key: section[key] for key in ("format", "metatile")}
    known["clamp"] = {"type": "boolean", "default": False, "description": section["clamp"]["description"]}
    return {
        "type": "object",
        "description": "How the tiles are written. Where they lie is for the service to say.",
        "required": ["dtype"],
        "properties": {**known, **properties},
        "additionalProperties": False,
    }


def _options(kind: plugins.Kind) -> tuple[dict[str, Schema], set[str]]:
    """The fields of all plug-ins of a kind, and those that each of them needs."""
    schemas: dict[str, list[Schema]] = {}
    needed: list[set[str]] = []
    for name in plugins.names(kind):
        plugin = plugins.find(kind, name)
        hints = typing.get_type_hints(plugin, include_extras=True)
        texts = field_texts(plugin)
        fields = [item for item in dataclasses.fields(plugin) if item.init and not item.name.startswith("_")]
        for item in fields:
            schema = narrowed(TypeAdapter(hints[item.name]).json_schema())
            if item.name in texts:
                schema["description"] = texts[item.name]
            if item.default is not None and is_json(item.default):
                schema["default"] = item.default
            schemas.setdefault(item.name, []).append(schema)
        missing = dataclasses.MISSING
        needed.append({item.name for item in fields if item.default is item.default_factory is missing})
    merged = {name: found[0] if found[1:] == found[:-1] else {"anyOf": found} for name, found in schemas.items()}
    return merged, set.intersection(*needed) if needed else set()
