"""What a worker is told to do, and what it gives back: the agreement between who takes jobs in and who runs them.

It stands in `Request.work` of a job, as plain JSON, complete: a worker looks at nothing else of the request. What comes
back stands in `End.results`: for each output that there is, one of

    {"file": "stac.json", "mediaType": "application/geo+json"}      below the job's folder, without `..`
    {"value": ..., "mediaType": "application/json"}                 the value itself, as JSON has it; bytes in base64
    {"href": "https://...", "type": "image/tiff"}                   somewhere else
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Work", "work_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One job's work."""

    kind: Literal["recipe", "echo"]
    folder: str
    """Name of the job's folder in the folder of outputs; for a job that continues another, it is that one's."""
    asked: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    """Outputs to be returned, each with `media_type` and `transmission`; which others are made does not matter."""
    response: Literal["raw", "document"] = "raw"
    is_old: bool = False
    """Whether the request spoke as version 1.0 does."""
    recipe: Mapping[str, Any] | None = None
    """Of kind `recipe`: the document for `tilepipe.recipe.make_recipe`, paths absolute, every `${NAME}` as sent."""
    base: str = ""
    """What the sender called the service; links in callbacks begin with it where the settings say nothing else."""
    trace: str = ""
    """The request's place in a trace, as `traceparent` has it; nothing where nobody listens."""
    results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Of kind `echo`: what is to stand in `End.results`."""
    pause_s: float = 0.0
    """Of kind `echo`: how long it takes."""
    fails: bool = False
    """Of kind `echo`: whether it fails then, with the words `failed as asked`."""

    def document(self) -> dict[str, Any]:
        """As JSON has it; what lies in it is not copied."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def work_of(document: Mapping[str, Any]) -> Work:
    """The work that `Work.document` wrote; keys of a later version are left out."""
    return Work(**{key: document[key] for key in Work.__dataclass_fields__ if key in document})
