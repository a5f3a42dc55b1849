"""What Dask costs: the hillshade pyramid on a local cluster, and the memory of a million tiles.

The whole command starts a cluster, runs and ends it. On a cluster that stands already, as most do, the run alone is
left. Client and scheduler are one process here, so its memory is that of both.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

from figure import Figure, against, main
from hillshade import OURS, THEIRS, compared
from measure import Command, compare, demand
from peers import mapchete, mapchete_pyramid, ours, process, scratch, tilepipe, tilepipe_pyramid
from terrain import DATA, dem

__all__ = ["figures"]

WORK, SIZE = "hillshade pyramid, 2 Dask workers", "8192^2 float32"
TENTH = ("--bounds", "-180", "-85", "-144", "85")
"""Of the world."""
ZOOM = 10
NOTHING = '"""Nothing."""\n\n\ndef execute():\n    return None\n'


def _hillshade(name: str, *options: str) -> Command:
    inputs = {"dem": {"format": "raster_file", "path": dem()}}
    recipe = {"process": process("hillshade"), "inputs": inputs, **tilepipe_pyramid(OURS, buffer_px=1)}
    return replace(tilepipe("hillshade", recipe, *options), name=name)


def _mapchete() -> Command:
    recipe = {"process": "mapchete.processes.hillshade", "input": {"dem": dem()}}
    return mapchete("hillshade", {**recipe, **mapchete_pyramid(THEIRS, buffer_px=1)}, concurrency="dask")


@contextlib.contextmanager
def _standing() -> Iterator[str]:
    """Address of a scheduler with two workers, processes of their own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    module = [sys.executable, "-m"]
    fixed = ["--host", "127.0.0.1", "--no-dashboard"]
    started = [[*module, "distributed.cli.dask_scheduler", "--port", address.rpartition(":")[2], *fixed]]
    started += [[*module, "distributed.cli.dask_worker", address, "--nthreads", "1", *fixed]] * 2
    with open(os.path.join(DATA, "cluster.log"), "w", encoding="utf-8") as log:
        processes = [subprocess.Popen(command, stdout=log, stderr=log) for command in started]
    try:
        _await_workers(address)
        yield address
    finally:
        for process_ in reversed(processes):
            process_.terminate()
            process_.wait()


def _await_workers(address: str) -> None:
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        asked = subprocess.run([ours(), "info", "--scheduler", address], capture_output=True, text=True, check=False)
        if re.search(r"^workers\s+2,", asked.stdout, re.MULTILINE):
            return
        time.sleep(0.5)
    raise SystemExit(f"no two workers at {address}: {asked.stdout}{asked.stderr}")


def _peak_bytes(*options: str) -> float:
    """The most memory that the process of client and scheduler takes while it makes tiles of nothing."""
    recipe = {
        "process": scratch("nothing.py", NOTHING),
        "pyramid": {"grid": "WebMercatorQuad", "metatile": 1},
        "zooms": ZOOM,
        "output": {"path": os.path.join(DATA, "out", "million"), "dtype": "uint8", "nodata": 0},
    }
    command = tilepipe("million", recipe, "-e", "dask", "-w", "2", *options)
    (step,) = command.steps
    shutil.rmtree(command.clears, ignore_errors=True)
    peak = 0
    log = os.path.join(DATA, "million.log")
    with open(log, "w", encoding="utf-8") as said:
        running = subprocess.Popen(step, stdout=said, stderr=said)
    while running.poll() is None:
        with contextlib.suppress(OSError), open(f"/proc/{running.pid}/status", encoding="ascii") as facts:
            found = re.search(r"VmHWM:\s+(\d+) kB", facts.read())
            peak = max(peak, int(found[1]) * 1024 if found else 0)
        time.sleep(0.05)
    with open(log, encoding="utf-8") as said:
        summary = re.search(r"^0 written, ([\d,]+) empty, 0 failed", said.read(), re.MULTILINE)
    demand(summary, f"{step} ended with {running.returncode}, see {log}")
    return peak


def figures(rounds: int) -> Iterator[Figure]:
    """Wall by mapchete's on Dask and by our own processes; memory from a tenth of a million tiles to all of them."""
    whole, pool = _hillshade("tilepipe", "-e", "dask", "-w", "2"), _hillshade("processes", "-e", "processes", "-w", "2")
    runs = compare([whole, _mapchete(), pool], rounds=rounds, check=compared)
    yield from against(runs, "mapchete", work=f"{WORK}, with its start", data=SIZE, wall=0.28, cpu=0, memory=0)
    yield from against(runs, "processes", work=f"{WORK}, with its start", data=SIZE, wall=1.15)
    with _standing() as address:
        runs = compare([_hillshade("tilepipe", "--scheduler", address), pool], rounds=rounds, check=_made)
    yield from against(runs, "processes", work=f"{WORK}, standing cluster", data=SIZE, wall=1.15)
    few, many = _peak_bytes(*TENTH), _peak_bytes()
    yield Figure(
        work="client and scheduler, from 104,448 tiles to 1,048,576",
        value=(many - few) / 1e6,
        unit="MB more",
        target=50,
        data=f"{few / 1e6:.0f} and {many / 1e6:.0f} MB",
    )


def _made() -> None:
    demand(os.path.exists(os.path.join(OURS, "stac.json")), f"{OURS} was not made")


if __name__ == "__main__":
    main(figures)
