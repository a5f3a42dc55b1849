"""What the hub costs: reading among 100,000 jobs from 50 connections, sending a job, and a job of one tile.

The jobs in each store are copies of one that the system made itself. The peers keep no index over the ids of their jobs
and read all of them in vain; they are measured a second time with one that the benchmark makes. pygeoapi reads the
whole store for each list and would need tens of gigabytes for 50 lists at once, so it is asked for one at a time.
Jobs are sent to one system after the other with a pause between, in which tilepipe starts the process for the next one.
"""

import json
import os
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median, quantiles
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pymongo
import rasterio
from figure import Figure, main
from hub_sending import SLOWEST_S, compared, sending, sent
from hub_systems import FOLDER, System, jobs_of, mapchete_hub, mongod, pygeoapi, running, tilepipe_hub
from measure import demand
from rasterio.transform import from_origin
from terrain import DATA, HALF_WORLD, HERE

__all__ = ["figures"]

JOBS, CONNECTIONS = 100_000, 50
BATCH = 5000
FOR_S = 3.0
ZOOM, MANY_ZOOM = 5, 10
"""One tile; 1024 tiles."""

Samples = dict[str, list[float]]


@dataclass(slots=True)
class Round:
    """What the systems took in one round, by their names."""

    request_ms: dict[str, float] = field(default_factory=dict)
    """Wall time by the number of requests."""
    slow_ms: dict[str, float] = field(default_factory=dict)
    """The 99th percentile."""


def figures(rounds: int) -> Iterator[Figure]:
    """Sending to empty stores, then reading from full ones; in each round all systems, one after the other."""
    os.makedirs(FOLDER, exist_ok=True)
    raster = _raster()
    with mongod() as address, ExitStack() as stack, pymongo.MongoClient[Any](address, tz_aware=True) as store:
        systems = (tilepipe_hub(address, raster, ZOOM), mapchete_hub(address, raster, ZOOM), pygeoapi(address))
        for system in systems:
            stack.enter_context(running(system))
        yield from sending(store, systems, rounds)
        kept = {system.name: _fill(store, system) for system in systems}
        lists = {system.name: [_newest(store, system)] for system in systems}
        each = {system.name: [f"/jobs/{name}" for name in kept[system.name]] for system in systems}
        yield from _reading("GET /jobs?limit=100", systems, lists, rounds, single={"pygeoapi"})
        yield from _reading("GET /jobs/{id}", systems, each, rounds)
        for system in systems[1:]:
            jobs_of(store, system).create_index(system.id_field)
        yield from _reading("GET /jobs/{id}, index added to the peers", systems, each, rounds)
        yield _progress(store, address, raster)


def _fill(store: pymongo.MongoClient[Any], system: System) -> list[str]:
    """Ids of some of the jobs that the store has when it is full of copies of the latest one, a second apart."""
    jobs = jobs_of(store, system)
    (model,) = jobs.find(sort=[(system.times[0], -1)], limit=1)
    jobs.delete_many({})
    names = [uuid4().hex for _ in range(JOBS)]
    for first in range(0, JOBS, BATCH):
        jobs.insert_many([_copy(system, model, names[n], n) for n in range(first, first + BATCH)])
    demand(jobs.count_documents({}) == JOBS, f"the store of {system.name} was not filled")
    return names[:: JOBS // 1000]


def _copy(system: System, model: Mapping[str, Any], name: str, seconds: int) -> dict[str, Any]:
    """A job by another id, some seconds older."""
    copy = {key: value for key, value in model.items() if key != "_id"}
    old = str(model[system.id_field])
    for key in system.times:
        if copy.get(key) is not None:
            copy[key] = _earlier(copy[key], seconds)
    for key in ("words", "url"):
        if isinstance(copy.get(key), list):
            copy[key] = sorted({name if word == old else word for word in copy[key]})
        elif key in copy:
            copy[key] = copy[key].replace(old, name)
    return {**copy, system.id_field: name}


def _earlier(moment: Any, seconds: int) -> Any:
    if isinstance(moment, datetime):
        return moment - timedelta(seconds=seconds)
    return f"{datetime.fromisoformat(moment) - timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%fZ}"


def _newest(store: pymongo.MongoClient[Any], system: System) -> str:
    """The path of the newest 100 jobs."""
    (oldest,) = jobs_of(store, system).find(sort=[("updated", -1)], skip=99, limit=1)
    path = system.newest(oldest)
    found = system.listed(httpx.get(f"{system.url}{path}", timeout=SLOWEST_S, trust_env=False).json())
    demand(found == 100 or system.name == "pygeoapi", f"{system.name} lists {found} jobs at {path}")
    return path


def _reading(
    work: str,
    systems: Sequence[System],
    paths: Mapping[str, Sequence[str]],
    rounds: int,
    *,
    single: frozenset[str] | set[str] = frozenset(),
) -> Iterator[Figure]:
    measured = [Round() for _ in range(rounds)]
    for system in systems:
        _load(system, paths[system.name], connections=1, for_s=0.5)
    for one in measured:
        for system in systems:
            connections = 1 if system.name in single else CONNECTIONS
            took = _load(system, paths[system.name], connections=connections, for_s=FOR_S)
            seconds = sorted(took["seconds"])
            one.request_ms[system.name] = 1000 * took["wall_s"] / len(seconds)
            one.slow_ms[system.name] = 1000 * (quantiles(seconds, n=100)[-1] if len(seconds) > 1 else seconds[0])
    for system in systems[1:]:
        ours, theirs = (1000 / median(r.request_ms[n] for r in measured) for n in ("tilepipe", system.name))
        how = "1 connection" if system.name in single else f"{CONNECTIONS} connections"
        data = f"{JOBS:,} jobs; {ours:.3g} requests/s by {theirs:.3g} ({how})"
        yield compared(f"{work}, wall a request", [r.request_ms for r in measured], system.name, data, target=1 / 3)
        yield compared(f"{work}, p99", [r.slow_ms for r in measured], system.name, data, target=0.5)


def _load(system: System, paths: Sequence[str], *, connections: int, for_s: float) -> dict[str, Any]:
    program = [sys.executable, os.path.join(HERE, "hub_load.py"), system.url, str(connections), str(for_s)]
    said = subprocess.run(program, input=json.dumps(paths), stdout=subprocess.PIPE, check=True, text=True).stdout
    took: dict[str, Any] = json.loads(said)
    demand(not took["wrong"], f"{system.name}: {took['wrong']}")
    return took


def _progress(store: pymongo.MongoClient[Any], address: str, raster: str) -> Figure:
    """How often within a second a job of many small tiles is written, from its claim to its end, as mongod saw it."""
    system = tilepipe_hub(address, raster, MANY_ZOOM, database="progress")
    # Claim, signs of life and end: there is no other job. What is only read would soon fill all that mongod keeps.
    writes = {"ns": "progress.jobs", "nModified": 1}
    with running(system):
        store["progress"].command("profile", 1, filter=writes)
        sent(system)
        store["progress"].command("profile", 0)
    (job,) = jobs_of(store, system).find()
    ran_s = (job["finished"] - job["started"]).total_seconds()
    times = sorted(entry["ts"].timestamp() for entry in store["progress"]["system.profile"].find(writes))
    demand(job["progress"]["done"] == 4 ** (MANY_ZOOM - ZOOM), f"{job['progress']['done']} tiles were made")
    demand(len(times) > 2, "mongod saw no progress")
    return Figure(
        work="writes of a running job within any one second",
        value=max(bisect_left(times, moment + 1) - number for number, moment in enumerate(times)),
        unit="at most",
        target=2,
        data=f"{job['progress']['done']:,} tiles in {ran_s:.1f} s, {len(times) / ran_s:.2g} a second on average",
    )


def _raster() -> str:
    """Path of 256^2 pixels that are one tile of zoom 5."""
    path = os.path.join(DATA, "one-tile.tif")
    side = 2 * HALF_WORLD / 2**ZOOM
    pixels = np.random.default_rng(9).uniform(0, 3000, (256, 256)).astype(np.float32)
    place = from_origin(17 * side - HALF_WORLD, HALF_WORLD - 11 * side, side / 256, side / 256)
    profile = {"driver": "GTiff", "width": 256, "height": 256, "count": 1, "dtype": "float32", "nodata": -9999.0}
    with rasterio.open(path, "w", crs="EPSG:3857", transform=place, **profile) as file:
        file.write(pixels, 1)
    return path


if __name__ == "__main__":
    main(figures, rounds=3)
