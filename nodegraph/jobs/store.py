"""Jobs in the journal: how they are written, found again, and forgotten."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nodegraph.saving import Given

from .job import Job, Request, Result, Status

COLUMNS = (
    "id, seq, number, status, created, started, ended, attempts, crashes, retry_of, request, result"
)
DAY = 86400.0
KEYS = {"created": "seq", "duration": "coalesce(ended - started, 0)", "turn": "number"}


@dataclass(frozen=True)
class Query:
    """Which jobs: the statuses, a text that stands in their graph or results, a page of them.

    workflow: the id of the editor's file they come from. newest: first; by: created, duration or
              turn, as they wait in the queue.
    begun:    without those that were cancelled before their turn.
    """

    statuses: tuple[Status, ...] = ()
    text: str = ""
    workflow: str = ""
    by: str = "created"
    newest: bool = True
    offset: int = 0
    limit: int | None = None
    begun: bool = False


def add(connection: sqlite3.Connection, job: Job) -> Job:
    """The job as it was written, with its number in the order of submissions."""
    (seq,) = connection.execute("SELECT coalesce(max(seq), 0) + 1 FROM jobs").fetchone()
    request = _request_json(job.request)
    connection.execute(
        "INSERT INTO jobs (id, seq, number, status, created, retry_of, workflow_id, request, size)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            job.id,
            seq,
            job.number,
            job.status.value,
            job.created,
            job.retry_of,
            _workflow_id(job.request),
            request,
            len(request.encode()),
        ),
    )
    return job.with_(seq=seq)


def begin(connection: sqlite3.Connection, job: Job, now: float) -> Job:
    """The job, running from now on."""
    begun = job.with_(status=Status.RUNNING, started=now, attempts=job.attempts + 1)
    connection.execute(
        "UPDATE jobs SET status = ?, started = ?, attempts = ? WHERE id = ?",
        (begun.status.value, now, begun.attempts, job.id),
    )
    return begun


def put_back(connection: sqlite3.Connection, id: str) -> None:
    """A job that was begun waits again; the names it was given stay its own."""
    connection.execute("UPDATE jobs SET status = 'pending' WHERE id = ?", (id,))


def take_up(connection: sqlite3.Connection) -> list[Job]:
    """What waited or ran when the last server ended, in order; all of it waits from now on.

    What ran then has one more crash: a server that ends in order puts its jobs back.
    """
    connection.execute(
        "UPDATE jobs SET status = 'pending', crashes = crashes + 1 WHERE status = 'running'"
    )
    connection.execute(
        "DELETE FROM names WHERE job NOT IN (SELECT id FROM jobs WHERE status = 'pending')"
    )
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM jobs WHERE status = 'pending' ORDER BY number, seq"
    )
    return [_job(row) for row in rows]


def end(connection: sqlite3.Connection, job: Job) -> None:
    """A job is over; the names it was given are no longer needed."""
    result = _result_json(job.result)
    connection.execute(
        "UPDATE jobs SET status = ?, ended = ?, started = ?, result = ?, "
        "size = length(CAST(request AS BLOB)) + ? WHERE id = ?",
        (job.status.value, job.ended, job.started, result, len(result.encode()), job.id),
    )
    connection.execute("DELETE FROM names WHERE job = ?", (job.id,))


def move(connection: sqlite3.Connection, id: str, number: float) -> None:
    """Give a waiting job another place."""
    connection.execute("UPDATE jobs SET number = ? WHERE id = ?", (number, id))


def get(connection: sqlite3.Connection, id: str) -> Job | None:
    row = connection.execute(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (_text(id),)).fetchone()
    return None if row is None else _job(row)


def find(connection: sqlite3.Connection, query: Query) -> tuple[list[Job], int]:
    """A page of jobs, and how many there are in all."""
    where, values = _where(query)
    (total,) = connection.execute(f"SELECT count(*) FROM jobs WHERE {where}", values).fetchone()
    key = KEYS[query.by]
    way = "DESC" if query.newest else "ASC"
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM jobs WHERE {where} ORDER BY {key} {way}, seq {way} "
        "LIMIT ? OFFSET ?",
        [*values, -1 if query.limit is None else query.limit, query.offset],
    )
    return [_job(row) for row in rows], total


def forget(connection: sqlite3.Connection, ids: Sequence[str] | None) -> None:
    """Delete finished jobs, all of them for None. Files they saved stay."""
    ended = "status NOT IN ('pending', 'running')"
    if ids is None:
        connection.execute(f"DELETE FROM jobs WHERE {ended}")
        return
    for id in ids:
        connection.execute(f"DELETE FROM jobs WHERE id = ? AND {ended}", (_text(id),))


def prune(
    connection: sqlite3.Connection, *, jobs: int, days: float | None, nbytes: int, now: float
) -> int:
    """Forget the oldest finished jobs past any of these bounds; how many those were."""
    begin = float("-inf") if days is None else now - days * DAY
    count, total = connection.execute(
        "SELECT count(*), coalesce(sum(size), 0) FROM jobs WHERE ended IS NOT NULL"
    ).fetchone()
    doomed: list[tuple[int]] = []
    for seq, size, ended in connection.execute(
        "SELECT seq, size, ended FROM jobs WHERE ended IS NOT NULL ORDER BY ended, seq"
    ):
        if count <= jobs and total <= nbytes and ended >= begin:
            break
        doomed.append((seq,))
        count, total = count - 1, total - size
    connection.executemany("DELETE FROM jobs WHERE seq = ?", doomed)
    return len(doomed)


def names_of(connection: sqlite3.Connection, job: str, request: str) -> list[Given]:
    rows = connection.execute(
        "SELECT name, sha256s FROM names WHERE job = ? AND request = ? ORDER BY place",
        (job, request),
    )
    return [Given(json.loads(row["name"]), tuple(row["sha256s"].split())) for row in rows]


def give_names(
    connection: sqlite3.Connection, job: str, request: str, names: Sequence[str]
) -> None:
    """These names are this request's; a name that it had before keeps what is known of it."""
    known = {each.name: " ".join(each.sha256s) for each in names_of(connection, job, request)}
    connection.execute("DELETE FROM names WHERE job = ? AND request = ?", (job, request))
    connection.executemany(
        "INSERT OR REPLACE INTO names (name, job, request, place, sha256s) VALUES (?, ?, ?, ?, ?)",
        [
            (_escaped(name), job, request, place, known.get(name, ""))
            for place, name in enumerate(names)
        ],
    )


def write_name(connection: sqlite3.Connection, job: str, name: str, sha256: str) -> None:
    """One more content that a file with this name may have."""
    connection.execute(
        "UPDATE names SET sha256s = trim(sha256s || ' ' || ?) WHERE name = ? AND job = ?",
        (sha256, _escaped(name), job),
    )


def drop_name(connection: sqlite3.Connection, job: str, name: str) -> None:
    connection.execute("DELETE FROM names WHERE name = ? AND job = ?", (_escaped(name), job))


def fact(connection: sqlite3.Connection, name: str, default: str = "") -> str:
    row = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return default if row is None else str(row["value"])


def set_fact(connection: sqlite3.Connection, name: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (name, value))


def _where(query: Query) -> tuple[str, list[Any]]:
    parts: list[str] = ["1"]
    values: list[Any] = []
    if query.statuses:
        parts.append(f"status IN ({', '.join('?' * len(query.statuses))})")
        values += [status.value for status in query.statuses]
    if query.begun:
        parts.append("NOT (status = 'cancelled' AND started IS NULL)")
    if query.workflow:
        parts.append("workflow_id = ?")
        values.append(_text(query.workflow))
    if query.text:
        parts.append(
            "(instr(lower(request), lower(?)) OR instr(lower(result), lower(?)) OR id = ?)"
        )
        quoted = _dumps(query.text)[1:-1]
        values += [quoted, quoted, _text(query.text)]
    return " AND ".join(parts), values


def _job(row: sqlite3.Row) -> Job:
    request, result = json.loads(row["request"]), json.loads(row["result"])
    return Job(
        id=row["id"],
        seq=row["seq"],
        number=row["number"],
        status=Status(row["status"]),
        created=row["created"],
        started=row["started"],
        ended=row["ended"],
        attempts=row["attempts"],
        crashes=row["crashes"],
        retry_of=row["retry_of"],
        request=Request(
            request["document"],
            tuple(request["targets"]),
            request["extra"],
            request["client"],
            request["deadline"],
        ),
        result=Result(
            result.get("outputs", {}),
            result.get("meta", {}),
            tuple((n, type, data) for n, type, data in result.get("messages", ())),
            result.get("error"),
        ),
    )


def _request_json(request: Request) -> str:
    return _dumps(
        {
            "document": request.document,
            "targets": request.targets,
            "extra": request.extra,
            "client": request.client,
            "deadline": request.deadline,
        }
    )


def _result_json(result: Result) -> str:
    return _dumps(
        {
            "outputs": result.outputs,
            "meta": result.meta,
            "messages": result.messages,
            "error": result.error,
        }
    )


def _dumps(data: Any) -> str:
    # A lone surrogate, which JSON can hold, is no text for SQLite: it stays escaped.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=str)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(data, separators=(",", ":"), default=str)
    return text


def _workflow_id(request: Request) -> str | None:
    workflow = request.workflow
    found = None if workflow is None else workflow.get("id")
    return _text(found) if isinstance(found, str) else None


def _text(text: str) -> str:
    """A text to be looked for, which may be one that SQLite cannot take."""
    return text.encode("utf-8", "replace").decode()


def _escaped(name: str) -> str:
    """The name of a file, which need not be Unicode."""
    return json.dumps(name)
