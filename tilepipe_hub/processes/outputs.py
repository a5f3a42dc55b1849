"""What a job over tiles gives back, and how each of it is described."""

from typing import Any

from tilepipe.index.files import ITEM, TWIN

__all__ = ["FILES", "ITEM_TYPE", "REPORT_TYPE", "TILE_OUTPUTS", "VRT_TYPE"]

ITEM_TYPE = "application/geo+json"
VRT_TYPE = "application/xml"
REPORT_TYPE = "application/json"

FILES = {"item": ITEM, "vrt": TWIN, "report": "report.json"}
"""Under which name each output lies in the job's folder."""

COUNT = {"type": "integer", "minimum": 0}
REPORT: dict[str, Any] = {
    "type": "object",
    "required": ["process", "tiles", "complete"],
    "properties": {
        "process": {"type": "string"},
        "version": {"type": "string"},
        "complete": {"type": "boolean", "description": "Whether no tile failed or is missing."},
        "tiles": {
            "type": "object",
            "properties": {
                "written": COUNT,
                "empty": COUNT | {"description": "Without any data, so that there is no file."},
                "kept": COUNT | {"description": "Made by an earlier run of the same job."},
                "failed": COUNT,
                "blocked": COUNT | {"description": "Overviews above failed tiles."},
            },
        },
        "bytes": COUNT | {"description": "Written."},
        "seconds": {"type": "number", "minimum": 0},
        "peak_bytes": COUNT | {"description": "The most memory one worker used."},
        "failures": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tile", "reason"],
                "properties": {
                    "tile": {"type": "array", "items": COUNT, "minItems": 3, "maxItems": 3},
                    "reason": {"type": "string"},
                },
            },
            "description": "The first tiles that failed: `[zoom, row, column]` and why.",
        },
    },
}

TILE_OUTPUTS: dict[str, dict[str, Any]] = {
    "item": {
        "title": "STAC item",
        "description": "A STAC item with the tiled-assets extension, which GDAL and QGIS open as one raster.",
        "schema": {
            "type": "object",
            "required": ["type", "stac_version", "id", "geometry", "assets", "links"],
            "properties": {
                "type": {"type": "string", "enum": ["Feature"]},
                "stac_version": {"type": "string"},
                "id": {"type": "string"},
                "geometry": {"type": "object", "format": "geojson-geometry"},
                "assets": {"type": "object"},
                "links": {"type": "array", "items": {"type": "object"}},
            },
            "contentMediaType": ITEM_TYPE,
        },
    },
    "vrt": {
        "title": "Virtual raster",
        "description": "A GDAL virtual raster around the item: missing tiles are nodata, colours are colours.",
        "schema": {"type": "string", "contentMediaType": VRT_TYPE},
    },
    "report": {
        "title": "Report",
        "description": "What was made, how long it took, and what failed.",
        "schema": {**REPORT, "contentMediaType": REPORT_TYPE},
    },
}
"""By id, without anything that differs from process to process."""
