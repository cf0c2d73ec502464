"""The user's settings, through a real socket."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from server_parts import Site, files_under, site

LIMIT = 100_000


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, max_document_bytes=LIMIT) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """For what leaves nothing behind."""
    with site(tmp_path_factory.mktemp("settings"), max_document_bytes=LIMIT) as running:
        yield running


def home(at: Site) -> Path:
    return at.root / "state/user/default"


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_settings_are_merged_and_kept(at: Site, prefix: str) -> None:
    assert at.get(f"{prefix}/settings").json == {}
    assert at.get(f"{prefix}/settings/Comfy.Locale").json is None

    assert at.post(f"{prefix}/settings", {"a": 1, "b": [True, None]}).status == 200
    assert at.post(f"{prefix}/settings/Comfy.Locale", "de").status == 200
    assert at.post(f"{prefix}/settings/a", None).status == 200
    assert at.post(f"{prefix}/settings/x%2Fy%20%7Bz%7D", {"ünï": "\ud83d\ude00"}).status == 200

    assert at.get(f"{prefix}/settings").json == {
        "a": None,
        "b": [True, None],
        "Comfy.Locale": "de",
        "x/y {z}": {"ünï": "\N{GRINNING FACE}"},
    }
    assert at.get(f"{prefix}/settings/b").json == [True, None]
    assert at.get(f"{prefix}/settings/x%2Fy%20%7Bz%7D").json == {"ünï": "\N{GRINNING FACE}"}
    assert files_under(home(at)) == ["settings.json"]


@pytest.mark.parametrize("body", [b"", b"[]", b"3", b"{", b"\xff", b'{"a": ' + b"[" * 500])
def test_settings_that_are_none_are_refused(shared: Site, body: bytes) -> None:
    assert shared.ask("POST", "/settings", body).status == 400
    assert shared.get("/settings").json == {}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 500, b"9" * 5000])
def test_a_setting_that_is_no_json_is_refused(shared: Site, body: bytes) -> None:
    assert shared.ask("POST", "/settings/a", body).status == 400
    assert shared.get("/settings").json == {}


def test_settings_that_would_be_too_large_are_refused(at: Site) -> None:
    at.post("/settings", {"kept": 1})

    assert at.post("/settings", {"b": "x" * LIMIT}).status == 413
    assert at.post("/settings", {"b": "x" * (LIMIT - 10)}).status == 413
    assert at.get("/settings").json == {"kept": 1}


def test_settings_are_never_too_deep_to_be_read_again(at: Site) -> None:
    at.post("/settings", {"kept": 1})

    found = [
        at.ask("POST", "/settings/a", b"[" * depth + b"]" * depth).status
        for depth in range(95, 105)
    ]

    assert (found[0], found[-1]) == (200, 400)
    assert at.get("/settings").json.keys() == {"kept", "a"}


def test_numbers_that_json_lacks_are_kept_and_told_as_null(at: Site) -> None:
    at.ask("POST", "/settings/a", b"NaN")

    assert at.get("/settings/a").json is None
    assert at.post("/settings", {"b": 1}).status == 200
    assert at.get("/settings").json == {"a": None, "b": 1}


@pytest.mark.parametrize("bad", [b"", b"[1]", b"{not json", b"\xff\xfe", b"[" * 5000, b"null"])
def test_a_damaged_file_of_settings_is_kept_beside(at: Site, bad: bytes) -> None:
    home(at).mkdir(parents=True)
    (home(at) / "settings.json").write_bytes(bad)

    assert at.get("/settings").json == {}
    assert (home(at) / "settings.json").read_bytes() == bad  # looking changes nothing
    assert at.post("/settings", {"a": 1}).status == 200

    assert at.get("/settings").json == {"a": 1}
    assert (home(at) / "settings.unreadable.json").read_bytes() == bad


def test_every_damaged_file_is_kept(at: Site) -> None:
    for text in (b"one", b"two", b"three"):
        at.ask("POST", "/userdata/settings.json", text)
        at.post("/settings", {"a": 1})

    kept = sorted(path.read_bytes() for path in home(at).glob("settings.unreadable*"))
    assert kept == [b"one", b"three", b"two"]


def test_settings_that_cannot_be_read_now_are_not_replaced(
    at: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    at.post("/settings", {"a": 1})
    read = Path.open

    def refuse(path: Path, *args: str, **kwargs: str) -> object:
        if path.name == "settings.json":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, *args, **kwargs)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        assert at.get("/settings").status == 507
        assert at.get("/settings/a").status == 507
        assert at.post("/settings", {"b": 2}).status == 507

    assert at.get("/settings").json == {"a": 1}


def test_settings_changed_at_once_are_all_kept(at: Site) -> None:
    barrier = threading.Barrier(10)

    def change(number: int) -> None:
        barrier.wait()
        for step in range(4):
            at.post(f"/settings/{number}-{step}", step)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(change, range(10)))

    expected = {f"{number}-{step}": step for number in range(10) for step in range(4)}
    assert at.get("/settings").json == expected


def test_a_full_disk_is_told_and_the_settings_stay(
    at: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    at.post("/settings", {"a": 1})
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert at.post("/settings", {"b": 2}).status == 507
        assert at.post("/settings/a", 2).status == 507

    assert at.get("/settings").json == {"a": 1}
    assert files_under(home(at)) == ["settings.json"]
