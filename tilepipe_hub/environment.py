"""Which variables of the environment are settings: others that begin alike are the client's, or Kubernetes' own.

A variable is `TILEPIPE_HUB_` and the keys with `__` between them, and whatever has `__` in it is taken for one.
Without, it is a setting only if it is a key of the first level. Beside a service that is named tilepipe-hub or begins
so, Kubernetes tells each container its addresses (`TILEPIPE_HUB_SERVICE_HOST`, `TILEPIPE_HUB_PORT=tcp://...`). The rest
is left alone, unless it reads like a key that was misspelled.
"""

import json
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from tilepipe_hub.errors import SettingsError

__all__ = ["CONFIG", "PREFIX", "settings_in"]

PREFIX = "TILEPIPE_HUB_"
CONFIG = f"{PREFIX}CONFIG"

OTHERS = {"CONFIG", "URL", "TOKEN"}
"""The name of the file, and what `tilepipe hub` asks with."""

LINK = re.compile(r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
LINK_VALUE = re.compile(r"(tcp|udp|sctp)://")
ALIKE = 0.8


def settings_in(environ: Mapping[str, str], *, keys: Collection[str]) -> dict[str, Any]:
    """What the environment sets, nested as in the file.

    Args:
        environ: names and values.
        keys: all there are, with dots between their parts.

    Raises:
        SettingsError: a variable reads like a misspelled key; its value is not shown.
    """
    found: dict[str, Any] = {}
    for name, text in sorted(environ.items()):
        word = name.removeprefix(PREFIX)
        if word == name or word in OTHERS:
            continue
        path = word.lower().split("__")
        if len(path) == 1 and path[0] not in keys:
            _refuse_misspelled(name, text, keys)
            continue
        found = merged(found, _nested(path, text))
    return found


def merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Two nested mappings, where *high* stands over *low*."""
    both = {
        key: merged(low[key], high[key])
        for key in low.keys() & high.keys()
        if isinstance(low[key], Mapping) and isinstance(high[key], Mapping)
    }
    return {**low, **high, **both}


def _refuse_misspelled(name: str, text: str, keys: Collection[str]) -> None:
    word = name.removeprefix(PREFIX)
    if LINK.fullmatch(word) or LINK_VALUE.match(text):
        return
    spelled = {key.upper().replace(".", "_"): key for key in keys}
    ends = {key.upper().rpartition(".")[2]: key for key in keys}
    close = get_close_matches(word, spelled, n=1, cutoff=ALIKE)
    meant = spelled[close[0]] if close else ends.get(word)
    if meant is not None:
        right = PREFIX + meant.upper().replace(".", "__")
        raise SettingsError(f"{name} is no setting; did you mean {right}? There are two underscores between keys")


def _nested(path: list[str], text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    for key in reversed(path):
        value = {key: value}
    return value  # type: ignore[no-any-return]  # the loop wraps it at least once
