"""A hub without its server: a store, folders, and workers that are real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from uuid import uuid4

import yaml

from tilepipe_hub.job import Job, Request
from tilepipe_hub.store import open_store
from tilepipe_hub.work import Work

PROCESS = '''"""Numbers that depend on the place; each tile leaves a note when it begins and when it ends."""

import ctypes
import os
import sys
import time

import numpy as np

from tilepipe import Grid


def note(path, word, grid):
    if path:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{word} {os.getpgid(0)} {time.monotonic():.4f} {grid.left:.0f} {grid.top:.0f}\\n".encode())
        os.close(file)


def execute(grid: Grid, *, pause: float = 0.0, notes: str = "", deed: str = "", words: str = ""):
    """Args:
        pause: seconds for a tile.
        notes: file for the notes.
        deed: what it does beside.
        words: what it prints.
    """
    note(notes, "begin", grid)
    if words:
        print(words)
    if deed == "exit":
        os._exit(7)
    if deed == "leave":
        sys.exit(3)
    if deed == "crash":
        ctypes.string_at(0)
    if deed == "eat":
        kept = [np.ones(20_000_000) for _ in range(100)]
    if deed == "fork" and not os.fork():
        time.sleep(600)
    if deed == "deaf":
        ctypes.PyDLL(None).sleep(60)
    if deed == "close":
        os.closerange(3, 1000)
    if deed == "kill":
        os.kill(0, 9)
    if deed == "raise":
        raise ValueError(f"no luck with {os.environ.get('SECRET_WORD')} in {__file__}")
    time.sleep(pause)
    rows = np.arange(grid.height)[:, None] + abs(int(grid.top / grid.resolution)) % 97
    cols = np.arange(grid.width)[None, :] + abs(int(grid.left / grid.resolution)) % 89
    note(notes, "end", grid)
    return ((rows * 3 + cols * 5) % 251 + 1).astype("uint8")[None]
'''


class Workplace:
    """Where a test keeps its hub."""

    def __init__(self, folder, store_url, **worker):
        self.folder = folder
        self.outputs = folder / "outputs"
        self.notes = folder / "notes"
        self.process = folder / "figures.py"
        for place in (self.outputs, self.notes):
            place.mkdir(parents=True, exist_ok=True)
        self.process.write_text(PROCESS)
        self.store = open_store(store_url, patience_s=60)
        self.settings = {
            "store": {"url": store_url},
            "folders": {"outputs": str(self.outputs), "processes": str(folder)},
            "secrets": ["SECRET_WORD"],
            "worker": {
                "lease_s": 6,
                "beat_s": 1,
                "poll_s": 0.05,
                "executor": "sequential",
                "paths": [str(self.notes)],
                **worker,
            },
        }
        self.workers = []

    def config(self, **sections):
        path = self.folder / f"hub-{uuid4().hex[:6]}.yaml"
        merged = {**self.settings}
        for name, section in sections.items():
            merged[name] = {**merged.get(name, {}), **section} if isinstance(section, dict) else section
        path.write_text(yaml.safe_dump(merged))
        return path

    def hire(self, *options, **sections):
        """Start a worker."""
        with open(self.folder / f"worker-{len(self.workers)}.log", "ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "tilepipe_hub", "work", "--config", str(self.config(**sections)), *options],
                stderr=log,
                env={**os.environ, "SECRET_WORD": "hush-hush-77"},
            )
        self.workers.append(worker)
        return worker

    def recipe(self, *, zoom=4, tiles=None, job="", **parameters):
        """Recipe of 2 x 2 tiles at the deepest zoom by default, and their overviews."""
        edge = 20037508.342789244
        side = edge * 2 / 2**zoom
        cols, rows = tiles or (2, 2)
        area = [-edge + 1, edge - rows * side + 1, -edge + cols * side - 1, edge - 1]
        return {
            "process": str(self.process),
            "parameters": {"notes": str(self.notes / (job or "all")), **parameters},
            "pyramid": {"grid": "WebMercatorQuad", "tile_size": 64, "metatile": 1},
            "zooms": {"min": max(0, zoom - 2), "max": zoom},
            "area": {"bounds": area, "crs": "EPSG:3857"},
            "overviews": {"below": zoom, "resampling": "nearest"},
            "output": {"path": "output", "dtype": "uint8", "bands": 1, "nodata": 0},
        }

    def submit(self, *, continues=None, subscriber=None, folder=None, owner="ann", **recipe):
        job_id = uuid4().hex
        work = Work(kind="recipe", folder=folder or job_id, recipe=self.recipe(job=folder or job_id, **recipe))
        request = Request(work=work.document(), subscriber=subscriber)
        return self.store.add(Job(id=job_id, process="figures", owner=owner, request=request, continues=continues)).id

    def echo(self, *, subscriber=None, **work):
        job_id = uuid4().hex
        document = Work(kind="echo", folder=job_id, **work).document()
        request = Request(work=document, subscriber=subscriber)
        return self.store.add(Job(id=job_id, process="echo", owner="ann", request=request)).id

    def until(self, condition, within_s=20.0):
        """Wait for something to be true."""
        ends = time.monotonic() + within_s
        while not (found := condition()):
            assert time.monotonic() < ends, self.told()
            time.sleep(0.02)
        return found

    def ended(self, job_id, within_s=20.0):
        """The job when it has ended."""
        return self.until(lambda: (job := self.store.get(job_id)).ended and job, within_s)

    def told(self):
        return "\n".join(path.read_text()[-3000:] for path in sorted(self.folder.glob("worker-*.log")))

    def log(self, job_id):
        return [line.text for line in self.store.logs(job_id)]

    def begun(self, job_id):
        """What tiles were begun, one line each: group, time, left, top."""
        return [line for line in self.marks(job_id) if line[0] == "begin"]

    def marks(self, job_id):
        path = self.notes / job_id
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def tiles(self, folder):
        """The bytes of all tiles below a folder, by their names."""
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*.tif"))
            if ".tilepipe" not in path.parts
        }

    def expected(self, **recipe):
        """The tiles that the command line makes."""
        output = self.folder / f"expected-{uuid4().hex[:6]}"
        document = {**self.recipe(**recipe), "output": {**self.recipe()["output"], "path": str(output)}}
        document["parameters"] = {"notes": ""}
        path = self.folder / "expected.yaml"
        path.write_text(json.dumps(document))
        subprocess.run(
            [sys.executable, "-m", "tilepipe", "execute", str(path), "-e", "sequential"],
            check=True,
            capture_output=True,
        )
        return self.tiles(output)

    def close(self):
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            worker.wait()
        self.store.close()
