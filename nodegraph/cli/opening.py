"""An engine for the time of a command, and Ctrl-C for the time of a run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from nodegraph.context import CancelToken
from nodegraph.engine import Engine

from .complain import Exit
from .plugin_table import tell
from .session import Session


@contextmanager
def opened(session: Session, **arguments: Any) -> Iterator[Engine]:
    """An engine as the settings say; plugins that could not be loaded are told."""
    with Engine(session.modules(), session.settings, **arguments) as engine:
        tell(session, engine.plugins)
        yield engine


@contextmanager
def cancelled_by_ctrl_c(session: Session) -> Iterator[CancelToken]:
    """A token that Ctrl-C sets: the run ends at its next step. A second Ctrl-C ends the program.

    Ending it like that loses nothing that is written: files appear when they are whole.
    """
    token = CancelToken()

    def interrupted(_signal: int, _frame: FrameType | None) -> None:
        if token.cancelled:
            session.err.show_cursor(True)
            os._exit(Exit.CANCELLED)
        token.cancel()
        session.say("cancelling after the step under way; Ctrl-C again to end at once")

    if threading.current_thread() is not threading.main_thread():  # signals are not for others
        yield token
        return
    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield token
    finally:
        signal.signal(signal.SIGINT, before)
