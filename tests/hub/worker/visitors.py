"""A server that may be killed, and owners who go on posting and asking whatever becomes of it."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter

import httpx

from hub.routes.serving import PLAIN, hash_of

OWNERS = ("ann", "bob", "cleo")
TOKENS = [{"sha256": hash_of(f"token-{name}"), "owner": name, "role": "run"} for name in OWNERS]
ENDED = {"successful", "failed", "dismissed"}


class Server:
    """`tilepipe-hub serve` on a port of its own."""

    def __init__(self, place, **sections):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = place.folder / "server.log"
        config = place.config(auth={"tokens": TOKENS, "failures": 1000}, log={"level": "warning"}, **sections)
        self._command = [sys.executable, "-m", "tilepipe_hub", "serve", "--no-worker", "--config", str(config)]
        self._command += ["--port", str(self.port)]
        self._process = None

    def start(self):
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(self._command, stderr=log, env={**os.environ})

    def kill(self):
        assert self._process.poll() is None, f"the server ended by itself: {self.log.read_text()[-3000:]}"
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def close(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def inputs_of(recipe):
    """A recipe of one process as what is posted to it."""
    area = {"bbox": recipe["area"]["bounds"], "crs": recipe["area"]["crs"]}
    output = {key: value for key, value in recipe["output"].items() if key != "path"}
    # Without a word about it, a process sees two pixels around each tile.
    pyramid = {**recipe["pyramid"], "pixelbuffer": 0}
    values = {"pyramid": pyramid, "zooms": recipe["zooms"], "overviews": recipe["overviews"], "output": output}
    return {**recipe["parameters"], "area": area, **{name: {"value": value} for name, value in values.items()}}


class Visitor(threading.Thread):
    """An owner: posts one body after the other, each with a key, some twice; and asks for all jobs in between.

    Args:
        server: whom to ask.
        owner: one of OWNERS.
        bodies: inputs by their keys.
        subscriber: links to be called.
        within_s: time over which they are posted.
        seed: of the pauses.
    """

    def __init__(self, server, owner, *, bodies, subscriber, within_s, seed):
        super().__init__(daemon=True)
        self.client = httpx.Client(
            base_url=server.url, headers={"Authorization": f"Bearer token-{owner}"}, timeout=5, verify=PLAIN
        )
        self.bodies = bodies
        self.subscriber = subscriber
        self.due = sorted(time.monotonic() + random.Random(seed).uniform(0, within_s) for _ in bodies)
        self.dice = random.Random(seed)
        self.jobs = {}
        """Job by key."""
        self.seen = {}
        """Status by job."""
        self.wrong = []
        self.deeds = Counter()
        self.stopping = threading.Event()

    def run(self):
        waiting = list(self.bodies)
        while not self.stopping.wait(0.1):
            if waiting and time.monotonic() > self.due[len(self.bodies) - len(waiting)] and self.post(waiting[0]):
                key = waiting.pop(0)
                if self.dice.random() < 0.3:
                    self.post(key)
            self.look()
        self.client.close()

    def asked(self, method, path, **options):
        """An answer that counts; None while the server or its store is away."""
        self.deeds["asked"] += 1
        try:
            answer = self.client.request(method, path, **options)
        except httpx.TransportError:
            self.deeds["unanswered"] += 1
            return None
        if answer.status_code in {500, 502, 503, 504}:
            self.deeds[str(answer.status_code)] += 1
            if answer.status_code != 503:
                self.wrong.append(f"{method} {path}: {answer.text}")
            return None
        return answer

    def post(self, key):
        headers = {"Prefer": "respond-async", "Idempotency-Key": key}
        path = "/processes/figures/execution"
        body = {"inputs": self.bodies[key], "subscriber": self.subscriber}
        answer = self.asked("POST", path, json=body, headers=headers)
        if answer is None:
            return False
        if answer.status_code != 201:
            self.wrong.append(f"{key} was refused: {answer.text}")
            return True
        job = answer.json()["jobID"]
        if self.jobs.setdefault(key, job) != job:
            self.wrong.append(f"{key} is doubled: {self.jobs[key]} and {job}")
        return True

    def look(self):
        answer = self.asked("GET", "/jobs", params={"limit": 1000})
        if answer is None:
            return
        told = {item["jobID"]: item for item in answer.json()["jobs"]}
        for job in self.seen.keys() - told.keys():
            self.wrong.append(f"{job} is gone")
        for job, now in told.items():
            before = self.seen.get(job, now)
            if before["progress"] > now["progress"] or _done(before) > _done(now):
                self.wrong.append(f"progress went back: {before} -> {now}")
            if before["status"] in ENDED and (before["status"], before["finished"]) != (now["status"], now["finished"]):
                self.wrong.append(f"moved after its end: {before} -> {now}")
        self.seen = told

    @property
    def is_done(self):
        """Whether all was posted and has been seen to end well."""
        return len(self.jobs) == len(self.bodies) and all(
            self.seen.get(job, {}).get("status") == "successful" for job in self.jobs.values()
        )


def _done(status):
    return status.get("tiles", {}).get("done", 0)
