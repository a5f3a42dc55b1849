"""How the words and files of a command line become the inputs of a process, or a package to deploy."""

import base64
import json
import mimetypes
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tilepipe.errors import nearest
from tilepipe_hub.client.describing import is_file
from tilepipe_hub.client.faults import ClientError
from tilepipe_hub.client.records import Process

__all__ = ["inputs_of", "package_in", "recipe_inputs"]

ADDRESS = re.compile(r"((https?|s3|gs|az|ftp)://|/)\S+")
"""Of data: on the web, in a store of objects, or a path on the server."""
QUALIFIED = frozenset({"value", "href", "bbox"})
"""Keys of objects that the standard takes as they are; any other object has to be wrapped."""


def inputs_of(words: Iterable[str], process: Process) -> dict[str, Any]:
    """Inputs by id, from `name=value`, `name=@file` and `name=@@text that begins with one @`.

    What is JSON is taken as JSON, unless the process wants text; a name that comes twice makes a list.

    Raises:
        ClientError: a word is none of these, names no input, or its file cannot be read.
    """
    found: dict[str, list[Any]] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise ClientError(f"-i {word!r} is no input; write name=value or name=@file")
        if process.inputs and name not in process.inputs:
            raise ClientError(f"{process.id} takes no input {name!r}; {nearest(name, process.inputs)}")
        schema = _schema(process.inputs.get(name))
        if text.startswith("@@"):
            value: Any = text[1:]
        elif text.startswith("@"):
            value = _file(name, text[1:], schema)
        else:
            value = _value(name, text, schema)
        found.setdefault(name, []).append(_wrapped(value))
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def recipe_inputs(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The input of the process `recipe`: a recipe whose process is named as the service names it, not by its file."""
    process = recipe.get("process")
    if isinstance(process, str) and process.endswith(".py"):
        recipe = {**recipe, "process": os.path.basename(process).removesuffix(".py")}
    return {"recipe": {"value": dict(recipe), "mediaType": "application/json"}}


def package_in(path: str, process_id: str | None = None) -> tuple[str, dict[str, Any]]:
    """The id of a process and the package to deploy it by, from a file of Python or JSON.

    Raises:
        ClientError: the file cannot be read, or names no process.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(f"{path}: cannot be read: {error}; name a file of Python or JSON") from error
    if path.endswith(".py"):
        name = process_id or os.path.basename(path).removesuffix(".py")
        unit = {"type": "python", "mediaType": "text/x-python", "value": text}
        return name, {"processDescription": {"process": {"id": name}}, "executionUnit": unit}
    try:
        package = json.loads(text)
    except ValueError as error:
        raise ClientError(f"{path}: is no JSON: {error}; give a .py file, or an application package") from error
    about = package.get("processDescription") if isinstance(package, dict) else None
    about = about.get("process", about) if isinstance(about, dict) else None
    name = process_id or (str(about.get("id", "")) if isinstance(about, dict) else "")
    if not name:
        raise ClientError(f"{path}: names no process; add processDescription.process.id, or give --id")
    return name, package


def _schema(description: Any) -> Mapping[str, Any]:
    schema = description.get("schema") if isinstance(description, dict) else None
    return schema if isinstance(schema, dict) else {}


def _value(name: str, text: str, schema: Mapping[str, Any]) -> Any:
    if schema.get("type") == "string" and not ({"contentMediaType", "contentEncoding"} & schema.keys()):
        return text
    try:
        return json.loads(text)
    except ValueError:
        if ADDRESS.fullmatch(text) and schema:
            return {"href": text}
    if is_file(schema) and (os.path.exists(text) or not _is_base64(text)):
        raise ClientError(
            f"-i {name}={text[:200]}: is neither an absolute path nor an address, so the server cannot read it; "
            f"write {name}=/FOLDER/FILE for a file there, {name}=@FILE to send one from here"
        )
    return text


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return True


def _file(name: str, path: str, schema: Mapping[str, Any]) -> Any:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise ClientError(f"-i {name}=@{path}: cannot be read: {error.strerror}; name a file that is there") from error
    media_type = mimetypes.guess_type(path)[0]
    encoded = {"value": base64.b64encode(content).decode(), "encoding": "base64"}
    encoded |= {"mediaType": media_type} if media_type else {}
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return encoded
    try:
        return json.loads(text)
    except ValueError as error:
        if media_type == "application/json":
            raise ClientError(f"-i {name}=@{path}: is no JSON: {error}; mend the file") from error
        return encoded if is_file(schema) else text


def _wrapped(value: Any) -> Any:
    return {"value": value} if isinstance(value, dict) and not QUALIFIED & value.keys() else value
