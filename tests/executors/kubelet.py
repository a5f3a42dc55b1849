"""A stand-in for the nodes of Kubernetes: pods as processes of this machine, each at an address of its own.

A container is its command, run with its environment in a folder of its own; its image is this Python, and only an image
of the name `missing` cannot be pulled. The limits of a container, which Dask reads from its control group, are told to
it as options. Services have the address of their pod, and names of the cluster are resolved for processes in it.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sys
import time
import uuid
from pathlib import Path

HERE = str(Path(__file__).parent.parent)

GRACE_S = 2
"""For a container to end by itself once it is asked to."""

RESOLVER = """
import json, socket, sys

# It resolves names by itself, past what follows.
sys.modules["uvloop"] = None

def resolving(host, *arguments, asked=socket.getaddrinfo, **keywords):
    if isinstance(host, str) and "." in host:
        with open({table!r}) as table:
            host = json.load(table).get(host.removesuffix(".svc.cluster.local"), host)
    return asked(host, *arguments, **keywords)

socket.getaddrinfo = resolving
"""


def cores(limit):
    return max(1, int(limit[:-1]) // 1000 if str(limit).endswith("m") else int(limit))


class Kubelet:
    """All nodes, and the controller of deployments."""

    def __init__(self, store, folder):
        self.store = store
        self.folder = folder
        self.addresses = {}
        self.names = {"kubernetes.default": "127.0.0.1"}
        self.pods = {}
        place = folder / "inside"
        place.mkdir(exist_ok=True)
        self.table = place / "names.json"
        (place / "sitecustomize.py").write_text(RESOLVER.format(table=str(self.table)))
        self.name_services()

    async def run(self):
        changes = asyncio.Queue()
        self.store.watchers.add(changes)
        while True:
            _, _, plural, _ = await changes.get()
            if plural in {"deployments", "pods"}:
                self.deploy()
            if plural == "services":
                self.name_services()
            for pod in self.store.found("pods"):
                uid = pod["metadata"]["uid"]
                if uid not in self.pods:
                    self.pods[uid] = asyncio.create_task(
                        self.live(pod["metadata"]["namespace"], pod["metadata"]["name"])
                    )

    def deploy(self):
        """Make the pods of deployments."""
        for item in self.store.found("deployments"):
            meta = item["metadata"]
            owned = [
                pod
                for pod in self.store.found("pods", meta["namespace"])
                if pod["metadata"]["ownerReferences"][0]["uid"] == meta["uid"]
                and "deletionTimestamp" not in pod["metadata"]
            ]
            if len(owned) < item["spec"]["replicas"] and "deletionTimestamp" not in meta:
                template = json.loads(json.dumps(item["spec"]["template"]))
                owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"], "uid": meta["uid"]}
                template["metadata"] |= {"name": f"{meta['name']}-{uuid.uuid4().hex[:5]}", "ownerReferences": [owner]}
                pod = {"apiVersion": "v1", "kind": "Pod", **template, "status": {"phase": "Pending"}}
                self.store.create("pods", meta["namespace"], pod)

    def address(self, labels):
        """That of a service and of its pod."""
        scheduler = labels.get("dask.org/component") == "scheduler"
        key = labels["dask.org/cluster-name"] if scheduler else uuid.uuid4()
        own = os.getpid()
        return self.addresses.setdefault(key, f"127.{100 + own % 100}.{own // 100 % 250}.{len(self.addresses) + 1}")

    def name_services(self):
        # A name outlives its service, as in caches of the cluster: the operator stands still for minutes without it.
        for service in self.store.found("services"):
            meta = service["metadata"]
            self.names[f"{meta['name']}.{meta['namespace']}"] = self.address(service["spec"]["selector"])
        fresh = self.table.with_suffix(".new")
        fresh.write_text(json.dumps(self.names))
        fresh.rename(self.table)

    def say(self, key, **changes):
        pod = self.store.objects[key]
        self.store.replace(key, {**pod, "status": {**pod["status"], **changes}}, "status")

    def stands(self, key, state, *, restarts=0, ready=False, phase="Running"):
        container = {"name": "main", "state": state, "restartCount": restarts, "ready": ready}
        conditions = [{"type": kind, "status": str(ready)} for kind in ("Ready", "ContainersReady")]
        self.say(key, phase=phase, containerStatuses=[container], conditions=conditions)

    async def live(self, namespace, name):
        """A pod from its start until it is deleted."""
        key = ("pods", namespace, name)
        address = self.address(self.store.objects[key]["metadata"]["labels"])
        self.say(key, podIP=address)
        restarts = 0
        while not self.deleted(key):
            (container,) = self.store.objects[key]["spec"]["containers"]
            if container["image"].startswith("missing"):
                self.wait_in(key, "ImagePullBackOff", f'Back-off pulling image "{container["image"]}"', phase="Pending")
                await self.until_deleted(key, 3600)
                break
            began = time.monotonic()
            process = await self.start(key, container, address)
            if process is not None:
                await self.attend(key, container, process, restarts=restarts)
            restarts += 1
            if not self.deleted(key) and (restarts > 1 or process is None) and time.monotonic() - began < 10:
                self.wait_in(key, "CrashLoopBackOff", f"restarting failed container of {name}", restarts=restarts)
                await self.until_deleted(key, 2**restarts)
        self.store.remove(key)

    def wait_in(self, key, reason, message, **facts):
        self.stands(key, {"waiting": {"reason": reason, "message": message}}, **facts)

    def deleted(self, key):
        return "deletionTimestamp" in self.store.objects[key]["metadata"]

    async def until_deleted(self, key, limit_s):
        limit = time.monotonic() + limit_s
        while not self.deleted(key) and time.monotonic() < limit:  # noqa: ASYNC110 - the store has no event for it
            await asyncio.sleep(0.05)

    async def start(self, key, container, address):
        """The process of a container; None where its command is not there."""
        place = self.folder / "pods" / key[2]
        place.mkdir(parents=True, exist_ok=True)
        binaries = os.path.dirname(sys.executable)
        own = {item["name"]: item["value"] for item in container.get("env") or ()}
        outside = {name: value for name, value in os.environ.items() if name not in {"KUBECONFIG", "PYTHONPATH"}}
        paths = [str(self.folder / "inside"), os.environ.get("PYTHONPATH", "")]
        inside = {"PATH": f"{binaries}:{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(paths)}
        words = [re.sub(r"\$\((\w+)\)", lambda found: own[found[1]], word) for word in container["args"]]
        words = [address if word == "0.0.0.0" else word for word in words]
        program = shutil.which(words[0], path=inside["PATH"])
        with open(place / "log", "ab") as log:  # noqa: ASYNC230 - no more than a moment
            if program is None:
                log.write(f"exec: {words[0]!r}: executable file not found in $PATH\n".encode())
                return None
            return await asyncio.create_subprocess_exec(
                *(["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []),
                program,
                *words[1:],
                *network(words, address),
                *limits(words, container),
                cwd=place,
                env={**outside, **inside, **own},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def attend(self, key, container, process, *, restarts):
        """Watch over a container until it has ended, for one reason or another."""
        running = {"running": {"startedAt": "now"}}
        self.say(key, hostPID=process.pid)
        self.stands(key, running, restarts=restarts)
        ready = False
        while process.returncode is None and not self.deleted(key):
            if not ready and await self.answers(key, container):
                ready = True
                self.stands(key, running, restarts=restarts, ready=True)
            await asyncio.sleep(0.05)
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), GRACE_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    async def answers(self, key, container):
        """Whether a container is ready, by its probe."""
        if "readinessProbe" not in container:
            return True
        (port,) = [port["containerPort"] for port in container["ports"] if port["name"] == "http-dashboard"]
        try:
            _, writer = await asyncio.open_connection(self.store.objects[key]["status"]["podIP"], port)
        except OSError:
            return False
        writer.close()
        return True


def network(words, address):
    """What gives a process the address that a pod has by its network."""
    if "worker" in words[:2]:
        return ["--host", address, "--dashboard-address", f"{address}:8788"]
    return ["--dashboard-address", f"{address}:8787"]


def limits(words, container):
    """What Dask reads from the control group of its container."""
    found = (container.get("resources") or {}).get("limits", {})
    if "worker" not in words[:2]:
        return []
    threads = ["--nthreads", str(cores(found["cpu"]))] if "cpu" in found else []
    memory = ["--memory-limit", f"{found['memory']}B"] if "memory" in found else []
    return threads + memory
