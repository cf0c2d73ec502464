"""/jobs: every job, in whatever state."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from aiohttp import web

from nodegraph.jobs import Job, Query, store

from .. import schema
from ..answers import Refused, answer, bad_request, large_answer, not_found
from ..bodies import choice, read_object, texts, whole
from ..route import OBJECT, TEXT, TRUTH, WHOLE, Param, Routes, array, record
from ..server import Server
from ..shapes import NAMES, job_details, job_summary
from ..submission import again, as_number, enqueue
from .queue import SMALL, UNWRITABLE, number_of

routes = Routes("jobs")

STATUSES = {name: status for status, name in NAMES.items()}
SOME_STATUSES = {
    "type": "string",
    "pattern": f"^({'|'.join(STATUSES)})?(,({'|'.join(STATUSES)})?)*$",
}
SORTS = {"created_at": "created", "execution_duration": "duration", "priority": "turn"}
NO_JOB = {404: "there is no such job"}
CANCELLED = record({"cancelled": TRUTH})


@routes.get(
    "/jobs",
    "Jobs in every state, by page",
    query=(
        Param("status", SOME_STATUSES, f"some of {', '.join(STATUSES)}, with commas"),
        Param("workflow_id"),
        Param("sort_by", {"enum": ["", *SORTS]}, "priority: as they wait in the queue"),
        Param("sort_order", {"enum": ["", "asc", "desc"]}),
        Param("limit", schema.FROM_ONE),
        Param("offset", schema.FROM_ZERO),
        Param("q", help="a text that stands in the graph or the outputs"),
    ),
    answer=schema.JOBS,
)
async def get_jobs(server: Server, request: web.Request) -> web.Response:
    names = [name for name in request.query.get("status", "").split(",") if name]
    unknown = [name for name in names if name not in STATUSES]
    if unknown:
        raise bad_request("status is wrong", f"expected some of {', '.join(STATUSES)}")
    by = choice(request, "sort_by", tuple(SORTS), "created_at")
    offset, limit = whole(request, "offset", 0), whole(request, "limit", 0, low=1)
    query = Query(
        tuple(STATUSES[name] for name in names),
        request.query.get("q", ""),
        request.query.get("workflow_id", ""),
        SORTS[by],
        choice(request, "sort_order", ("asc", "desc"), "desc") == "desc",
        offset,
        limit or None,
    )
    jobs, total = await asyncio.to_thread(server.journal.read, lambda c: store.find(c, query))
    page = {
        "offset": offset,
        "limit": limit or None,
        "total": total,
        "has_more": offset + len(jobs) < total,
    }
    return await large_answer({"jobs": [job_summary(job) for job in jobs], "pagination": page})


@routes.get("/jobs/{id:[^/]+}", "One job in full", answer=schema.JOB, statuses=NO_JOB)
async def get_job(server: Server, request: web.Request) -> web.Response:
    return answer(job_details(await _find(server, request)))


@routes.get(
    "/jobs/{id:[^/]+}/events",
    "What has happened in a job, from a number on; progress left out",
    query=(Param("since", schema.FROM_ZERO, "the number of the last one that is known"),),
    answer=record({"events": array(record({"n": WHOLE, "type": TEXT, "data": OBJECT}))}),
    statuses=NO_JOB,
)
async def get_events(server: Server, request: web.Request) -> web.Response:
    messages = await server.queue.messages(request.match_info["id"], whole(request, "since", 0))
    if messages is None:
        raise _no_job()
    return answer({"events": [{"n": m.n, "type": m.type, "data": m.data} for m in messages]})


@routes.post(
    "/jobs/cancel",
    "Cancel jobs, whether they wait or run",
    body=schema.SOME_JOBS,
    answer=CANCELLED,
    statuses=UNWRITABLE,
)
async def cancel_jobs(server: Server, request: web.Request) -> web.Response:
    ids = texts(await read_object(request, SMALL), "job_ids")
    found = [await server.queue.cancel(id) for id in ids]
    return answer({"cancelled": any(found)})


@routes.post(
    "/jobs/{id:[^/]+}/cancel",
    "Cancel a job, whether it waits or runs",
    answer=CANCELLED,
    statuses={**NO_JOB, 503: UNWRITABLE[503]},
)
async def cancel_job(server: Server, request: web.Request) -> web.Response:
    job = await _find(server, request)
    return answer({"cancelled": await server.queue.cancel(job.id)})


@routes.post(
    "/jobs/{id:[^/]+}/retry",
    "Submit a job that has ended once more, as a new one",
    answer=schema.SUBMITTED,
    statuses={
        **NO_JOB,
        409: "the job has not ended",
        429: "the queue is full",
        503: UNWRITABLE[503],
    },
)
async def retry_job(server: Server, request: web.Request) -> web.Response:
    job = await _find(server, request)
    if not job.status.ended:
        raise Refused(409, "not_ended", "The job has not ended", f"it is {job.status.value}")
    submission = again(job)
    seconds = submission.deadline
    deadline = None if seconds is None else time.time() + seconds
    request_again = replace(job.request, deadline=deadline)
    new = await enqueue(server, request_again, submission, retry_of=job.id)
    return answer({"prompt_id": new.id, "number": as_number(new.number), "node_errors": {}})


@routes.post(
    "/jobs/{id:[^/]+}/move",
    "Give a waiting job another place in the queue",
    body=schema.MOVE,
    answer=schema.MOVED,
    statuses={**NO_JOB, **UNWRITABLE, 409: "the job does not wait"},
)
async def move_job(server: Server, request: web.Request) -> web.Response:
    number = number_of(await read_object(request, SMALL))
    job = await _find(server, request)
    moved = await server.queue.move(job.id, number)
    if moved is None:
        raise Refused(409, "not_pending", "The job does not wait", f"it is {job.status.value}")
    return answer({"prompt_id": moved.id, "number": as_number(moved.number)})


async def _find(server: Server, request: web.Request) -> Job:
    job = await server.queue.find(request.match_info["id"])
    if job is None:
        raise _no_job()
    return job


def _no_job() -> Refused:
    return not_found("Job not found", "it was never submitted, or it was forgotten")
