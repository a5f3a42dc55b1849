"""Which jobs a worker takes, and how many at once; a job's own mistakes never end it.

**A job may be run more than once**, in part or whole: after its worker was killed, or was silent for longer than its
lease. What makes that harmless: tiles are put whole and are the same bytes whoever makes them, the journal knows which
are made, and whatever is written of the job in the store asks for the number of its latest lease.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol
from uuid import uuid4

from tilepipe_hub.errors import StoreError
from tilepipe_hub.job import Job, Progress
from tilepipe_hub.running.alive import Alive
from tilepipe_hub.running.attend import Rules, attend, give_up
from tilepipe_hub.running.child import Child, Undertaking, filled_here, secrets_here
from tilepipe_hub.running.confine import guards_ports, is_possible, lacking, place_of
from tilepipe_hub.running.discreet import discreet
from tilepipe_hub.running.folders import forget, take
from tilepipe_hub.running.memory import bytes_of
from tilepipe_hub.running.order import Order
from tilepipe_hub.running.pausing import Pausing
from tilepipe_hub.running.proxy import Proxy
from tilepipe_hub.running.spawner import Spawner
from tilepipe_hub.running.telling import Telling
from tilepipe_hub.settings import Settings
from tilepipe_hub.settings import Worker as WorkerSettings
from tilepipe_hub.store import Query, Store, open_store
from tilepipe_hub.telemetry import Traces
from tilepipe_hub.work import Work, work_of

__all__ = ["PATIENCE_S", "Worker", "work"]

log = logging.getLogger(__name__)

PATIENCE_S = 2.0
"""Of one call to the store; what matters is called again."""
OPENING_S = 60.0
EXPIRE_S = 60.0
TURN_S = 1.0
"""The longest that the loop rests before it says again that it lives."""
CLUSTER_GRACE_S = 10.0
"""For a job that has a cluster to close."""
BEYOND = "other files and hosts by nothing: their tiles are made by a cluster that is not of this machine"


class Followers(Protocol):
    """Who is told how jobs go on."""

    def follow(self, job: Job, progress: Progress) -> None:
        """A job goes on; returns at once."""
        ...

    def tell(self, job: Job) -> str | None:
        """Tell once that a job has ended; says why that was not heard, None where it was."""
        ...


@dataclass(slots=True, kw_only=True)
class Worker:
    """The jobs of one worker, each in a thread that attends a process."""

    store: Store
    settings: Settings
    name: str
    followers: Followers | None = None
    alive: Alive | None = None
    """Is told of each turn of the loop."""
    traces: Traces = field(default_factory=partial(Traces, None, service=""))
    _jobs: dict[str, threading.Thread] = field(default_factory=dict)
    _news: threading.Event | None = None
    _spawner: Spawner | None = None
    """Where the processes of jobs come from."""
    _spare: Child | None = None
    """One for the next job."""
    _proxy: Proxy | None = None
    """The only way out of the jobs."""
    _telling: Telling | None = None
    _draining: float | None = None
    _claim_from: float = 0.0
    """After the store was away, those who have jobs say so first."""
    _away: bool = False

    def run(self, stopping: threading.Event, news: threading.Event | None = None) -> None:
        """Take jobs until *stopping* is set; then wait for those under way, and give back what takes too long.

        Args:
            stopping: when to take no more.
            news: set when there may be a job, and when *stopping* is, so that neither has to wait for the next look.
        """
        rules = self.settings.worker
        sweeping = threading.Thread(target=self._sweep, args=(stopping,), name="expire", daemon=True)
        sweeping.start()
        if self.followers is not None:
            self._telling = _telling(self.store, self.followers, self.settings)
            self._telling.start()
        log.info("worker %s waits for jobs", self.name)
        self._news = news
        while not stopping.is_set():
            self._turn()
            if len(self._jobs) < rules.concurrency:
                self._warm()
                if self._take():
                    continue
            self._rest(news or stopping)
            if news is not None:
                news.clear()
        self._draining = time.monotonic()
        log.info("worker %s takes no more jobs and waits for %d", self.name, len(self._jobs))
        for thread in list(self._jobs.values()):
            while thread.is_alive():
                self._turn()
                thread.join(TURN_S)
        self._let_go()

    def _turn(self) -> None:
        if self.alive is not None:
            self.alive.tell()

    def _rest(self, until: threading.Event) -> None:
        """Wait for the event, at most until it is time to look for a job again."""
        ends = time.monotonic() + self.settings.worker.poll_s
        while (left := ends - time.monotonic()) > 0 and not until.wait(min(left, TURN_S)):
            self._turn()

    def _let_go(self) -> None:
        if self._spare is not None:
            self._spare.reap()
        for opened in (self._telling, self._spawner, self._proxy):
            if opened is not None:
                opened.close()

    def _take(self) -> bool:
        """Claim a job and start it; False where there is none, or the store is away."""
        if time.monotonic() < self._claim_from:
            return False
        began = time.monotonic()
        try:
            if self._away:
                self.store.find(Query(limit=1))
                self._away, self._claim_from = False, time.monotonic() + 2 * self.settings.worker.beat_s
                return False
            job = self.store.claim(self.name, lease_s=self.settings.worker.lease_s)
        except StoreError as error:
            log.warning("%s", error)
            self._away = True
            return False
        if job is None:
            return False
        trace = str(job.request.work.get("trace", ""))
        self.traces.past("claim", time.monotonic() - began, parent=trace, job=job.id, lease=job.number)
        spare = None
        if job.request.work.get("kind") != "echo":
            spare, self._spare = self._spare, None
        held_until = began + self.settings.worker.lease_s
        thread = threading.Thread(target=self._attend, args=(job, held_until, spare), name=f"job-{job.id}", daemon=True)
        self._jobs[f"{job.id} {job.number}"] = thread
        thread.start()
        return True

    def _warm(self) -> None:
        if self._spare is None or not self._spare.is_alive:
            try:
                if self._proxy is None and _is_fenced(self.settings.worker):
                    self._proxy = Proxy(self.settings.fence)
                if self._spawning().is_ready():
                    self._spare = Child(self._spawning(), self._proxy)
            except OSError as error:
                log.warning("no process can be started now: %s", error)

    def _spawning(self) -> Spawner:
        self._spawner = self._spawner or Spawner(self.settings.secrets)
        return self._spawner

    def _attend(self, job: Job, held_until: float, spare: Child | None) -> None:
        """Bring a job to its end, whatever it is made of."""
        log.info("job %s: taken with lease %d", job.id, job.number)
        settings, secrets = self.settings, secrets_here(self.settings.secrets)
        follow = partial(self.followers.follow, job) if self.followers and job.request.subscriber else _nobody
        try:
            trace = str(job.request.work.get("trace", ""))
            with self.traces.span("run", parent=trace, job=job.id, process=job.process, lease=job.number) as facts:
                after = attend(
                    job,
                    store=self.store,
                    start=self._starter(job, spare, secrets),
                    rules=_rules(settings),
                    held_until=held_until,
                    draining=lambda: self._draining,
                    told=partial(discreet, secrets=secrets, folders=_folders(settings)),
                    follow=follow,
                )
                facts["status"] = after.status if after else "left alone"
            log.info("job %s: lease %d: %s", job.id, job.number, after.status if after else "left alone")
            if self._telling is not None and after is not None and after.request.link_for(after.status):
                self._telling.wake()
        except Exception:
            log.exception("job %s: cannot be attended", job.id)
            give_up(job, store=self.store, reason="the worker could not run it, and its log says why")
        finally:
            if spare is not None:
                spare.reap()
            del self._jobs[f"{job.id} {job.number}"]
            if self._news is not None:
                self._news.set()

    def _starter(self, job: Job, spare: Child | None, secrets: Mapping[str, str]) -> Callable[[float], Undertaking]:
        """What begins the job; the first time in the process that is there already."""
        work = work_of(job.request.work)
        if work.kind == "echo":
            return lambda _until: Pausing(work.pause_s, results=work.results, fails=work.fails)
        order = self._order(job, work, secrets)
        warm = [spare] if spare is not None and spare.is_alive else []

        def start(until: float) -> Undertaking:
            child = warm.pop() if warm else Child(self._spawning(), self._proxy)
            child.begin(order, until=until)
            return child

        return start

    def _order(self, job: Job, work: Work, secrets: Mapping[str, str]) -> Order:
        settings = self.settings
        rules = settings.worker
        # A link in the folder of outputs would be followed by nobody's wish.
        name = os.path.basename(work.folder)
        folder = take(settings.folders.outputs, name, job.id)
        return Order(
            job=job.id,
            recipe=work.recipe or {},
            folder=folder,
            executor=rules.executor,
            workers=rules.workers,
            cluster=filled_here(rules.cluster) if rules.executor == "dask" else None,
            memory_bytes=bytes_of(rules.memory) if rules.memory else None,
            tiles=settings.quotas.tiles,
            on_error=rules.on_error,
            secrets=secrets,
            folders={folder: "output", **_folders(settings)},
            confined=_is_confined(rules),
            readable=_readable(settings, work.recipe or {}, name),
            writable=rules.paths,
        )

    def _sweep(self, stopping: threading.Event) -> None:
        """Forget jobs whose time is over, and what they left."""
        folders = self.settings.folders
        while not stopping.wait(EXPIRE_S):
            try:
                while gone := self.store.expire():
                    for job_id in gone:
                        forget(folders.outputs, job_id, uploads=folders.uploads)
            except StoreError as error:
                log.warning("%s", error)


def work(
    settings: Settings,
    *,
    stopping: threading.Event,
    followers: Followers | None = None,
    news: threading.Event | None = None,
    alive_file: str | None = None,
) -> None:
    """Be a worker until *stopping* is set; *news* as of `Worker.run`, *alive_file* as of `Alive`.

    Raises:
        SettingsError: the memory is no size, or the sign of life has no place.
        RecipeError: a name in the cluster is not set.
        StoreError: the store cannot be opened.
    """
    _check(settings.worker)
    alive = Alive(alive_file) if alive_file is not None else None
    # Before the store is opened, which may take a minute.
    if alive is not None:
        alive.begin()
    name = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:4]}"
    url = settings.store.url.get_secret_value()
    # A worker may be started together with its store.
    open_store(url, patience_s=OPENING_S).close()
    with (
        open_store(url, keep_s=settings.store.keep_s, patience_s=PATIENCE_S) as store,
        closing(Traces(settings.otlp_endpoint, service="tilepipe-hub-worker")) as traces,
    ):
        worker = Worker(store=store, settings=settings, name=name, followers=followers, alive=alive, traces=traces)
        worker.run(stopping, news)


def _nobody(_progress: Progress) -> None:
    return


def _telling(store: Store, followers: Followers, settings: Settings) -> Telling:
    rules = settings.callbacks
    # To connect, to send and to wait for an answer may each take that long, and a name has to be looked up.
    return Telling(store=store, tell=followers.tell, attempts=rules.attempts, lease_s=3 * rules.timeout_s + 10)


def _rules(settings: Settings) -> Rules:
    worker = settings.worker
    return Rules(
        lease_s=worker.lease_s,
        beat_s=worker.beat_s,
        max_attempts=worker.max_attempts,
        drain_s=worker.drain_s,
        runtime_s=settings.quotas.runtime_s,
        grace_s=CLUSTER_GRACE_S if worker.executor == "dask" else 2.0,
    )


def _folders(settings: Settings) -> dict[str, str]:
    """What the service's own folders are called."""
    folders = settings.folders
    named = {folders.outputs: "outputs", folders.uploads: "uploads", folders.processes or "": "processes"}
    return {os.path.abspath(path): name for path, name in named.items() if path}


def _is_fenced(worker: WorkerSettings) -> bool:
    """Whether jobs are kept from what is not theirs; who starts clusters needs what their programs need."""
    return worker.confine and (worker.executor != "dask" or worker.cluster == "local")


def _is_confined(worker: WorkerSettings) -> bool:
    """Whether the kernel keeps them from it."""
    return _is_fenced(worker) and is_possible()


def _readable(settings: Settings, recipe: Mapping[str, Any], folder: str) -> tuple[str, ...]:
    """What a job needs to read: inputs, what was sent with it, and code."""
    roots = (place_of(root) for root in settings.fence.input_roots)
    process = str(recipe.get("process", ""))
    code = [os.path.dirname(process)] if os.path.isabs(process) else []
    sent = os.path.join(os.path.abspath(settings.folders.uploads), folder)
    own = [os.path.abspath(settings.folders.processes)] if settings.folders.processes else []
    return tuple(dict.fromkeys([*filter(None, roots), sent, *code, *own]))


def _check(worker: WorkerSettings) -> None:
    """Say now what would fail every job."""
    if worker.memory:
        bytes_of(worker.memory)
    if worker.executor == "dask":
        filled_here(worker.cluster)
    words = lacking(files=is_possible(), ports=guards_ports()) if _is_fenced(worker) else BEYOND
    if worker.confine and words is not None:
        log.warning("jobs are kept from %s", words)
