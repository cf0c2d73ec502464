"""The built page: its files as browsers get them, and the plain page where there is none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_parts import Site
from server_parts import site as served

from nodegraph.server import webpage
from nodegraph.server.headers import DEFAULT_CSP, PAGE_CSP

INDEX = """<!doctype html><script type="module" src="/assets/index.js"></script>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(INDEX)
    (folder / "assets" / "index.js").write_text("export {};")
    (folder / "assets" / "index.css").write_text("main {}")
    (folder / "assets" / "secret.txt").write_text("secret")
    monkeypatch.setattr(webpage, "PLACES", (tmp_path / "nowhere", folder))
    return folder


def test_the_page_is_what_was_built_and_may_run_its_own_scripts(site: Site, built: Path) -> None:
    reply = site.get("/")

    assert reply.body.decode() == INDEX
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["content-security-policy"] == PAGE_CSP
    assert reply.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("name", "media"),
    [("index.js", "text/javascript; charset=utf-8"), ("index.css", "text/css; charset=utf-8")],
)
def test_its_files_have_their_types(site: Site, built: Path, name: str, media: str) -> None:
    reply = site.get(f"/assets/{name}")

    assert reply.status == 200
    assert reply.headers["content-type"] == media
    assert reply.headers["content-security-policy"] == DEFAULT_CSP


def test_a_file_that_is_known_is_not_sent_again(site: Site, built: Path) -> None:
    tag = site.get("/assets/index.js").headers["etag"]

    assert site.get("/assets/index.js", If_None_Match=tag).status == 304

    (built / "assets" / "index.js").write_text("export const another = 1;")
    assert site.get("/assets/index.js", If_None_Match=tag).status == 200


@pytest.mark.parametrize(
    "name",
    ["secret.txt", "none.js", "..%2Findex.html", "%2Fetc%2Fpasswd", ".js", "a%00.js", "x%5Cy.js"],
)
def test_nothing_else_is_served(site: Site, built: Path, name: str) -> None:
    (built / "x.js").write_text("no asset")

    assert site.get(f"/assets/{name}").status in (400, 404)


def test_without_a_build_the_plain_page_says_how_to_make_one(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webpage, "PLACES", ())

    reply = site.get("/")

    assert "make web" in reply.body.decode()
    assert reply.headers["content-security-policy"] == PAGE_CSP
    assert site.get("/assets/index.js").status == 404


def test_the_page_that_comes_along_names_only_files_that_are_there() -> None:
    page = webpage.built_page()
    assert page is not None
    names = re.findall(r'(?:src|href)="/assets/([^"]+)"', (page / "index.html").read_text())

    assert "index.js" in names
    assert all(webpage.asset(page, name) for name in names)


def test_the_page_that_comes_along_has_no_script_or_style_of_its_own_in_its_text() -> None:
    page = webpage.built_page()
    assert page is not None
    text = (page / "index.html").read_text()

    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", text)
    assert not re.search(r"https?:", text)
