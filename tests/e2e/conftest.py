"""The page in a real browser (Debian's Chromium), with the real server and the embedded model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from server_process import HOME, ServerProcess, serving

PROGRAM = "from nodes.__main__ import main; main()"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
DESKTOP = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce"}
PATIENCE = 20_000  # milliseconds; only what hangs takes so long
expect.set_options(timeout=PATIENCE)
# What the tests before left unsaved is not offered: it would lie over the canvas.
NO_OFFERS = "try { localStorage.setItem('nodegraph.drafts', '9e15'); } catch {}"


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
def opened(server: ServerProcess, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens the page, in a browser with the settings given, on its first graph. What a script
    throws fails the test."""
    contexts: list[BrowserContext] = []
    thrown: list[str] = []

    def open_page(before: Callable[[Page], object] | None = None, **settings: Any) -> Page:
        context = browser.new_context(**(DESKTOP | settings))
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        context.add_init_script(NO_OFFERS)
        page = context.new_page()
        page.on("pageerror", lambda error: thrown.append(str(error)))
        if before:
            before(page)
        page.goto(server.url)
        expect(page.get_by_role("group", name="Sampler")).to_be_visible(timeout=PATIENCE)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert thrown == []


@pytest.fixture
def page(opened: Callable[..., Page]) -> Page:
    """The page in a window of 1280 by 800."""
    return opened()


@pytest.fixture
def pictures() -> Path:
    return HOME / "docs" / "images" / "gallery"
