"""Jobs in the shapes that clients know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nodegraph.jobs import Job, Status

from .submission import as_number

IN_HISTORY = (
    "execution_start",
    "execution_cached",
    "execution_success",
    "execution_error",
    "execution_interrupted",
)
# The names of the statuses in /api/jobs.
NAMES = {
    Status.PENDING: "pending",
    Status.RUNNING: "in_progress",
    Status.SUCCESS: "completed",
    Status.ERROR: "failed",
    Status.CANCELLED: "cancelled",
}
MEDIA = ("images", "video", "audio", "gifs", "3d")


def queue_item(job: Job) -> list[Any]:
    """`[number, prompt_id, prompt, extra_data, outputs_to_execute]`."""
    request = job.request
    return [
        as_number(job.number),
        job.id,
        request.document,
        dict(request.extra),
        list(request.targets),
    ]


def history_entry(job: Job) -> dict[str, Any]:
    """An entry of /history."""
    success = job.status is Status.SUCCESS
    return {
        "prompt": queue_item(job),
        "outputs": job.result.outputs,
        "status": {
            "status_str": "success" if success else "error",
            "completed": success,
            "messages": [
                [type, data] for _, type, data in job.result.messages if type in IN_HISTORY
            ],
        },
        "meta": job.result.meta,
    }


def history(jobs: Iterable[Job]) -> dict[str, Any]:
    return {job.id: history_entry(job) for job in jobs}


def job_summary(job: Job) -> dict[str, Any]:
    """A job as /api/jobs lists it. Times in milliseconds."""
    shown = list(_shown(job.result.outputs))
    return {
        "id": job.id,
        "status": NAMES[job.status],
        "priority": as_number(job.number),
        "create_time": _millis(job.created),
        "execution_start_time": _millis(job.started),
        "execution_end_time": _millis(job.ended),
        "execution_error": job.result.error if job.status is Status.ERROR else None,
        "outputs_count": len(shown),
        "previewable_outputs_count": sum(item["mediaType"] == "images" for item in shown),
        "preview_output": shown[0] if shown else None,
        "workflow_id": _workflow_id(job),
        "attempts": job.attempts,
        "retry_of": job.retry_of,
        "deadline": _millis(job.request.deadline),
    }


def job_details(job: Job) -> dict[str, Any]:
    """One job in full."""
    status = history_entry(job)["status"] if job.status.ended else None
    return {
        **job_summary(job),
        "outputs": job.result.outputs,
        "execution_status": status,
        "workflow": {
            "prompt": job.request.document,
            "extra_data": dict(job.request.extra),
        },
    }


def _shown(outputs: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for node, output in outputs.items():
        for kind in output if isinstance(output, Mapping) else ():
            items = output[kind] if isinstance(output[kind], list) else []
            for item in items:
                if isinstance(item, Mapping) and "filename" in item:
                    yield {**item, "nodeId": node, "mediaType": kind}


def _workflow_id(job: Job) -> str | None:
    workflow = job.request.workflow
    found = None if workflow is None else workflow.get("id")
    return found if isinstance(found, str) else None


def _millis(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)
