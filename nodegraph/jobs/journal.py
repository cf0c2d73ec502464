"""The journal: what the server must not forget, in SQLite, with one thread that writes.

    jobs    every job, from before it is accepted until it is pruned
    names   the names of files that unfinished jobs were given, see `saving.Book`
    facts   single values, such as whether the queue is paused

Write-ahead log, synced at each commit: what a write's future says is done is on disk. Writes that
wait for the thread at the same time share one commit. Reads have connections of their own.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from nodegraph.errors import NodeGraphError, SettingsError

VERSION = 1
GROUP = 256  # writes in one commit
SCHEMA = """
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, seq INTEGER NOT NULL UNIQUE, number REAL NOT NULL, status TEXT NOT NULL,
    created REAL NOT NULL, started REAL, ended REAL, attempts INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0, retry_of TEXT, workflow_id TEXT, size INTEGER NOT NULL,
    request TEXT NOT NULL, result TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX jobs_by_end ON jobs (ended, seq, size);
CREATE INDEX jobs_by_status ON jobs (status);
CREATE TABLE names (
    name TEXT PRIMARY KEY, job TEXT NOT NULL, request TEXT NOT NULL, place INTEGER NOT NULL,
    sha256s TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX names_by_job ON names (job, request);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class JournalError(NodeGraphError):
    """The journal cannot be read or written."""


class Journal:
    """The journal in `folder`, which is made if it is not there.

    Raises SettingsError if another server uses it, or a newer nodegraph has written it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "jobs.sqlite"
        self._readers: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        self._works: queue.SimpleQueue[tuple[Work[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._closed = False
        self._closing = threading.Lock()
        with ExitStack() as undo:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                self._lock = _lock(folder)
                undo.callback(self._lock.close)
                self._writer = _connect(self.path)
                undo.callback(self._writer.close)
                _prepare(self._writer, self.path)
            except (OSError, sqlite3.Error) as error:
                raise SettingsError(f"the journal {self.path} cannot be used: {error}") from error
            undo.pop_all()
        self._thread = threading.Thread(target=self._work, name="nodegraph-journal", daemon=True)
        self._thread.start()

    def write(self, work: Work[T]) -> Future[T]:
        """Do something in a transaction. The future is done when it is on disk.

        JournalError in it if the journal is closed, or the disk refuses.
        """
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # who waits may give up; the write is made
        with self._closing:
            if self._closed:
                future.set_exception(JournalError("the journal is closed"))
            else:
                self._works.put((work, future))
        return future

    def read(self, work: Work[T]) -> T:
        """Look something up. Sees what is on disk, never half a write. Raises JournalError."""
        try:
            with self._reader() as connection:
                connection.execute("BEGIN")
                try:
                    return work(connection)
                finally:
                    connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise JournalError(f"the journal cannot be read: {error}") from error

    def close(self) -> None:
        """Write what waits to be written, and end. May be called again."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._works.put(None)
        self._thread.join()
        self._close_readers()
        self._writer.close()
        self._lock.close()

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        if self._closed:
            raise JournalError("the journal is closed")
        try:
            connection = self._readers.get_nowait()
        except queue.Empty:
            connection = _connect(self.path)
            connection.execute("PRAGMA query_only = 1")
        try:
            yield connection
        finally:
            self._readers.put(connection)
            if self._closed:
                self._close_readers()

    def _close_readers(self) -> None:
        with suppress(queue.Empty):
            while True:
                self._readers.get_nowait().close()

    def _work(self) -> None:
        while (first := self._works.get()) is not None:
            group = [first]
            ending = False
            with suppress(queue.Empty):
                while len(group) < GROUP:
                    more = self._works.get_nowait()
                    if more is None:
                        ending = True
                        break
                    group.append(more)
            self._commit(group)
            if ending:
                return

    def _commit(self, group: list[tuple[Work[Any], Future[Any]]]) -> None:
        """Do these writes in one transaction; if the disk refuses that, each in its own."""
        done: list[tuple[Future[Any], Any]] = []
        failed: list[tuple[Future[Any], BaseException]] = []
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for work, future in group:
                self._one(work, future, done, failed)
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")
            if len(group) > 1:
                for each in group:
                    self._commit([each])
                return
            reason = JournalError(f"the journal cannot be written: {error}")
            done, failed = [], [(future, reason) for _, future in group]
        for future, value in done:
            future.set_result(value)
        for future, failure in failed:
            future.set_exception(failure)

    def _one(
        self,
        work: Work[Any],
        future: Future[Any],
        done: list[tuple[Future[Any], Any]],
        failed: list[tuple[Future[Any], BaseException]],
    ) -> None:
        """One write of a group, which the failure of another does not undo."""
        self._writer.execute("SAVEPOINT one")
        try:
            done.append((future, work(self._writer)))
        except sqlite3.OperationalError:  # the disk, not what was asked for
            raise
        except Exception as error:
            self._writer.execute("ROLLBACK TO one")
            failed.append((future, error))
        self._writer.execute("RELEASE one")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    connection.row_factory = sqlite3.Row
    return connection


def _lock(folder: Path) -> sqlite3.Connection:
    """Held until the process ends, however it ends."""
    connection = sqlite3.connect(
        folder / "lock.sqlite", isolation_level=None, check_same_thread=False, timeout=0
    )
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        raise SettingsError(
            f"another server uses the folder {folder}: end it, or give this one another --state"
        ) from error
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise SettingsError(f"{path} was written by a newer nodegraph: use that, or --state DIR")
    if version == 0:
        connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
