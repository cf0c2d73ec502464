"""A job: a graph somebody wants run, and what became of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self not in (Status.PENDING, Status.RUNNING)


@dataclass(frozen=True)
class Request:
    """What is asked for.

    document: the graph, in API format. targets: the ids of the wanted nodes.
    extra:    what came with it (extra_data); `workflow`, the editor's form, is in there.
    client:   whose it is: who gets its events.
    deadline: when it must have ended, in seconds since the epoch.
    """

    document: Mapping[str, Any]
    targets: tuple[str, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)
    client: str = ""
    deadline: float | None = None

    @property
    def workflow(self) -> Mapping[str, Any] | None:
        found: Any = self.extra.get("extra_pnginfo")
        found = found.get("workflow") if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else None

    @property
    def digest(self) -> str:
        """Of the graph: two requests that have it in common ask for the same."""
        text = json.dumps([self.document, sorted(self.targets)], sort_keys=True, default=str)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Result:
    """What became of a job.

    outputs:  for each output node that finished, what it shows, as clients see it.
    messages: what happened, (number, type, data); without progress.
    error:    why it failed, the data of its `execution_error`; of a cancelled job, why.
    """

    outputs: Mapping[str, Any] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    messages: tuple[tuple[int, str, Mapping[str, Any]], ...] = ()
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Job:
    """A request in the queue, running, or done.

    id:       chosen by who submitted it, or by the server.
    seq:      in which order jobs were submitted. number: lower ones run first.
    created, started, ended: seconds since the epoch. attempts: how often it was begun.
    crashes:  how often the server ended without warning while it ran.
    retry_of: the job that this one tries again.
    """

    id: str
    request: Request
    number: float = 0.0
    seq: int = 0
    status: Status = Status.PENDING
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    attempts: int = 0
    crashes: int = 0
    retry_of: str | None = None
    result: Result = field(default_factory=Result)

    @property
    def turn(self) -> tuple[bool, float, int]:
        """Jobs run in this order; first of all those that ran when the server ended."""
        return (self.attempts == 0, self.number, self.seq)

    def with_(self, **changes: Any) -> Job:
        return replace(self, **changes)
