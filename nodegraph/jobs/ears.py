"""Who listens to the queue."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec

from nodegraph.outputs import Sent

from .job import Job
from .messages import Message

P = ParamSpec("P")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ears:
    """Who is told, on the event loop.

    That the queue changed; a job's messages, and the pictures that its nodes send as results, in
    the order in which they came; a job's end.
    """

    changed: Callable[[], None]
    message: Callable[[Job, Message], None]
    sent: Callable[[Job, Sent], None]
    ended: Callable[[Job], None]

    def guarded(self) -> Ears:
        """The same; what they do wrong is logged, and nobody else's fault."""
        return Ears(*map(_guarded, (self.changed, self.message, self.sent, self.ended)))  # type: ignore[arg-type]


def _guarded(ear: Callable[P, None]) -> Callable[P, None]:
    def hear(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            ear(*args, **kwargs)
        except Exception:
            log.exception("who listens to the queue failed")

    return hear
