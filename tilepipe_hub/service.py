"""What may be done with jobs, and by whom; knows neither HTTP nor which store there is."""

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from tilepipe_hub import deploying
from tilepipe_hub.admission import Prepared, admit, keep_files
from tilepipe_hub.auth import Caller
from tilepipe_hub.errors import (
    JobFailed,
    KeyReused,
    MoveRefused,
    NoResult,
    NoSuchJob,
    NoSuchProcess,
    NotAllowed,
    NotKnown,
    NotReady,
    QuotaReached,
    StoreError,
    TooLarge,
)
from tilepipe_hub.fetch import addresses_of
from tilepipe_hub.job import End, Job, Request, Status
from tilepipe_hub.processes.catalog import Catalog, Entry
from tilepipe_hub.running.folders import forget, hand_on, holder
from tilepipe_hub.settings import Role, Settings
from tilepipe_hub.store import Line, Page, Query, Store
from tilepipe_hub.telemetry import Traces
from tilepipe_hub.work import work_of

__all__ = ["Service", "folder_of"]

AUDIT = logging.getLogger("tilepipe_hub.audit")
log = logging.getLogger(__name__)

MOST_JOB_BYTES = 15_000_000
"""MongoDB takes 16 MiB."""

NOWHERE = Traces(None, service="")
TRIES = 5
RETRIED: frozenset[Status] = frozenset({"failed", "dismissed"})
"""What can be tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The rules. Each call names its caller, and may come from any thread."""

    settings: Settings
    store: Store
    catalog: Catalog
    resolve: Callable[[str, int], list[str]] = addresses_of
    traces: Traces = NOWHERE
    submitted: Callable[[], None] | None = None
    """Is called when there is a new job."""

    def entries(self, caller: Caller | None) -> tuple[Entry, ...]:
        """The processes there are."""
        _need(caller, "view")
        return self.catalog.entries()

    def entry(self, caller: Caller | None, process_id: str) -> Entry:
        """A process.

        Raises:
            NoSuchProcess: if there is none of this id.
        """
        _need(caller, "view")
        found = self.catalog.find(process_id)
        if found is None:
            raise NoSuchProcess(process_id)
        return found

    def prepare(self, caller: Caller | None, process_id: str, body: Any) -> Prepared:
        """The request, judged: by the process's description, the engine's rules and the fence.

        Raises:
            NotAllowed: the caller may run nothing.
            NoSuchProcess: there is no such process.
            BadRequest: something in it is wrong; all of it is told.
        """
        entry = self.entry(caller, process_id)
        caller = _need(caller, "run")
        return admit(
            entry,
            body,
            settings=self.settings,
            catalog=self.catalog,
            resolve=self.resolve,
            may_deploy=self.settings.deploy and caller.may("deploy"),
        )

    def submit(self, caller: Caller | None, prepared: Prepared, *, key: str | None = None, base: str = "") -> Job:
        """A new job, or the one that was made of the same request with the same idempotency key.

        Args:
            caller: who sends it.
            prepared: the request.
            key: the idempotency key.
            base: what the caller calls the service.

        Raises:
            QuotaReached: the caller has as many jobs as they may.
            TooLarge: it is more than a store keeps.
            KeyReused: the key came with another request.
        """
        caller = _need(caller, "run")
        body = prepared.body
        request = Request(
            inputs=body.get("inputs", {}),
            outputs=body.get("outputs"),
            response=body.get("response"),
            subscriber=prepared.checked.subscriber or None,
            work=replace(prepared.work, base=base, trace=self.traces.here()).document(),
        )
        size = len(request.text())
        if size > MOST_JOB_BYTES:
            raise TooLarge(f"the request takes {size} bytes to keep, of at most {MOST_JOB_BYTES}; give data as links")
        job = Job(
            id=prepared.work.folder,
            process=prepared.entry.id,
            owner=caller.owner,
            request=request,
            title=body.get("title", ""),
            labels=tuple(body.get("labels", ())),
            key=None if key is None else f"sent:{key}",
        )
        with self.traces.span("submit", job=job.id, process=job.process, owner=job.owner):
            keep_files(prepared, self.settings)
            try:
                kept = self._added(job)
            except (KeyReused, QuotaReached):
                forget(self.settings.folders.uploads, job.id)
                raise
            if kept.id == job.id:
                AUDIT.info("%r submits job %s of %s", caller.owner, job.id, job.process)
            else:
                forget(self.settings.folders.uploads, job.id)
            return kept

    def get(self, caller: Caller | None, job_id: str) -> Job:
        """A job of the caller, or any for an admin.

        Raises:
            NoSuchJob: there is none, or it is somebody else's.
        """
        caller = _need(caller, "view")
        job = self.store.get(job_id)
        if job.owner != caller.owner and not caller.may("admin"):
            raise NoSuchJob(job_id)
        return job

    def find(self, caller: Caller | None, query: Query) -> Page:
        """Jobs of the caller, or of all for an admin."""
        caller = _need(caller, "view")
        return self.store.find(query if caller.may("admin") else replace(query, owner=caller.owner))

    def reach(self) -> None:
        """Ask the store for next to nothing, however many jobs it has.

        Raises:
            StoreError: it is away.
        """
        self.store.find(Query(limit=1))

    def counts(self) -> Mapping[Status, int]:
        """How many jobs there are in each state."""
        return self.store.counts()

    def logs(self, caller: Caller | None, job_id: str, *, after: int = 0, limit: int = 1000) -> tuple[Line, ...]:
        """Lines of a job's log.

        Raises:
            NoSuchJob: there is none, or it is somebody else's.
        """
        self.get(caller, job_id)
        return self.store.logs(job_id, after=after, limit=limit)

    def results(self, caller: Caller | None, job_id: str) -> Job:
        """A job that has results.

        Raises:
            NotReady: it has not ended.
            JobFailed: it failed without any.
            NoResult: it was dismissed, or another job continues it.
        """
        job = self.get(caller, job_id)
        if not job.ended:
            raise NotReady(f"job {job_id!r} is {job.status}; its results are there when it is successful")
        if job.results is None and job.status == "failed":
            raise JobFailed(job.problem or {"detail": job.message})
        if job.results is None:
            raise NoResult(f"job {job_id!r} was dismissed and has no results")
        self.check_holder(job_id, folder_of(job))
        return job

    def check_holder(self, job_id: str, folder: str) -> None:
        """Let nobody take for a job's what another one makes of it.

        Raises:
            NoResult: another job continues it in this folder, so that what lies there is that one's.
        """
        heir = holder(self.settings.folders.outputs, folder)
        if heir not in {job_id, None}:
            raise NoResult(f"job {job_id!r} is continued by job {heir!r}, which has what it made; ask for that one's")

    def successor(self, job: Job) -> Job | None:
        """The job that goes on where this one ended."""
        return self.store.keyed(job.owner, _retry_key(job.id)) if job.status in RETRIED else None

    def dismiss(self, caller: Caller | None, job_id: str) -> Job:
        """The job, dismissed; one that had ended is removed with all that it made.

        Raises:
            NoSuchJob: there is none, or it is somebody else's.
        """
        caller = _need(caller, "run")
        for _ in range(TRIES):
            job = self.get(caller, job_id)
            if job.ended:
                if self.store.remove(job_id):
                    self._forget_files(job)
                    AUDIT.info("%r removes job %s", caller.owner, job_id)
                return replace(job, status="dismissed", message="removed", problem=None, results=None)
            # Whoever is called at a job's end hears this too, and need not learn who is who here.
            words = f"dismissed by {'its owner' if caller.owner == job.owner else 'an admin'}"
            try:
                job = self.store.move(job_id, "dismissed", expect={"accepted", "running"}, end=End(message=words))
            except MoveRefused:
                continue
            AUDIT.info("%r dismisses job %s", caller.owner, job_id)
            with suppress(NoSuchJob, StoreError):
                self.store.log(job_id, [words])
            return job
        raise MoveRefused(f"job {job_id!r} changes too fast to be dismissed; try again")

    def retry(self, caller: Caller | None, job_id: str) -> Job:
        """A new job that goes on where a failed or dismissed one ended; the same one, however often it is asked for.

        Raises:
            NoSuchJob: there is none, or it is somebody else's.
            MoveRefused: it has not ended, or was successful.
        """
        caller = _need(caller, "run")
        job = self.get(caller, job_id)
        if job.status not in RETRIED:
            raise MoveRefused(
                f"job {job_id!r} is {job.status}; only one that failed or was dismissed can be tried again"
            )
        again = Job(
            id=uuid4().hex,
            process=job.process,
            owner=job.owner,
            request=job.request,
            title=job.title,
            labels=job.labels,
            key=_retry_key(job_id),
            continues=job_id,
        )
        kept = self._added(again)
        self._hand_on(job, kept)
        if kept.id == again.id:
            AUDIT.info("%r retries job %s as job %s of %s", caller.owner, job_id, again.id, again.process)
        return kept

    def check_deployer(self, caller: Caller | None) -> Caller:
        """The caller, who may deploy.

        Raises:
            NotKnown: nobody knows who it is.
            NotAllowed: they may not.
        """
        return _need(caller, "deploy")

    def deploy(self, caller: Caller | None, package: Any) -> Entry:
        """The process that a package makes; errors as of `deploying.deploy`."""
        caller = _need(caller, "deploy")
        entry = deploying.deploy(self.catalog, package)
        AUDIT.info("%r deploys the process %s", caller.owner, entry.id)
        return entry

    def replace(self, caller: Caller | None, process_id: str, package: Any) -> Entry:
        """The process that now goes by an id; errors as of `deploying.replace`."""
        caller = _need(caller, "deploy")
        entry = deploying.replace(self.catalog, process_id, package)
        AUDIT.info("%r replaces the process %s", caller.owner, entry.id)
        return entry

    def undeploy(self, caller: Caller | None, process_id: str) -> None:
        """Remove a process; errors as of `deploying.undeploy`."""
        caller = _need(caller, "deploy")
        deploying.undeploy(self.catalog, process_id)
        AUDIT.info("%r undeploys the process %s", caller.owner, process_id)

    def package(self, caller: Caller | None, process_id: str) -> Mapping[str, Any]:
        """What was deployed; errors as of `deploying.package_of`."""
        _need(caller, "view")
        return deploying.package_of(self.catalog, process_id)

    def _forget_files(self, job: Job) -> None:
        """Remove what a job made and what was sent with it, unless another one goes on with that."""
        folders, heir, before = self.settings.folders, self.successor(job), self._predecessor(job)
        if heir is not None:
            self._hand_on(job, heir)
        elif before is not None and job.number == 0:
            # It never ran, so all that is there is still what the one before it made.
            self._hand_on(job, before)
        forget(folders.outputs, job.id)
        if heir is None and before is None and not os.path.exists(os.path.join(folders.outputs, folder_of(job))):
            forget(folders.uploads, folder_of(job))

    def _predecessor(self, job: Job) -> Job | None:
        """The job that this one continues, where there is still one."""
        with suppress(NoSuchJob):
            return self.store.get(job.continues) if job.continues else None
        return None

    def _hand_on(self, job: Job, heir: Job) -> None:
        """Let another job have the folder of this one, which may be gone before that one runs."""
        try:
            hand_on(self.settings.folders.outputs, folder_of(job), giver=job.id, heir=heir.id)
        except OSError as error:
            log.warning("job %s: its folder cannot be handed on to job %s: %s", job.id, heir.id, error)

    def _added(self, job: Job) -> Job:
        kept = self.store.add(job, most=self.settings.quotas.jobs)
        if kept.id == job.id:
            if self.submitted is not None:
                self.submitted()
        elif (kept.process, kept.request.inputs, kept.request.outputs) != (
            job.process,
            job.request.inputs,
            job.request.outputs,
        ):
            raise KeyReused("this idempotency key came with another request before; send a new one")
        return kept


def _need(caller: Caller | None, role: Role) -> Caller:
    if caller is None:
        raise NotKnown("this needs a token; send it as Authorization: Bearer TOKEN")
    if not caller.may(role):
        AUDIT.warning("%r is refused what needs the role %s, having %s", caller.owner, role, caller.role)
        raise NotAllowed(f"this needs the role {role}; yours is {caller.role}")
    return caller


def _retry_key(job_id: str) -> str:
    return f"retry:{job_id}"


def folder_of(job: Job) -> str:
    """The name of the folder in which what the job made lies."""
    return work_of(job.request.work).folder if job.request.work else job.id
