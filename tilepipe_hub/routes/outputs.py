"""What a job made: its results, one of them, its files, and how it goes on as it happens."""

import json
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import anyio
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from tilepipe_hub.auth import Caller
from tilepipe_hub.errors import BadQuery, NoResult, NoSuchJob, TooOften
from tilepipe_hub.job import Job
from tilepipe_hub.routes.asking import base_of, caller_of, hub_of
from tilepipe_hub.routes.delivery import deliver, only, path_of, reader_of
from tilepipe_hub.routes.documents import status_info
from tilepipe_hub.routes.parameters import values_of
from tilepipe_hub.routes.routing import Router
from tilepipe_hub.routes.threads import in_thread
from tilepipe_hub.service import folder_of
from tilepipe_hub.work import work_of

__all__ = ["router"]

router = Router()

LOOK_S = 0.5
SIGN_OF_LIFE_S = 15.0
"""So that no proxy takes a quiet stream for a dead one."""

MOST_STREAMS = 200
KEPT_S = 5.0
MOST_KEPT = 2000

TYPES = {
    ".tif": "image/tiff; application=geotiff",
    ".json": "application/json",
    ".geojson": "application/geo+json",
    ".vrt": "application/xml",
    ".pmtiles": "application/vnd.pmtiles",
    ".parquet": "application/vnd.apache.parquet",
}


@dataclass(slots=True)
class _Folders:
    """The folder of a job for who may look into it, remembered for a moment: a map asks for hundreds of tiles."""

    _known: dict[tuple[str, str], tuple[float, str]] = field(default_factory=dict)

    def of(self, request: Request, job_id: str) -> str:
        caller = caller_of(request)
        key, now = (job_id, repr(caller)), time.monotonic()
        found = self._known.get(key)
        if found is None or now - found[0] > KEPT_S:
            found = (now, folder_of(hub_of(request).service.get(caller, job_id)))
            if len(self._known) > MOST_KEPT:
                self._known.clear()
            self._known[key] = found
        # That may change at any moment, and is looked up in no store.
        hub_of(request).service.check_holder(job_id, found[1])
        return found[1]


@router.at("/jobs/{job_id}/results")
def results(request: Request, job_id: str) -> Response:
    """All results that were asked for, or some of them."""
    job = hub_of(request).service.results(caller_of(request), job_id)
    work = work_of(job.request.work)
    names = values_of(request, "outputs")
    for name in names:
        if name not in work.asked:
            raise BadQuery([("outputs", f"names {name[:100]!r}; the job has {', '.join(work.asked) or 'none'}")])
    if names:
        work = replace(work, asked={name: work.asked[name] for name in names})
    if not work.asked:
        raise NoResult("the job was asked for no outputs")
    reader = reader_of(request, job.id, work.folder)
    said = job.request.response is not None
    title = f"Results of job {job.id}"
    return deliver(request, job.results or {}, work=work, reader=reader, is_said=said, title=title)


@router.at("/jobs/{job_id}/results/{output_id}")
def result(request: Request, job_id: str, output_id: str) -> Response:
    """One result as it is."""
    job = hub_of(request).service.results(caller_of(request), job_id)
    work = only(work_of(job.request.work), output_id)
    if output_id not in (job.results or {}):
        raise NoResult(f"the job made no result {output_id!r}")
    reader = reader_of(request, job.id, work.folder)
    return deliver(request, job.results or {}, work=work, reader=reader, is_said=False, title=output_id)


@router.at("/jobs/{job_id}/output/{path:path}")
def output(request: Request, job_id: str, path: str) -> Response:
    """A file that the job made, or some of its bytes."""
    folders: _Folders = request.app.state.folders
    place = path_of(request, folders.of(request, job_id), path)
    kind = TYPES.get(os.path.splitext(place)[1], "application/octet-stream")
    facts = os.stat(place)
    tag = f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'
    # Tiles come and go while a job runs, so whoever keeps one has to ask whether it still holds.
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Content-Security-Policy": "sandbox"}
    known = [item.strip().removeprefix("W/") for item in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return FileResponse(place, headers=headers, media_type=kind, stat_result=facts)


@router.at("/jobs/{job_id}/events", "GET")
async def events(request: Request, job_id: str) -> Response:
    """The job's status, again whenever it changes, until it ends."""
    caller = await in_thread(caller_of, request)
    job = await in_thread(hub_of(request).service.get, caller, job_id)
    streams: set[object] = request.app.state.streams
    if len(streams) >= MOST_STREAMS:
        raise TooOften("too many look on already; ask for the status from time to time", after_s=10)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(_changes(request, caller, job), media_type="text/event-stream", headers=headers)


async def _changes(request: Request, caller: Caller | None, job: Job) -> AsyncIterator[str]:
    streams: set[object] = request.app.state.streams
    base, service, me = base_of(request), hub_of(request).service, object()
    told, told_at = "", 0.0
    streams.add(me)
    try:
        while True:
            text = json.dumps(status_info(job, base))
            if text != told:
                told, told_at = text, time.monotonic()
                yield f"event: status\nid: {round(job.updated * 1000)}\ndata: {text}\n\n"
            elif time.monotonic() - told_at > SIGN_OF_LIFE_S:
                told_at = time.monotonic()
                yield ": still here\n\n"
            if job.ended:
                return
            await anyio.sleep(LOOK_S)
            try:
                job = await in_thread(service.get, caller, job.id)
            except NoSuchJob:
                return
    finally:
        streams.discard(me)


def state() -> dict[str, object]:
    """What the routes of this module keep for an application."""
    return {"folders": _Folders(), "streams": set()}
