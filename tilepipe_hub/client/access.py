"""Which server is called, and with which token."""

import os
from importlib.metadata import version

import httpx

from tilepipe_hub.client.caller import Client
from tilepipe_hub.client.faults import ClientError
from tilepipe_hub.client.wire import Wire, origin

__all__ = ["TOKEN", "URL", "open_client"]

URL = "TILEPIPE_HUB_URL"
TOKEN = "TILEPIPE_HUB_TOKEN"  # noqa: S105 - the name of a variable


def open_client(
    url: str | None = None,
    *,
    token: str | None = None,
    timeout_s: float = 30.0,
    retries: int = 4,
    http: httpx.Client | None = None,
) -> Client:
    """A client of the server at *url*; a context manager that closes what it opened.

    Args:
        url: the landing page; None: from the environment, `TILEPIPE_HUB_URL`.
        token: bearer token; None: from the environment, `TILEPIPE_HUB_TOKEN`, unless `TILEPIPE_HUB_URL` names another
            server than *url* does. It is sent to the origin of *url* and nowhere else.
        timeout_s: seconds to wait for a connection, or between two pieces of an answer.
        retries: how often a request is sent again after a passing fault.
        http: what to send with, for proxies and certificates of your own; headers and credentials that it brings go
            to every host, also to those that results link to.

    Raises:
        ClientError: no address is given, or it is none.
    """
    named = os.environ.get(URL)
    where = url or named
    if not where:
        raise ClientError(f"no server is named; give its address, with --url or {URL}")
    try:
        base = httpx.URL(where)
    except httpx.InvalidURL as error:
        raise ClientError(f"{where[:200]!r} is no address: {error}; write it as http://host:port") from error
    if base.scheme not in {"http", "https"} or not base.host:
        raise ClientError(f"{where[:200]!r} is no address of a server; write it as http://host:port")
    base = base.copy_with(path=base.path.rstrip("/") + "/", query=None, fragment=None)
    headers = {"User-Agent": f"tilepipe/{version('tilepipe')}"}
    own = http or httpx.Client(timeout=timeout_s, headers=headers)
    if token is None and _is_for(base, named):
        token = os.environ.get(TOKEN)
    return Client(wire=Wire(http=own, base=base, token=token or None, retries=retries))


def _is_for(base: httpx.URL, named: str | None) -> bool:
    """Whether the token of the environment may be sent to a server: the environment names no other one."""
    try:
        return not named or origin(httpx.URL(named)) == origin(base)
    except httpx.InvalidURL:
        return False
