"""The user's settings and files, through a real socket."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from server_parts import HOSTILE, Reply, Site, files_under, site

from nodegraph.server.answers import Refused
from nodegraph.server.users import UserFiles

LIMIT = 100_000


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, max_document_bytes=LIMIT) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """For what leaves nothing behind."""
    root = tmp_path_factory.mktemp("users")
    (root / "secret.txt").write_text("secret")
    with site(root, max_document_bytes=LIMIT) as running:
        running.ask("POST", "/userdata/there.json", b"{}")
        yield running


def home(at: Site) -> Path:
    return at.root / "state/user/default"


def path_of(name: str) -> str:
    return f"/userdata/{quote(name, safe='')}"


def write(at: Site, name: str, content: bytes = b"{}", query: str = "") -> Reply:
    return at.ask("POST", path_of(name) + query, content)


# -- the user ------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_there_is_one_user_and_none_is_made(shared: Site, prefix: str) -> None:
    assert shared.get(f"{prefix}/users").json == {"storage": "server", "migrated": True}

    reply = shared.post(f"{prefix}/users", {"username": "mallory"})

    assert reply.status == 400
    assert "one user" in reply.error


# -- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_a_file_is_written_read_moved_and_deleted(at: Site, prefix: str) -> None:
    name, other = f"{prefix}/userdata/workflows%2Fa.json", "workflows%2Fdeep%2Fb.json"

    assert at.ask("POST", name, b'{"nodes": []}').json == "workflows/a.json"
    assert (home(at) / "workflows/a.json").read_bytes() == b'{"nodes": []}'
    assert at.get(name).json == {"nodes": []}
    assert at.ask("POST", f"{name}/move/{other}").json == "workflows/deep/b.json"
    assert at.get(name).status == 404
    assert at.get(f"{prefix}/userdata/{other}").json == {"nodes": []}
    assert at.ask("DELETE", f"{prefix}/userdata/{other}").status == 204
    assert at.ask("DELETE", f"{prefix}/userdata/{other}").status == 404
    assert files_under(home(at)) == []


@pytest.mark.parametrize(
    "name",
    [
        "a.json",
        "workflows/.index.json",
        ".index.json",
        "ünï 画像 \N{GRINNING FACE}.json",
        "a+b & c=d;e,f#g.json",
        "100 %.json",
        "{x}.json",
        "x" * 200,
        "/".join("d" * 15) + "/x",
        "workflows\\a.json",
    ],
)
def test_names_may_be_nearly_anything(at: Site, name: str) -> None:
    shown = name.replace("\\", "/")

    assert write(at, name, b"content").json == shown
    assert (home(at) / shown).read_bytes() == b"content"
    assert at.get(path_of(name)).body == b"content"


@pytest.mark.parametrize("name", [*HOSTILE, "a/.", "..json", "a/" * 16 + "x", "a:b", "a|b", "a?b"])
def test_hostile_names_are_refused_everywhere(shared: Site, name: str) -> None:
    for segment in (quote(name, safe=""), quote(quote(name, safe=""), safe="")):
        path = f"/userdata/{segment}"
        assert shared.get(path).status in (400, 403)
        assert shared.ask("POST", path, b"x").status in (400, 403)
        assert shared.ask("DELETE", path).status in (400, 403)
        assert shared.ask("POST", f"/userdata/there.json/move/{segment}").status in (400, 403)
        assert shared.ask("POST", f"{path}/move/x.json").status in (400, 403)
    assert shared.get(f"/userdata?dir={quote(name, safe='')}").status in (400, 403)
    assert shared.get(f"/v2/userdata?path={quote(name, safe='')}").status in (400, 403)
    assert files_under(shared.root / "state/user") == ["default/there.json"]
    assert shared.get("/userdata/there.json").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/userdata/../../secret.txt",
        "/userdata/%2e%2e/secret.txt",
        "/userdata/%2e%2e%2f%2e%2e%2f%2e%2e%2fsecret.txt",
        "/userdata/..%2f..%2f..%2fsecret.txt",
        "/userdata/..%5c..%5c..%5csecret.txt",
        "/userdata/%252e%252e%252fsecret.txt",
        "/userdata/..%252f..%252f..%252fsecret.txt",
        "/userdata/%c0%ae%c0%ae%2fsecret.txt",
        "/userdata/.%2e%2f.%2e%2f.%2e%2fsecret.txt",
        "/userdata/there.json%00.txt",
        "/userdata/%ff%fe",
        "/userdata//etc/passwd",
        "/userdata/%2fetc%2fpasswd",
        "/userdata/file:%2f%2f%2fetc%2fpasswd",
        "//userdata/there.json/../../../secret.txt",
    ],
)
def test_no_way_of_writing_a_path_leads_out(shared: Site, path: str) -> None:
    reply = shared.get(path)

    assert reply.status in (400, 403, 404)
    assert b"secret\n" not in reply.body


def test_links_that_leave_the_folder_are_refused(at: Site) -> None:
    home(at).mkdir(parents=True)
    (at.root / "secret.txt").write_text("secret")
    (home(at) / "file.txt").symlink_to(at.root / "secret.txt")
    (home(at) / "up").symlink_to(at.root)
    write(at, "mine.json")

    for name in ("file.txt", "up/secret.txt", "up/new.txt"):
        assert at.get(path_of(name)).status == 403
        assert write(at, name).status == 403
        assert at.ask("DELETE", path_of(name)).status == 403
        assert at.ask("POST", f"{path_of(name)}/move/x").status == 403
        assert at.ask("POST", f"/userdata/mine.json/move/{quote(name, safe='')}").status == 403
    assert at.get("/userdata?dir=up").status == 403
    assert at.get("/v2/userdata?path=up").status == 403
    assert at.get("/userdata?dir=.&recurse=true").json == ["mine.json"]
    assert (at.root / "secret.txt").read_text() == "secret"


@pytest.mark.parametrize(
    ("name", "media"),
    [
        ("a.json", "application/json"),
        ("a.TXT", "text/plain"),
        ("a.html", None),
        ("a.svg", None),
        ("a.js", None),
        ("a.css", None),
        ("a.xml", None),
        ("a.png", None),
        ("a", None),
        ("a.json.html", None),
    ],
)
def test_only_json_and_plain_text_are_shown(at: Site, name: str, media: str | None) -> None:
    content = b"<script>alert(document.domain)</script>"
    write(at, name, content)
    write(at, f"{name}.gz", b"something else")

    reply = at.get(path_of(name), Accept_Encoding="gzip")

    assert reply.body == content
    kind = reply.headers["content-type"].partition(";")[0]
    assert kind == (media or "application/octet-stream")
    assert reply.headers["content-disposition"].startswith("inline" if media else "attachment")
    assert "sandbox" in reply.headers["content-security-policy"]


def test_a_file_that_is_there_may_be_protected(at: Site) -> None:
    write(at, "a.json", b"1")
    write(at, "b.json", b"2")

    assert write(at, "a.json", b"3", "?overwrite=false").status == 409
    assert at.ask("POST", "/userdata/a.json/move/b.json?overwrite=false").status == 409
    assert at.get("/userdata/a.json").body == b"1"
    assert write(at, "a.json", b"3").status == 200
    assert write(at, "c.json", b"3", "?overwrite=false").status == 200
    assert at.ask("POST", "/userdata/a.json/move/b.json").json == "b.json"
    assert at.get("/userdata/b.json").body == b"3"
    assert at.ask("POST", "/userdata/b.json/move/b.json?overwrite=false").status == 200


def test_facts_of_a_file_are_told_if_asked_for(at: Site) -> None:
    row = write(at, "w/a.json", b"12345", "?full_info=true").json
    os.utime(home(at) / "w/a.json", (5, 1_234_567_890))
    moved = at.ask("POST", "/userdata/w%2Fa.json/move/w%2Fb.json?full_info=true").json

    assert (row["path"], row["size"]) == ("w/a.json", 5)
    assert (moved["path"], moved["modified"]) == ("w/b.json", 1_234_567_890)


def test_folders_are_no_files(at: Site) -> None:
    write(at, "w/a.json")

    assert at.get("/userdata/w").status == 404
    assert at.ask("DELETE", "/userdata/w").status == 404
    assert at.ask("POST", "/userdata/w/move/x").status == 404
    assert write(at, "w").status == 400
    assert write(at, "w/a.json/b").status == 400
    assert at.ask("POST", "/userdata/w%2Fa.json/move/w").status == 400
    assert at.ask("POST", "/userdata/missing/move/x").status == 404
    assert files_under(home(at)) == ["w/a.json"]


def test_a_file_that_is_too_large_is_refused(at: Site) -> None:
    assert write(at, "a.json", bytes(LIMIT + 1)).status == 413
    assert write(at, "a.json", bytes(LIMIT)).status == 200


def test_a_full_disk_is_told_and_what_was_there_stays(
    at: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    write(at, "a.json", b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert write(at, "a.json", b"new").status == 507
        assert write(at, "b.json", b"new").status == 507

    assert files_under(home(at)) == ["a.json"]
    assert at.get("/userdata/a.json").body == b"old"


# -- lists ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("full")) as running:
        names = ("workflows/b.json", "workflows/a.json", "workflows/sub/c.json", "x.json")
        for name in (*names, "workflows/.index.json"):
            write(running, name, name.encode())
        yield running


def test_a_folder_is_listed(full: Site) -> None:
    ask = "/userdata?dir=workflows"

    assert full.get(ask).json == ["a.json", "b.json"]
    assert full.get(f"{ask}/").json == ["a.json", "b.json"]
    assert full.get(f"{ask}&recurse=true").json == ["a.json", "b.json", "sub/c.json"]
    assert full.get(f"{ask}/sub&recurse=false").json == ["c.json"]
    assert full.get(f"{ask}&recurse=true&split=true").json[-1] == ["sub/c.json", "sub", "c.json"]
    assert full.get("/userdata?dir=.").json == ["x.json"]


def test_a_folder_is_listed_with_facts(full: Site) -> None:
    rows = full.get("/userdata?dir=workflows&recurse=true&full_info=true&split=true").json

    assert [(row["path"], row["size"]) for row in rows] == [
        ("a.json", 16),
        ("b.json", 16),
        ("sub/c.json", 20),
    ]
    assert all(row["modified"] > 1e9 and row["created"] > 1e9 for row in rows)


def test_folders_are_listed_too_by_the_second_version(full: Site) -> None:
    assert [(row["name"], row["path"], row["type"]) for row in full.get("/v2/userdata").json] == [
        ("workflows", "workflows", "directory"),
        ("x.json", "x.json", "file"),
    ]
    rows = full.get("/v2/userdata?path=workflows/").json

    assert [(row["path"], row.get("size")) for row in rows] == [
        ("workflows/a.json", 16),
        ("workflows/b.json", 16),
        ("workflows/sub", None),
    ]


@pytest.mark.parametrize(
    ("query", "status"), [("", 400), ("?dir=", 400), ("?dir=none", 404), ("?dir=x.json", 404)]
)
def test_what_is_no_folder_is_not_listed(full: Site, query: str, status: int) -> None:
    assert full.get(f"/userdata{query}").status == status
    if status == 404:
        assert full.get(f"/v2/userdata{query.replace('dir', 'path')}").status == status


def test_the_whole_may_be_empty(at: Site) -> None:
    assert at.get("/v2/userdata").json == []
    assert at.get("/userdata?dir=.").json == []


# -- how many ------------------------------------------------------------------------------------


def test_there_may_be_so_many_files_and_folders(tmp_path: Path) -> None:
    files = UserFiles(tmp_path / "user", 100, max_files=5)  # one is the folder itself
    files.write("a/1", b"")
    files.write("a/2", b"")
    files.write("a/3", b"")

    with pytest.raises(Refused, match="too many files"):
        files.write("a/4", b"")
    with pytest.raises(Refused, match="too many files"):
        files.move("a/3", "b/3")
    files.write("a/3", b"again")
    files.move("a/3", "a/2")
    files.write("a/4", b"")
    files.delete("a/4")
    files.move("a/1", "1")
    files.write("2", b"")

    assert files_under(tmp_path) == ["user/1", "user/2", "user/a/2"]


def test_files_that_are_there_already_are_counted(tmp_path: Path) -> None:
    for name in ("a", ".b", "c"):
        (tmp_path / name).touch()

    with pytest.raises(Refused, match="there may be 3"):
        UserFiles(tmp_path, 100, max_files=3).write("d", b"")


def test_the_count_is_right_after_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    files = UserFiles(tmp_path, 100, max_files=2)
    for _ in range(5):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(Refused, match="No space"):
                files.write("a", b"")

    files.write("a", b"")
    files.write("b", b"")


def test_a_deep_folder_can_be_walked_through(tmp_path: Path) -> None:
    folders = [tmp_path]
    while len(folders) < 1200 and len(str(folders[-1])) < 3500:
        folders.append(folders[-1] / "d")
        folders[-1].mkdir()

    found = UserFiles(tmp_path, 100).list("", recurse=True)
    for folder in reversed(folders[1:]):  # pytest itself would recurse
        folder.rmdir()

    assert len(found) == len(folders) - 1


def test_files_written_and_deleted_at_once_do_no_harm(tmp_path: Path) -> None:
    files = UserFiles(tmp_path, 100)

    def work(number: int) -> None:
        for step in range(20):
            files.write(f"{number % 3}/{step % 4}", str(number).encode())
            files.list("", recurse=True)
            with suppress(Refused):  # somebody else was faster
                files.delete(f"{(number + 1) % 3}/{step % 4}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))

    for number in range(3):
        files.write(f"{number}/x", b"")
    assert not [name for name in files_under(tmp_path) if name.endswith(".part")]
    assert json.dumps([file.as_json() for file in files.list("", recurse=True)])
