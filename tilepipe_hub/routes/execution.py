"""Executing a process: at once or as a job, by what the request prefers."""

import time
from dataclasses import replace
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response

from tilepipe_hub.admission import Prepared
from tilepipe_hub.auth import Caller
from tilepipe_hub.errors import BadRequest, HubError, JobFailed
from tilepipe_hub.job import Job
from tilepipe_hub.results import is_reference
from tilepipe_hub.routes.answering import link, link_header
from tilepipe_hub.routes.asking import base_of, body_of, caller_of, hub_of, parsed, preference_of, short_body_of
from tilepipe_hub.routes.delivery import deliver, reader_of
from tilepipe_hub.routes.documents import status_info
from tilepipe_hub.routes.jobs import created
from tilepipe_hub.routes.problems import TooLong
from tilepipe_hub.routes.routing import Router
from tilepipe_hub.routes.threads import in_thread
from tilepipe_hub.work import work_of

__all__ = ["router"]

router = Router()

LOOK_S = 0.05
LOOK_LATER_S = 0.5
"""Between two looks at a job that is waited for: soon at first, then rarely."""


@router.at("/processes/{process_id}/execution", "POST")
async def execute(request: Request, process_id: str) -> Response:
    """Run a process, and answer with its results or with a job."""
    service, settings = hub_of(request).service, hub_of(request).settings
    wish = preference_of(request)
    is_job = wish.respond_async and wish.wait_s is None
    if is_job and (content := await short_body_of(request)) is not None:
        return await in_thread(_sent_short, request, process_id, content)
    caller = await in_thread(_welcome, request, process_id)
    key = _key(request)
    body = await body_of(request)
    if is_job:
        return await in_thread(_sent, request, caller, process_id, body=body, key=key)
    prepared = await in_thread(service.prepare, caller, process_id, body)
    wait_s = settings.sync_s if wish.wait_s is None else min(wish.wait_s, settings.sync_s)
    if _is_instant(prepared, request) and prepared.work.pause_s <= wait_s:
        return await _at_once(request, prepared)
    job = await in_thread(service.submit, caller, prepared, key=key, base=base_of(request))
    job = await _waited_for(request, caller, job, wait_s)
    if job.ended:
        return await in_thread(_finished, request, caller, job)
    if wish.wait_s is not None:
        response = created(status_info(job, base_of(request)), base_of(request))
        response.headers["Preference-Applied"] = "respond-async"
        return response
    await in_thread(service.dismiss, caller, job.id)
    raise TooLong(f"the job takes longer than {wait_s:g} s; ask for it with the header Prefer: respond-async")


def _welcome(request: Request, process_id: str) -> Caller | None:
    """Who asks, once it is certain that there is such a process for them."""
    caller = caller_of(request)
    hub_of(request).service.entry(caller, process_id)
    return caller


def _sent_short(request: Request, process_id: str, content: bytes) -> Response:
    """The answer to a request for a job that has been read: all in one thread, as changes of threads take time."""
    caller = caller_of(request)
    try:
        key, body = _key(request), parsed(request, content)
    except HubError:
        # Whoever may know nothing of the process, or asks for one that is not there, hears that first.
        hub_of(request).service.entry(caller, process_id)
        raise
    return _sent(request, caller, process_id, body=body, key=key)


def _sent(request: Request, caller: Caller | None, process_id: str, *, body: Any, key: str | None) -> Response:
    """The answer to a request for a job."""
    service, base = hub_of(request).service, base_of(request)
    prepared = service.prepare(caller, process_id, body)
    job = service.submit(caller, prepared, key=key, base=base)
    response = created(status_info(job, base), base)
    response.headers["Preference-Applied"] = "respond-async"
    return response


def _key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= 200 and key.isprintable()):
        raise BadRequest([("Idempotency-Key", "takes 1 to 200 letters that can be printed")])
    return key


def _is_instant(prepared: Prepared, request: Request) -> bool:
    """Whether a request can be answered without a job: nothing is computed, and nothing to be linked to is left."""
    work = prepared.work
    reader = reader_of(request, "", "")
    modes = {name: how.get("transmission") or "value" for name, how in work.asked.items()}
    links = [name for name, item in work.results.items() if is_reference(item, modes.get(name), reader)]
    return work.kind == "echo" and all("href" in work.results[name] for name in links)


async def _at_once(request: Request, prepared: Prepared) -> Response:
    work = prepared.work
    await anyio.sleep(work.pause_s)
    if work.fails:
        raise JobFailed({"detail": "failed as asked"})
    said = "response" in prepared.body
    title = f"Results of {prepared.entry.id}"
    return deliver(request, work.results, work=work, reader=reader_of(request, "", ""), is_said=said, title=title)


async def _waited_for(request: Request, caller: Caller | None, job: Job, wait_s: float) -> Job:
    """The job once it has ended, or the time is over, or nobody waits any more."""
    service = hub_of(request).service
    began = time.monotonic()
    while not job.ended and (waited := time.monotonic() - began) < wait_s and not await request.is_disconnected():
        await anyio.sleep(min(LOOK_S + waited / 10, LOOK_LATER_S))
        job = await in_thread(service.get, caller, job.id)
    return job


def _finished(request: Request, caller: Caller | None, job: Job) -> Response:
    job = hub_of(request).service.results(caller, job.id)
    work = work_of(job.request.work)
    reader = reader_of(request, job.id, work.folder)
    said = job.request.response is not None
    response = deliver(
        request, job.results or {}, work=replace(work), reader=reader, is_said=said, title=f"Results of job {job.id}"
    )
    monitor = link_header([link(f"{base_of(request)}/jobs/{job.id}", "monitor")])
    others = response.headers.get("Link")
    response.headers["Link"] = f"{monitor}, {others}" if others else monitor
    return response
