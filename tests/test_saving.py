import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import BinaryIO

import pytest
from crashes import Fuse, Pages, PagesBook, remembered, restore, visible
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nodegraph.errors import NodeGraphError
from nodegraph.folders import Folders
from nodegraph.names import UnsafeName
from nodegraph.saving import Reserved, expand, reserve

NOON = datetime(2024, 3, 9, 12, 5, 7)


def names(reserved: list[Reserved]) -> list[str]:
    return [each.name for each in reserved]


def save(root: Path, prefix: str = "img", content: bytes = b"x", suffix: str = ".png") -> str:
    [name] = reserve(root, "output", prefix, suffix)
    name.write(content)
    return name.name


def save_many(root: Path) -> list[str]:
    """What one of several processes does."""
    return [save(root, content=str(index).encode()) for index in range(15)]


def test_names_are_numbered_from_one_with_five_digits(tmp_path: Path) -> None:
    assert names(reserve(tmp_path, "output", "ComfyUI", ".png", 3)) == [
        "ComfyUI_00001_.png",
        "ComfyUI_00002_.png",
        "ComfyUI_00003_.png",
    ]


def test_numbers_go_on_from_the_highest_whatever_the_suffix(tmp_path: Path) -> None:
    for name in ("img_00041_.webp", "IMG_00043_.png", "img_00007_.png", "imgs_00099_.png"):
        (tmp_path / name).touch()

    assert save(tmp_path) == "img_00044_.png"
    assert save(tmp_path, suffix=".latent") == "img_00045_.latent"


def test_more_than_five_digits_are_understood(tmp_path: Path) -> None:
    (tmp_path / "img_123456_.png").touch()

    assert save(tmp_path) == "img_123457_.png"


def test_a_prefix_with_characters_of_patterns_is_taken_literally(tmp_path: Path) -> None:
    (tmp_path / "a+b_00005_.png").touch()

    assert save(tmp_path, "a+b") == "a+b_00006_.png"
    assert save(tmp_path, "a.b") == "a.b_00001_.png"


def test_subfolders_are_made_and_told(tmp_path: Path) -> None:
    folders = Folders((), tmp_path, tmp_path / "out", tmp_path / "temp")

    [name] = folders.reserve("temp", "one/two\\img", ".png")
    name.write(b"1")

    assert (name.subfolder, name.kind) == ("one/two", "temp")
    assert name.path == tmp_path / "temp/one/two/img_00001_.png"
    assert reserve(tmp_path, "output", "img", ".png")[0].subfolder == ""


def test_the_words_of_a_prefix_are_replaced() -> None:
    prefix = (
        "%year%-%month%-%day%_%hour%%minute%%second%_%width%x%height%_%KSampler.seed%_%x%width%"
    )

    assert expand(prefix, NOON, 640, 480) == "2024-03-09_120507_640x480_%KSampler.seed%_%x640"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("yyyy-MM-dd", "2024-03-09"), ("yy.M.d", "24.3.9"), ("hhmmss h m s", "120507 12 5 7")],
)
def test_a_date_is_written_as_its_pattern_says(pattern: str, expected: str) -> None:
    assert expand(f"a_%date:{pattern}%", NOON, 0, 0) == f"a_{expected}"


def test_each_image_of_a_batch_may_have_its_number_in_the_prefix(tmp_path: Path) -> None:
    (tmp_path / "b1_00004_.png").touch()

    reserved = reserve(tmp_path, "output", "b%batch_num%", ".png", 2, width=8, height=8)

    assert names(reserved) == ["b0_00005_.png", "b1_00006_.png"]


@pytest.mark.parametrize(
    "prefix",
    ["../x", "a/../../x", "/x", "..\\x", "C:/x", "C:\\x", "..", "a/..", "a\0b", "\ud800"],
)
def test_a_prefix_that_leaves_the_folder_is_refused_and_makes_nothing(
    tmp_path: Path, prefix: str
) -> None:
    root = tmp_path / "output"
    root.mkdir()

    with pytest.raises(UnsafeName):
        reserve(root, "output", prefix, ".png")

    assert list(tmp_path.rglob("*")) == [root]


def test_a_prefix_that_leaves_the_folder_over_a_link_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "output"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)

    with pytest.raises(UnsafeName, match="leads out of the output folder"):
        reserve(root, "output", "link/img", ".png")


@given(st.text(alphabet="a./\\:%~", max_size=12))
def test_whatever_the_prefix_the_file_is_in_the_folder_or_it_is_refused(
    tmp_path_factory: pytest.TempPathFactory, prefix: str
) -> None:
    base = tmp_path_factory.mktemp("base")
    root = base / "output"
    try:
        [name] = reserve(root, "output", prefix, ".png")
    except UnsafeName:
        assert not root.exists() or list(root.iterdir()) == []
        return
    name.write(b"x")

    assert [path for path in base.rglob("*") if path.is_file()] == [name.path]
    assert root in name.path.parents
    assert root / name.subfolder / name.name == name.path


def test_a_reserved_name_is_taken_but_not_seen(tmp_path: Path) -> None:
    reserve(tmp_path, "output", "img", ".png")

    assert names(reserve(tmp_path, "output", "img", ".png")) == ["img_00002_.png"]
    assert [path for path in tmp_path.iterdir() if not path.name.startswith(".")] == []


def test_a_released_name_is_free_again(tmp_path: Path) -> None:
    [name] = reserve(tmp_path, "output", "img", ".png")
    name.release()
    name.release()

    assert list(tmp_path.iterdir()) == []
    assert save(tmp_path) == "img_00001_.png"


def test_bytes_or_a_function_write_the_content(tmp_path: Path) -> None:
    def write(file: BinaryIO) -> None:
        file.write(b"one")
        file.seek(0)
        file.write(b"two")

    first, second = reserve(tmp_path, "output", "img", ".png", 2)
    first.write(b"bytes")
    second.write(write)

    assert (first.path.read_bytes(), second.path.read_bytes()) == (b"bytes", b"two")
    assert sorted(os.listdir(tmp_path)) == ["img_00001_.png", "img_00002_.png"]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def write(file: BinaryIO) -> None:
        file.write(b"half")
        raise ValueError("no picture")

    [name] = reserve(tmp_path, "output", "img", ".png")
    with pytest.raises(ValueError, match="no picture"):
        name.write(write)

    assert list(tmp_path.iterdir()) == []


def test_a_file_is_only_seen_whole(tmp_path: Path) -> None:
    [name] = reserve(tmp_path, "output", "img", ".png")

    def write(file: BinaryIO) -> None:
        file.write(b"half")
        file.flush()
        assert not name.path.exists()

    name.write(write)
    assert name.path.read_bytes() == b"half"


def test_another_programs_file_is_never_replaced(tmp_path: Path) -> None:
    [name] = reserve(tmp_path, "output", "img", ".png")
    name.path.write_bytes(b"theirs")

    with pytest.raises(NodeGraphError, match=r"img_00001_.png was made by another program"):
        name.write(b"ours")

    assert name.path.read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["img_00001_.png"]


def test_a_file_system_without_links_works_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)

    assert save(tmp_path) == "img_00001_.png"
    assert os.listdir(tmp_path) == ["img_00001_.png"]


def test_a_name_written_between_listing_and_taking_is_not_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nodegraph.saving as saving

    save(tmp_path)
    monkeypatch.setattr(saving, "_highest", lambda stem: 0)  # as listed before the first was saved

    assert names(reserve(tmp_path, "output", "img", ".png", 2)) == [
        "img_00002_.png",
        "img_00003_.png",
    ]
    assert len(os.listdir(tmp_path)) == 3


def test_a_batch_that_does_not_fit_before_a_taken_name_gives_its_first_names_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nodegraph.saving as saving

    (tmp_path / "img_00002_.png").touch()
    monkeypatch.setattr(saving, "_highest", lambda stem: 0)

    assert names(reserve(tmp_path, "output", "img", ".png", 2)) == [
        "img_00003_.png",
        "img_00004_.png",
    ]
    assert len(os.listdir(tmp_path)) == 3


def test_a_leftover_of_a_crash_blocks_its_number_and_is_removed_a_day_later(tmp_path: Path) -> None:
    [crashed] = reserve(tmp_path, "output", "img", ".png")
    left = next(tmp_path.iterdir())
    assert save(tmp_path) == "img_00002_.png"

    os.utime(left, (0, 0))
    save(tmp_path)

    assert not left.exists()
    assert not crashed.path.exists()
    assert sorted(os.listdir(tmp_path)) == ["img_00002_.png", "img_00003_.png"]


def test_threads_that_save_at_once_get_different_names(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        saved = list(pool.map(lambda index: save(tmp_path, content=b"%d" % index), range(60)))

    assert len(set(saved)) == 60
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == sorted(
        b"%d" % index for index in range(60)
    )


def test_processes_that_save_at_once_get_different_names(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        saved = [*pool.submit(save_many, tmp_path).result(), *save_many(tmp_path)]
        both = [pool.submit(save_many, tmp_path) for _ in range(2)]
        saved += [name for future in both for name in future.result()]

    assert len(set(saved)) == 60
    assert sorted(os.listdir(tmp_path)) == sorted(saved)


def test_a_disk_that_refuses_is_named_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(NodeGraphError, match="nothing can be written to output as file/img") as e:
        reserve(tmp_path, "output", "file/img", ".png")
    with pytest.raises(NodeGraphError, match=re.escape("File name too long")):
        reserve(tmp_path, "output", "a" * 300, ".png")

    assert str(tmp_path) not in str(e.value)


# -- with a book: the same call after a crash ------------------------------------------------------


def attempt(root: Path, book: PagesBook, contents: list[bytes], prefix: str = "img") -> list[str]:
    """What a node does that saves some pictures."""
    reserved = reserve(root, "output", prefix, ".png", len(contents), book=book)
    for name, content in zip(reserved, contents, strict=True):
        name.write(content)
    return names(reserved)


def burn(root: Path, pages: Pages, at: int, contents: list[bytes], prefix: str = "img") -> Fuse:
    """The same, by a process that ends at a step."""
    fuse = Fuse(root, pages, at)
    with fuse.burning():
        attempt(root, PagesBook(pages, step=fuse), contents, prefix)
    return fuse


def test_without_a_crash_each_request_of_a_call_has_names_of_its_own(tmp_path: Path) -> None:
    book = PagesBook(Pages())

    first, second = attempt(tmp_path, book, [b"1", b"2"]), attempt(tmp_path, book, [b"3"])

    assert (first, second) == (["img_00001_.png", "img_00002_.png"], ["img_00003_.png"])
    assert list(visible(tmp_path).values()) == [b"1", b"2", b"3"]
    assert len(os.listdir(tmp_path)) == 3


def test_the_same_call_after_a_crash_gets_the_same_names(tmp_path: Path) -> None:
    pages = Pages()
    before = names(reserve(tmp_path, "output", "img", ".png", 2, book=PagesBook(pages)))
    save(tmp_path)  # somebody else's

    after = attempt(tmp_path, PagesBook(pages), [b"1", b"2"])

    assert before == after == ["img_00001_.png", "img_00002_.png"]
    assert sorted(os.listdir(tmp_path)) == [*after, "img_00003_.png"]


def test_requests_are_told_apart_by_what_they_are_for(tmp_path: Path) -> None:
    pages = Pages()
    book = PagesBook(pages)
    [a], [b] = attempt(tmp_path, book, [b"a"], "a"), attempt(tmp_path, book, [b"b"], "b")
    again = PagesBook(pages)

    [b_again] = attempt(tmp_path, again, [b"B"], "b")  # in another order than before
    [a_again] = attempt(tmp_path, again, [b"A"], "a")
    [latent] = reserve(tmp_path, "output", "a", ".latent", book=again)

    assert (a_again, b_again) == (a, b)
    assert visible(tmp_path) == {a: b"A", b: b"B"}
    assert latent.name == "a_00002_.latent"


def test_a_file_of_ours_is_replaced_in_one_step(tmp_path: Path) -> None:
    pages = Pages()
    attempt(tmp_path, PagesBook(pages), [b"old"])
    [name] = reserve(tmp_path, "output", "img", ".png", book=PagesBook(pages))

    def write(file: BinaryIO) -> None:
        file.write(b"half")
        file.flush()
        assert name.path.read_bytes() == b"old"

    name.write(write)

    assert visible(tmp_path) == {"img_00001_.png": b"half"}
    assert len(os.listdir(tmp_path)) == 1


def test_a_crash_between_the_two_names_of_a_file_leaves_it_whole(tmp_path: Path) -> None:
    """The hidden name is a second name of the published file then: it must not be written to."""
    pages = Pages()
    attempt(tmp_path, PagesBook(pages), [b"old"])
    os.link(tmp_path / "img_00001_.png", tmp_path / ".img_00001_.png.reserved")
    [name] = reserve(tmp_path, "output", "img", ".png", book=PagesBook(pages))

    def write(file: BinaryIO) -> None:
        file.write(b"half")
        file.flush()
        assert name.path.read_bytes() == b"old"
        raise ValueError("no picture")

    with pytest.raises(ValueError, match="no picture"):
        name.write(write)

    assert visible(tmp_path) == {"img_00001_.png": b"old"}


def test_a_write_that_fails_does_not_make_a_file_of_ours_somebody_else_s(tmp_path: Path) -> None:
    pages = Pages()
    attempt(tmp_path, PagesBook(pages), [b"old"])
    [name] = reserve(tmp_path, "output", "img", ".png", book=PagesBook(pages))
    name.release()  # as after a failure

    assert attempt(tmp_path, PagesBook(pages), [b"new"]) == ["img_00001_.png"]
    assert visible(tmp_path) == {"img_00001_.png": b"new"}


def test_a_released_name_is_given_up_in_the_book(tmp_path: Path) -> None:
    pages = Pages()
    [name] = reserve(tmp_path, "output", "img", ".png", book=PagesBook(pages))
    name.release()
    name.release()

    assert pages.rows == {}
    assert save(tmp_path, content=b"theirs") == "img_00001_.png"
    assert attempt(tmp_path, PagesBook(pages), [b"ours"]) == ["img_00002_.png"]


def test_releasing_after_a_write_gives_nothing_up(tmp_path: Path) -> None:
    pages = Pages()
    [name] = reserve(tmp_path, "output", "img", ".png", book=PagesBook(pages))
    name.write(b"1")
    name.release()

    assert attempt(tmp_path, PagesBook(pages), [b"2"]) == ["img_00001_.png"]


def test_a_name_whose_file_somebody_replaced_is_neither_given_nor_written_again(
    tmp_path: Path,
) -> None:
    pages = Pages()
    attempt(tmp_path, PagesBook(pages), [b"1", b"2", b"3"])
    (tmp_path / "img_00002_.png").write_bytes(b"theirs")

    again = attempt(tmp_path, PagesBook(pages), [b"one", b"two", b"three"])

    assert again == ["img_00001_.png", "img_00004_.png", "img_00003_.png"]  # each in its place
    assert visible(tmp_path) == {
        "img_00001_.png": b"one",
        "img_00002_.png": b"theirs",
        "img_00003_.png": b"three",
        "img_00004_.png": b"two",
    }
    assert attempt(tmp_path, PagesBook(pages), [b"a", b"b", b"c"]) == again


def test_a_name_that_somebody_took_before_we_wrote_is_not_given_again(tmp_path: Path) -> None:
    pages = Pages()
    [name] = reserve(tmp_path, "output", "img", ".png", book=PagesBook(pages))
    name.path.write_bytes(b"theirs")
    with pytest.raises(NodeGraphError, match="made by another program"):
        name.write(b"ours")

    assert attempt(tmp_path, PagesBook(pages), [b"ours"]) == ["img_00002_.png"]
    assert visible(tmp_path) == {"img_00001_.png": b"theirs", "img_00002_.png": b"ours"}


@pytest.mark.parametrize("kind", ["folder", "broken link"])
def test_what_is_no_file_under_a_name_is_left_alone(tmp_path: Path, kind: str) -> None:
    pages = Pages()
    attempt(tmp_path, PagesBook(pages), [b"1"])
    path = tmp_path / "img_00001_.png"
    path.unlink()
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")

    assert attempt(tmp_path, PagesBook(pages), [b"2"]) == ["img_00002_.png"]
    assert path.is_dir() if kind == "folder" else path.is_symlink()


def test_a_file_of_ours_that_somebody_replaces_while_we_write_is_not_replaced(
    tmp_path: Path,
) -> None:
    pages = Pages()
    attempt(tmp_path, PagesBook(pages), [b"1"])
    [name] = reserve(tmp_path, "output", "img", ".png", book=PagesBook(pages))
    name.path.write_bytes(b"theirs")

    with pytest.raises(NodeGraphError, match="made by another program"):
        name.write(b"2")

    assert visible(tmp_path) == {"img_00001_.png": b"theirs"}


def test_a_file_that_is_gone_is_written_again_under_its_name(tmp_path: Path) -> None:
    pages = Pages()
    attempt(tmp_path, PagesBook(pages), [b"1"], "sub/img")
    (tmp_path / "sub/img_00001_.png").unlink()
    (tmp_path / "sub").rmdir()

    [again] = reserve(tmp_path, "output", "sub/img", ".png", book=PagesBook(pages))
    again.write(b"2")

    assert (again.subfolder, again.place) == ("sub", "output/sub/img_00001_.png")
    assert visible(tmp_path) == {"sub/img_00001_.png": b"2"}


class Noon(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        return NOON


def test_a_date_in_the_prefix_stays_that_of_the_first_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages, prefix = Pages(), "%date:yyyy%/%day%"
    monkeypatch.setattr("nodegraph.saving.datetime", Noon)
    attempt(tmp_path, PagesBook(pages), [b"1"], prefix)
    monkeypatch.undo()

    assert attempt(tmp_path, PagesBook(pages), [b"2"], prefix) == ["09_00001_.png"]
    assert visible(tmp_path) == {"2024/09_00001_.png": b"2"}


def test_a_folder_of_the_first_try_that_became_a_link_out_is_not_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, pages, prefix = tmp_path / "output", Pages(), "%date:yyyy%/img"
    monkeypatch.setattr("nodegraph.saving.datetime", Noon)
    attempt(root, PagesBook(pages), [b"1"], prefix)
    monkeypatch.undo()
    (root / "2024").rename(tmp_path / "outside")
    (root / "2024").symlink_to(tmp_path / "outside")

    attempt(root, PagesBook(pages), [b"2"], prefix)

    assert visible(tmp_path / "outside") == {"img_00001_.png": b"1"}


def test_a_name_that_is_given_again_is_taken_again(tmp_path: Path) -> None:
    pages = Pages()
    [name] = reserve(tmp_path, "output", "img", ".png", book=PagesBook(pages))
    (tmp_path / f".{name.name}.reserved").unlink()  # as the next who saves does, a day later

    [again] = reserve(tmp_path, "output", "img", ".png", book=PagesBook(pages))

    assert again.name == name.name
    assert save(tmp_path) == "img_00002_.png"


def test_more_pictures_than_before_get_more_names(tmp_path: Path) -> None:
    pages = Pages()
    attempt(tmp_path, PagesBook(pages), [b"1"])
    save(tmp_path)

    assert attempt(tmp_path, PagesBook(pages), [b"1", b"2"]) == ["img_00001_.png", "img_00003_.png"]
    assert attempt(tmp_path, PagesBook(pages), [b"1"]) == ["img_00001_.png"]


def test_a_folder_that_became_a_link_out_is_not_written_through(tmp_path: Path) -> None:
    root, pages = tmp_path / "output", Pages()
    attempt(root, PagesBook(pages), [b"1"], "sub/img")
    (root / "sub").rename(tmp_path / "outside")
    (root / "sub").symlink_to(tmp_path / "outside")

    with pytest.raises(UnsafeName, match="leads out"):
        attempt(root, PagesBook(pages), [b"2"], "sub/img")

    assert (tmp_path / "outside/img_00001_.png").read_bytes() == b"1"


@pytest.mark.parametrize("call", ["give", "writing"])
def test_a_book_that_refuses_leaves_no_file_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*_: object) -> None:
        raise NodeGraphError("the disk is full")

    book = PagesBook(Pages())
    monkeypatch.setattr(book, call, refuse)
    monkeypatch.setattr(book, "give_up", refuse)

    with pytest.raises(NodeGraphError, match="the disk is full"):
        attempt(tmp_path, book, [b"1", b"2"])

    left = [".img_00002_.png.reserved"] if call == "writing" else []  # of a picture never written
    assert os.listdir(tmp_path) == left


def test_a_crash_at_any_step_makes_no_second_copy(tmp_path: Path) -> None:
    contents = [b"one", b"two"]
    steps = burn(tmp_path / "whole", Pages(), -1, contents).steps
    for at in range(len(steps)):
        root, pages = tmp_path / str(at), Pages()
        root.mkdir()
        (root / "img_00001_.png").write_bytes(b"theirs")
        burn(root, pages, at, [b"other", b"words"])

        attempt(root, PagesBook(pages), contents)

        found = visible(root)
        assert found.pop("img_00001_.png") == b"theirs"
        assert sorted(found.values()) == contents, (at, steps[at])


def test_two_crashes_at_any_two_steps_make_no_second_copy(tmp_path: Path) -> None:
    """Each try makes another picture, as one does that says when it was made."""
    root = tmp_path / "root"
    steps = len(burn(root, Pages(), -1, [b"0"]).steps)
    for first in range(steps):
        restore(root, [])
        pages = Pages()
        burn(root, pages, first, [b"first"])
        files, rows = remembered(root), dict(pages.rows)
        for second in range(steps + 10):
            restore(root, files)
            pages.rows = dict(rows)
            fuse = burn(root, pages, second, [b"second"])

            assert len(visible(root)) <= 1
            attempt(root, PagesBook(pages), [b"third"])
            assert list(visible(root).values()) == [b"third"], (first, second)
            if fuse.left is None:
                break


def test_threads_of_one_call_get_different_names_and_the_same_ones_again(tmp_path: Path) -> None:
    pages = Pages()
    lock = Lock()

    class LockedBook(PagesBook):
        def request(self, what: str) -> str:
            with lock:
                return super().request(what)

        def give(self, request: str, names: Sequence[str]) -> None:
            with lock:
                super().give(request, names)

        def writing(self, name: str, sha256: str) -> None:
            with lock:
                super().writing(name, sha256)

    def work(book: PagesBook, index: int) -> str:
        [name] = attempt(tmp_path, book, [b"%d" % index], f"p{index % 4}")
        return name

    with ThreadPoolExecutor(8) as pool:
        book, again = LockedBook(pages), LockedBook(pages)
        first = list(pool.map(lambda index: work(book, index), range(24)))
        second = list(pool.map(lambda index: work(again, index), range(24)))

    assert sorted(first) == sorted(second) == sorted(visible(tmp_path))
    assert len(set(first)) == 24


class Saving(RuleBasedStateMachine):
    """Calls of nodes that save pictures, crash, and are made again; and somebody else's files."""

    def __init__(self) -> None:
        super().__init__()
        self.base = TemporaryDirectory()
        self.root = Path(self.base.name)
        self.pages = Pages()
        self.calls: dict[int, tuple[str, int]] = {}  # prefix, count
        self.held: dict[int, list[Reserved]] = {}  # by calls at work
        self.theirs: dict[str, bytes] = {}
        self.number = 0

    def teardown(self) -> None:
        self.base.cleanup()

    def fresh(self) -> int:
        self.number += 1
        return self.number

    @rule(prefix=st.sampled_from(["a", "b", "sub/a"]), count=st.integers(1, 3))
    def begin(self, prefix: str, count: int) -> None:
        self.calls[self.fresh()] = (prefix, count)

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def reserve_again(self, data: st.DataObject) -> None:
        """A call begins, for the first time or after a crash of whatever it was at."""
        call = data.draw(st.sampled_from(sorted(self.calls)))
        prefix, count = self.calls[call]
        book = PagesBook(self.pages, f"call {call}")
        self.held[call] = reserve(self.root, "output", prefix, ".png", count, book=book)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), crash=st.sampled_from([None, *range(14)]))
    def write(self, data: st.DataObject, crash: int | None) -> None:
        call = data.draw(st.sampled_from(sorted(self.held)))
        name = data.draw(st.sampled_from(self.held[call]))
        content = f"ours {call} {self.fresh()}".encode()
        self.burn(name, crash, lambda: name.write(content))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), crash=st.sampled_from([None, *range(4)]))
    def release(self, data: st.DataObject, crash: int | None) -> None:
        call = data.draw(st.sampled_from(sorted(self.held)))
        name = data.draw(st.sampled_from(self.held[call]))
        self.held[call] = [each for each in self.held[call] if each is not name]
        self.held = {call: names for call, names in self.held.items() if names}
        self.burn(name, crash, name.release)

    def burn(self, name: Reserved, at: int | None, work: Callable[[], None]) -> None:
        fuse = Fuse(self.root, self.pages, -1 if at is None else at)
        assert isinstance(name.book, PagesBook)
        name.book.step = fuse
        with suppress(NodeGraphError), fuse.burning():
            work()
        name.book.step = lambda _: None
        if fuse.left is not None:
            self.held.clear()  # the process is gone, with all that it was at

    @rule()
    def crash(self) -> None:
        self.held.clear()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """A call is over: its names are forgotten, its files are as anybody's."""
        call = data.draw(st.sampled_from(sorted(self.held)))
        for name in self.held.pop(call):
            name.release()
        del self.calls[call]
        rows = self.pages.rows
        self.pages.rows = {name: row for name, row in rows.items() if row[0] != f"call {call}"}

    @rule(prefix=st.sampled_from(["a", "b", "sub/a"]), number=st.integers(1, 6))
    def foreign(self, prefix: str, number: int) -> None:
        """Somebody makes a file, or puts theirs in the place of ours."""
        path = self.root / f"{prefix}_{number:05}_.png"
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(b"theirs %d" % self.fresh())
        self.theirs[path.relative_to(self.root).as_posix()] = path.read_bytes()

    @invariant()
    def somebody_elses_file_is_never_changed(self) -> None:
        found = visible(self.root)
        assert {name: found.get(name) for name in self.theirs} == self.theirs

    @invariant()
    def there_are_never_two_copies_of_one_picture(self) -> None:
        found = visible(self.root).values()
        for call, (_, count) in self.calls.items():
            assert sum(content.startswith(b"ours %d " % call) for content in found) <= count


Saving.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestSaving = Saving.TestCase
