"""Whether an execute request fits a process description, and what it asks for."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tilepipe.errors import nearest
from tilepipe.recipe.values import shown
from tilepipe_hub.processes.given import (
    DATA,
    Fetched,
    Link,
    Value,
    alternatives,
    checked_value,
    given_value,
    is_binary,
    media_types,
    wants_content,
)
from tilepipe_hub.processes.limits import Limits, excesses
from tilepipe_hub.processes.values import Problem, mistakes, pointed

__all__ = ["Asked", "Checked", "check_inputs", "links_to_fetch"]

LIMITS = Limits()
CALLBACKS = ("successUri", "inProgressUri", "failedUri")
MODES = ("value", "reference")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How an output is wanted."""

    media_type: str | None = None
    transmission: Literal["value", "reference"] | None = None
    """None where the request leaves it to the service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A request that fits the description of its process."""

    inputs: Mapping[str, tuple[Value, ...]]
    """For each input that was given, its values; those that were not given are absent, defaults included.

    Null is not given where an input may be left out and its schema knows no null.
    """
    outputs: Mapping[str, Asked]
    """Those to be returned: all where the request says nothing."""
    response: Literal["raw", "document"] = "raw"
    is_old: bool = False
    """Whether the request speaks as version 1.0 does, with `response` or `transmissionMode`."""
    subscriber: Mapping[str, str] = field(default_factory=dict)
    """Where to call back: some of `successUri`, `inProgressUri`, `failedUri`."""

    def value(self, name: str, default: Any = None) -> Any:
        """The only value of an input; *default* where it was not given, or is a link."""
        values = self.inputs.get(name, ())
        return values[0].value if values and values[0].link is None else default

    def links(self) -> Iterator[Link]:
        """The data that the process will open by itself."""
        for values in self.inputs.values():
            for value in values:
                if value.link is not None:
                    yield Link(href=value.link, media_type=value.media_type, pointer=value.pointer)


def links_to_fetch(description: Mapping[str, Any], request: Any, *, limits: Limits = LIMITS) -> list[Link]:
    """The links in a request whose content has to be fetched before `check_inputs` can judge it.

    Links to files that a process opens by itself, such as images, are not among them. Nothing is fetched here.
    """
    if not isinstance(request, dict) or not isinstance(request.get("inputs"), dict):
        return []
    found: list[Link] = []
    for name, raw in request["inputs"].items():
        about = description["inputs"].get(name)
        found += [
            Link(href=value.link, media_type=value.media_type, pointer=value.pointer)
            for value in (_values(about, raw, pointed("/inputs", name)) if about else ())
            if isinstance(value, Value) and value.link is not None and wants_content(value, about["schema"])
        ]
    # What is too large is refused, so nothing is fetched for it; to look costs more than all before.
    return [] if found and any(excesses(request, limits)) else found


def check_inputs(
    description: Mapping[str, Any],
    request: Any,
    *,
    limits: Limits = LIMITS,
    fetched: Mapping[str, Fetched | str] | None = None,
) -> Checked | list[Problem]:
    """What *request* asks of a process, or all that is wrong with it.

    Args:
        description: of the process.
        request: the body of the request, as read from JSON.
        limits: beyond these nothing is looked at.
        fetched: for the pointer of each link of `links_to_fetch`, what it led to, or why it could not be followed.
    """
    problems = list(excesses(request, limits))
    if problems:
        return problems
    if not isinstance(request, dict):
        return [Problem("", f"the request is {shown(request)}; it takes an object with inputs")]
    inputs, problems = _inputs(description["inputs"], request.get("inputs", {}), fetched or {})
    for value in (value for values in inputs.values() for value in values):
        if value.value is not None and (fetched or {}).get(value.pointer):
            problems += [Problem(value.pointer, item.message) for item in excesses(value.value, limits)]
    outputs, wrong = _outputs(description, request)
    problems += wrong
    response = request.get("response", "raw")
    if response not in ("raw", "document"):
        problems.append(Problem("/response", f"is {shown(response)}; it takes raw or document"))
    subscriber, wrong = _subscriber(request.get("subscriber"))
    problems += wrong
    if problems:
        return problems
    return Checked(
        inputs=inputs,
        outputs=outputs,
        response=response,
        is_old=_is_old(request),
        subscriber=subscriber,
    )


def _inputs(
    described: Mapping[str, Any], given: Any, fetched: Mapping[str, Fetched | str]
) -> tuple[dict[str, tuple[Value, ...]], list[Problem]]:
    if not isinstance(given, dict):
        return {}, [Problem("/inputs", f"is {shown(given)}; it takes an object with the ids of inputs as keys")]
    problems: list[Problem] = []
    found: dict[str, tuple[Value, ...]] = {}
    for name, raw in given.items():
        pointer = pointed("/inputs", name)
        if name not in described:
            problems.append(Problem(pointer, f"there is no such input; {nearest(name, described)}"))
            continue
        about = described[name]
        if raw is None and about.get("minOccurs", 1) == 0 and any(mistakes(None, about["schema"])):
            # Clients send it for what a form leaves empty, and it can mean nothing else.
            continue
        values: list[Value] = []
        for value in _values(about, raw, pointer):
            if isinstance(value, Problem):
                problems.append(value)
                continue
            ready, wrong = checked_value(value, about["schema"], fetched)
            values.append(ready)
            problems += wrong
        found[name] = tuple(values)
    for name, about in described.items():
        if about.get("minOccurs", 1) and name not in given:
            problems.append(Problem(pointed("/inputs", name), f"is missing; the process needs it{_hint(about)}"))
    return found, problems


def _hint(about: Mapping[str, Any]) -> str:
    """How to write an input that has to be given."""
    schema = about["schema"]
    if any(is_binary(part) for part in alternatives(schema)):
        return f"; {DATA}"
    if "example" in schema:
        return f"; write, for example, {json.dumps(schema['example'])}"
    return f" ({about['title']})" if about.get("title") else ""


def _values(about: Mapping[str, Any], raw: Any, pointer: str) -> Iterator[Value | Problem]:
    """Each value of an input that may have several; a list is one value where it may have but one."""
    least, most = about.get("minOccurs", 1), about.get("maxOccurs", 1)
    if most == 1 or not isinstance(raw, list):
        yield given_value(raw, pointer)
        return
    if len(raw) < least or (most != "unbounded" and len(raw) > most):
        wanted = f"at least {least}" if len(raw) < least else f"at most {most}"
        yield Problem(pointer, f"has {len(raw)} values; it takes {wanted}")
        return
    for place, item in enumerate(raw):
        yield given_value(item, pointed(pointer, place))


def _is_old(request: Mapping[str, Any]) -> bool:
    outputs = request.get("outputs")
    asked = outputs.values() if isinstance(outputs, dict) else ()
    return "response" in request or any(isinstance(item, dict) and "transmissionMode" in item for item in asked)


def _outputs(description: Mapping[str, Any], request: Mapping[str, Any]) -> tuple[dict[str, Asked], list[Problem]]:
    described = description["outputs"]
    wanted = request.get("outputs")
    if wanted is None or (wanted == {} and _is_old(request)):
        return {name: Asked() for name in described}, []
    if not isinstance(wanted, dict):
        return {}, [Problem("/outputs", f"is {shown(wanted)}; it takes an object with the ids of outputs as keys")]
    problems: list[Problem] = []
    found = {}
    for name, how in wanted.items():
        pointer = pointed("/outputs", name)
        if name not in described:
            problems.append(Problem(pointer, f"there is no such output; {nearest(name, described)}"))
            continue
        asked = _asked(how, pointer, described[name]["schema"], description.get("outputTransmission", MODES))
        if isinstance(asked, Problem):
            problems.append(asked)
        else:
            found[name] = asked
    return found, problems


def _asked(how: Any, pointer: str, schema: Mapping[str, Any], modes: Any) -> Asked | Problem:
    if not isinstance(how, dict):
        return Problem(pointer, f"is {shown(how)}; it takes an object, {{}} will do")
    form = how.get("format", {})
    if not isinstance(form, dict):
        return Problem(pointed(pointer, "format"), f"is {shown(form)}; it takes {{mediaType: ...}}")
    media_type = form.get("mediaType")
    offered = media_types(schema) or ["application/json", "text/plain"]
    if media_type is not None and media_type not in offered:
        found = shown(media_type, kinds=False)
        return Problem(pointed(pointer, "format", "mediaType"), f"is {found}; it is made as {', '.join(offered)}")
    mode = how.get("transmissionMode")
    if mode is not None and mode not in modes:
        return Problem(pointed(pointer, "transmissionMode"), f"is {shown(mode)}; it takes {' or '.join(modes)}")
    return Asked(media_type=media_type, transmission=mode)


def _subscriber(given: Any) -> tuple[dict[str, str], list[Problem]]:
    if given is None:
        return {}, []
    if not isinstance(given, dict):
        return {}, [Problem("/subscriber", f"is {shown(given)}; it takes an object with {', '.join(CALLBACKS)}")]
    # The published schema misspells the name of the one that it requires.
    given = {"successUri" if key == "successUrl" else key: value for key, value in given.items()}
    wrong = [
        Problem(pointed("/subscriber", key), f"is {shown(given[key])}; it takes an http or https address")
        for key in CALLBACKS
        if key in given and not (isinstance(given[key], str) and given[key].startswith(("http://", "https://")))
    ]
    return {key: given[key] for key in CALLBACKS if key in given}, wrong
