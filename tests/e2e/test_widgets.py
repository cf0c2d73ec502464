"""Widgets: numbers, seeds, choices, pictures, texts, switches, and what stands for what is gone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe import violations
from desk import choose, drag, fill, node
from PIL import Image
from playwright.sync_api import Page, expect
from server_process import HOME, ServerProcess, serving, until

PROGRAM = "from nodes.__main__ import main; main()"
PATIENCE = 60_000  # milliseconds: the model draws on a slow machine
PICTURES = ("cat.png", "cathedral.png", "dog.png")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("widgets")
    (folder / "input").mkdir()
    for name in PICTURES:
        Image.new("RGB", (32, 32), "teal").save(folder / "input" / name)
    idle = folder / "mine" / "idle"
    idle.mkdir(parents=True)
    (idle / "plugin.yaml").write_text(
        "name: idle\nmodules: [fade]\nnodes: [FadeOut]\nenabled: false\n"
    )
    (idle / "fade.py").write_text("")
    settings = {"plugins": str(folder / "mine")}
    models = ("--models", str(HOME / "models"))
    with serving(folder, *models, program=PROGRAM, settings=settings) as server:
        yield server


def added(page: Page, words: str) -> None:
    page.keyboard.press("Tab")
    choose(page, words)


def opened(page: Page, folder: Path, graph: dict[str, Any]) -> None:
    path = folder / "graph.json"
    path.write_text(json.dumps(graph))
    page.locator("#open-file").set_input_files(path)


def saved(page: Page, folder: Path) -> dict[str, Any]:
    """The nodes by type, as a file of the editor has them."""
    page.keyboard.press("Control+a")
    text = page.evaluate(COPIED)
    return {each["type"]: each for each in json.loads(text)["nodes"]}


# What a copy of what is selected puts on the clipboard.
COPIED = """() => {
    const data = new DataTransfer();
    const options = { bubbles: true, cancelable: true, clipboardData: data };
    document.body.dispatchEvent(new ClipboardEvent("copy", options));
    return data.getData("text/plain");
}"""


def test_a_number_is_dragged_stepped_and_worked_out_and_a_drag_is_one_step(page: Page) -> None:
    steps = page.get_by_role("spinbutton", name="steps, Sampler")
    before = int(steps.input_value())
    box = steps.bounding_box()
    assert box
    start = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    drag(page, start, (start[0] + 41, start[1]))
    expect(steps).to_have_value(str(before + 10))
    page.get_by_role("button", name="Undo").click()
    expect(steps).to_have_value(str(before))

    steps.focus()
    steps.press("ArrowUp")
    steps.press("Shift+ArrowUp")
    expect(steps).to_have_value(str(before + 11))
    fill(page, "steps, Sampler", "2 * (3 + 4)")
    expect(steps).to_have_value("14")
    fill(page, "steps, Sampler", "nonsense")
    expect(steps).to_have_value("14")
    fill(page, "steps, Sampler", "-5")
    expect(steps).to_have_value("1")


def test_seeds_follow_their_mode_and_earlier_ones_come_back(page: Page) -> None:
    for name, value in (("steps, Sampler", "1"), ("batch_size, Size", "1"), ("seed, Sampler", "5")):
        fill(page, name, value)
    seed = page.get_by_role("spinbutton", name="seed, Sampler")
    mode = page.get_by_role("combobox", name="After each run: seed, Sampler")
    state = page.get_by_role("status", name="State of the run")

    def run(value: str) -> None:
        page.get_by_role("button", name="Run", exact=True).click()
        expect(seed).to_have_value(value)
        expect(state).to_contain_text("Done", timeout=PATIENCE)

    mode.select_option("fixed")
    run("5")
    mode.select_option("increment")
    run("6")
    mode.select_option("decrement")
    run("5")
    mode.select_option("randomize")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(seed).not_to_have_value("5")
    drawn = seed.input_value()

    page.get_by_role("button", name="Use the last seed").click()
    expect(mode).to_have_value("fixed")
    expect(seed).to_have_value(drawn)
    page.get_by_role("button", name="Earlier seeds: seed, Sampler").click()
    seeds = page.get_by_role("listbox", name="Earlier seeds").get_by_role("option")
    expect(seeds).to_have_text([drawn, "5", "6"])
    seeds.nth(2).click()
    expect(seed).to_have_value("6")
    expect(page.get_by_role("button", name="Earlier seeds")).to_be_focused()
    expect(state).to_contain_text("Done", timeout=PATIENCE)


def test_a_choice_is_found_by_typing(page: Page) -> None:
    choice = page.get_by_role("button", name="sampler_name, Sampler")
    choice.press("Enter")
    field = page.get_by_role("combobox", name="sampler_name, Sampler")

    field.fill("dpmpp 2m")
    options = page.get_by_role("listbox", name="sampler_name, Sampler").get_by_role("option")
    expect(options.first).to_contain_text("dpmpp_2m")
    field.press("ArrowDown")
    field.press("ArrowUp")
    field.press("Enter")

    expect(choice).to_have_text("dpmpp_2m")
    expect(choice).to_be_focused()
    choice.press("Enter")
    field.fill("no such thing")
    expect(page.get_by_text("Nothing fits")).to_be_visible()
    field.press("Escape")
    expect(choice).to_have_text("dpmpp_2m")


def test_a_picture_is_chosen_by_its_looks_or_sent_from_here(page: Page, tmp_path: Path) -> None:
    added(page, "load image")
    choice = page.get_by_role("button", name="image, Load Image: cat.png")
    choice.click()
    options = page.get_by_role("listbox", name="image, Load Image").get_by_role("option")
    expect(options).to_have_text(list(PICTURES))
    until(
        lambda: options.locator("img").evaluate_all(
            "(images) => images.length === 3 && images.every((image) => image.naturalWidth > 0)"
        )
    )
    options.filter(has_text="dog.png").click()
    expect(page.get_by_role("button", name="image, Load Image: dog.png")).to_be_visible()

    Image.new("RGB", (24, 24), "red").save(tmp_path / "mine.png")
    with page.expect_file_chooser() as chooser:
        node(page, "Load Image").get_by_role("button", name="Choose a picture").click()
    chooser.value.set_files(tmp_path / "mine.png")

    sent = page.get_by_role("button", name="image, Load Image: mine.png")
    expect(sent).to_have_attribute("aria-invalid", "false")
    picture = node(page, "Load Image").get_by_role("img", name="Picture of Load Image")
    until(lambda: picture.evaluate("(image) => image.naturalWidth") == 24)


def test_words_get_weights_and_long_texts_a_window(page: Page) -> None:
    text = page.get_by_role("textbox", name="text, Prompt")
    text.fill("a cat")
    text.press("End")
    text.press("Control+ArrowUp")
    text.press("Control+ArrowUp")
    expect(text).to_have_value("a (cat:1.2)")

    opener = page.get_by_role("button", name="Edit large: text, Prompt")
    opener.click()
    window = page.get_by_role("dialog", name="text, Prompt")
    large = window.get_by_role("textbox")
    expect(large).to_be_focused()
    expect(large).to_have_value("a (cat:1.2)")
    large.press("Control+ArrowDown")
    expect(large).to_have_value("a (cat:1.1)")
    large.press("End")
    page.keyboard.type(", on grass")
    expect(window.get_by_text("4 words")).to_be_visible()
    assert violations(page, "a text's window") == []
    page.keyboard.press("Escape")

    expect(window).to_have_count(0)
    expect(opener).to_be_focused()
    expect(text).to_have_value("a (cat:1.1), on grass")
    page.get_by_role("button", name="Undo").click()
    expect(text).not_to_have_value("a (cat:1.1), on grass")


def test_a_switch_is_switched_by_mouse_and_keys(page: Page) -> None:
    added(page, "training recipe")
    switch = page.get_by_role("switch", name="recompute, ")
    expect(switch).to_have_attribute("aria-checked", "false")

    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    switch.press("Space")
    expect(switch).to_have_attribute("aria-checked", "false")


def test_a_model_that_is_not_there_stays_and_those_of_near_names_are_offered(
    page: Page, tmp_path: Path
) -> None:
    name = "emojii_v1.ckpt"
    opened(
        page,
        tmp_path,
        {"1": {"class_type": "LoadCheckpoint", "inputs": {"ckpt_name": name}}},
    )
    choice = page.get_by_role("button", name=f"ckpt_name, Load Checkpoint: {name}")
    expect(choice).to_have_attribute("aria-invalid", "true")
    expect(choice).to_have_accessible_name(re.compile("which is not there"))
    assert name in json.dumps(saved(page, tmp_path))

    choice.click()

    window = page.get_by_role("dialog", name="ckpt_name, Load Checkpoint")
    expect(window.get_by_text(f"{name} is not there. Near to it:")).to_be_visible()
    assert violations(page, "a missing file") == []
    window.get_by_role("note").get_by_role("button").first.click()
    found = page.get_by_role("button", name="ckpt_name, Load Checkpoint: emoji")
    expect(found).to_have_attribute("aria-invalid", "false")


def test_a_node_that_is_not_there_keeps_its_data_and_can_become_one_that_is(
    page: Page, tmp_path: Path
) -> None:
    graph = {
        "nodes": [
            {
                "id": 1,
                "type": "K_Sampler",
                "pos": [60, 60],
                "inputs": [{"name": "model", "type": "MODEL", "link": None}],
                "outputs": [{"name": "LATENT", "type": "LATENT", "links": []}],
                "widgets_values": [7, "fixed", 20],
            },
            {"id": 2, "type": "FadeOut", "pos": [560, 60], "widgets_values": ["slowly"]},
        ],
        "links": [],
        "version": 0.4,
    }
    opened(page, tmp_path, graph)
    sampler, fade = node(page, "K_Sampler"), node(page, "FadeOut")

    expect(sampler.get_by_text("The server has no node type K_Sampler.")).to_be_visible()
    expect(sampler.get_by_text("values (3)")).to_be_visible()
    expect(fade.get_by_text("The plugin idle has it, but is not loaded")).to_be_visible()
    assert violations(page, "a missing node") == []
    nodes = saved(page, tmp_path)
    assert nodes["K_Sampler"]["widgets_values"] == [7, "fixed", 20]
    assert nodes["FadeOut"]["widgets_values"] == ["slowly"]

    sampler.get_by_role("button", name="Replace by KSampler", exact=True).click()

    expect(page.get_by_role("spinbutton", name="steps, KSampler")).to_be_visible()
    undo = page.get_by_role("button", name="Undo")
    expect(undo).to_have_attribute("title", re.compile("Replace by KSampler"))
    undo.click()
    expect(sampler.get_by_text("The server has no node type K_Sampler.")).to_be_visible()
