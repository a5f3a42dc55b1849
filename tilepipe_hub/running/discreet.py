"""What the owner of a job is told of its words: neither the server's folders nor its secrets."""

import re
from collections.abc import Mapping
from urllib.parse import quote

__all__ = ["discreet"]

SHORTEST = 4
"""Letters of a secret; shorter ones stand in every other word, and tell nobody anything."""

PATH = re.compile(r"(?<![\w:/.$}\\])/(?!vsi)(?:[^\s/:'\"<>|,;()]+/)+(?P<last>[^\s/:'\"<>|,;()]*)")
"""An absolute path of two parts or more; names of GDAL's own file systems and addresses are none."""


def discreet(text: str, *, secrets: Mapping[str, str], folders: Mapping[str, str]) -> str:
    """The text with names in place of secrets and folders, and no other absolute path.

    Args:
        text: of an error, a traceback, or what a process printed.
        secrets: what `${NAME}` stands for, by name.
        folders: what paths are called, by path; below them the rest of a path stays.
    """
    for name, value in sorted(secrets.items(), key=lambda item: -len(item[1])):
        # A key of several lines is printed line by line.
        lines = value.splitlines() if "\n" in value else ()
        for spelled in (value, quote(value, safe=""), repr(value)[1:-1], *lines):
            if len(spelled) >= SHORTEST:
                text = text.replace(spelled, f"${{{name}}}")
    for path, name in sorted(folders.items(), key=lambda item: -len(item[0])):
        if len(path) > 1:
            text = text.replace(path, name)
    return PATH.sub(lambda found: f".../{found['last']}" if found["last"] else "...", text)
