"""Nothing is lost: saving with versions, two who write one file, drafts, crashes, lost servers."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from axe import violations
from conftest import PROGRAM
from desk import fill, node, shown
from playwright.sync_api import Browser, BrowserContext, Error, Locator, Page, expect
from server_process import HOME, ServerProcess, start, until

PATIENCE = 60_000  # milliseconds: the model draws on a slow machine
KEPT = """async ([words, count]) => {
    const base = await new Promise((resolve, reject) => {
        const request = indexedDB.open("nodegraph");
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
    if (!base.objectStoreNames.contains("drafts")) return base.close();
    const drafts = await new Promise((resolve) => {
        const request = base.transaction("drafts").objectStore("drafts").getAll();
        request.onsuccess = () => resolve(request.result);
    });
    base.close();
    return drafts.filter(({ text }) => text.includes(words)).length === count;
}"""


@contextmanager
def another(browser: Browser) -> Iterator[BrowserContext]:
    """Another browser: nothing that this one keeps is known there."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


def opened(context: BrowserContext, server: ServerProcess) -> Page:
    page = context.new_page()
    page.goto(server.url)
    expect(page.locator(".react-flow__node").first).to_be_visible(timeout=PATIENCE)
    return page


def prompt(page: Page) -> Locator:
    return page.get_by_role("textbox", name="text, Prompt", exact=True)


def write(page: Page, words: str) -> None:
    """Changes the graph, and waits until that is kept."""
    prompt(page).fill(words)
    until(lambda: page.evaluate(KEPT, [words, 1]))


def save_as(page: Page, name: str) -> None:
    page.keyboard.press("Control+Shift+S")
    window = page.get_by_role("dialog", name="Save the graph")
    window.get_by_role("textbox", name="Name").fill(name)
    window.get_by_role("button", name="Save", exact=True).click()
    expect(window).to_have_count(0)


def save(page: Page) -> None:
    """Saves the graph, which has a file."""
    page.keyboard.press("Control+s")
    expect(unsaved(page)).to_have_count(0)


def unsaved(page: Page) -> Locator:
    return page.get_by_role("toolbar").get_by_label("not saved")


def graphs(page: Page) -> Locator:
    """The list of graphs, opened."""
    page.keyboard.press("Control+o")
    window = page.get_by_role("dialog", name="Graphs")
    expect(window.get_by_role("heading", name="Saved on the server")).to_be_visible()
    return window


def tabs(page: Page) -> Locator:
    return page.get_by_role("navigation", name="Open graphs").get_by_role("listitem")


def tab(page: Page, name: str) -> Locator:
    row = page.get_by_role("navigation", name="Open graphs")
    return row.get_by_role("button", name=re.compile(f"^{name}"))


def run(page: Page, steps: str) -> None:
    fill(page, "batch_size, Size", "1")
    fill(page, "steps, Sampler", steps)
    page.get_by_role("button", name="Run", exact=True).click()


def state(page: Page) -> Locator:
    return page.get_by_role("status", name="State of the run")


# -- saving --------------------------------------------------------------------------------------


def test_an_earlier_version_is_restored_and_a_deleted_graph_too(page: Page) -> None:
    write(page, "one")
    expect(unsaved(page)).to_be_visible()
    save_as(page, "versions")
    expect(unsaved(page)).to_have_count(0)
    write(page, "two")
    expect(unsaved(page)).to_be_visible()
    save(page)

    window = graphs(page)
    window.get_by_role("button", name="More about versions").click()
    versions = window.get_by_role("list", name="Earlier versions")
    expect(versions.get_by_role("listitem")).to_have_count(1)
    versions.get_by_role("button", name="Restore the version of").click()
    expect(window).to_have_count(0)
    expect(prompt(page)).to_have_value("one")
    expect(unsaved(page)).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(prompt(page)).to_have_value("two")

    window = graphs(page)
    window.get_by_role("button", name="More about versions").click()
    expect(versions.get_by_role("listitem")).to_have_count(2)
    window.get_by_role("textbox", name="New name of versions").fill("renamed")
    window.get_by_role("button", name="Rename").click()
    window.get_by_role("button", name="More about renamed").click()
    window.get_by_role("button", name="Delete").click()
    window.get_by_text("Deleted", exact=True).click()
    window.get_by_role("button", name="Restore renamed").click()
    expect(prompt(page)).to_have_value("one")
    expect(tabs(page)).to_have_count(2)
    expect(tab(page, "renamed, not saved")).to_be_visible()


def test_two_browsers_that_save_one_graph_are_asked_and_both_are_kept(
    page: Page, browser: Browser, server: ServerProcess
) -> None:
    prompt(page).fill("mine")
    save_as(page, "shared")
    prompt(page).fill("mine again")
    with another(browser) as context:
        other = opened(context, server)
        graphs(other).get_by_role("button", name="Open shared").click()
        expect(prompt(other)).to_have_value("mine")
        prompt(other).fill("theirs")
        save(other)

    page.keyboard.press("Control+s")
    asked = page.get_by_role("dialog", name="Somebody else has saved this graph")
    expect(asked.get_by_text("Nothing has been overwritten")).to_be_visible()
    asked.get_by_role("button", name="Open theirs beside mine").click()

    expect(prompt(page)).to_have_value("theirs")
    expect(tabs(page)).to_have_count(2)
    tab(page, "shared, not saved").click()
    expect(prompt(page)).to_have_value("mine again")
    page.keyboard.press("Control+s")
    window = page.get_by_role("dialog", name="Save the graph")
    window.get_by_role("button", name="Save", exact=True).click()
    expect(window.get_by_role("alert")).to_contain_text("There is a graph of this name")
    window.get_by_role("textbox", name="Name").fill("shared, mine")
    window.get_by_role("button", name="Save", exact=True).click()
    expect(window).to_have_count(0)
    expect(unsaved(page)).to_have_count(0)
    saved = server.get("/userdata?dir=workflows")
    assert {"shared.json", "shared, mine.json"} <= set(saved)


# -- several graphs ------------------------------------------------------------------------------


def test_nothing_opens_in_the_place_of_unsaved_work_and_all_of_it_comes_back(
    page: Page, pictures: Path
) -> None:
    write(page, "unsaved work")
    page.locator("#open-file").set_input_files(pictures / "two_stage.png")
    expect(node(page, "First steps")).to_be_visible()
    expect(tabs(page)).to_have_count(2)
    tab(page, "text_to_image, not saved").click()
    expect(prompt(page)).to_have_value("unsaved work")
    page.keyboard.press("Alt+PageDown")
    expect(node(page, "First steps")).to_be_visible()
    tab(page, "text_to_image").click()

    page.reload()

    expect(prompt(page)).to_have_value("unsaved work")
    expect(tabs(page)).to_have_count(2)
    page.get_by_role("button", name="Undo").click()
    expect(prompt(page)).not_to_have_value("unsaved work")
    page.get_by_role("button", name="Redo").click()
    page.get_by_role("button", name="Close two_stage").click()
    expect(tabs(page)).to_have_count(0)  # one graph needs no row of them
    expect(prompt(page)).to_have_value("unsaved work")


def test_closing_asks_only_where_something_would_be_lost(page: Page, pictures: Path) -> None:
    write(page, "precious")
    page.locator("#open-file").set_input_files(pictures / "two_stage.png")
    expect(tabs(page)).to_have_count(2)
    asked = page.get_by_role("dialog", name="Close without saving?")

    page.get_by_role("button", name="Close text_to_image").click()
    asked.get_by_role("button", name="Keep it open").click()
    expect(prompt(page)).to_have_value("precious")
    page.get_by_role("button", name="Close text_to_image").click()
    asked.get_by_role("button", name="Save", exact=True).click()
    window = page.get_by_role("dialog", name="Save the graph")
    window.get_by_role("textbox", name="Name").fill("precious")
    window.get_by_role("button", name="Save", exact=True).click()

    expect(node(page, "First steps")).to_be_visible()
    expect(tabs(page)).to_have_count(0)
    graphs(page).get_by_role("button", name="Open precious").click()
    expect(prompt(page)).to_have_value("precious")


def test_the_row_of_graphs_and_the_dialogs_have_no_violations(page: Page, pictures: Path) -> None:
    prompt(page).fill("one")
    save_as(page, "accessible")
    prompt(page).fill("two")
    save(page)
    prompt(page).fill("three")
    page.locator("#open-file").set_input_files(pictures / "two_stage.png")
    expect(tabs(page)).to_have_count(2)
    found = violations(page, "row of graphs")

    opener = page.get_by_role("button", name="Open", exact=True)
    opener.click()
    window = page.get_by_role("dialog", name="Graphs")
    window.get_by_role("button", name="More about accessible").click()
    expect(
        window.get_by_role("list", name="Earlier versions").get_by_role("listitem")
    ).to_have_count(1)
    found += violations(page, "graphs")
    page.keyboard.press("Escape")
    expect(window).to_have_count(0)
    expect(opener).to_be_focused()

    page.keyboard.press("Control+Shift+S")
    expect(page.get_by_role("dialog", name="Save the graph").get_by_label("Name")).to_be_focused()
    found += violations(page, "saving")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Close accessible").click()
    expect(page.get_by_role("dialog", name="Close without saving?")).to_be_visible()
    found += violations(page, "closing")
    assert found == []


# -- drafts --------------------------------------------------------------------------------------


def test_a_page_that_is_killed_comes_back_to_its_draft(
    browser: Browser, server: ServerProcess
) -> None:
    with another(browser) as context:
        page = opened(context, server)
        write(page, "before the crash")
        with page.expect_event("crash"), suppress(Error):
            page.goto("chrome://crash")
        page = opened(context, server)

        expect(prompt(page)).to_have_value("before the crash")
        expect(page.get_by_role("button", name="Undo")).to_be_enabled()


def test_unsaved_work_of_another_browser_is_offered_and_stays_there(
    page: Page, browser: Browser, server: ServerProcess
) -> None:
    prompt(page).fill("from afar")
    until(lambda: _on_server(server, "from afar"))
    with another(browser) as context:
        other = opened(context, server)
        expect(prompt(other)).not_to_have_value("from afar")
        offer = other.get_by_role("status").filter(has_text="left by another browser")
        offer.get_by_role("button", name="Show").click()
        window = other.get_by_role("dialog", name="Graphs")
        window.get_by_role("button", name="Open the draft text_to_image").first.click()
        expect(prompt(other)).to_have_value("from afar")
        prompt(other).fill("changed there")
        until(lambda: _on_server(server, "changed there"))

    assert _on_server(server, "from afar")
    expect(prompt(page)).to_have_value("from afar")
    save_as(page, "no draft any more")
    until(lambda: not _on_server(server, "from afar"))


def _on_server(server: ServerProcess, words: str) -> bool:
    folder = server.folder / "state" / "user" / "default" / "drafts"
    return any(words in path.read_text() for path in folder.glob("*.json"))


def test_two_tabs_keep_a_draft_each_and_show_the_runs_that_are_theirs(
    page: Page, server: ServerProcess
) -> None:
    write(page, "the first tab")
    with page.expect_popup() as popup:
        page.evaluate("() => void window.open(location.href)")  # with this one's session storage
    other = popup.value
    other.set_default_timeout(PATIENCE)
    expect(prompt(other)).to_have_value("the first tab")
    until(lambda: page.evaluate(KEPT, ["the first tab", 2]))

    write(other, "the second tab")
    run(other, "2")
    shown(other, "Save")

    expect(prompt(page)).to_have_value("the first tab")
    expect(state(page)).to_have_text("")
    expect(node(page, "Save").get_by_role("img", name="Picture of Save")).to_have_count(0)
    page.reload()
    other.reload()
    expect(prompt(page)).to_have_value("the first tab")
    expect(prompt(other)).to_have_value("the second tab")
    shown(other, "Save")
    other.close()


# -- runs ----------------------------------------------------------------------------------------


def test_a_reload_in_the_middle_of_a_run_comes_back_to_its_progress_and_picture(
    page: Page, pictures: Path
) -> None:
    prompt(page).fill("a red apple")
    run(page, "70")
    expect(page.get_by_role("progressbar", name="Sampler")).to_be_visible(timeout=PATIENCE)
    until(lambda: page.evaluate(KEPT, ["a red apple", 1]))

    page.reload()

    expect(prompt(page)).to_have_value("a red apple")
    expect(state(page)).to_contain_text("Running")
    expect(page.get_by_role("progressbar", name="Sampler")).to_be_visible()
    page.locator("#open-file").set_input_files(pictures / "two_stage.png")
    expect(node(page, "First steps")).to_be_visible()
    expect(state(page)).to_have_text("")
    tab(page, "text_to_image").click()
    shown(page, "Save")
    expect(state(page)).to_contain_text("Done")


def test_a_server_that_is_killed_and_comes_back_in_the_middle_of_a_run_still_draws_it(
    browser: Browser, tmp_path: Path
) -> None:
    shutil.copytree(HOME / "input", tmp_path / "input")
    models = ("--models", str(HOME / "models"))
    server = start(tmp_path, *models, program=PROGRAM)
    try:
        with another(browser) as context:
            page = opened(context, server)
            run(page, "70")
            progress = page.get_by_role("progressbar", name=re.compile("Sampler"))
            expect(progress).to_be_visible(timeout=PATIENCE)

            server.kill()
            assert not list((tmp_path / "output").glob("*.png"))  # it was in the middle
            alert = page.get_by_role("alert").filter(has_text="No connection")
            expect(alert).to_be_visible(timeout=PATIENCE)
            prompt(page).fill("while it was away")
            server = start(tmp_path, *models, "--port", str(server.port), program=PROGRAM)

            expect(alert).to_have_count(0, timeout=PATIENCE)
            shown(page, "Save")
            expect(state(page)).to_contain_text("Done")
            expect(prompt(page)).to_have_value("while it was away")
            assert len(list((tmp_path / "output").glob("*.png"))) == 1
    finally:
        server.kill()
