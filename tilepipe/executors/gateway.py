"""How a cluster of a Dask Gateway server is asked for; imported only for that kind.

All its calls run in a loop of our own: what dask-gateway starts for callers that wait, closes itself when it is thrown
away, and stands still for ever when that happens within the loop.
"""

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from aiohttp import ClientError, ClientResponseError
from dask_gateway import (
    BasicAuth,
    Gateway,
    GatewayCluster,
    GatewayClusterError,
    GatewayServerError,
    JupyterHubAuth,
    KerberosAuth,
)
from dask_gateway.auth import GatewayAuth
from distributed.utils import LoopRunner

from tilepipe.errors import ClusterError, RecipeError

__all__ = ["Asked", "start"]


class Anonymous(GatewayAuth):  # type: ignore[misc] # that library has no types, and takes nothing but its own kind
    """Says nothing of who we are."""

    def pre_request(self, resp: object) -> tuple[dict[str, str], None]:
        return {}, None


AUTHS = {"none": Anonymous, "basic": BasicAuth, "kerberos": KerberosAuth, "jupyterhub": JupyterHubAuth}

REFUSED = {401: "who you are is not known there", 403: "you are not allowed to"}

TROUBLE = (ClientError, GatewayClusterError, GatewayServerError, OSError, ValueError)
"""What asking a server may end in."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A cluster of a gateway, for callers that wait."""

    _cluster: GatewayCluster

    @property
    def scheduler_address(self) -> str:
        """Where its scheduler is, through the gateway's proxy."""
        return str(self._cluster.scheduler_address)

    @property
    def dashboard_link(self) -> str | None:
        """A page that shows it at work."""
        link: str | None = self._cluster.dashboard_link
        return link

    @property
    def security(self) -> Any:
        """The keys of its traffic."""
        return self._cluster.security

    def scale(self, n: int) -> None:
        """Ask for so many workers."""
        self._ask(self._cluster.scale, n)

    def adapt(self, *, minimum: int, maximum: int) -> None:
        """Ask for as many workers as there is work, in these bounds."""
        self._ask(self._cluster.adapt, minimum=minimum, maximum=maximum)

    def close(self) -> None:
        """End it; also where the server has."""
        with suppress(*TROUBLE):
            _run(self._cluster.close)

    def _ask(self, call: Any, *arguments: int, **bounds: int) -> None:
        try:
            _run(call, *arguments, **bounds)
        except TROUBLE as error:
            raise ClusterError(f"the gateway does not give the workers that were asked for: {error}") from error


def start(keywords: Mapping[str, Any]) -> Asked:
    """A cluster that is started, without workers yet; it ends when it is closed.

    Raises:
        RecipeError: the server does not allow these options; in its own words.
        ClusterError: the server cannot be reached, lets us not in, or the cluster does not start.
    """
    address = keywords["address"]
    try:
        return _start(keywords)
    except (GatewayClusterError, GatewayServerError) as error:
        raise ClusterError(
            f"the gateway at {address} does not start the cluster: {error}; the logs of its server say why"
        ) from error
    except ClientResponseError as error:
        raise ClusterError(
            f"the gateway at {address} refuses: {REFUSED.get(error.status, error.message)} ({error.status}); "
            "see cluster.auth and cluster.address"
        ) from error
    except (ClientError, OSError) as error:
        raise ClusterError(
            f"no gateway answers at {address} ({error}); see whether it runs, and cluster.address"
        ) from error


def _start(keywords: Mapping[str, Any]) -> Asked:
    places = {key: keywords[key] for key in ("address", "proxy_address", "public_address") if key in keywords}
    with ExitStack() as leave, ExitStack() as undo:
        gateway = _run(_open, auth=_auth(keywords.get("auth")), **places)
        leave.callback(_run, gateway.close)
        name = _submit(gateway, keywords.get("options", {}))
        # Also when we are interrupted: the cluster is the server's, and would go on without us.
        undo.callback(_stop, gateway, name)
        cluster = _run(_connect, gateway, name)
        undo.pop_all()
    return Asked(cluster)


@cache
def _loop() -> LoopRunner:
    runner = LoopRunner()
    runner.start()
    return runner


def _run(call: Any, *arguments: Any, **keywords: Any) -> Any:
    """What a call of the asynchronous kind returns."""
    return _loop().run_sync(call, *arguments, **keywords)


async def _open(**keywords: Any) -> Gateway:
    return Gateway(asynchronous=True, **keywords)


async def _connect(gateway: Gateway, name: str) -> GatewayCluster:
    return await gateway.connect(name, shutdown_on_close=True)


def _submit(gateway: Gateway, options: Mapping[str, Any]) -> str:
    """Ask for a cluster; its name comes back at once."""
    chosen: Any = {}
    try:
        chosen = _run(gateway.cluster_options)
        for key, value in options.items():
            chosen[key] = value
        name: str = _run(gateway.submit, chosen)
    except (KeyError, TypeError, ValueError) as error:
        known = ", ".join(sorted(chosen))
        raise RecipeError(f"cluster.options: the gateway refuses: {error.args[0]}; it has: {known}") from error
    return name


def _stop(gateway: Gateway, name: str) -> None:
    with suppress(*TROUBLE):
        _run(gateway.stop_cluster, name)


def _auth(given: Any) -> GatewayAuth | None:
    """How to say who we are; None for what Dask's own configuration says."""
    if given is None:
        return None
    keywords = {"kind": given} if isinstance(given, str) else dict(given)
    made = AUTHS[keywords.pop("kind")]
    try:
        return made(**keywords)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"cluster.auth: {error}") from error
