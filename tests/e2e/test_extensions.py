"""Plugins that extend the page: the one that comes along, and some that go wrong."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe import violations
from desk import choose, node
from playwright.sync_api import Page, expect
from server_process import HOME, ServerProcess, serving, until

PROGRAM = "from nodes.__main__ import main; main()"
BROKEN = {
    # name of the plugin: its script
    "syntax": "export function setup(api) {",
    "raises": """
        export function setup(api) {
            api.registerPanel({ id: "half", title: "Half a panel", mount() {} });
            throw new Error("I stop here");
        }
    """,
    "later": """
        export function setup(api) {
            const mount = () => { throw new Error("no panel"); };
            api.registerPanel({ id: "bad", title: "Bad panel", mount });
            api.registerWidget({ node: "KSampler", input: "cfg" }, {
                mount() { throw new Error("no widget"); },
            });
        }
    """,
    "elsewhere": """
        import "https://example.org/evil.js";
        export function setup(api) {}
    """,
    "tells": """
        export function setup(api) {
            Object.isFrozen(api) && api.say(`version ${api.version} of ${api.plugin}`);
            document.documentElement.append(Object.assign(document.createElement("script"), {
                textContent: "document.title = 'an inline script ran'",
            }));
        }
    """,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(HOME / "input", folder / "input")
    for name, script in BROKEN.items():
        place = folder / "mine" / name
        (place / "web").mkdir(parents=True)
        (place / "plugin.yaml").write_text(f"name: {name}\nweb: [main.js]\n")
        (place / "web" / "main.js").write_text(script)
    shutil.copytree(HOME / "plugins" / "pickers", folder / "mine" / "pickers")
    documented(folder / "mine" / "fade")
    settings = {"plugins": str(folder / "mine")}
    models = ("--models", str(HOME / "models"))
    with serving(folder, *models, program=PROGRAM, settings=settings) as server:
        yield server


def documented(place: Path) -> None:
    """The plugin that docs/plugins.md makes, with its extension of the page."""
    text = (HOME / "docs" / "plugins.md").read_text()
    (place / "web").mkdir(parents=True)
    for name, kind in (("conditioning.py", "python"), ("web/fade.js", "js")):
        after = text[text.index(f"`mine/fade/{name}`") :]
        block = re.search(rf"```{kind}\n(.*?)```", after, re.DOTALL)
        assert block, name
        (place / name).write_text(block[1])
    (place / "plugin.yaml").write_text("name: fade\nmodules: [conditioning]\nweb: [fade.js]\n")


def test_the_example_of_the_documentation_works(page: Page) -> None:
    page.keyboard.press("Tab")
    choose(page, "prompt fade")
    slider = page.get_by_role("slider", name="last, Prompt Fade")
    expect(slider).to_have_value("0.5")
    slider.press("ArrowLeft")
    expect(slider).to_have_value("0.45")

    page.get_by_role("button", name="Fading prompts").click()
    panel = page.get_by_role("complementary", name="Fading prompts")
    panel.get_by_role("button", name="Prompt Fade: 0.45; let it count fully").click()

    expect(slider).to_have_value("1")
    expect(panel.get_by_role("button", name="Prompt Fade: 1;")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(slider).to_have_value("0.45")


def test_a_colour_is_chosen_by_eye(page: Page) -> None:
    page.keyboard.press("Tab")
    choose(page, "empty image")
    colour = page.get_by_label("color, Empty Image")
    expect(colour).to_have_value("#000000")

    colour.fill("#3056d3")

    expect(node(page, "Empty Image").get_by_role("status")).to_have_text("#3056d3")
    page.locator(".react-flow__pane").click(position={"x": 500, "y": 700})
    page.keyboard.press("Control+z")
    expect(colour).to_have_value("#000000")
    page.keyboard.press("Control+Shift+z")
    expect(colour).to_have_value("#3056d3")


def test_a_panel_sets_sizes_in_one_step(page: Page) -> None:
    width = page.get_by_role("spinbutton", name="width, Size")
    before = width.input_value()
    page.get_by_role("button", name="Sizes").click()
    panel = page.get_by_role("complementary", name="Sizes")
    expect(panel.get_by_text("Sets the size of Size.")).to_be_visible()

    assert violations(page, "a plugin's panel") == []
    panel.get_by_role("combobox", name="Shorter side").select_option("128")
    panel.get_by_role("button", name="3:2 192 × 128").click()

    expect(width).to_have_value("192")
    expect(page.get_by_role("spinbutton", name="height, Size")).to_have_value("128")
    undo = page.get_by_role("button", name="Undo")
    expect(undo).to_have_attribute("title", re.compile("Size 192 × 128"))
    undo.click()
    expect(width).to_have_value(before)
    page.get_by_role("button", name="Close the panel").click()
    expect(panel).to_have_count(0)


def test_extensions_that_fail_are_named_and_break_nothing(
    page: Page, server: ServerProcess
) -> None:
    expect(page.get_by_text("version 1 of tells")).to_be_visible()
    page.get_by_role("button", name="Bad panel").click()
    expect(page.get_by_text("This panel failed")).to_be_visible()

    page.get_by_role("button", name="Errors").click()

    errors = page.get_by_role("list", name="What is wrong with extensions")
    for words in (
        "Extension syntax: main.js",
        "Extension raises: main.jsI stop here",
        "Extension later: panel Bad panelno panel",
        "Extension later: widget of cfgno widget",
        "Extension elsewhere: main.js",
    ):
        expect(errors.get_by_role("listitem").filter(has_text=words)).to_have_count(1)
    expect(errors.get_by_role("listitem")).to_have_count(5)
    assert violations(page, "errors of extensions") == []
    expect(page.get_by_role("button", name="Half a panel")).to_have_count(0)
    expect(page.get_by_role("button", name="Sizes")).to_be_visible()
    assert "inline script" not in page.title()
    assert server.get("/plugins")  # the server is none the worse for it

    guidance = page.get_by_role("spinbutton", name="cfg, Sampler")
    guidance.fill("3")
    guidance.press("Enter")
    until(lambda: guidance.input_value() == "3")


def test_what_authors_need_comes_with_the_server(server: ServerProcess) -> None:
    answer = server.request("GET", "/assets/extension.d.ts")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.body == Path(HOME / "web/src/ext/extension.d.ts").read_bytes()
