"""How outputs become files: whole or not there, under names that lead nowhere else."""

import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from urllib.parse import urlsplit

import httpx

from tilepipe_hub.client.faults import ClientError, NotReached, Unexpected, shown
from tilepipe_hub.client.records import Value
from tilepipe_hub.client.results import file_name, plain_bytes
from tilepipe_hub.client.wire import Wire

__all__ = ["download", "save"]

PIECES = 2**20
"""Bytes that are held at once."""


def save(wire: Wire, values: Mapping[str, Value], folder: str) -> dict[str, str]:
    """The paths of files that hold *values*, by their ids.

    Raises:
        ClientError: one cannot be had, or not be written.
    """
    paths: dict[str, str] = {}
    for key, value in values.items():
        stem, ending = os.path.splitext(file_name(value))
        name, number = f"{stem}{ending}", 2
        while os.path.join(folder, name) in paths.values():
            name, number = f"{stem}-{number}{ending}", number + 1
        paths[key] = os.path.join(folder, name)
        if value.href is None:
            _write(paths[key], [plain_bytes(value)])
        else:
            download(wire, value.href, paths[key])
    return paths


def download(wire: Wire, href: str, path: str) -> None:
    """Keep what lies at an address in a file, from the start again where it breaks off."""
    if urlsplit(href).scheme not in {"http", "https"}:
        raise Unexpected(f"{href.partition('?')[0][:200]} is no address of the web; fetch it with the tool for it")
    for tried in range(wire.retries + 1):
        try:
            with closing(wire.send("GET", href, headers={"Accept": "*/*"}, stream=True)) as response:
                _write(path, response.iter_bytes(PIECES))
        except httpx.HTTPError as error:
            if tried == wire.retries:
                raise NotReached(f"{shown(httpx.URL(href))} broke off: {error}; try again later") from error
        else:
            return
        wire.sleep(0.5 * 2**tried)


def _write(path: str, pieces: Iterable[bytes]) -> None:
    folder = os.path.dirname(os.path.abspath(path))
    try:
        os.makedirs(folder, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")
    except OSError as error:
        raise ClientError(f"{path} cannot be written: {error.strerror}; name another folder") from error
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in pieces:
                file.write(piece)
        # What mkstemp makes is for its owner alone.
        os.chmod(draft, 0o666 & ~_umask())
        os.replace(draft, path)
    except OSError as error:
        raise ClientError(f"{path} cannot be written: {error.strerror}; name another folder") from error
    finally:
        with suppress(FileNotFoundError):
            os.unlink(draft)


def _umask() -> int:
    """It can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
