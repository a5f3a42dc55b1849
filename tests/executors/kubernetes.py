"""The operator of dask-kubernetes, as a process of its own, on a stand-in for a Kubernetes cluster."""

import json
import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import yaml

from executors.servers import HERE, end, free_port, started, until

DASK = "/apis/kubernetes.dask.org/v1/namespaces/default"
CORE = "/api/v1/namespaces/default"


@dataclass
class Kubernetes:
    """A cluster of Kubernetes on loopback, and what it has."""

    folder: Path
    port: int = field(default_factory=free_port)
    processes: list[subprocess.Popen] = field(default_factory=list)

    @property
    def kubeconfig(self):
        return str(self.folder / "kubeconfig")

    @property
    def spec(self):
        """What stands under `cluster` of a recipe."""
        return {
            "kind": "kubernetes",
            "image": "here",
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
            "workers": 2,
        }

    def start(self, *options, operated=True):
        """Start it, with the operator or without."""
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "alice", "namespace": "default"}}],
            "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "alice", "user": {"token": "secret"}}],
        }
        Path(self.kubeconfig).write_text(yaml.safe_dump(document))
        command = ["executors.kube_server", str(self.folder), str(self.port), *options]
        self.processes.append(started(command, self.folder / "server.log"))
        assert until(self.answers), (self.folder / "server.log").read_text()
        if operated:
            modules = ["-m", "dask_kubernetes.operator.controller", "-m", "executors.operator_settings"]
            command = ["kopf", "run", *modules, "--all-namespaces"]
            # It runs in the cluster, where the names of services are known.
            paths = {
                "PYTHONPATH": os.pathsep.join([str(self.folder / "inside"), HERE, os.environ.get("PYTHONPATH", "")])
            }
            self.processes.append(started(command, self.folder / "operator.log", KUBECONFIG=self.kubeconfig, **paths))

    def ask(self, path, *, method="GET"):
        with urlopen(Request(f"http://127.0.0.1:{self.port}{path}", method=method), timeout=10) as answer:
            return json.load(answer)

    def answers(self):
        with suppress(OSError):
            return self.ask("/version")["major"] == "1"
        return False

    def clusters(self):
        """What the operator was asked for."""
        with suppress(HTTPError):
            return self.ask(f"{DASK}/daskclusters")["items"]
        return []

    def autoscalers(self):
        return [item["spec"] for item in self.ask(f"{DASK}/daskautoscalers")["items"]]

    def pods(self, component=None):
        """Those of workers or of schedulers, or all."""
        selector = f"?labelSelector=dask.org/component={component}" if component else ""
        return self.ask(f"{CORE}/pods{selector}")["items"]

    def left(self):
        """What there is of any cluster."""
        kinds = ["daskclusters", "daskworkergroups", "daskautoscalers"]
        paths = [f"{CORE}/pods", f"{CORE}/services", *(f"{DASK}/{kind}" for kind in kinds)]
        paths.append("/apis/apps/v1/namespaces/default/deployments")
        return [
            f"{path.split('/')[-1]}/{item['metadata']['name']}" for path in paths for item in self.ask(path)["items"]
        ]

    def empty(self):
        return self.left() == []

    def evict(self, pod):
        """Delete a pod, as Kubernetes does when it needs the node."""
        self.ask(f"{CORE}/pods/{pod['metadata']['name']}", method="DELETE")

    def kill(self, pod):
        """SIGKILL all in a pod's container, as for want of memory."""
        os.killpg(pod["status"]["hostPID"], signal.SIGKILL)

    def end(self):
        for process in reversed(self.processes):
            end(process)


@contextmanager
def running_kubernetes(folder, *options, operated=True):
    """A Kubernetes, ended after the block."""
    server = Kubernetes(folder)
    try:
        server.start(*options, operated=operated)
        yield server
    finally:
        server.end()
