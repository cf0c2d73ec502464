"""One websocket: a buffer with a bound, and a task that empties it.

Nobody waits for a client. What it does not read is buffered. For a client that is behind, only the
newest progress, preview and length of the queue wait; when the buffer is full the previews go
first, then the socket is closed with a reason. The job goes on, and its events can be had again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from aiohttp import WSCloseCode, web

MAX_BYTES = 8 << 20  # that wait for one client, without results
MAX_RESULTS = 256 << 20  # bytes of results that wait when one more is to
MAX_FRAMES = 10_000
BEHIND = 64  # frames that wait for a client that keeps up
ROOM = 1 << 20  # bytes below which results, which may be large, are put in
PATIENCE = 5.0  # seconds that a client has to read why its socket is closed


@dataclass
class Flags:
    """What a client said it understands.

    previews: binary previews with metadata. numbered: numbers at its jobs' messages.
    extended: messages that are not the ecosystem's.
    """

    previews: bool = False
    numbered: bool = False
    extended: bool = False


@dataclass(frozen=True)
class _Frame:
    content: str | bytes
    droppable: bool = False
    result: bool = False
    key: Hashable = None


@dataclass(eq=False)
class Socket:
    """A client's websocket. Used on the event loop alone.

    client: the client's id; several sockets may have one. abort: ends the connection at once.
    jobs:   ids of jobs it asked to hear of. wanted: of those whose result it is to be sent.
    """

    client: str
    ws: web.WebSocketResponse
    abort: Callable[[], None]
    flags: Flags = field(default_factory=Flags)
    jobs: set[str] = field(default_factory=set)
    wanted: set[str] = field(default_factory=set)
    closed: bool = False
    _frames: dict[int, _Frame] = field(default_factory=dict)  # in order
    _newest: dict[Hashable, int] = field(default_factory=dict)  # those that a newer one replaces
    _bytes: int = 0  # without results
    _results: int = 0  # bytes of them
    _next: int = 0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _room: asyncio.Event = field(default_factory=asyncio.Event)
    _goodbye: asyncio.Task[None] | None = None

    def send(
        self,
        content: str | bytes,
        *,
        key: Hashable = None,
        droppable: bool = False,
        result: bool = False,
    ) -> None:
        """Send something, sooner or later.

        key: while it waits for a client that is behind, a newer one with the same key takes its
             place. droppable: it may be left out for a client that is slow. result: it may be
             large, however large: that alone does not make a client a slow one.
        """
        if self.closed:
            return
        if key is not None and key in self._newest and (droppable or len(self._frames) > BEHIND):
            self._remove(self._newest[key])
        overfull = result and self._results > MAX_RESULTS
        self._put(_Frame(content, droppable, result, key))
        if self._full():
            self._drop_previews()
        if overfull or self._full():
            self._give_up()

    async def send_all(self, content: str | bytes) -> None:
        """Send a result that can wait: it is put in when there is room for it."""
        while self._bytes + self._results > ROOM and not self.closed:
            self._room.clear()
            await self._room.wait()
        if not self.closed:
            self._put(_Frame(content, result=True))

    async def empty(self) -> None:
        """Send what there is to send, until the socket is closed."""
        while not self.closed:
            while self._frames and not self.closed:
                content = self._remove(next(iter(self._frames))).content
                if isinstance(content, str):
                    await self.ws.send_str(content)
                else:
                    await self.ws.send_bytes(content)
                if self._bytes + self._results <= ROOM:
                    self._room.set()
            self._wake.clear()
            if not self.closed:
                await self._wake.wait()

    def close(self) -> None:
        """Nothing is sent any more."""
        self.closed = True
        self._frames.clear()
        self._newest.clear()
        self._bytes = self._results = 0
        self._wake.set()
        self._room.set()

    def _put(self, frame: _Frame) -> None:
        self._next += 1
        self._frames[self._next] = frame
        self._count(frame, len(frame.content))
        if frame.key is not None:
            self._newest[frame.key] = self._next
        self._wake.set()

    def _count(self, frame: _Frame, nbytes: int) -> None:
        if frame.result:
            self._results += nbytes
        else:
            self._bytes += nbytes

    def _remove(self, number: int) -> _Frame:
        frame = self._frames.pop(number)
        self._count(frame, -len(frame.content))
        if frame.key is not None and self._newest.get(frame.key) == number:
            del self._newest[frame.key]
        return frame

    def _full(self) -> bool:
        return self._bytes > MAX_BYTES or len(self._frames) > MAX_FRAMES

    def _drop_previews(self) -> None:
        for number in [n for n, frame in self._frames.items() if frame.droppable]:
            self._remove(number)

    def _give_up(self) -> None:
        self.close()
        self._goodbye = asyncio.get_running_loop().create_task(self._say_goodbye())

    async def _say_goodbye(self) -> None:
        reason = b"too slow: events were not read; connect again and ask for them"
        with contextlib.suppress(Exception):
            closing = self.ws.close(code=WSCloseCode.TRY_AGAIN_LATER, message=reason)
            await asyncio.wait_for(closing, PATIENCE)
        self.abort()  # it may not even read that
