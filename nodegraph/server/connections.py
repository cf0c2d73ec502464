"""Connections, beneath the requests: what aiohttp answers by itself, how long a silent client is
waited for, how many there may be at once.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.http import HttpProcessingError

from .answers import Refused
from .headers import safe_headers

# Seconds that a connection may take for the head of a request, or be idle between two. Longer than
# proxies keep theirs: nginx 60, Caddy 120.
IDLE = 130.0
FILES = 8192  # that may be open, if the system allows so many; half of them may be connections
FEWEST = 64  # connections, however few files may be open
BACKLOG = 1024  # connections that wait to be taken in

# What is wrong on the other side of a connection.
THEIRS = (HttpProcessingError, web.RequestPayloadError, ConnectionError)

log = logging.getLogger(__name__)


class Connections(web.AppRunner):
    """Runs an application, with connections of ours. room: how many there may be."""

    def __init__(self, app: web.Application, **options: Any) -> None:
        super().__init__(app, **options)
        self.room = make_room()

    @property
    def server(self) -> Any:
        """What makes a connection: called by the event loop for each."""
        server, loop = super().server, asyncio.get_running_loop()
        assert server is not None
        return partial(Connection, server, self.room, loop=loop, access_log=None)


@dataclass
class Room:
    """How many connections there may be, how many of them may be new at the same moment, and when
    somebody was last told that there are too many.
    """

    most: int
    backlog: int
    told: float = -math.inf

    def complain(self) -> None:
        """Say so in the log, once a minute."""
        if time.monotonic() > self.told + 60:
            self.told = time.monotonic()
            log.warning("connections are refused: there are %d, as many as may be", self.most)


def make_room() -> Room:
    """Have as many files open as the system allows, up to FILES; what connections get of them.

    New ones are taken in before they can be counted, so there is room for them beside the others.
    """
    try:
        import resource
    except ImportError:  # Windows, where files and connections do not share a limit
        return Room(FILES // 2, BACKLOG)
    files, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < FILES:
        files = FILES if limit == resource.RLIM_INFINITY else min(FILES, limit)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, limit))
    half = (FILES if files == resource.RLIM_INFINITY else min(files, FILES)) // 2
    return Room(max(FEWEST, half), min(BACKLOG, half // 4))


class Connection(web.RequestHandler):
    """One connection.

    What is no HTTP gets the answer that every other wrong request gets, and no traceback in the
    log, which anybody could fill that way.

    room: where there are too many connections, one more is closed at once, so that files can
          still be opened and jobs do not suffer.
    """

    def __init__(self, server: web.Server, room: Room, **options: Any) -> None:
        super().__init__(server, keepalive_timeout=IDLE, **options)
        self._home = server
        self._room = room

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self._home.connections) > self._room.most:
            self._room.complain()
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what never became a request, or failed after its handler had ended."""
        if no_text(request, exc):
            status, exc, message = 400, None, "a header is no text"
        if exc is not None:
            self.log_exception("a request from %s failed", request.remote, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already")
        response = _refused(status, message or "").response()
        safe_headers(response)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; one that aiohttp made itself, in our shape."""
        if isinstance(resp, web.HTTPException) and resp.status >= 400:
            resp = _refused(resp.status, resp.text or resp.reason).response()
        return await super().finish_response(request, resp, start_time)

    def log_exception(self, *args: Any, **options: Any) -> None:
        """Log an error; one that the client made, without more words than it deserves."""
        error = options.get("exc_info")
        if isinstance(error, THEIRS):
            self.logger.debug("%s: %s", args[0] % args[1:], _line(str(error)))
        else:
            super().log_exception(*args, **options)


def no_text(request: web.BaseRequest, error: BaseException | None) -> bool:
    """Whether an error comes from a header that is no text: aiohttp puts some into its words."""
    if not isinstance(error, UnicodeEncodeError):
        return False
    return any("\udc80" <= letter <= "\udcff" for letter in "".join(request.headers.values()))


def _refused(status: int, message: str) -> Refused:
    if status >= 500:
        return Refused(status, "internal_error", "The server failed", "its log says why")
    return Refused(status, "bad_request", "This is no request that can be read", _line(message))


def _line(text: str) -> str:
    """The first line of a text, cut short."""
    return text.strip().partition("\n")[0][:200]
