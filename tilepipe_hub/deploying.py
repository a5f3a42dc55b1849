"""Adding, replacing and removing processes by request: each is a Python file in the folder of processes."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

from tilepipe_hub.errors import BadRequest, NoSuchProcess, ProcessFixed, ProcessTaken
from tilepipe_hub.processes.catalog import PROCESS_ID, Broken, Catalog, Entry

__all__ = ["deploy", "package_of", "replace", "undeploy"]


def deploy(catalog: Catalog, package: Any) -> Entry:
    """The process that a package makes.

    Raises:
        BadRequest: the package is none, or its code is no process.
        ProcessTaken: there is one of this id.
        ProcessFixed: the id is that of a process of the service.
        TooOften: others are examined now.
    """
    process_id, code = _read(package)
    found = catalog.find(process_id)
    if found is not None and not found.mutable:
        raise ProcessFixed(f"{process_id!r} is a process of the service; take another id")
    path = _path(catalog, process_id)
    if os.path.exists(path):
        raise ProcessTaken(f"there is a process {process_id!r}; replace it with PUT, or take another id")
    return _put(catalog, process_id, code, package)


def replace(catalog: Catalog, process_id: str, package: Any) -> Entry:
    """The process that now goes by an id.

    Raises:
        BadRequest: the package is none, names another id, or its code is no process.
        NoSuchProcess: there is none to be replaced.
        ProcessFixed: it is a process of the service.
        TooOften: others are examined now.
    """
    _check_mutable(catalog, process_id)
    own, code = _read(package, process_id)
    if own != process_id:
        raise BadRequest([("/processDescription/id", f"is {own!r}; it takes {process_id!r}, as the path says")])
    return _put(catalog, process_id, code, package)


def undeploy(catalog: Catalog, process_id: str) -> None:
    """Remove a process.

    Raises:
        NoSuchProcess: there is none.
        ProcessFixed: it is a process of the service.
    """
    _check_mutable(catalog, process_id)
    path = _path(catalog, process_id)
    for name in (path, _beside(path)):
        with suppress(FileNotFoundError):
            os.unlink(name)


def package_of(catalog: Catalog, process_id: str) -> Mapping[str, Any]:
    """What was deployed.

    Raises:
        NoSuchProcess: there is no such process, or nobody deployed it by a request.
    """
    entry = catalog.find(process_id)
    if entry is None or not entry.mutable:
        raise NoSuchProcess(process_id)
    try:
        with open(_beside(_path(catalog, process_id)), encoding="utf-8") as file:
            package: Mapping[str, Any] = json.load(file)
    except FileNotFoundError:
        raise NoSuchProcess(process_id) from None
    return package


def _read(package: Any, process_id: str | None = None) -> tuple[str, str]:
    """Id and code of a package."""
    if not isinstance(package, dict):
        raise BadRequest([("", "is no package; send {processDescription: {id: ...}, executionUnit: {value: ...}}")])
    about = package.get("processDescription", {})
    about = about.get("process", about) if isinstance(about, dict) else {}
    own = about.get("id", process_id) if isinstance(about, dict) else process_id
    if not isinstance(own, str) or not PROCESS_ID.fullmatch(own):
        raise BadRequest([("/processDescription/id", "takes letters, digits, _ . and -, at most 100")])
    unit = package.get("executionUnit")
    unit = unit[0] if isinstance(unit, list) and len(unit) == 1 else unit
    if not isinstance(unit, dict) or not isinstance(unit.get("value"), str) or not unit["value"].strip():
        raise BadRequest([("/executionUnit", "takes {type: python, value: ...} with the text of a Python module")])
    if unit.get("type", "python") != "python":
        raise BadRequest([("/executionUnit/type", "is not run here; python is")])
    # As it will be read from its file.
    code = unit["value"].encode(errors="replace").decode()
    return own, code.replace("\r\n", "\n").replace("\r", "\n")


def _put(catalog: Catalog, process_id: str, code: str, package: Mapping[str, Any]) -> Entry:
    """Write the file, once it is known to be a process."""
    path = _path(catalog, process_id)
    found = catalog.examine(process_id, code)
    if isinstance(found, Broken):
        raise BadRequest([("/executionUnit/value", f"is no process: {found.error.replace(path, process_id)}")])
    _write(path, code)
    _write(_beside(path), json.dumps(package))
    return found


def _check_mutable(catalog: Catalog, process_id: str) -> None:
    found = catalog.find(process_id)
    if found is None:
        raise NoSuchProcess(process_id)
    if not found.mutable:
        raise ProcessFixed(f"{process_id!r} is a process of the service and stays as it is")


def _path(catalog: Catalog, process_id: str) -> str:
    if catalog.folder is None:
        raise ProcessFixed("the service has no folder of processes; the operator can name one")
    return catalog.path(process_id)


def _beside(path: str) -> str:
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.json")


def _write(path: str, text: str) -> None:
    part = f"{path}.{uuid4().hex}"
    with open(part, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(part, path)
