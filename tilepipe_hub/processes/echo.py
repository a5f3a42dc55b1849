"""The process that gives back what it gets: every kind of input there is, for the tests of clients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tilepipe_hub.processes.engine import BBOX
from tilepipe_hub.processes.given import Value
from tilepipe_hub.processes.inputs import Checked

__all__ = ["ABOUT", "INPUTS", "OUTPUTS", "Echo", "echo"]

MAX_PAUSE_S = 60
IMAGE = "image/tiff"

ABOUT: dict[str, Any] = {
    "version": "1.0.0",
    "title": "Echo",
    "description": "Gives back each of its inputs as an output of the same id, after a pause. For tests of clients.",
    "keywords": ["test", "echo"],
}

GIVEN: dict[str, tuple[str, dict[str, Any]]] = {
    "text": ("Text", {"type": "string"}),
    "choice": ("One of three texts", {"type": "string", "enum": ["small", "medium", "large"], "default": "medium"}),
    "time": ("A moment", {"type": "string", "format": "date-time"}),
    "number": ("A number from 0 to 1000", {"type": "number", "minimum": 0, "maximum": 1000}),
    "integer": ("A whole number", {"type": "integer"}),
    "boolean": ("True or false", {"type": "boolean"}),
    "list": ("A list of numbers", {"type": "array", "items": {"type": "number"}, "maxItems": 1000}),
    "texts": ("Several texts", {"type": "string"}),
    "bbox": (
        "A bounding box in any crs",
        {key: value for key, value in BBOX.items() if key != "additionalProperties"},
    ),
    "object": ("Any object, or text", {"oneOf": [{"type": "object"}, {"type": "string"}]}),
    "geometry": (
        "GeoJSON, or WKT",
        {
            "oneOf": [
                {"type": "object", "format": "geojson-geometry", "contentMediaType": "application/geo+json"},
                {"type": "string"},
            ]
        },
    ),
    "image": ("An image", {"type": "string", "contentEncoding": "binary", "contentMediaType": IMAGE}),
}
"""What comes back. The first is the only one that must be given; clients' tests fill it with any text."""

SEVERAL = {"texts": "unbounded"}
PASSING = ["byValue", "byReference"]

INPUTS: dict[str, Any] = {
    **{
        name: {
            "title": title,
            "minOccurs": int(name == "text"),
            "maxOccurs": SEVERAL.get(name, 1),
            "valuePassing": PASSING,
            "schema": schema,
        }
        for name, (title, schema) in GIVEN.items()
    },
    "pause": {
        "title": "Seconds to wait before the answer",
        "minOccurs": 0,
        "maxOccurs": 1,
        "schema": {"type": "number", "minimum": 0, "maximum": MAX_PAUSE_S, "default": 0},
    },
    "fail": {
        "title": "Whether to fail after the pause",
        "minOccurs": 0,
        "maxOccurs": 1,
        "schema": {"type": "boolean", "default": False},
    },
}

OUTPUTS: dict[str, Any] = {
    name: {
        "title": title,
        "schema": {"type": "array", "items": schema}
        if name in SEVERAL
        else {key: value for key, value in schema.items() if key != "default"},
    }
    for name, (title, schema) in GIVEN.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """What is to be done for a request."""

    results: Mapping[str, Value]
    """The outputs that were asked for and whose input was given."""
    pause_s: float
    fails: bool
    """Whether the job is to fail after the pause, with the words `failed as asked`."""


def echo(checked: Checked) -> Echo:
    """What the process answers; waiting and failing is for whoever runs it."""
    given = {name: values for name, values in checked.inputs.items() if name in GIVEN and name in checked.outputs}
    pause, fail = checked.value("pause", 0), checked.value("fail", False)
    return Echo(
        results={name: _together(values) if name in SEVERAL else values[0] for name, values in given.items() if values},
        pause_s=float(pause),
        fails=bool(fail),
    )


def _together(values: tuple[Value, ...]) -> Value:
    plain = [{"href": value.link} if value.link is not None else value.value for value in values]
    return Value(value=plain, media_type="application/json", pointer=values[0].pointer)
