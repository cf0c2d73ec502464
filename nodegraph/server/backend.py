"""The engine, loaded in the background: the server listens before torch is imported."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from .answers import Refused

if TYPE_CHECKING:
    from nodegraph.engine import Engine


class Backend:
    """Loads the engine in a thread; who needs it waits.

    failed: called on the event loop with the reason, if there can be no engine.
    """

    def __init__(self, load: Callable[[], Engine], failed: Callable[[BaseException], None]) -> None:
        self._load = load
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[Engine] = self._loop.create_future()
        self.error: BaseException | None = None

    def start(self) -> None:
        threading.Thread(target=self._work, name="nodegraph-load", daemon=True).start()

    @property
    def loaded(self) -> Engine | None:
        """The engine, if it is there."""
        if self._future.done() and self.error is None:
            return self._future.result()
        return None

    async def engine(self) -> Engine:
        """The engine. Refused (503) if it cannot be loaded."""
        try:
            return await asyncio.shield(self._future)
        except Exception as error:
            raise Refused(
                503, "not_ready", "The nodes could not be loaded", "the server's log says why"
            ) from error

    def _work(self) -> None:
        try:
            engine = self._load()
        except BaseException as error:
            self._loop.call_soon_threadsafe(self._not_loaded, error)
        else:
            self._loop.call_soon_threadsafe(self._future.set_result, engine)

    def _not_loaded(self, error: BaseException) -> None:
        self.error = error
        failure = error if isinstance(error, Exception) else RuntimeError(str(error))
        self._future.set_exception(failure)
        self._future.exception()  # nobody may be waiting for it
        self._failed(error)
