"""What the server has logged lately, without anything that only this computer should know."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nodegraph.folders import Folders
from nodegraph.settings import Settings

KEPT = 1000  # lines
LONGEST = 4096  # characters of a line
SUBSCRIBERS = 256
SIZE: Mapping[str, int] = MappingProxyType({"cols": 160, "rows": 50})  # of a terminal for them
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # a terminal would obey them

Entry = dict[str, str]
"""{"t": when, in ISO 8601, "m": the line with its end}"""

Send = Callable[[str, str, dict[str, Any]], None]


class Logs(logging.Handler):
    """A log handler that keeps the last lines, and sends new ones to clients that want them.

    Folders of ours are called by their names, other places of this computer by their last part. An
    exception is its message, without the traceback. With `settings.debug` nothing is hidden.
    """

    def __init__(self, folders: Folders, settings: Settings) -> None:
        super().__init__(logging.INFO)
        self.redact = Redaction(folders, settings)
        self._debug = settings.debug
        self._kept: deque[Entry] = deque(maxlen=KEPT)
        self._subscribers: dict[str, None] = {}
        self._unsent: deque[Entry] = deque(maxlen=KEPT)
        self._sending = False
        self._send: Send | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, send: Send) -> None:
        """Keep what anybody logs from now on. Called on the event loop, as `send` will be:
        send(client, "logs", {"entries": [...], "size": {...}}) for each client who subscribed.
        """
        self._send, self._loop = send, asyncio.get_running_loop()
        logging.getLogger().addHandler(self)

    def detach(self) -> None:
        """The end of that."""
        logging.getLogger().removeHandler(self)
        self._loop = None

    def entries(self) -> list[Entry]:
        """The last lines, the oldest first."""
        with self._locked():
            return list(self._kept)

    def subscribe(self, client: str, enabled: bool) -> None:
        """Whether a client is sent new lines. Of too many the one that came first is dropped."""
        with self._locked():
            self._subscribers.pop(client, None)
            if enabled:
                self._subscribers[client] = None
            while len(self._subscribers) > SUBSCRIBERS:
                del self._subscribers[next(iter(self._subscribers))]

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record; called in any thread, and never raises."""
        try:
            entry = self._entry(record)
            self._kept.append(entry)
            if not self._subscribers or self._loop is None:
                return
            self._unsent.append(entry)
            if not self._sending:
                self._sending = True
                self._loop.call_soon_threadsafe(self._send_unsent)
        except Exception:
            self.handleError(record)

    def _send_unsent(self) -> None:
        with self._locked():
            entries, clients = list(self._unsent), list(self._subscribers)
            self._unsent.clear()
        for client in clients:
            if self._send is not None:
                self._send(client, "logs", {"entries": entries, "size": dict(SIZE)})
        # Not sooner: what is logged while lines are sent goes with the next line, or the log would
        # never be still again.
        self._sending = False

    def _entry(self, record: logging.LogRecord) -> Entry:
        text = record.getMessage()[:LONGEST]
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            text += f": {type(error).__name__}: {error}"[:LONGEST]
            if self._debug:
                text += "\n" + logging.Formatter().formatException(record.exc_info)
        if not self._debug:
            text = self.redact(text)
        text = CONTROL.sub("?", text.rstrip("\n"))
        when = datetime.fromtimestamp(record.created, UTC).isoformat()
        return {"t": when, "m": f"{record.levelname.lower()}: {text}\n"}

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()


class Redaction:
    """Takes the places of this computer, and the token, out of a text."""

    def __init__(self, folders: Folders, settings: Settings) -> None:
        self._token = settings.token
        self._names: dict[str, str] = {}
        for folder, name in _known(folders, settings):
            for path in (os.path.abspath(folder), os.path.realpath(folder)):
                if os.path.dirname(path) != path:  # not the root, in which everything is
                    self._names.setdefault(path, name)
        known = "|".join(map(re.escape, sorted(self._names, key=len, reverse=True)))
        # The name must end there: /home/ann is not in /home/anna, nor in /home/ann.old.
        self._known = re.compile(rf"(?<![\w.~-])({known})(?![\w-]|\.\w)")
        self._elsewhere = _elsewhere()

    def __call__(self, text: str) -> str:
        if self._token:
            text = text.replace(self._token, "<token>")
        text = self._known.sub(lambda match: self._names[match[1]], text)
        return self._elsewhere.sub(lambda match: _last_part(match[0]), text)


def _known(folders: Folders, settings: Settings) -> Iterator[tuple[str | Path, str]]:
    """Folders, and what they are called. Of two names for one folder the first is used."""
    yield from ((extra.path, extra.kind) for extra in folders.extra)
    yield from ((path, "models") for path in folders.models)
    yield from ((path, "plugins") for path in settings.plugins)
    for place in ("input", "output", "temp"):
        yield folders.folder(place), place
    if folders.cache is not None:
        yield folders.cache, "cache"
    yield settings.state, "state"
    yield Path(__file__).parent.parent, "nodegraph"
    yield from ((path, "python") for path in (sys.prefix, sys.base_prefix))
    yield os.getcwd(), "."
    yield os.path.expanduser("~"), "~"


def _elsewhere() -> re.Pattern[str]:
    """Any other place of this computer: what begins at one of the folders that are in its root.

    A URL's path does not, as a rule: /api/prompt is left as it is.
    """
    try:
        top = [entry.name for entry in os.scandir("/") if entry.is_dir()]
    except OSError:
        top = []
    rest = r"[^\s\"'<>|:*?,;()]"
    posix = rf"/(?:{'|'.join(map(re.escape, top))})/{rest}*" if top else "(?!)"
    windows = rf"(?:[A-Za-z]:|\\)[/\\]+{rest}+"
    return re.compile(rf"(?<![\w.~-])(?:{posix}|{windows})")


def _last_part(path: str) -> str:
    return ".../" + re.split(r"[/\\]+", path.rstrip("/\\"))[-1]
