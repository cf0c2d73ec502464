"""Results of jobs over a websocket: what they show as JSON, their pictures as binary frames."""

from __future__ import annotations

import asyncio
import logging
import mimetypes
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nodegraph.errors import FileMissing
from nodegraph.jobs import Job
from nodegraph.outputs import SavedFile
from nodegraph.traversal import natural

from . import frames
from .socket import Socket

if TYPE_CHECKING:
    from .server import Server

log = logging.getLogger(__name__)


def answer_of(job: Job, pictures: int) -> dict[str, Any]:
    """A finished job's result. `images`: how many frames with pictures came before it."""
    return {
        "prompt_id": job.id,
        "status": job.status.value,
        "outputs": job.result.outputs,
        "error": job.result.error,
        "images": pictures,
    }


async def send_result(server: Server, socket: Socket, job: Job) -> None:
    """Send a client the pictures of a job that has ended, then its result."""
    try:
        sent = await send_pictures(server, socket, job)
        await socket.send_all(frames.text("result", answer_of(job, sent)))
    except Exception:
        log.exception("the result of job %s could not be sent", job.id)


async def send_pictures(server: Server, socket: Socket, job: Job) -> int:
    """Send the files that a job saved, one frame each; how many those were.

    One at a time, and as fast as the client reads. A file that is gone is left out.
    """
    sent = 0
    for node, index, file in saved_files(job):
        try:
            content = await asyncio.to_thread(_read, server, file)
        except (OSError, FileMissing):
            continue
        kind = mimetypes.guess_type(file.filename)[0] or "application/octet-stream"
        about = {"prompt_id": job.id, "node_id": node, "index": index, "image_type": kind}
        frame = frames.with_metadata(frames.RESULT, {**about, **file.as_json()}, content)
        await socket.send_all(frame)
        sent += 1
    return sent


def saved_files(job: Job) -> Iterator[tuple[str, int, SavedFile]]:
    """(node, place among the node's, file) of everything a job saved, in the nodes' order."""
    for node in sorted(job.result.outputs, key=natural):
        output = job.result.outputs[node]
        listed = [item for items in output.values() for item in items if _is_file(item)]
        for index, item in enumerate(listed):
            yield node, index, SavedFile(item["filename"], item["subfolder"], item["type"])


def _is_file(item: Any) -> bool:
    return isinstance(item, Mapping) and {"filename", "subfolder", "type"} <= item.keys()


def _read(server: Server, file: SavedFile) -> bytes:
    name = "/".join(part for part in (file.subfolder, file.filename) if part)
    return server.folders.resolve(file.type, name).read_bytes()
