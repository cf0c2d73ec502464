"""The page in a real browser (Debian's Chromium), with the real server and the embedded model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from server_process import HOME, ServerProcess, serving

PROGRAM = "from nodes.__main__ import main; main()"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 20_000  # milliseconds; only what hangs takes so long


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(HOME / "input", folder / "input")
    with serving(folder, "--models", str(HOME / "models"), program=PROGRAM) as server:
        yield server


@pytest.fixture(scope="module")  # while it is open its loop runs, and no other test could start one
def browser() -> Iterator[Browser]:
    found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if found is None:
        missing = "these tests need Chromium, such as Debian's package chromium"
        assert not os.environ.get("CI"), missing
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(server: ServerProcess, browser: Browser) -> Iterator[Page]:
    """The page, open on its first graph. What a script throws fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    thrown: list[str] = []
    page.on("pageerror", lambda error: thrown.append(str(error)))
    page.goto(server.url)
    expect(page.get_by_role("group", name="Sampler")).to_be_visible(timeout=PATIENCE)
    yield page
    context.close()
    assert thrown == []


@pytest.fixture
def pictures() -> Path:
    return HOME / "docs" / "images" / "gallery"
