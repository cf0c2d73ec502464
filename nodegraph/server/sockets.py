"""All websockets: whose events go where.

A job's messages go to the sockets of the client that submitted it, and to those that asked to hear
of that job. While a client has no socket its messages are kept for a while, so that who connects
after submitting, or connects again, misses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from nodegraph.jobs import Job, Message

from . import frames
from .away import Away
from .socket import Socket

STATUS_SECONDS = 0.2  # between two lengths of the queue that everybody is told


@dataclass
class Hub:
    """remaining: how many jobs wait or run, as every client is told."""

    remaining: Callable[[], int]
    _sockets: dict[str, list[Socket]] = field(default_factory=dict)  # by client
    _listening: dict[str, list[Socket]] = field(default_factory=dict)  # by job
    _away: Away = field(default_factory=Away)
    _changed: bool = False  # and not yet told
    _told: float = 0.0

    def everybody(self) -> list[Socket]:
        return [socket for group in self._sockets.values() for socket in group]

    def join(self, socket: Socket) -> bool:
        """A client is here: it hears what it has missed, then the length of the queue.

        In this order, since there are clients that look no further once the queue is empty.
        Whether there was something that it had missed.
        """
        self._sockets.setdefault(socket.client, []).append(socket)
        missed = self._away.take(socket.client)
        for each in missed or ():
            if isinstance(each, bytes):
                socket.send(each, result=True)
            else:
                self.pass_on(socket, each)
        socket.send(frames.text("status", {**self._status(), "sid": socket.client}))
        return missed is not None

    def leave(self, socket: Socket) -> None:
        """A socket is closed; others of the client are not."""
        socket.close()
        _remove(self._sockets, socket.client, socket)
        for job in socket.jobs:
            _remove(self._listening, job, socket)

    def listen(self, socket: Socket, job: str) -> None:
        """A socket wants to hear of a job."""
        if job not in socket.jobs:
            socket.jobs.add(job)
            self._listening.setdefault(job, []).append(socket)

    def ignore(self, socket: Socket, job: str) -> None:
        """It does not want to any more."""
        socket.jobs.discard(job)
        _remove(self._listening, job, socket)

    def ended(self, job: str) -> None:
        """There is nothing more to hear of a job."""
        for socket in self._listening.pop(job, []):
            socket.jobs.discard(job)

    def changed(self) -> None:
        """Tell everybody how long the queue is: at once, and of many changes the last."""
        if not self._changed:
            self._changed = True
            loop = asyncio.get_running_loop()
            loop.call_at(self._told + STATUS_SECONDS, self._tell_status)

    def tell(self, job: Job, message: Message) -> None:
        """Send a message of a job to its owner and to those who listen to it."""
        owner = job.request.client
        if owner and owner not in self._sockets:
            self._away.keep(owner, message, _key(message))
        texts: dict[bool, str] = {}
        for socket in self.listeners(job):
            numbered = socket.flags.numbered
            if numbered not in texts:
                texts[numbered] = _text(message, numbered)
            socket.send(texts[numbered], key=_key(message))

    def show(self, job: Job, frame: bytes) -> None:
        """Send a picture that is a result of a job to the same, in its place among the messages."""
        owner = job.request.client
        if owner and owner not in self._sockets:
            self._away.keep(owner, frame)
        for socket in self.listeners(job):
            socket.send(frame, result=True)

    def pass_on(self, socket: Socket, message: Message) -> None:
        """Send a message to one socket."""
        socket.send(_text(message, socket.flags.numbered), key=_key(message))

    def listeners(self, job: Job) -> list[Socket]:
        """The sockets that hear of a job."""
        owners = self._sockets.get(job.request.client, []) if job.request.client else []
        others = self._listening.get(job.id, [])
        return [*owners, *(socket for socket in others if socket not in owners)]

    def wanting(self, job: Job) -> list[Socket]:
        """The sockets that are to be sent a job's result."""
        return [socket for socket in self.everybody() if job.id in socket.wanted]

    def send(self, client: str, type: str, data: dict[str, Any]) -> None:
        """Send something to a client, if it is here."""
        text = frames.text(type, data)
        for socket in self._sockets.get(client, []):
            socket.send(text)

    def _tell_status(self) -> None:
        self._changed = False
        self._told = asyncio.get_running_loop().time()
        text = frames.text("status", self._status())
        for socket in self.everybody():
            socket.send(text, key="status")

    def _status(self) -> dict[str, Any]:
        return {"status": {"exec_info": {"queue_remaining": self.remaining()}}}


def _text(message: Message, numbered: bool) -> str:
    more = {"n": message.n} if numbered else {}
    return frames.text(message.type, message.data, **more)


def _key(message: Message) -> Hashable:
    """What a newer message takes the place of: progress of the same node, or of the same job."""
    if not message.passing:
        return None
    return (message.type, message.data.get("prompt_id"), message.data.get("node"))


def _remove(groups: dict[str, list[Socket]], name: str, socket: Socket) -> None:
    group = groups.get(name, [])
    if socket in group:
        group.remove(socket)
    if not group:
        groups.pop(name, None)
