"""What plugins add to the page: served from their folder `web` alone, while they are loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugin_support import plugin, shouting
from server_process import ServerProcess, serving

SCRIPT = "export function setup(api) {}\n"


def web(place: Path, **files: str) -> None:
    (place / "web").mkdir()
    for name, text in files.items():
        (place / "web" / name.replace("_", ".")).write_text(text)


def fill(folder: Path) -> None:
    place = folder / "pages"
    place.mkdir(parents=True)
    (place / "plugin.yaml").write_text("name: pages\nweb: [main.js]\n")
    (place / "secret.js").write_text("treasure")
    web(place, main_js=SCRIPT, part_js="part", look_css="a {}", page_html="<b>", icon_svg="<svg/>")
    (folder / "outside.js").write_text("treasure")
    (place / "web" / "deep").mkdir()
    (place / "web" / "deep" / "inner.js").write_text("treasure")
    os.symlink(folder / "outside.js", place / "web" / "link.js")
    os.symlink(place / "secret.js", place / "web" / "near.js")

    (folder / "idle").mkdir()
    (folder / "idle" / "plugin.yaml").write_text("name: idle\nweb: [main.js]\nenabled: false\n")
    web(folder / "idle", main_js=SCRIPT)
    web(plugin(folder, "broken", {"bad": "1 / 0"}), main_js=SCRIPT)
    (folder / "broken" / "plugin.yaml").write_text("name: broken\nmodules: [bad]\nweb: [main.js]\n")
    web(shouting(folder), main_js=SCRIPT)  # which its manifest does not name


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("extensions")
    fill(folder / "mine")
    with serving(folder, settings={"plugins": str(folder / "mine")}) as server:
        yield server


def test_the_scripts_of_plugins_that_are_loaded_are_listed(server: ServerProcess) -> None:
    assert {each["name"]: each["web"] for each in server.get("/plugins")} == {
        "pages": ["main.js"],
        "idle": [],
        "broken": [],
        "loud": [],
    }


@pytest.mark.parametrize(
    ("name", "media", "text"),
    [
        ("main.js", "text/javascript; charset=utf-8", SCRIPT),
        ("part.js", "text/javascript; charset=utf-8", "part"),
        ("look.css", "text/css; charset=utf-8", "a {}"),
        ("icon.svg", "image/svg+xml", "<svg/>"),
    ],
)
def test_what_is_in_the_folder_is_served_as_what_it_is(
    server: ServerProcess, name: str, media: str, text: str
) -> None:
    answer = server.request("GET", f"/api/plugins/pages/web/{name}")

    assert (answer.status, answer.headers["Content-Type"]) == (200, media)
    assert answer.body.decode() == text
    assert answer.headers["Cache-Control"] == "no-cache"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize(
    "path",
    [
        "pages/web/page.html",  # it could run as a page
        "pages/web/gone.js",
        "pages/web/..%2Fsecret.js",
        "pages/web/..%2f..%2foutside.js",
        "pages/web/%2e%2e%2fsecret.js",
        "pages/web/deep%2Finner.js",
        "pages/web/..%5Csecret.js",
        "pages/web/link.js",  # a link to a file elsewhere
        "pages/web/near.js",  # and to one beside the folder
        "pages/web/main.js%00.svg",
        "pages/web/deep",
        "pages/web/.",
        "..%2Fmine%2Fpages/web/main.js",
        "pages%2F..%2Fpages/web/main.js",
        "idle/web/main.js",
        "broken/web/main.js",
        "loud/web/main.js",
        "none/web/main.js",
    ],
)
def test_nothing_else_is(server: ServerProcess, path: str) -> None:
    answer = server.request("GET", f"/api/plugins/{path}")

    assert answer.status == 404
    assert b"treasure" not in answer.body
    assert str(server.folder).encode() not in answer.body


def test_pages_of_other_sites_cannot_read_it(server: ServerProcess) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}

    answer = server.request("GET", "/api/plugins/pages/web/main.js", headers=headers)

    assert answer.status == 403
