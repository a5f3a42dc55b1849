"""How a cluster of the Dask operator on Kubernetes is asked for; imported only for that kind.

The object the operator acts on is made, watched and deleted here, and KubeCluster only connects to it: by itself that
class waits for ever for a pod that cannot start, leaves what it made behind when it fails, deletes a cluster of another
run that has the same name, and names a command of the scheduler that Dask has no longer.
"""

import asyncio
import atexit
import copy
import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import dask
import httpx
import kr8s
import yaml
from dask_kubernetes.operator import KubeCluster, make_cluster_spec
from dask_kubernetes.operator.kubecluster.kubecluster import CreateMode
from distributed.utils import LoopRunner
from tornado.ioloop import IOLoop

from tilepipe.errors import ClusterError, RecipeError, nearest

__all__ = ["Operated", "start"]

ANSWER_S = 20.0
"""For the API server of Kubernetes to answer."""

START_S = 600.0
"""For a node to be found for the scheduler, which may have to be bought first, and for its image to get there."""

CONNECT_S = 60.0
"""For a scheduler that runs to be reached from here."""

END_S = 5.0
"""For the operator to let go of a cluster that is deleted; it is Kubernetes' after that."""

POLL_S = 0.25

COMMANDS = {"dask-worker": "dask worker", "dask-scheduler": "dask scheduler"}
"""Names of commands that newer releases of Dask have not, and what all have."""

MAKING = {
    "image": "image",
    "resources": "resources",
    "env": "env",
    "worker_command": "worker-command",
    "scheduler_service_type": "scheduler-service-type",
    "jupyter": "scheduler-jupyter",
    "idle_timeout": "idle-timeout",
}
"""Keywords of a cluster that is made, and where Dask's configuration has their values."""

CONNECTING = ("port_forward_cluster_ip", "scheduler_forward_port")

KNOWN = {*MAKING, *CONNECTING, "name", "namespace", "resource_timeout", "custom_cluster_spec"}

STUCK = {"CrashLoopBackOff", "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError"}
"""Why a container waits that will hardly start any more."""

TROUBLE = (
    httpx.HTTPError,
    kr8s.APITimeoutError,
    kr8s.ConnectionClosedError,
    kr8s.NotFoundError,
    kr8s.ServerError,
    OSError,
    RuntimeError,
    ValueError,
)
"""What asking Kubernetes may end in."""

INSTALL = "helm install --repo https://helm.dask.org --generate-name dask-kubernetes-operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where on Kubernetes the object of a cluster is."""

    runner: LoopRunner
    """Of this cluster only: what the library knows of a Kubernetes it keeps as long as a loop, also if it is wrong."""
    api: Any
    namespace: str
    name: str

    def wait(self, call: Any, *arguments: Any, **keywords: Any) -> Any:
        """What a call of the asynchronous kind returns."""
        return self.runner.run_sync(call, *arguments, **keywords)

    async def ask(self, method: str, url: str, *, version: str = "kubernetes.dask.org/v1", **keywords: Any) -> Any:
        """What the API server answers; text where it is no JSON."""
        async with asyncio.timeout(ANSWER_S):
            call = self.api.call_api(method, version=version, namespace=self.namespace, url=url, **keywords)
            async with call as response:
                return response.json() if "json" in response.headers.get("content-type", "") else response.text


@dataclass(frozen=True, slots=True, eq=False)
class Operated:
    """A cluster that the operator runs, for callers that wait."""

    _cluster: KubeCluster
    _place: Place
    _at_exit: Callable[[], object]
    """Where nobody closes it."""

    @property
    def scheduler_address(self) -> str:
        """Where its scheduler is, as seen from here."""
        return str(self._cluster.scheduler_address)

    @property
    def dashboard_link(self) -> str | None:
        """A page that shows it at work."""
        link: str | None = self._cluster.dashboard_link
        return link

    @property
    def security(self) -> None:
        """The keys of its traffic: none, the operator knows of none."""

    def scale(self, n: int) -> None:
        """Ask for so many workers."""
        with _told(self._place):
            self._place.wait(self._cluster.scale, n)

    def adapt(self, *, minimum: int, maximum: int) -> None:
        """Ask for as many workers as there is work, in these bounds."""
        with _told(self._place):
            self._place.wait(self._cluster.adapt, minimum=minimum, maximum=maximum)

    def close(self) -> None:
        """End it; also where it is gone already."""
        atexit.unregister(self._at_exit)
        _delete(self._place)
        with suppress(*TROUBLE):
            self._place.wait(self._cluster.close)
        _leave(self._place)


def start(options: Mapping[str, Any], *, workers: int, idle_s: int) -> Operated:
    """A cluster that is started, its workers on their way; it ends when it is closed.

    Args:
        options: what stands under `cluster`, without kind and workers.
        workers: how many to start with.
        idle_s: after this time without work the operator ends it.

    Raises:
        RecipeError: Kubernetes or the operator does not take these options; in their own words.
        ClusterError: Kubernetes cannot be reached, lets us not in, or the cluster does not start.
    """
    for key in options:
        if key not in KNOWN:
            raise RecipeError(f"cluster.{key}: the kind kubernetes has no such key; {nearest(key, KNOWN)}")
    document = _document(options, workers=workers, idle_s=idle_s)
    place = _open(options.get("namespace"), document["metadata"]["name"])
    with _told(place), ExitStack() as leave, ExitStack() as undo:
        leave.callback(_leave, place)
        # First, for we may be interrupted: the cluster is Kubernetes', and would go on without us.
        undo.callback(_delete, place)
        try:
            place.wait(place.ask, "POST", "daskclusters", content=json.dumps(document))
        except kr8s.ServerError:
            undo.pop_all()
            raise
        patience_s = dask.config.get("kubernetes.resource-timeout", override_with=options.get("resource_timeout"))
        place.wait(_started, place, patience_s=float(patience_s))
        cluster = place.wait(_connect, place, {key: options[key] for key in CONNECTING if key in options})
        undo.pop_all()
        leave.pop_all()
    return Operated(cluster, place, atexit.register(partial(_delete, place)))


def _document(options: Mapping[str, Any], *, workers: int, idle_s: int) -> dict[str, Any]:
    """The object that says which cluster is wanted."""
    custom = options.get("custom_cluster_spec")
    if custom is not None:
        if not isinstance(custom, Mapping) or not {"metadata", "spec"} <= custom.keys():
            raise RecipeError("cluster.custom_cluster_spec: expected a DaskCluster manifest, as a mapping")
        document: dict[str, Any] = copy.deepcopy(dict(custom))
        document["spec"].setdefault("idleTimeout", idle_s)
        document["spec"].setdefault("worker", {})["replicas"] = workers
        return document
    values = {
        key: dask.config.get(f"kubernetes.{setting}", override_with=options.get(key)) for key, setting in MAKING.items()
    }
    values["worker_command"] = COMMANDS.get(values["worker_command"], values["worker_command"])
    values["idle_timeout"] = values["idle_timeout"] or idle_s
    name = str(options.get("name", "tilepipe-{uuid}")).replace("{uuid}", uuid.uuid4().hex[:10])
    document = make_cluster_spec(name, n_workers=workers, **values)
    container = document["spec"]["scheduler"]["spec"]["containers"][0]
    command, *rest = container["args"]
    container["args"] = [*COMMANDS.get(command, command).split(), *rest]
    return document


def _open(namespace: str | None, name: str) -> Place:
    runner = LoopRunner()
    runner.start()
    with ExitStack() as undo:
        undo.callback(runner.stop)
        try:
            api = runner.run_sync(_known)
        except (KeyError, IndexError, TypeError, ValueError, yaml.YAMLError) as error:
            raise ClusterError(
                f"a kubernetes cluster was asked for, but no Kubernetes is known here: "
                f"{' '.join(str(error).split())}; "
                "see that KUBECONFIG names a kubeconfig file, and that `kubectl get pods` works"
            ) from error
        except (httpx.HTTPError, kr8s.APITimeoutError, kr8s.ServerError, OSError) as error:
            raise ClusterError(_silent(error)) from error
        undo.pop_all()
    namespace = dask.config.get("kubernetes.namespace", override_with=namespace)
    return Place(runner=runner, api=api, namespace=namespace or api.namespace, name=name)


async def _known() -> Any:
    async with asyncio.timeout(ANSWER_S):
        return await kr8s.asyncio.api()


async def _started(place: Place, *, patience_s: float) -> None:
    """Wait until the scheduler runs, as long as there is hope."""
    began = well = time.monotonic()
    while True:
        state = await place.ask("GET", f"daskclusters/{place.name}")
        phase = state.get("status", {}).get("phase")
        if phase == "Error":
            raise RecipeError(f"cluster.name: the Dask operator takes no {place.name!r}; use small letters and hyphens")
        selector = f"dask.org/cluster-name={place.name},dask.org/component=scheduler"
        pods = await place.ask("GET", "pods", version="v1", params={"labelSelector": selector})
        reason = "it has no pod" if not pods["items"] else _why(pods["items"][-1])
        now = time.monotonic()
        if not reason:
            return
        if phase is None and now > began + patience_s:
            raise ClusterError(
                f"no Dask operator takes up the cluster in namespace {place.namespace} within {patience_s:.0f} s; "
                f"see that its pod runs, and watches this namespace, or install it: {INSTALL}"
            )
        well = well if reason.partition(":")[0] in STUCK else now
        if now > min(well + patience_s, began + START_S):
            raise ClusterError(
                f"the scheduler's pod does not start: {reason}{await _last_words(place, pods['items'])}; "
                "see cluster.image, cluster.resources and cluster.env"
            )
        await asyncio.sleep(POLL_S)


def _why(pod: Mapping[str, Any]) -> str:
    """Why a pod is not ready; empty where it is."""
    status = pod.get("status", {})
    conditions = {item["type"]: item for item in status.get("conditions", ())}
    if conditions.get("Ready", {}).get("status") == "True":
        return ""
    for container in status.get("containerStatuses", ()):
        if waiting := container.get("state", {}).get("waiting"):
            return f"{waiting['reason']}: {waiting.get('message', '')}"
    return conditions.get("PodScheduled", {}).get("message") or f"it is {status.get('phase', 'Pending')}"


async def _last_words(place: Place, pods: list[dict[str, Any]]) -> str:
    """What a container has said at last, for a message."""
    with suppress(*TROUBLE):
        url = f"pods/{pods[-1]['metadata']['name']}/log"
        text = await place.ask("GET", url, version="v1", params={"tailLines": 3})
        return f" ({text.strip()})" if isinstance(text, str) and text.strip() else ""
    return ""


async def _connect(place: Place, options: Mapping[str, Any]) -> KubeCluster:
    # Outside, the name of the service is looked up for ten seconds, twice.
    keywords = {"port_forward_cluster_ip": True} if await _outside() else {}
    try:
        async with asyncio.timeout(CONNECT_S):
            return await KubeCluster(
                name=place.name,
                namespace=place.namespace,
                create_mode=CreateMode.CONNECT_ONLY,
                # Else it also deletes at the end of the process what is not there any more.
                shutdown_on_close=False,
                asynchronous=True,
                loop=IOLoop.current(),
                quiet=True,
                **{**keywords, **options},
            )
    except TimeoutError as error:
        raise ClusterError(
            f"the scheduler of {place.name} runs but is not reached from here within {CONNECT_S:.0f} s; "
            "you need the right to forward ports of pods (pods/portforward), or a scheduler_service_type that is open"
        ) from error


async def _outside() -> bool:
    """Whether names of the Kubernetes cluster mean nothing here."""
    try:
        await asyncio.get_running_loop().getaddrinfo("kubernetes.default", None)
    except socket.gaierror:
        return True
    return False


def _leave(place: Place) -> None:
    """End the connections to the API server, which the library keeps for ever."""
    with suppress(*TROUBLE):
        if place.api._session is not None:  # noqa: SLF001 - it has no other way
            place.wait(place.api._session.aclose)  # noqa: SLF001
    place.runner.stop()


def _delete(place: Place) -> None:
    with suppress(*TROUBLE):
        place.wait(_end, place)


async def _end(place: Place) -> None:
    """Delete a cluster, before it what watches its size, and after it what has just come.

    The operator makes both a part of it a moment after they are there; of a cluster that ends in that moment they
    would stay, and the operator stumble over the first for ever.
    """
    for part in (
        f"daskautoscalers/{place.name}",
        f"daskclusters/{place.name}",
        f"daskworkergroups/{place.name}-default",
    ):
        limit = time.monotonic() + END_S
        await place.ask("DELETE", part, raise_for_status=False)
        while time.monotonic() < limit:
            if "metadata" not in await place.ask("GET", part, raise_for_status=False):
                break
            await asyncio.sleep(POLL_S)


@contextmanager
def _told(place: Place) -> Iterator[None]:
    """Say what Kubernetes refuses, and what to do about it."""
    try:
        yield
    except kr8s.ServerError as error:
        raise _refused(place, error) from error
    except kr8s.NotFoundError as error:
        raise ClusterError(f"the cluster {place.name} is gone from Kubernetes: {error}; run again to go on") from error
    except TROUBLE as error:
        raise ClusterError(_silent(error)) from error


def _refused(place: Place, error: kr8s.ServerError) -> ClusterError | RecipeError:
    code = error.response.status_code if error.response is not None else 0
    if code in {401, 403}:
        return ClusterError(
            f"Kubernetes refuses: {error}; ask for the right to create and delete daskclusters.kubernetes.dask.org "
            f"in namespace {place.namespace}, or name another one as cluster.namespace"
        )
    if code == 404 and not isinstance(error.status, dict):
        return ClusterError(f"this Kubernetes knows no Dask clusters: the operator is not installed; {INSTALL}")
    if code == 409:
        return RecipeError(
            f"cluster.name: there is a {place.name} in namespace {place.namespace} already; "
            "leave the name out, or write {uuid} in it"
        )
    if 400 <= code < 500:
        return RecipeError(f"cluster: Kubernetes refuses: {error}")
    return ClusterError(f"Kubernetes cannot do it now: {error}; try again, and see the logs of its API server")


def _silent(error: BaseException) -> str:
    words = str(error) or type(error).__name__
    return f"Kubernetes does not answer ({words}); see that `kubectl get pods` works here, and the server of KUBECONFIG"
