"""Graphs that come in, by HTTP or over a websocket: read, checked, put into the queue."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nodegraph.documents import Document
from nodegraph.errors import DocumentError, Fault, InvalidGraph
from nodegraph.jobs import Closing, Job, JournalError, OtherJob, QueueFull, Request
from nodegraph.workflow import is_workflow

from .answers import Refused, bad_request
from .bodies import as_object, field, number, texts
from .faults import MOST, told

if TYPE_CHECKING:
    from nodegraph.engine import Engine
    from nodegraph.graph import Checked

    from .server import Server

SECRETS = ("auth_token_comfy_org", "api_key_comfy_org")  # of other services: not ours to keep
LONGEST_ID = 200
YEAR = 366 * 86400.0


@dataclass(frozen=True)
class Submission:
    """What a client sent.

    graph:   in either format. number, front: where in the queue. deadline: in seconds from now.
    targets: ids of the wanted nodes; None: all that save or show something.
    """

    graph: Mapping[str, Any]
    id: str
    extra: Mapping[str, Any]
    client: str = ""
    number: float | None = None
    front: bool = False
    targets: tuple[str, ...] | None = None
    deadline: float | None = None


def read_submission(data: Mapping[str, Any], client: str = "") -> Submission:
    """What POST /prompt and the command `submit` have in common. Refused (400)."""
    extra = dict(field(data, "extra_data", dict, {}))
    for name in SECRETS:
        extra.pop(name, None)
    client = field(data, "client_id", str, "") or client or field(extra, "client_id", str, "")
    if client:
        extra["client_id"] = client
    targets = data.get("partial_execution_targets")
    return Submission(
        _graph(data),
        _id(data),
        extra,
        client,
        number(data, "number"),
        field(data, "front", bool, False),
        None if targets is None else tuple(texts(data, "partial_execution_targets")),
        _deadline(data),
    )


async def submit(
    server: Server, submission: Submission, retry_of: str | None = None
) -> dict[str, Any]:
    """Check a graph and put it into the queue; the answer. Refused for whatever is wrong."""
    document, checked = await check(server, submission)
    graph = checked.graph
    if graph is None:
        raise invalid(checked)
    request = Request(
        document.document,
        graph.targets,
        _with_workflow(submission.extra, document),
        submission.client,
        None if submission.deadline is None else time.time() + submission.deadline,
    )
    job = await enqueue(server, request, submission, retry_of)
    return {
        "prompt_id": job.id,
        "number": as_number(job.number),
        "node_errors": InvalidGraph(checked.faults, checked.dependants).node_errors(),
        **warnings(checked),
    }


async def enqueue(
    server: Server, request: Request, submission: Submission, retry_of: str | None = None
) -> Job:
    """Put a request into the queue. Refused (409, 429, 503)."""
    try:
        return await server.queue.submit(
            request,
            id=submission.id,
            number=submission.number,
            front=submission.front,
            retry_of=retry_of,
        )
    except QueueFull as error:
        raise Refused(
            429, "queue_full", "The queue is full", str(error), headers={"Retry-After": "5"}
        ) from None
    except OtherJob as error:
        raise Refused(409, "prompt_id_taken", "The prompt_id is taken", str(error)) from None
    except Closing as error:
        raise Refused(
            503, "closing", "The server is ending", str(error), headers={"Retry-After": "10"}
        ) from None
    except JournalError as error:
        raise Refused(503, "journal", "The job cannot be written down", str(error)) from None


async def validate(server: Server, submission: Submission) -> dict[str, Any]:
    """What is wrong with a graph, without running it."""
    _, checked = await check(server, submission)
    return {
        "valid": not checked.faults,
        "error": None if not checked.faults else invalid(checked).as_json()["error"],
        "node_errors": InvalidGraph(checked.faults, checked.dependants).node_errors(),
        **warnings(checked),
    }


async def check(server: Server, submission: Submission) -> tuple[Document, Checked]:
    """The document, converted if it is an editor's, and what is wrong with it. Refused (400)."""
    engine = await server.engine()
    return await asyncio.to_thread(_check, engine, submission)


def _check(engine: Engine, submission: Submission) -> tuple[Document, Checked]:
    try:
        document = engine.read(submission.graph)
        targets = submission.targets
        checked = engine.check_document(document, targets=None if targets is None else [*targets])
    except DocumentError as error:
        raise bad_request("The graph cannot be read", str(error), type="invalid_prompt") from None
    return document, told(checked, engine.registry)


def invalid(checked: Checked) -> Refused:
    """The answer about a graph of which nothing can run: 400, or 413 for one that is too large."""
    faults = checked.faults
    nodes = InvalidGraph(faults, checked.dependants).node_errors()
    whole = [fault for fault in faults if fault.node is None]
    if whole:
        status = 413 if whole[0].type == "prompt_too_large" else 400
        head = whole[0]
        details = "\n".join(fault.details for fault in whole)
        return Refused(
            status, head.type, head.message, details, extra=head.extra, node_errors=nodes
        )
    missing = [f for f in faults if f.type in ("missing_node_type", "missing_class_type")]
    if missing:
        details = f"Node ID '#{missing[0].node}': {missing[0].details}"
        return Refused(400, "invalid_prompt", missing[0].message, details, node_errors=nodes)
    message = "Prompt outputs failed validation"
    details = _lines(faults)
    return Refused(400, "prompt_outputs_failed_validation", message, details, node_errors=nodes)


def warnings(checked: Checked) -> dict[str, Any]:
    """What is doubtful, where something is."""
    found = [{**fault.as_json(), "node_id": fault.node} for fault in checked.warnings]
    return {"warnings": found} if found else {}


def as_number(number: float) -> int | float:
    """A place in the queue as clients see it."""
    return int(number) if number.is_integer() else number


def _lines(faults: list[Fault] | tuple[Fault, ...]) -> str:
    more = [f"only the first {MOST:,} are told"] if len(faults) == MOST else []
    return "\n".join([*(f"{fault.message}: {fault}" for fault in faults), *more])


def _graph(data: Mapping[str, Any]) -> Mapping[str, Any]:
    graph = data.get("prompt")
    if graph is None and is_workflow(data):
        return data
    if graph is None:
        raise bad_request(
            "No prompt provided",
            'send {"prompt": graph}, in API or editor format',
            type="no_prompt",
        )
    return as_object(graph, "prompt")


def _id(data: Mapping[str, Any]) -> str:
    given = data.get("prompt_id")
    if given is None:
        return str(uuid.uuid4())
    if isinstance(given, str) and 0 < len(given) <= LONGEST_ID and re.fullmatch(r"[!-~]+", given):
        return given
    details = f"expected 1 to {LONGEST_ID} letters, digits and signs without spaces, such as a UUID"
    raise bad_request("The prompt_id cannot be used", details, type="invalid_prompt_id")


def _deadline(data: Mapping[str, Any]) -> float | None:
    seconds = number(data, "deadline")
    if seconds is not None and not 0 < seconds <= YEAR:
        raise bad_request("deadline is wrong", "expected seconds from now, more than 0")
    return seconds


def _with_workflow(extra: Mapping[str, Any], document: Document) -> Mapping[str, Any]:
    """The editor's form travels with the job, into the pictures that it saves."""
    if document.workflow is None:
        return extra
    given = extra.get("extra_pnginfo")
    info = dict(given) if isinstance(given, Mapping) else {}
    info.setdefault("workflow", document.workflow)
    return {**extra, "extra_pnginfo": info}


def again(job: Job) -> Submission:
    """The submission that tries a job again, as a new one."""
    deadline = job.request.deadline
    return replace(
        Submission(job.request.document, str(uuid.uuid4()), job.request.extra, job.request.client),
        targets=job.request.targets,
        deadline=None if deadline is None else max(1.0, deadline - job.created),
    )
