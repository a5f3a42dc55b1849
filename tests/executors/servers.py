"""A Dask scheduler with workers, and a Dask Gateway, as processes of their own on loopback."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import distributed

HERE = str(Path(__file__).parent.parent)

QUIET = {"DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "error"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pid_of(_):
    """To be called on a worker."""
    return os.getpid()


def tasks(dask_scheduler):
    """To be called on a scheduler: how many tasks it holds."""
    return len(dask_scheduler.tasks)


def alive(pid):
    """Whether a process is there and not only waits to be buried."""
    try:
        with open(f"/proc/{pid}/stat") as facts:
            return facts.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(met, *, timeout_s=20):
    """Wait until something is so; whether it became so."""
    limit = time.monotonic() + timeout_s
    while not met():
        if time.monotonic() > limit:
            return False
        time.sleep(0.05)
    return True


def started(command, log, **environment):
    """A process in a group of its own, so that it can be ended with its children."""
    with open(log, "ab") as channel:
        return subprocess.Popen(
            # Whatever becomes of the tests, it does not outlive them.
            [*(["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []), sys.executable, "-m", *command],
            stdout=channel,
            stderr=channel,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            # Python looks there first, and finds nothing of ours.
            cwd=os.path.dirname(log),
            env={
                **os.environ,
                "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join([HERE, os.environ.get("PYTHONPATH", "")]),
                **environment,
            },
        )


def children(pid):
    """The processes that descend from *pid*, parents first."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            if int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found += [int(folder.name), *children(int(folder.name))]
    return found


def end(process):
    """Kill a process and the children in its group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def command_of(pid):
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@dataclass
class Scheduler:
    """`dask scheduler` and its workers; each may be ended and started by a test."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen | None = None
    workers: list[subprocess.Popen] = field(default_factory=list)

    @property
    def address(self):
        return f"tcp://127.0.0.1:{self.port}"

    def start(self):
        """Start the scheduler, again at the same port."""
        place = ["--host", "127.0.0.1", "--port", str(self.port), "--dashboard-address", "127.0.0.1:0"]
        self.process = started(["dask", "scheduler", *place], self.folder / "scheduler.log")
        assert until(self.answers), (self.folder / "scheduler.log").read_text()

    def answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def add_worker(self, *options, memory="1GiB", path=()):
        """One more worker process of one thread; it imports from *path* first."""
        place = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--nthreads", "1"]
        death = ["--death-timeout", "60", "--local-directory", str(self.folder), "--memory-limit", memory]
        command = ["dask", "worker", self.address, *place, *death, *options]
        own = {"PYTHONPATH": os.pathsep.join([*map(str, path), HERE])} if path else {}
        self.workers.append(started(command, self.folder / "worker.log", **own))

    def computing(self, worker):
        """The process that computes under the watch of a worker's."""
        return [pid for pid in children(worker.pid) if b"spawn_main" in command_of(pid)]

    def kill_computing(self, worker):
        """SIGKILL the process that computes; the one that watches starts another."""
        for pid in self.computing(worker):
            os.kill(pid, signal.SIGKILL)

    def kill_worker(self, worker):
        """SIGKILL a worker with all it started."""
        end(worker)
        self.workers.remove(worker)

    def client(self):
        return distributed.Client(self.address, set_as_default=False, timeout=30)

    def restart(self):
        """Kill the scheduler; another takes its place."""
        end(self.process)
        self.start()

    def wait_for(self, workers):
        with self.client() as client:
            client.wait_for_workers(workers, timeout=30)

    def end(self):
        for process in [*self.workers, self.process]:
            if process is not None:
                end(process)


class Unmanned(distributed.LocalCluster):
    """A cluster of this machine that starts without workers, as most others do."""

    def __init__(self, **keywords):
        place = {"threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
        super().__init__(n_workers=0, **place, **keywords)


@contextmanager
def running_scheduler(folder, *, workers=2, **options):
    """A scheduler with workers, ended after the block; *options* as of `add_worker`."""
    scheduler = Scheduler(folder)
    try:
        scheduler.start()
        for _ in range(workers):
            scheduler.add_worker(**options)
        if workers:
            scheduler.wait_for(workers)
        yield scheduler
    finally:
        scheduler.end()


GATEWAY = """
import sys
from dask_gateway_server.options import Float, Integer, Mapping, Options

def handler(options):
    return {{
        "worker_cores": options.worker_cores,
        "worker_memory": int(options.worker_memory * 2**30),
        "environment": {{"PYTHONPATH": {path!r}, **options.environment}},
    }}

c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"
c.DaskGateway.address = "127.0.0.1:{private}"
c.DaskGateway.log_level = "WARN"
c.Proxy.address = "127.0.0.1:{public}"
c.Proxy.tcp_address = "127.0.0.1:{tcp}"
# Since its release of June 2026 distributed has no scripts of the names that are the default here.
c.ClusterConfig.scheduler_cmd = [sys.executable, "-m", "dask", "scheduler"]
c.ClusterConfig.worker_cmd = [sys.executable, "-m", "dask", "worker"]
c.ClusterConfig.cluster_max_workers = 2
c.ClusterConfig.idle_timeout = {idle}
c.UnsafeLocalBackend.clusters_directory = {folder!r}
c.Backend.cluster_options = Options(
    Integer("worker_cores", 1, min=1, max=2),
    Float("worker_memory", 1, min=0.5, max=2),
    Mapping("environment", {{}}),
    handler=handler,
)
"""


@dataclass
class GatewayServer:
    """`dask-gateway-server` with its local backend, limits, and an idle timeout."""

    folder: Path
    public: int = field(default_factory=free_port)
    tcp: int = field(default_factory=free_port)
    private: int = field(default_factory=free_port)

    @property
    def spec(self):
        """What stands under `cluster` of a recipe."""
        return {
            "kind": "gateway",
            "address": f"http://127.0.0.1:{self.public}",
            "proxy_address": f"gateway://127.0.0.1:{self.tcp}",
            "auth": {"kind": "basic", "username": "alice"},
            "workers": 2,
        }

    def ask(self, question):
        """What `await question(gateway)` returns."""
        from dask_gateway import BasicAuth, Gateway

        async def answer():
            place = {"address": self.spec["address"], "proxy_address": self.spec["proxy_address"]}
            async with Gateway(**place, auth=BasicAuth("alice"), asynchronous=True) as gateway:
                return await question(gateway)

        return asyncio.run(answer())

    def clusters(self):
        """The names of the clusters that are there."""
        return [report.name for report in self.ask(lambda gateway: gateway.list_clusters())]

    def answers(self):
        from aiohttp import ClientError

        try:
            return self.clusters() == []
        except (ClientError, OSError, ValueError):
            return False


@contextmanager
def running_gateway(folder, *, idle_s=5.0):
    """A gateway server, ended after the block."""
    server = GatewayServer(folder)
    text = GATEWAY.format(
        path=HERE, private=server.private, public=server.public, tcp=server.tcp, idle=idle_s, folder=str(folder)
    )
    (folder / "gateway.py").write_text(text)
    log = folder / "gateway.log"
    process = started(["dask_gateway_server", "-f", str(folder / "gateway.py")], log)
    try:
        assert until(server.answers, timeout_s=30), log.read_text()
        yield server
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        end(process)
