"""What can go wrong between a client and a server.

HubError
  ClientError
    NotReached      no answer came, also after trying again
    Refused         the server says no; carries its problem document
      NotAllowed    without a token, or with one that may not do this
      NotThere      no such process, job or result
        NotReady    the job has not ended, so there are no results yet
    NotOffered      this server has no such thing
    Unexpected      the answer is none that the standard knows, or leads where a client must not go
    StillRunning    the time to wait is over
"""

import json
from collections.abc import Mapping
from typing import Any

import httpx

from tilepipe_hub.errors import HubError

__all__ = [
    "ClientError",
    "NotAllowed",
    "NotOffered",
    "NotReached",
    "NotReady",
    "NotThere",
    "Refused",
    "StillRunning",
    "Unexpected",
    "refusal",
    "shown",
]

MOST = 2000
"""Characters of a foreign text in a message."""


class ClientError(HubError):
    """The root of the client's errors."""


class NotReached(ClientError):
    """No answer came."""


class NotOffered(ClientError):
    """The server has no such thing."""


class Unexpected(ClientError):
    """The answer cannot be used."""


class StillRunning(ClientError):
    """The job had not ended when the time was over."""


class Refused(ClientError):
    """The server answered, and the answer is no."""

    advice = ""

    def __init__(self, asked: str, *, status: int, problem: Mapping[str, Any]) -> None:
        words = [str(problem[key]) for key in ("title", "detail", "description") if problem.get(key)]
        told = ": ".join(dict.fromkeys(words))[:MOST]
        super().__init__(f"{asked}: the server answers {status}{f', {told}' if told else ''}{self.advice}")
        self.status = status
        """Of HTTP."""
        self.problem = problem
        """The document that came, as of RFC 7807; empty where none came."""

    @property
    def type(self) -> str:
        """Which kind of problem it is, by the server's word: a URI, or `about:blank`."""
        return str(self.problem.get("type") or self.problem.get("code") or "about:blank")


class NotAllowed(Refused):
    """The token is missing, wrong or too weak."""

    advice = "; give a token that may do this, with --token or TILEPIPE_HUB_TOKEN"


class NotThere(Refused):
    """There is no such thing."""


class NotReady(NotThere):
    """There are no results yet."""

    advice = "; wait for the job first"


def refusal(response: httpx.Response) -> Refused:
    """The error for an answer of 400 and above that has been read."""
    try:
        found = response.json()
    except ValueError:
        found = None
    problem = found if isinstance(found, dict) else {}
    if "title" not in problem:
        problem = {"title": response.reason_phrase, **problem}
    asked = f"{response.request.method} {shown(response.request.url)}"
    return _kind(response.status_code, json.dumps(problem))(asked, status=response.status_code, problem=problem)


def _kind(status: int, text: str) -> type[Refused]:
    if status in {401, 403}:
        return NotAllowed
    if "result-not-ready" in text or "ResultNotReady" in text:
        return NotReady
    return NotThere if status in {404, 410} else Refused


def shown(url: httpx.URL) -> str:
    """An address less what may be secret: a password, or the signature in a query."""
    return str(url.copy_with(username=None, password=None, query=None, fragment=None))
