"""Files put on disk: whole, none in the place of another."""

from __future__ import annotations

import errno
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from server_parts import files_under

from nodegraph.server.answers import Refused
from nodegraph.server.storing import beside, store


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files_under(folder)}


def no_links(source: object, target: object) -> None:
    raise PermissionError(errno.EPERM, "this disk has no links")


@pytest.fixture(params=[True, False], ids=["links", "no links"])
def links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once with hard links, once on a file system without."""
    if not request.param:
        monkeypatch.setattr(os, "link", no_links)


@pytest.mark.usefixtures("links")
def test_a_taken_name_gets_a_number_and_the_same_bytes_are_stored_once(tmp_path: Path) -> None:
    folder = tmp_path / "a/b"
    names = [
        store(content, folder, "x.png", overwrite=False)
        for content in (b"one", b"two", b"one", b"two", b"three", b"")
    ]

    assert names == ["x.png", "x (1).png", "x.png", "x (1).png", "x (2).png", "x (3).png"]
    assert contents(folder) == {
        "x.png": b"one",
        "x (1).png": b"two",
        "x (2).png": b"three",
        "x (3).png": b"",
    }


def test_a_file_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"old")

    assert store(io.BytesIO(b"new"), tmp_path, "x.png", overwrite=True) == "x.png"
    assert contents(tmp_path) == {"x.png": b"new"}


def test_a_link_is_replaced_and_not_what_it_points_to(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    secret = b"x" * len(str(tmp_path / "secret"))  # as many bytes as the link itself has
    (tmp_path / "secret").write_bytes(secret)
    (folder / "x.png").symlink_to(tmp_path / "secret")

    assert store(secret, folder, "x.png", overwrite=False) == "x (1).png"
    assert store(b"new", folder, "x.png", overwrite=True) == "x.png"
    assert (tmp_path / "secret").read_bytes() == secret
    assert not (folder / "x.png").is_symlink()


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("overwrite", [False, True])
def test_many_at_once_each_get_a_file_with_their_own_bytes(tmp_path: Path, overwrite: bool) -> None:
    count = 12
    barrier = Barrier(count)
    sent = [bytes([index]) * 300_000 for index in range(count)]

    def put(content: bytes) -> str:
        barrier.wait()
        return store(content, tmp_path, "x.png", overwrite=overwrite)

    with ThreadPoolExecutor(count) as pool:
        names = list(pool.map(put, sent))

    found = contents(tmp_path)
    if overwrite:
        assert set(names) == set(found) == {"x.png"}
        assert found["x.png"] in sent
    else:
        assert {name: found[name] for name in names} == dict(zip(names, sent, strict=True))
        assert len(set(names)) == count
        assert set(found) == set(names)


def test_many_at_once_with_the_same_bytes_share_one_file(tmp_path: Path) -> None:
    barrier = Barrier(8)

    def put(_: int) -> str:
        barrier.wait()
        return store(b"same" * 9999, tmp_path, "x.png", overwrite=False)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(put, range(8))) == {"x.png"}
    assert files_under(tmp_path) == ["x.png"]


@pytest.mark.parametrize(
    ("code", "status"), [(errno.ENOSPC, 507), (errno.EACCES, 507), (errno.ENAMETOOLONG, 400)]
)
def test_a_disk_that_refuses_is_told_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, status: int
) -> None:
    def refuse(_: int) -> None:
        raise OSError(code, os.strerror(code), "/a/secret/place")

    monkeypatch.setattr(os, "fsync", refuse)

    with pytest.raises(Refused) as caught:
        store(b"x", tmp_path, "x.png", overwrite=False)

    assert caught.value.status == status
    assert os.strerror(code) in caught.value.details
    assert "secret" not in str(caught.value)
    assert files_under(tmp_path) == []


def test_a_folder_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()

    with pytest.raises(Refused, match="cannot be called so"):
        store(b"x", tmp_path, "x.png", overwrite=True)
    with pytest.raises(Refused, match="cannot be called so"):
        store(b"x", tmp_path / "x.png" / "y" / "z", "x" * 300, overwrite=False)
    assert store(b"x", tmp_path, "x.png", overwrite=False) == "x (1).png"


def test_what_is_not_used_in_the_end_is_removed(tmp_path: Path) -> None:
    with beside(tmp_path, b"content") as hidden:
        assert hidden.read_bytes() == b"content"
        assert hidden.name.startswith(".")

    assert files_under(tmp_path) == []
