"""Versions of the user's graphs, and two that write one file at once, through a real socket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from server_parts import Reply, Site, files_under, site

from nodegraph.server.answers import Refused
from nodegraph.server.users import UserFiles
from nodegraph.server.versions import Versions, _nearest

GRAPH = "workflows/a b.json"
OUTSIDE = "..%2f..%2f..%2f..%2fdefault%2fworkflows%2fa%20b.json"  # from its versions to itself


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as running:
        yield running


def path_of(name: str = GRAPH) -> str:
    return f"/userdata/{quote(name, safe='')}"


def write(at: Site, content: str, name: str = GRAPH, **headers: str) -> Reply:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return at.ask("POST", f"{path_of(name)}?full_info=true", content, named)


def versions(at: Site, name: str = GRAPH) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = at.get(f"{path_of(name)}/versions").json
    return found


def held(at: Site, name: str = GRAPH) -> list[str]:
    """What its versions hold, the newest first."""
    paths = [f"{path_of(name)}/versions/{each['version']}" for each in versions(at, name)]
    return [at.get(path).body.decode() for path in paths]


def restore(at: Site, version: str, name: str = GRAPH, query: str = "") -> Reply:
    return at.ask("POST", f"{path_of(name)}/versions/{version}/restore{query}")


# -- versions ------------------------------------------------------------------------------------


def test_what_a_graph_held_before_can_be_listed_read_and_restored(at: Site) -> None:
    for content in ("one", "two", "three"):
        write(at, content)

    assert held(at) == ["two", "one"]
    row = versions(at)[0]
    assert row["size"] == 3
    assert row["modified"] > 1e9

    assert restore(at, versions(at)[1]["version"]).json == GRAPH
    assert at.get(path_of()).body == b"one"
    assert held(at) == ["three", "two", "one"]


def test_a_version_is_sent_as_the_file_would_be(at: Site) -> None:
    write(at, "<script>")
    write(at, "two")

    reply = at.get(f"{path_of()}/versions/{versions(at)[0]['version']}")

    assert reply.headers["content-type"].startswith("application/json")
    assert reply.headers["content-disposition"] == 'inline; filename="a b.json"'
    assert "sandbox" in reply.headers["content-security-policy"]


def test_the_same_content_again_is_no_version(at: Site) -> None:
    write(at, "one")
    write(at, "one")
    assert versions(at) == []
    for content in ("two", "two", "one"):
        write(at, content)
    assert held(at) == ["two", "one"]
    for _ in range(2):
        at.ask("DELETE", path_of())
        assert held(at) == ["one", "two", "one"]
        restore(at, versions(at)[0]["version"])


def test_only_graphs_have_versions(at: Site) -> None:
    for name in ("notes.json", "drafts/x.json", "workflows/.index.json", "workflows"):
        if name != "workflows":
            write(at, "one", name)
            write(at, "two", name)
            assert versions(at, name) == []
        assert at.get(f"{path_of(name)}/versions/1").status == 404

    assert not (at.root / "state/user/default.versions").exists()


@pytest.mark.parametrize(
    "version", ["1", "x", "..", OUTSIDE, "..%2f..%2f..", "%2e%2e", "1" * 21, "-1"]
)
def test_versions_that_are_none_are_not_found(at: Site, version: str) -> None:
    write(at, "one")
    write(at, "two")

    assert at.get(f"{path_of()}/versions/{version}").status == 404
    assert restore(at, version).status == 404
    assert at.get(path_of()).body == b"two"


def test_a_graph_that_is_deleted_can_be_restored(at: Site) -> None:
    write(at, "one")
    write(at, "two")
    write(at, "other", "workflows/b.json")

    assert at.ask("DELETE", path_of()).status == 204

    [gone] = at.get("/v2/userdata/deleted").json
    assert (gone["path"], gone["size"]) == (GRAPH, 3)
    assert at.get("/v2/userdata/deleted?path=workflows").json == [gone]
    assert at.get("/v2/userdata/deleted?path=drafts").json == []
    assert held(at) == ["two", "one"]
    assert restore(at, versions(at)[0]["version"], query="?full_info=true").json["size"] == 3
    assert at.get(path_of()).body == b"two"
    assert at.get("/v2/userdata/deleted").json == []


def test_versions_go_with_a_file_that_is_renamed(at: Site) -> None:
    write(at, "one")
    write(at, "two")
    write(at, "in the way", "workflows/c/b.json")

    to = quote("workflows/c/b.json", safe="")
    assert at.ask("POST", f"{path_of()}/move/{to}").status == 200

    assert held(at, "workflows/c/b.json") == ["in the way", "one"]
    assert at.get(f"{path_of()}/versions").status == 404
    assert at.get("/v2/userdata/deleted").json == []
    assert not (at.root / "state/user/default.versions" / GRAPH).exists()
    write(at, "new", "workflows/a b.json/inner.json")
    write(at, "newer", "workflows/a b.json/inner.json")
    assert held(at, "workflows/a b.json/inner.json") == ["new"]


def test_versions_are_whole_files_and_nothing_else_is_left(at: Site) -> None:
    for content in ("one", "two", "three"):
        write(at, content)

    found = files_under(at.root / "state/user")
    folder = f"default.versions/{GRAPH}/.versions/"
    assert found == [folder + each["version"] for each in reversed(versions(at))] + [
        f"default/{GRAPH}"
    ]


def test_what_cannot_be_kept_is_not_overwritten(at: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    write(at, "one")
    with monkeypatch.context() as patch:
        patch.setattr(Versions, "keep", full)
        assert write(at, "two").status == 507
        assert at.ask("DELETE", path_of()).status == 507

    assert at.get(path_of()).body == b"one"


def test_the_newest_are_all_kept_and_the_others_reach_back_to_the_first(tmp_path: Path) -> None:
    kept = Versions(tmp_path / "versions", kept=20)
    path = tmp_path / "file"
    for number in range(1, 401):
        path.write_text(str(number))
        os.utime(path, ns=(number * 10**9, number * 10**9))
        kept.keep("file", path)

    found = [int(each.modified) for each in kept.of("file")]
    assert len(found) == 20
    assert found[:3] == [400, 399, 398]
    assert found[-1] == 1
    assert (kept.find("file", str(10**9)) or path).read_text() == "1"


def test_of_many_saved_in_a_row_the_gaps_grow_with_age() -> None:
    times = [10**9]
    for second in range(2, 1001):
        times.insert(0, second * 10**9)
        while len(times) > 30:
            times.pop(_nearest(times))

    gaps = [(a - b) / 10**9 for a, b in pairwise(times)]
    assert gaps[:4] == [1, 1, 1, 1]
    assert sum(gaps[-5:]) > 10 * sum(gaps[:5])
    assert times[-1] == 10**9
    assert max(gaps) < 300


def test_so_many_deleted_files_are_remembered(tmp_path: Path) -> None:
    kept = Versions(tmp_path / "versions")
    path = tmp_path / "file"
    for number in range(1, 6):
        path.write_text("x")
        os.utime(path, ns=(number, number))
        kept.keep(f"workflows/{number}/x", path)

    kept.forget([f"workflows/{number}/x" for number in (1, 2, 4, 5)], most=2)

    assert sorted(kept.names()) == [f"workflows/{number}/x" for number in (3, 4, 5)]


# -- two at once ---------------------------------------------------------------------------------


def test_who_has_read_an_older_content_does_not_overwrite_a_newer_one(at: Site) -> None:
    first = write(at, "mine").headers["etag"]
    assert at.get(path_of()).headers["etag"] == first
    second = write(at, "his!", If_Match=first).headers["etag"]
    assert second != first

    reply = write(at, "mine", If_Match=first)

    assert reply.status == 412
    assert "Somebody else" in reply.error
    assert f'"{reply.json["error"]["extra_info"]["etag"]}"' == second
    assert at.get(path_of()).body == b"his!"
    assert write(at, "both", If_Match=f'"x", {second}').status == 200
    assert held(at) == ["his!", "mine"]


def test_nor_deletes_renames_or_restores_over_it(at: Site) -> None:
    old = {"If-Match": write(at, "one").headers["etag"]}
    write(at, "two")
    version = versions(at)[0]["version"]

    assert at.ask("DELETE", path_of(), headers=old).status == 412
    assert at.ask("POST", f"{path_of()}/move/x", headers=old).status == 412
    assert at.ask("POST", f"{path_of()}/versions/{version}/restore", headers=old).status == 412
    assert at.get(path_of()).body == b"two"
    new = {"If-Match": at.get(path_of()).headers["etag"]}
    assert at.ask("DELETE", path_of(), headers=new).status == 204


def test_a_file_that_is_gone_matches_nothing(at: Site) -> None:
    reply = write(at, "one", If_Match="*")

    assert reply.status == 412
    assert "no longer there" in reply.error
    assert write(at, "one").status == 200
    assert write(at, "two", If_Match="*").status == 200
    assert write(at, "three", If_Match="W/" + at.get(path_of()).headers["etag"]).status == 412


def test_etags_are_in_lists_and_stay_over_a_restart(tmp_path: Path) -> None:
    with site(tmp_path) as at:
        told = write(at, "one").json["etag"]
    with site(tmp_path) as at:
        [row] = at.get("/userdata?dir=workflows&full_info=true").json

        assert row["etag"] == told
        assert at.get(path_of()).headers["etag"] == f'"{told}"'


def test_of_many_that_write_at_once_upon_one_content_one_succeeds(tmp_path: Path) -> None:
    files = UserFiles(tmp_path / "user", 100)
    first = files.write(GRAPH, b"0").etag

    def attempt(number: int) -> str | None:
        try:
            return files.write(GRAPH, str(number).encode(), match={first}).etag
        except Refused:
            return None

    with ThreadPoolExecutor(8) as pool:
        etags = [etag for etag in pool.map(attempt, range(1, 9)) if etag]

    assert len(etags) == 1
    assert [each.size for each in files.history(GRAPH)] == [1]


def test_contents_written_within_a_moment_have_different_etags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 10**18)
    files = UserFiles(tmp_path / "user", 100)

    etags = {files.write(GRAPH, b"x").etag for _ in range(50)}

    assert len(etags) == 50


def test_a_content_is_newer_than_the_last_one_whatever_the_clock_says(tmp_path: Path) -> None:
    files = UserFiles(tmp_path / "user", 100)
    first = files.write(GRAPH, b"x")
    ahead = 2 * 10**18
    os.utime(tmp_path / "user" / GRAPH, ns=(ahead, ahead))

    second = files.write(GRAPH, b"y")

    assert (tmp_path / "user" / GRAPH).stat().st_mtime_ns > ahead
    assert second.etag != first.etag
