"""What handlers share: the parts of one running server, put together by `app.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nodegraph.folders import Folders
from nodegraph.settings import Settings

from .users import UserFiles

if TYPE_CHECKING:
    from nodegraph.engine import Engine
    from nodegraph.jobs import JobQueue, Journal

    from .access import Access
    from .backend import Backend
    from .live import Live
    from .logs import Logs
    from .metrics import Metrics
    from .sockets import Hub


@dataclass
class Server:
    """One server.

    backend: gives the engine, which is loaded in the background.
    queue, journal: the jobs. hub: the websockets. live: previews. access: who may do what.
    """

    settings: Settings
    folders: Folders
    backend: Backend
    journal: Journal
    queue: JobQueue
    hub: Hub
    access: Access
    metrics: Metrics
    logs: Logs
    live: Live
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @cached_property
    def users(self) -> UserFiles:
        """The user's files, behind one lock."""
        return UserFiles.of(self.settings)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something beside; it must not raise."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def engine(self) -> Engine:
        """The engine, waited for while it is loaded."""
        return await self.backend.engine()
