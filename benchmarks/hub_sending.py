"""What it costs to send jobs to the hubs: one alone, by two clients, and many in a row.

All keep their jobs in the same mongod; tilepipe waits for its journal, the peers, as pymongo does by itself, do not.

A job alone is sent after a pause in which all caches went cold, by httpx, as programs mostly do, and by the http.client
of Python. httpx takes more than a millisecond of the time it measures for itself, the same for each hub, and so hides
part of what there is between them; http.client takes a third of that.

In a row, each job is sent as soon as the one before is accepted, over one connection, as a script does that has many.
Then the peers run the first ones at once, in threads of the process that answers, and tilepipe one at a time, each in a
process of its own: answers come sooner, and how soon the last has ended is told too. All that were sent have ended
before the next system is asked.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import httpx
import pymongo
from figure import Figure
from hub_systems import System, jobs_of
from measure import demand

__all__ = ["SLOWEST_S", "by_http_client", "by_httpx", "compared", "sending", "sent"]

SENT, AGAIN_S, REST_S = 7, 0.01, 0.7
"""Jobs sent to each system in a round, how often they are looked at until they have ended, and the pause before."""
ROW = 50
SLOWEST_S = 120.0
TARGET = 0.5
ASYNC = {"Prefer": "respond-async"}

Send = Callable[[], str]
"""Sends a job and gives back its id."""


@dataclass(slots=True)
class Round:
    """Medians of a round, by the names of the systems."""

    alone_ms: dict[str, float] = field(default_factory=dict)
    ended_ms: dict[str, float] = field(default_factory=dict)
    lean_ms: dict[str, float] = field(default_factory=dict)
    row_ms: dict[str, float] = field(default_factory=dict)
    row_ended_s: dict[str, float] = field(default_factory=dict)


def sending(store: pymongo.MongoClient[Any], systems: Sequence[System], rounds: int) -> Iterator[Figure]:
    """Time until 201 and until the end of the job; in each round all systems, one after the other."""
    for system in systems:
        sent(system)
        demand(_files(system) == (system.name != "pygeoapi"), f"{system.name} wrote no tile, or several")
    measured = [_round(store, systems) for _ in range(rounds)]
    few, many = f"{SENT} jobs a round, empty store", f"{ROW} jobs a round, empty store"
    for system in systems[1:]:
        peer = system.name
        yield compared("POST of a job until 201, p50", [one.alone_ms for one in measured], peer, few)
        yield compared("POST of a job until 201 by http.client, p50", [one.lean_ms for one in measured], peer, few)
        yield compared(f"POST of each of {ROW} jobs in a row, p50", [one.row_ms for one in measured], peer, many)
    peer = "mapchete-hub"
    yield compared("job of one tile, POST until successful", [one.ended_ms for one in measured], peer, few)
    ends = [one.row_ended_s for one in measured]
    yield compared(
        f"{ROW} jobs of one tile in a row, until all are successful", ends, peer, many, target=None, unit="s"
    )


def _round(store: pymongo.MongoClient[Any], systems: Sequence[System]) -> Round:
    found = Round()
    took: dict[str, list[tuple[float, ...]]] = {system.name: [] for system in systems}
    for _ in range(SENT):
        for system in systems:
            took[system.name].append((*sent(system, by_httpx), *sent(system, by_http_client)))
    for name, samples in took.items():
        columns = [1000 * median(column) for column in zip(*samples, strict=True)]
        found.alone_ms[name], found.ended_ms[name], found.lean_ms[name], _ = columns
    for system in systems:
        accepted_s, found.row_ended_s[system.name] = _row(store, system)
        found.row_ms[system.name] = 1000 * accepted_s
    return found


def compared(
    work: str,
    rounds: Sequence[Mapping[str, float]],
    peer: str,
    data: str,
    *,
    target: float | None = TARGET,
    unit: str = "ms",
) -> Figure:
    """The figure of tilepipe by that of a peer, from the time that each system took in each round."""
    return Figure(
        work=work,
        value=median(values["tilepipe"] for values in rounds),
        unit=unit,
        peer=peer,
        peer_value=median(values[peer] for values in rounds),
        ratios=tuple(values["tilepipe"] / values[peer] for values in rounds),
        target=target,
        data=data,
    )


@contextmanager
def by_httpx(system: System) -> Iterator[Send]:
    """How a job is sent by httpx."""
    with httpx.Client(base_url=system.url, timeout=SLOWEST_S, trust_env=False) as client:
        client.get("/")

        def send() -> str:
            answer = client.post(system.execution, json=system.body, headers=ASYNC)
            demand(answer.status_code == 201, f"{system.name} answers {answer.status_code}: {answer.text[:500]}")
            return str(answer.headers["Location"].rpartition("/")[2])

        yield send


@contextmanager
def by_http_client(system: System) -> Iterator[Send]:
    """How a job is sent with hardly more than a socket."""
    place = urlsplit(system.url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=SLOWEST_S)
    connection.request("GET", "/")
    connection.getresponse().read()
    headers = {**ASYNC, "Content-Type": "application/json", "Accept": "*/*"}

    def send() -> str:
        connection.request("POST", system.execution, json.dumps(system.body), headers)
        answer = connection.getresponse()
        said = answer.read()
        demand(answer.status == 201, f"{system.name} answers {answer.status}: {said[:500]!r}")
        return str(answer.headers["Location"].rpartition("/")[2])

    try:
        yield send
    finally:
        connection.close()


def sent(system: System, sender: Callable[[System], AbstractContextManager[Send]] = by_httpx) -> tuple[float, float]:
    """Seconds until a job is accepted, and until it has ended."""
    time.sleep(REST_S)
    with sender(system) as send, httpx.Client(base_url=system.url, timeout=SLOWEST_S, trust_env=False) as client:
        client.get("/")
        began = time.perf_counter()
        name = send()
        accepted_s = time.perf_counter() - began
        job = f"/jobs/{name}"
        while (state := system.state(found := client.get(job, params={"f": "json"}).json())) not in system.ended:
            time.sleep(AGAIN_S)
        ended_s = time.perf_counter() - began
        demand(state in {"successful", "done"}, f"the job of {system.name} is {state}: {json.dumps(found)[:2000]}")
    return accepted_s, ended_s


def _row(store: pymongo.MongoClient[Any], system: System) -> tuple[float, float]:
    """Median of the seconds until each of many jobs is accepted, and seconds until the last one has ended."""
    time.sleep(REST_S)
    took = []
    with by_http_client(system) as send:
        first = time.perf_counter()
        for _ in range(ROW):
            began = time.perf_counter()
            send()
            took.append(time.perf_counter() - began)
    jobs = jobs_of(store, system)
    while jobs.count_documents({"status": {"$nin": sorted(system.ended)}}):
        demand(time.perf_counter() < first + SLOWEST_S, f"{system.name} does not come to the end of {ROW} jobs")
        time.sleep(AGAIN_S)
    ended_s = time.perf_counter() - first
    wrong = jobs.count_documents({"status": {"$nin": ["successful", "done"]}})
    demand(not wrong, f"{wrong} jobs of {system.name} failed")
    return median(took), ended_s


def _files(system: System) -> int:
    return sum(name.endswith(".tif") for _, _, names in os.walk(system.outputs) for name in names)
