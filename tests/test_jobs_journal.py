"""The journal: what its futures say is done is on disk; what fails, fails alone."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from executor_support import wait_for, within
from server_process import until

from nodegraph.errors import SettingsError
from nodegraph.jobs import Journal, JournalError
from nodegraph.jobs.store import fact, set_fact

Work = Callable[[sqlite3.Connection], Any]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "state")
    yield journal
    journal.close()


def note(name: str, value: str = "yes") -> Work:
    return lambda c: set_fact(c, name, value)


def noted(journal: Journal) -> list[str]:
    """The names of all facts, in the order in which they were written."""
    return journal.read(
        lambda c: [row["name"] for row in c.execute("SELECT name FROM facts ORDER BY rowid")]
    )


def from_outside(journal: Journal) -> list[str]:
    """The same, as another process sees it."""
    with closing(sqlite3.connect(journal.path)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM facts ORDER BY rowid")]


class Busy:
    """Keeps the thread that writes busy, so that what comes meanwhile waits together."""

    def __init__(self, journal: Journal) -> None:
        self.gate = threading.Event()
        self.statements: list[str] = []
        begun = threading.Event()

        def work(connection: sqlite3.Connection) -> None:
            begun.set()
            wait_for(self.gate)
            connection.set_trace_callback(self.statements.append)

        self.future: Future[None] = journal.write(work)
        wait_for(begun)

    @property
    def commits(self) -> int:
        """How many there were since the gate was opened, for what waited."""
        return self.statements.count("COMMIT") - 1


def settled(futures: list[Future[Any]]) -> list[str]:
    """What became of some writes, in words."""
    errors = [within(lambda each=each: each.exception(20)) for each in futures]  # type: ignore[misc]
    return ["fine" if error is None else type(error).__name__ for error in errors]


# -- writing ---------------------------------------------------------------------------------------


def test_the_log_is_written_ahead_and_synced_at_each_commit(journal: Journal) -> None:
    def look(connection: sqlite3.Connection) -> tuple[Any, ...]:
        names = ("journal_mode", "synchronous")
        return tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)

    assert journal.write(look).result(20) == ("wal", 2)


def test_a_write_gives_what_its_work_gives(journal: Journal) -> None:
    assert journal.write(lambda c: 42).result(20) == 42


def test_writes_are_made_in_order(journal: Journal) -> None:
    names = [f"fact {index}" for index in range(700)]
    futures = [journal.write(note(name)) for name in names]
    settled(futures)

    assert noted(journal) == names


def test_writes_that_wait_share_a_commit(journal: Journal) -> None:
    busy = Busy(journal)
    futures = [journal.write(note(f"fact {index}")) for index in range(100)]
    busy.gate.set()
    settled(futures)

    assert busy.commits == 1
    assert len(noted(journal)) == 100


def test_a_write_that_fails_does_not_undo_its_neighbours(journal: Journal) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        set_fact(connection, "half", "done")
        raise ValueError("no")

    def clash(connection: sqlite3.Connection) -> None:
        set_fact(connection, "half", "done")
        connection.execute("INSERT INTO facts (name, value) VALUES ('one', 'again')")

    busy = Busy(journal)
    futures = [journal.write(work) for work in (note("one"), fail, note("two"), clash, note("3"))]
    busy.gate.set()

    assert settled(futures) == ["fine", "ValueError", "fine", "IntegrityError", "fine"]
    assert noted(journal) == ["one", "two", "3"]
    assert busy.commits == 1


def test_what_the_disk_refuses_of_one_write_its_neighbours_are_spared(journal: Journal) -> None:
    def refused(connection: sqlite3.Connection) -> None:
        set_fact(connection, "half", "done")
        raise sqlite3.OperationalError("disk I/O error")

    busy = Busy(journal)
    futures = [journal.write(work) for work in (note("one"), refused, note("two"))]
    busy.gate.set()

    assert settled(futures) == ["fine", "JournalError", "fine"]
    assert noted(journal) == ["one", "two"]


def test_a_future_is_only_done_when_others_can_read_what_was_written(journal: Journal) -> None:
    seen: list[bool] = []
    futures = []
    for index in range(40):
        name = f"fact {index}"
        future = journal.write(note(name))
        future.add_done_callback(lambda _, name=name: seen.append(name in from_outside(journal)))  # type: ignore[misc]
        futures.append(future)
    settled(futures)
    journal.close()

    assert seen == [True] * 40


def test_a_write_whose_caller_gave_up_is_made_and_harms_nobody(journal: Journal) -> None:
    async def give_up() -> None:
        busy = Busy(journal)
        waiting = asyncio.wrap_future(journal.write(note("given up")))
        waiting.cancel()
        await asyncio.sleep(0)
        busy.gate.set()
        await asyncio.wrap_future(journal.write(note("next")))

    asyncio.run(give_up())

    assert noted(journal) == ["given up", "next"]


# -- reading ---------------------------------------------------------------------------------------


def test_a_reader_sees_one_moment_whatever_is_written_meanwhile(journal: Journal) -> None:
    def look(connection: sqlite3.Connection) -> list[str]:
        found = [fact(connection, "x", "old")]
        journal.write(note("x", "new")).result(20)
        return [*found, fact(connection, "x", "old")]

    assert journal.read(look) == ["old", "old"]
    assert journal.read(lambda c: fact(c, "x")) == "new"


def test_a_reader_cannot_write(journal: Journal) -> None:
    with pytest.raises(JournalError, match="cannot be read: attempt to write a readonly database"):
        journal.read(note("x"))

    assert journal.write(note("y")).exception(20) is None
    assert noted(journal) == ["y"]


def test_readers_work_at_once_and_while_a_write_goes_on(journal: Journal) -> None:
    busy = Busy(journal)
    meeting = threading.Barrier(5)
    found: list[list[str]] = []

    def read() -> None:
        found.append(journal.read(lambda c: [str(meeting.wait(20) >= 0), fact(c, "x", "none")]))

    threads = [threading.Thread(target=read) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    busy.gate.set()

    assert found == [["True", "none"]] * 5


# -- closing ---------------------------------------------------------------------------------------


def test_closing_writes_what_waits(journal: Journal) -> None:
    busy = Busy(journal)
    futures = [journal.write(note(f"fact {index}")) for index in range(600)]
    closer = threading.Thread(target=journal.close)
    closer.start()
    until(lambda: journal.write(note("late")).done())  # which it only is if it is refused
    busy.gate.set()
    closer.join(20)

    assert not closer.is_alive()
    assert settled(futures) == ["fine"] * 600
    assert len(from_outside(journal)) >= 600


def test_after_closing_nothing_is_read_or_written(journal: Journal) -> None:
    journal.close()
    journal.close()

    with pytest.raises(JournalError, match="the journal is closed"):
        journal.write(note("x")).result(20)
    with pytest.raises(JournalError, match="the journal is closed"):
        journal.read(lambda c: fact(c, "x"))


def test_a_reader_that_is_at_work_when_the_journal_closes_ends_and_leaves_nothing_open(
    journal: Journal,
) -> None:
    begun, gate = threading.Event(), threading.Event()
    kept: list[sqlite3.Connection] = []

    def look(connection: sqlite3.Connection) -> str:
        kept.append(connection)
        begun.set()
        wait_for(gate)
        return fact(connection, "x", "none")

    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(journal.read(look)))
    reader.start()
    wait_for(begun)
    within(journal.close)
    gate.set()
    reader.join(20)

    assert found == ["none"]
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        kept[0].execute("SELECT 1")


# -- one server for one folder ---------------------------------------------------------------------


def test_a_second_server_on_the_folder_is_told_what_to_do(journal: Journal) -> None:
    folder = journal.path.parent

    with pytest.raises(SettingsError) as error:
        Journal(folder)

    assert str(error.value) == (
        f"another server uses the folder {folder}: end it, or give this one another --state"
    )
    assert journal.write(note("x")).exception(20) is None
    journal.close()
    second = Journal(folder)
    assert noted(second) == ["x"]
    second.close()


def test_a_server_that_was_killed_blocks_nobody_and_what_it_wrote_is_there(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom nodegraph.jobs import Journal, store\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "journal.write(lambda c: store.set_fact(c, 'x', 'yes')).result()\n"
        "journal.write(lambda c: (store.set_fact(c, 'half', 'yes'), print('written', flush=True),"
        " time.sleep(600)))\n"
        "time.sleep(600)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    home = Path(__file__).parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=home) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        with pytest.raises(SettingsError, match="another server uses the folder"):
            Journal(tmp_path)
        process.kill()
        process.wait(30)

    journal = Journal(tmp_path)
    assert noted(journal) == ["x"]
    journal.close()


def test_a_journal_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write(note("x")).result(20)
    journal.close()
    with closing(sqlite3.connect(journal.path)) as connection:
        connection.execute("PRAGMA user_version = 99")

    with pytest.raises(SettingsError, match=r"was written by a newer nodegraph: use that, or --st"):
        Journal(tmp_path)

    with closing(sqlite3.connect(journal.path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)
        connection.execute("PRAGMA user_version = 1")
    again = Journal(tmp_path)  # nothing is locked by the one that was refused
    assert noted(again) == ["x"]
    again.close()


def test_what_is_no_journal_is_refused_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "jobs.sqlite").write_bytes(b"this is not a database, whatever its name says" * 50)
    (tmp_path / "file").touch()
    (tmp_path / "odd" / "lock.sqlite").mkdir(parents=True)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "lock.sqlite").write_bytes(b"this is no database either" * 100)

    with pytest.raises(SettingsError, match="cannot be used: file is not a database"):
        Journal(tmp_path)
    with pytest.raises(SettingsError, match=r"cannot be used: .*File exists"):
        Journal(tmp_path / "file")
    with pytest.raises(SettingsError, match="cannot be used: unable to open database file"):
        Journal(tmp_path / "odd")
    with pytest.raises(SettingsError, match="cannot be used: file is not a database"):
        Journal(tmp_path / "broken")


def test_an_empty_file_becomes_a_journal(tmp_path: Path) -> None:
    """As a crash leaves it that comes before the first commit."""
    (tmp_path / "jobs.sqlite").touch()

    journal = Journal(tmp_path)
    journal.write(note("x")).result(20)
    assert noted(journal) == ["x"]
    journal.close()


# -- a disk that refuses ---------------------------------------------------------------------------


def pages(limit: int | None) -> Work:
    """Let the file grow by so many pages at most."""

    def work(connection: sqlite3.Connection) -> None:
        (used,) = connection.execute("PRAGMA page_count").fetchone()
        most = 1 << 30 if limit is None else used + limit
        connection.execute(f"PRAGMA max_page_count = {most}")

    return work


def test_a_full_disk_is_said_and_later_writes_work_again(journal: Journal) -> None:
    journal.write(pages(2)).result(20)
    busy = Busy(journal)
    huge = "x" * 100_000
    futures = [journal.write(w) for w in (note("one"), note("huge", huge), note("two"))]
    busy.gate.set()

    assert settled(futures) == ["fine", "JournalError", "fine"]
    with pytest.raises(JournalError, match="cannot be written: database or disk is full"):
        futures[1].result()
    assert noted(journal) == ["one", "two"]

    journal.write(pages(None)).result(20)
    journal.write(note("huge", huge)).result(20)
    assert journal.read(lambda c: fact(c, "huge")) == huge


class Refusing:
    """A connection whose disk refuses to commit, so many times."""

    def __init__(self, connection: sqlite3.Connection, times: int) -> None:
        self.connection = connection
        self.times = times

    def execute(self, statement: str, *arguments: Any) -> Any:
        if statement == "COMMIT" and self.times:
            self.times -= 1
            raise sqlite3.OperationalError("disk I/O error")
        return self.connection.execute(statement, *arguments)

    def close(self) -> None:
        self.connection.close()


def test_what_cannot_be_committed_was_not_written(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer: Any = journal._writer
    refusing = Refusing(writer, 3)
    busy = Busy(journal)
    futures = [journal.write(note("one")), journal.write(note("two"))]
    monkeypatch.setattr(journal, "_writer", refusing)
    busy.gate.set()

    # The first refusal is of what kept it busy, the second of both, the third of the first alone.
    assert settled([busy.future, *futures]) == ["JournalError", "JournalError", "fine"]
    assert noted(journal) == ["two"]
    journal.write(note("three")).result(20)
    assert noted(journal) == ["two", "three"]
