"""What people see in a browser: one layout, with all that the documents hold."""

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

__all__ = ["ASSETS", "asset", "render"]

FOLDER = os.path.dirname(os.path.abspath(__file__))
ASSETS: Mapping[str, str] = {
    "copy.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "job.js": "text/javascript",
    "posted.js": "text/javascript",
    "process.js": "text/javascript",
    "style.css": "text/css",
}
"""Files that pages load, with their media types."""

_environment = Environment(
    loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
# What a document calls an address may be a script; only what a browser goes to becomes a link.
_environment.tests["address"] = lambda value: isinstance(value, str) and value.startswith(("http://", "https://"))
# Links of documents to what is only posted to, which pages have to show; a browser is led to where one can post.
_environment.tests["posted"] = lambda rel: isinstance(rel, str) and rel.rpartition("/")[2] in {"execute", "retry"}


def render(template: str, **values: Any) -> str:
    """The page that a template of this folder makes of its values."""
    return _environment.get_template(template).render(**values)


@cache
def asset(name: str) -> bytes:
    """One of ASSETS."""
    with open(os.path.join(FOLDER, name), "rb") as file:
        return file.read()
