import hashlib
import json
import os
import threading
import time
from pathlib import Path

import pytest

from nodegraph import hashes
from nodegraph.errors import FileMissing, NodeGraphError
from nodegraph.hashes import FileHashes


def later() -> int:
    """A clock for which every file is old enough to be remembered."""
    return time.time_ns() + 3600 * 10**9


class Reads:
    """Counts how often files are really read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        original = hashlib.file_digest

        def counted(*args: object) -> object:
            self.count += 1
            return original(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(hashlib, "file_digest", counted)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(hashes.KEPT))
    return path


def test_the_hash_is_the_sha256_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")

    assert FileHashes(None).sha256(path) == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_a_file_that_did_not_change_is_read_once(tmp_path: Path, reads: Reads) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    remembering = FileHashes(None, clock=later)

    first, second = remembering.sha256(path), remembering.sha256(path)

    assert first == second
    assert reads.count == 1


def test_another_file_under_the_same_name_is_noticed(tmp_path: Path) -> None:
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"abc")
    remembering = FileHashes(None, clock=later)
    before = remembering.sha256(path)
    stat = path.stat()

    other.write_bytes(b"xyz")  # as long, and made to look as old
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(path)

    assert remembering.sha256(path) == hashlib.sha256(b"xyz").hexdigest() != before


def test_a_file_that_was_just_written_is_read_again(tmp_path: Path, reads: Reads) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    remembering = FileHashes(None)

    remembering.sha256(path)
    remembering.sha256(path)

    assert reads.count == 2


def test_large_files_are_remembered_over_a_restart(
    tmp_path: Path, large: Path, reads: Reads
) -> None:
    store = tmp_path / "cache/hashes.json"
    first = FileHashes(store, clock=later).sha256(large)

    assert FileHashes(store, clock=later).sha256(large) == first
    assert reads.count == 1
    assert os.listdir(store.parent) == ["hashes.json"]


def test_small_files_are_not_written_down(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    store = tmp_path / "hashes.json"

    FileHashes(store, clock=later).sha256(path)

    assert not store.exists()


def test_two_processes_keep_each_others_hashes(tmp_path: Path, large: Path, reads: Reads) -> None:
    store = tmp_path / "hashes.json"
    other = tmp_path / "other.safetensors"
    other.write_bytes(bytes(hashes.KEPT + 1))
    one, two = FileHashes(store, clock=later), FileHashes(store, clock=later)
    one.sha256(large)
    two.sha256(other)

    third = FileHashes(store, clock=later)
    third.sha256(large)
    third.sha256(other)

    assert reads.count == 2


def test_hashes_of_files_that_are_gone_are_dropped(tmp_path: Path, large: Path) -> None:
    store = tmp_path / "hashes.json"
    other = tmp_path / "other.safetensors"
    other.write_bytes(bytes(hashes.KEPT))
    FileHashes(store, clock=later).sha256(large)
    large.unlink()

    FileHashes(store, clock=later).sha256(other)

    assert list(json.loads(store.read_text())["files"]) == [str(other)]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"format": 0}', '{"format": 1, "files": {"/": [1]}}', "\xff"]
)
def test_a_damaged_store_is_as_good_as_none(tmp_path: Path, large: Path, text: str) -> None:
    store = tmp_path / "hashes.json"
    store.write_bytes(text.encode("latin-1"))

    value = FileHashes(store, clock=later).sha256(large)

    assert value == hashlib.sha256(bytes(hashes.KEPT)).hexdigest()
    assert json.loads(store.read_text())["files"][str(large)][-1] == value


def test_a_store_that_cannot_be_written_is_a_warning_only(
    tmp_path: Path, large: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()

    FileHashes(tmp_path / "file/hashes.json", clock=later).sha256(large)

    assert "hashes of files are not kept" in caplog.text


def test_a_folders_hash_is_of_names_and_contents(tmp_path: Path) -> None:
    def make(name: str, files: dict[str, str]) -> str:
        for file, text in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return FileHashes(None).sha256(tmp_path / name)

    first = make("a", {"model_index.json": "{}", "unet/w": "1"})

    assert make("b", {"unet/w": "1", "model_index.json": "{}", ".git/x": "y"}) == first
    assert make("c", {"model_index.json": "{}", "unet/w": "2"}) != first
    assert make("d", {"model_index.json": "{}", "unet/v": "1"}) != first
    assert make("e", {"model_index.json": "{}", "unet/w": "1", "z": ""}) != first


def test_a_link_has_the_hash_of_what_it_leads_to(tmp_path: Path, reads: Reads) -> None:
    path, link = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"abc")
    link.symlink_to(path)
    remembering = FileHashes(None, clock=later)

    assert remembering.sha256(link) == remembering.sha256(path)
    assert reads.count == 1


def test_threads_that_ask_for_one_file_read_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    count = 0
    original = hashlib.file_digest

    def slow(*args: object) -> object:
        nonlocal count
        count += 1
        time.sleep(0.05)
        return original(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(hashlib, "file_digest", slow)
    remembering = FileHashes(None, clock=later)
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda: results.append(remembering.sha256(path))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(results), len(set(results)), count) == (8, 1, 1)


def test_a_file_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    original = hashlib.file_digest
    writes = [b"longer", b"longest"]

    def interrupted(*args: object) -> object:
        digest = original(*args)  # type: ignore[arg-type]
        if writes:
            path.write_bytes(writes.pop(0))
        return digest

    monkeypatch.setattr(hashlib, "file_digest", interrupted)

    assert FileHashes(None).sha256(path) == hashlib.sha256(b"longest").hexdigest()

    writes.extend([b"1", b"22", b"333"])
    with pytest.raises(NodeGraphError, match="a keeps changing while it is read"):
        FileHashes(None).sha256(path)


def test_a_missing_file_is_named_and_may_come_later(tmp_path: Path) -> None:
    remembering = FileHashes(None)
    path = tmp_path / "late"
    with pytest.raises(FileMissing, match="late is not there"):
        remembering.sha256(path)

    path.write_bytes(b"abc")

    assert remembering.sha256(path) == hashlib.sha256(b"abc").hexdigest()
