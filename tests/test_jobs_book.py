"""The book of names in the journal: what a node saved is saved again in its place after a crash."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from crashes import visible

from nodegraph.context import CancelToken
from nodegraph.errors import Cancelled
from nodegraph.folders import Folders
from nodegraph.jobs import Job, Journal, JournalError, Request, Status, store
from nodegraph.jobs.book import JournalBook


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "state")
    journal.write(lambda c: store.add(c, Job("job", Request({}, ())))).result()
    yield journal
    journal.close()


def again(journal: Journal) -> Journal:
    """The journal of the next server."""
    folder = journal.path.parent
    journal.close()
    next_one = Journal(folder)
    next_one.write(store.take_up).result()
    return next_one


def save(
    journal: Journal,
    folder: Path,
    *contents: str,
    node: str = "9",
    call: int = 0,
    job: str = "job",
    prefix: str = "img",
) -> list[str]:
    """What a call of a node does: a request for each text, but two for one with a comma."""
    book = JournalBook(journal, job, node, call, CancelToken())
    folders = Folders((), folder, folder / "output", folder / "temp", book=book)
    saved = []
    for content in contents:
        parts = content.split(",")
        for name, part in zip(
            folders.reserve("output", prefix, ".txt", len(parts)), parts, strict=True
        ):
            name.write(part.encode())
            saved.append(name.name)
    return saved


def test_after_a_restart_the_same_calls_write_the_same_files(
    journal: Journal, tmp_path: Path
) -> None:
    first = [
        *save(journal, tmp_path, "a,b", "c"),
        *save(journal, tmp_path, "d", call=1),
        *save(journal, tmp_path, "e", node="10"),
    ]
    journal = again(journal)
    second = [
        *save(journal, tmp_path, "E", node="10"),
        *save(journal, tmp_path, "A,B", "C"),
        *save(journal, tmp_path, "D", call=1),
    ]
    journal.close()

    assert first == [f"img_0000{number}_.txt" for number in range(1, 6)]
    assert second == [first[4], *first[:4]]
    assert list(visible(tmp_path / "output").values()) == [b"A", b"B", b"C", b"D", b"E"]


def test_another_job_gets_names_of_its_own(journal: Journal, tmp_path: Path) -> None:
    journal.write(lambda c: store.add(c, Job("other", Request({}, ())))).result()

    assert save(journal, tmp_path, "a") == ["img_00001_.txt"]
    assert save(journal, tmp_path, "b", job="other") == ["img_00002_.txt"]


def test_a_job_that_is_retried_after_its_end_saves_anew(journal: Journal, tmp_path: Path) -> None:
    save(journal, tmp_path, "a")
    over = Job("job", Request({}, ()), status=Status.SUCCESS, ended=1.0)
    journal.write(lambda c: store.end(c, over)).result()

    assert save(journal, tmp_path, "b") == ["img_00002_.txt"]
    assert list(visible(tmp_path / "output").values()) == [b"a", b"b"]


def test_a_prefix_that_is_no_text_for_a_database_is_remembered(
    journal: Journal, tmp_path: Path
) -> None:
    first = save(journal, tmp_path, "a", prefix="odd \udc80")
    journal = again(journal)

    assert save(journal, tmp_path, "b", prefix="odd \udc80") == first
    journal.close()


def test_threads_of_one_call_do_not_mix_their_names_up(journal: Journal, tmp_path: Path) -> None:
    def work(book: JournalBook, index: int) -> tuple[str, str]:
        folders = Folders((), tmp_path, tmp_path / "output", tmp_path / "temp", book=book)
        [name] = folders.reserve("output", f"p{index % 3}", ".txt")
        name.write(b"%d" % index)
        return f"p{index % 3}", name.name

    with ThreadPoolExecutor(6) as pool:
        books = [JournalBook(journal, "job", "9", 0, CancelToken()) for _ in range(2)]
        runs = [list(pool.map(lambda i, book=book: work(book, i), range(18))) for book in books]  # type: ignore[misc]

    assert sorted(runs[0]) == sorted(runs[1])
    assert all(name.startswith(prefix) for prefix, name in runs[0])
    assert len(visible(tmp_path / "output")) == 18


def test_a_call_that_was_abandoned_saves_nothing_any_more(journal: Journal, tmp_path: Path) -> None:
    token = CancelToken()
    book = JournalBook(journal, "job", "9", 0, token)
    folders = Folders((), tmp_path, tmp_path / "output", tmp_path / "temp", book=book)
    [name] = folders.reserve("output", "img", ".txt")
    token.cancel()
    [still] = folders.reserve("output", "img", ".txt")  # it may end what it is at
    still.write(b"still")
    token.abandon()

    with pytest.raises(Cancelled, match="ended without this node"):
        folders.reserve("output", "img", ".txt")
    with pytest.raises(Cancelled, match="ended without this node"):
        name.write(b"late")

    assert [path.name for path in (tmp_path / "output").iterdir()] == ["img_00002_.txt"]


def test_where_the_journal_refuses_nothing_is_saved(journal: Journal, tmp_path: Path) -> None:
    journal.close()

    with pytest.raises(JournalError, match="the journal is closed"):
        save(journal, tmp_path, "a")

    assert not (tmp_path / "output").exists()
