"""What pages show of the results of a job: its files, and by which address a desktop GIS opens them."""

from collections.abc import Mapping
from typing import Any

from tilepipe_hub.processes.outputs import TILE_OUTPUTS
from tilepipe_hub.results import Reader, Result, as_link, chosen

__all__ = ["shown_results"]


def shown_results(results: Mapping[str, Result], asked: Mapping[str, Any], reader: Reader) -> dict[str, Any]:
    """The values `files` and `address` of a page: a row for each result that was asked for, and GDAL's name or "".

    Args:
        results: those there are.
        asked: the outputs that were asked for.
        reader: of the job.
    """
    rows = []
    for name, result in chosen(results, asked).items():
        about = TILE_OUTPUTS.get(name, {}) if "file" in result else {}
        row = {"id": name, "title": about.get("title", name), "text": about.get("description", ""), "type": ""}
        rows.append({**row, **as_link(name, result, reader)})
    mosaic = results.get("vrt", {})
    address = f"/vsicurl/{as_link('vrt', mosaic, reader)['href']}" if "file" in mosaic else ""
    return {"files": rows, "address": address}
