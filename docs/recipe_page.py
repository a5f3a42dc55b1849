"""Writes docs/recipe.md from the words under the keys of the recipe; run it after changing them."""

import json
from pathlib import Path
from typing import Any

from tilepipe.recipe import json_schema

PAGE = Path(__file__).with_name("recipe.md")

EXAMPLE = """\
process: ../processes/hillshade.py
parameters:
  azimuth: 315
  z_factor: {zoom<=8: 2.0, zoom>8: 1.0}
inputs:
  dem: data/dem.tif
pyramid:
  grid: WebMercatorQuad
  pixelbuffer: 2
zooms: {min: 5, max: 12}
area: [7.0, 45.5, 8.5, 46.5]
overviews: {below: 12, resampling: average}
output:
  path: out/hillshade
  dtype: uint8
  bands: 1
  nodata: 0
"""

SECTIONS = {
    "The keys": None,
    "pyramid": "PyramidSection",
    "pyramid.grid": "OwnGrid",
    "zooms": "Zooms",
    "area": "Area",
    "overviews": "Overviews",
    "output": "OutputSection",
}

HEAD = """\
# The recipe

A recipe is a YAML file that says which function runs over which tiles, what it reads, and where the tiles go.

```yaml
{example}```

`tilepipe validate recipe.yaml` checks it without making a tile. Every mistake is told at once, with file, line, key and
the nearest known key. `tilepipe schema` prints a JSON Schema; with it an editor completes and checks recipes while one
types.

All paths are seen from the folder of the recipe.
"""

TAIL = """\
## `inputs.NAME` of the format `raster_file`

A path alone is the short form of `{format: raster_file, path: ...}`.

| key | default | meaning |
|---|---|---|
| `path` | has to be there | a file, or whatever else GDAL opens by name |
| `resampling` | `nearest` | how pixels are made where the grids differ: a name of `rasterio.enums.Resampling` |
| `bands` | all but alpha | numbers from 1; `read(1)` is then the first of these |
| `nodata` | the file's | the value of missing pixels |
| `crs` | the file's | authority code or WKT |
| `overviews` | `true` | whether coarse pixels come from the file's overviews |

## `output` of the format `gtiff`

`dtype` has to be there. `nodata` is NaN for floats and has to be said for integers; `null` means that every pixel
counts, and masked ones become 0. A value that equals `nodata` is missing from then on. `options` are creation options
of GDAL's GTiff driver, as `{compress: zstd, predictor: 1}`; `tags` are written to every file.

Tiles are whole files: where the data ends within one, the rest is nodata.

## Values that differ by zoom

Any value below a name in `parameters` and `inputs`, and any value in `output` that does not have to be one for the
whole pyramid, may be a mapping of zoom conditions to values, at any depth:

```yaml
parameters:
  z_factor: {zoom<=8: 2.0, zoom 9-11: 1.5, zoom>11: 1.0}
inputs:
  dem:
    zoom<=8: data/coarse.tif
    zoom>8: {path: data/fine.tif, resampling: bilinear}
```

* The conditions are `zoom<=8`, `zoom<8`, `zoom>8`, `zoom>=8`, `zoom=8` and `zoom 9-11` (both ends included).
* Two conditions of one value never hold at the same zoom, and other keys never stand beside conditions.
* Where no condition of a parameter or input holds, `execute()` is called without it. In `output` one has to hold at
  every zoom of the recipe.
* `format`, `path`, `dtype`, `bands`, `nodata` and `metatile` of the output do not differ by zoom: a pyramid is one
  raster.

## Secrets and machines: `${NAME}`

`${NAME}` inside any text below `process`, `parameters`, `inputs`, `area` and `output` stands for the environment
variable of that name. It is filled in when the data is opened, on the machine that opens it, so neither a stored recipe
nor a message about one shows what it stands for. All names that are not set are told at once.

## Other values for one run: `--set`

`--set key.sub=value` replaces or adds one value; the value is YAML, keys are joined by dots, items of lists are numbers
from 0. It may be given several times; the last one counts.

```
tilepipe execute recipe.yaml --set zooms=[5, 9] --set output.path=out/test --set 'parameters.z_factor.zoom<=8=3.0'
```

## How the YAML is read

As YAML 1.2 has it: `true` and `false` are truth values while `yes`, `no`, `on` and `off` are text; `1e5` is a number;
dates and times are text; keys are text as written. Anchors, aliases and `<<` work, tags do not, and a key that stands
twice in one mapping is a mistake. A recipe is at most 1 MB long; a larger area belongs in a file of its own.
"""


def page() -> str:
    """The whole text of the page."""
    schema = json_schema()
    parts = [HEAD.format(example=EXAMPLE)]
    for place, name in SECTIONS.items():
        facts = schema["$defs"][name] if name else schema
        title = f"`{place}`" if name else place
        parts.append(f"## {title}\n\n{facts['description']}\n\n{_table(facts)}")
    return "\n".join([*parts, TAIL])


def _table(facts: dict[str, Any]) -> str:
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, value in facts["properties"].items():
        given = value.get("default")
        default = "has to be there" if key in facts.get("required", ()) else "" if given is None else json.dumps(given)
        rows.append(f"| `{key}` | {_kind(key, value)} | {default} | {value['description']} |")
    return "\n".join(rows) + "\n"


def _kind(key: str, value: dict[str, Any]) -> str:
    """What may stand there, as short as one can say it."""
    if "$ref" in value:
        name = value["$ref"].split("/")[-1]
        words = {"Clamp": "truth value, by zoom", "Fixed": "value", "Value": "value, by zoom"}
        return words.get(name, f"mapping, see `{key}` below")
    if "anyOf" in value:
        kinds = [_kind(key, choice) for choice in value["anyOf"] if choice.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in value and value["type"] == "string":
        return ", ".join(f"`{choice}`" for choice in value["enum"])
    if value["type"] == "array":
        least, most = value["minItems"], value["maxItems"]
        return f"list of {least if least == most else f'{least} or {most}'} numbers"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "truth value"}
    limits = f", {value['minimum']} to {value['maximum']}" if "maximum" in value else ""
    return words.get(str(value["type"]), "mapping") + limits


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
