"""`nodegraph serve`: the server, from its start to a signal that ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from nodegraph.folders import Folders
from nodegraph.server.app import Address, running
from nodegraph.settings import Settings

from .session import Session

if TYPE_CHECKING:
    from nodegraph.engine import Engine

log = logging.getLogger(__name__)

LAST = 20.0  # seconds beyond those for running jobs: then the process ends, whatever it does


def serve(session: Session) -> int:
    """Run the server until SIGTERM or Ctrl-C. A second one ends it at once."""
    logging.basicConfig(
        level=logging.DEBUG if session.settings.debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("PIL").setLevel(logging.INFO)
    return asyncio.run(_serve(session))


async def _serve(session: Session) -> int:
    loop = asyncio.get_running_loop()
    end: asyncio.Future[BaseException | None] = loop.create_future()

    def stop(error: BaseException | None = None) -> None:
        if not end.done():
            end.set_result(error)

    def load(settings: Settings, folders: Folders) -> Engine:
        return _engine(session, settings, folders)

    with _signals(stop):
        async with running(session.settings, load, stop) as address:
            _greet(session, address)
            error = await end
            _end_within(session.settings.shutdown_seconds + LAST)
            session.say("ending: what does not finish soon runs again at the next start")
    if isinstance(error, Exception):
        raise error
    return 0


def _engine(session: Session, settings: Settings, folders: Folders) -> Engine:
    from nodegraph.engine import Engine

    engine = Engine(session.modules(), settings, folders=folders)
    for plugin in engine.plugins:
        if plugin.error is not None:
            log.warning("%s", plugin.reason)
        for doubt in plugin.warnings:
            log.warning("plugin %s: %s", plugin.name, doubt)
    session.say(f"ready: {len(engine.registry.nodes)} node types")
    return engine


def _greet(session: Session, address: Address) -> None:
    """Say where it listens; on standard output, so that a script can read it."""
    print(f"listening on {address.url}", flush=True)
    if address.link is not None:
        session.say(f"open it in a browser, once, within 15 minutes: {address.link}")
    if address.token is not None and session.settings.token is None:
        session.say(f"programs send this header: Authorization: Bearer {address.token}")


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT end the server in order; once more, at once."""
    loop = asyncio.get_running_loop()
    asked = False

    def ask() -> None:
        nonlocal asked
        if asked:
            os._exit(130)
        asked = True
        stop()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if threading.current_thread() is not threading.main_thread():  # signals are not for others
        numbers = []
    for number in numbers:
        try:
            loop.add_signal_handler(number, ask)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(ask))
    yield


def _end_within(seconds: float) -> None:
    """Nothing that never returns must keep the process: no node, and no file that is read."""
    timer = threading.Timer(seconds, os._exit, [0])
    timer.daemon = True
    timer.start()
