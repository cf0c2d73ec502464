import os
import re
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
