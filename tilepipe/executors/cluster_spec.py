"""How a user says which Dask cluster is meant.

    cluster: tcp://host:8786                                                    # a scheduler that is there
    cluster: {kind: local, workers: 4, memory_limit: 2GiB}                      # processes of this machine
    cluster: {kind: gateway, address: "https://gateway", auth: jupyterhub, options: {worker_cores: 2},
              workers: {min: 0, max: 16}}
    cluster: {kind: slurm, queue: main, cores: 4, memory: 16GiB, workers: 32}   # and its siblings of dask-jobqueue
    cluster: {kind: kubernetes, image: "mine:1", workers: {min: 1, max: 50}}    # the operator of dask-kubernetes
    cluster: {kind: my_package.MyCluster, n: 3}                                 # any class

`kind` and `workers` are ours; every other key goes to the class that starts the cluster, under its own name. Of a
gateway, `options` are the cluster options its server offers. `workers` is one number, or the least and the most, of
which as many are asked for as there is work.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from tilepipe.errors import RecipeError, nearest

__all__ = ["KINDS", "QUEUES", "ClusterSpec", "cluster_spec"]

QUEUES = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "lsf": "LSFCluster",
    "sge": "SGECluster",
    "htcondor": "HTCondorCluster",
    "oar": "OARCluster",
    "moab": "MoabCluster",
}
"""The class of dask-jobqueue for each queueing system."""

KINDS = ("local", "scheduler", "gateway", "kubernetes", *QUEUES)
"""Kinds that have a name; any other is the dotted name of a class."""

AUTHS = ("none", "basic", "kerberos", "jupyterhub")

TAKEN = {
    "n_workers": "write it as `workers`",
    "asynchronous": "tilepipe waits for its clusters; leave it out",
    "loop": "tilepipe waits for its clusters; leave it out",
    "shutdown_on_close": "what tilepipe starts it also ends; leave it out",
}
"""Keywords of classes that are not the user's to give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSpec:
    """Which cluster is meant, as far as it can be checked without the libraries that open it."""

    kind: str = "local"
    """One of KINDS, or `package.module.Class`."""
    scheduler: str | None = None
    """Address, of the kind `scheduler` only."""
    workers: tuple[int, int] | None = None
    """The least and the most; None for as many as the machine has cores, or as the class starts by itself."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Keywords of the class; may hold secrets."""

    def __post_init__(self) -> None:
        if (self.kind == "scheduler") != (self.scheduler is not None):
            raise RecipeError("cluster: an address is of the kind `scheduler`, and that kind has an address")
        if self.kind == "scheduler" and self.workers is not None:
            raise RecipeError(
                f"the scheduler at {self.scheduler} has workers of its own, their number cannot be asked for; "
                "leave the workers out"
            )

    def with_workers(self, workers: int) -> Self:
        """The same cluster with another number of workers.

        Raises:
            RecipeError: the workers of this kind are not ours to start.
        """
        return replace(self, workers=(workers, workers))


def cluster_spec(document: object) -> ClusterSpec:
    """What stands under `cluster` of a recipe or a settings file, checked.

    Raises:
        RecipeError: a key or a value is wrong; the message names it.
    """
    if isinstance(document, str):
        document = {"kind": "scheduler", "address": document} if ":" in document else {"kind": document}
    if not isinstance(document, Mapping) or not all(isinstance(key, str) for key in document):
        raise RecipeError(f"cluster: expected an address or keys with values, found {document!r}")
    options = dict(document)
    kind = _kind(options.pop("kind", "local"))
    workers = _workers(options.pop("workers")) if "workers" in options else None
    for key in options:
        if key in TAKEN:
            raise RecipeError(f"cluster.{key}: {TAKEN[key]}")
    if kind == "scheduler":
        _known(kind, options, ("address",))
        return ClusterSpec(kind=kind, scheduler=_text("address", options.get("address")), workers=workers)
    if kind == "gateway":
        _gateway(options)
    return ClusterSpec(kind=kind, workers=workers, options=options)


def _kind(value: object) -> str:
    if not isinstance(value, str) or not (value in KINDS or "." in value.strip(".")):
        raise RecipeError(
            f"cluster.kind: there is no kind {value!r}; {nearest(str(value), KINDS)}, or the dotted name of a class"
        )
    return value


def _workers(value: object) -> tuple[int, int]:
    if isinstance(value, Mapping):
        if unknown := value.keys() - {"min", "max"}:
            raise RecipeError(f"cluster.workers: unknown key {min(map(str, unknown))!r}; known: max, min")
        least, most = _number(value.get("min", 0)), _number(value.get("max"))
    else:
        least = most = _number(value)
    if not 0 <= least <= most or not most:
        raise RecipeError(f"cluster.workers: {value!r} is no number of workers; write 4, or {{min: 0, max: 16}}")
    return least, most


def _number(value: object) -> int:
    """A number; -1 for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _gateway(options: Mapping[str, Any]) -> None:
    _known("gateway", options, ("address", "proxy_address", "public_address", "auth", "options"))
    _text("address", options.get("address"))
    auth = options.get("auth", "none")
    name = auth.get("kind") if isinstance(auth, Mapping) else auth
    if name not in AUTHS:
        raise RecipeError(f"cluster.auth: there is no kind {name!r}; {nearest(str(name), AUTHS)}")
    if not isinstance(options.get("options", {}), Mapping):
        raise RecipeError("cluster.options: expected keys with values, as {worker_cores: 2}")


def _known(kind: str, options: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    for key in options:
        if key not in keys:
            raise RecipeError(f"cluster.{key}: the kind {kind} has no such key; {nearest(key, (*keys, 'workers'))}")


def _text(key: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise RecipeError(f"cluster.{key}: expected an address, as tcp://host:8786 or https://host, found {value!r}")
    return value
