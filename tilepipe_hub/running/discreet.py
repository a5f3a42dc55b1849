"""What is told of a job's words: neither the server's folders nor its secrets, nor what signs an address."""

import re
from collections.abc import Mapping
from urllib.parse import quote

__all__ = ["discreet", "unsigned"]

SHORTEST = 4
"""Letters of a secret; shorter ones stand in every other word, and tell nobody anything."""

PATH = re.compile(r"(?<![\w:/.$}\\])/(?!vsi)(?:[^\s/:'\"<>|,;()]+/)+(?P<last>[^\s/:'\"<>|,;()]*)")
"""An absolute path of two parts or more; names of GDAL's own file systems and addresses are none."""

ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<rest>[^\s'\"<>]+)")
NAMED = re.compile(r"(?:\$\{\w+\})?")
"""What may stand in place of a value."""

LEFT_OUT = "..."


def unsigned(text: str) -> str:
    """The text without what lets somebody in at the addresses in it: users and passwords, and the values of queries."""
    if "://" not in text:
        return text
    return ADDRESS.sub(lambda found: found["scheme"] + _unsigned(found["rest"]), text)


def _unsigned(rest: str) -> str:
    """An address behind its scheme; `${NAME}` stays, for it tells nobody anything."""
    sent, hash_sign, fragment = rest.partition("#")
    place, question_mark, query = sent.partition("?")
    host, slash, path = place.partition("/")
    user, at, name = host.rpartition("@")
    user = user if NAMED.fullmatch(user) else LEFT_OUT
    pairs = "&".join(map(_pair, query.split("&")))
    return f"{user}{at}{name}{slash}{path}{question_mark}{pairs}{hash_sign}{fragment}"


def _pair(pair: str) -> str:
    key, equals, value = pair.partition("=")
    if not equals:
        return LEFT_OUT if key else ""
    return f"{key}={value if NAMED.fullmatch(value) else LEFT_OUT}"


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
    text = unsigned(text)
    return PATH.sub(lambda found: f".../{found['last']}" if found["last"] else "...", text)
