"""Nodes that learn: their curves while they run, after a reload, and large."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe import violations
from desk import node
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from server_process import HOME, ServerProcess, serving, until

PROGRAM = "from nodes.__main__ import main; main()"
PATIENCE = 60_000  # milliseconds: it learns on a slow machine
STEPS = 12
GRAPH = {
    "1": ("LoadImageFolder", "Squares", {"folder": "squares"}),
    "2": (
        "NewUNet",
        "Network",
        {
            "channels": 32,
            "multipliers": "1",
            "blocks": "1",
            "depths": "0",
            "heads": 4,
            "context_width": 0,
            "latent_channels": 3,
        },
    ),
    "3": (
        "TrainingRecipe",
        "Recipe",
        {"steps": STEPS, "batch": 2, "warmup": 0, "ema": 0.5, "show_every": 6},
    ),
    "4": (
        "TrainDiffusion",
        "Train",
        {
            "model": ["2", 0],
            "dataset": ["1", 0],
            "recipe": ["3", 0],
            "resolution": 16,
        },
    ),
    "5": ("ModelSave", "Keep", {"model": ["4", 0]}),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("training")
    for place in (folder / "input", folder / "input" / "squares"):
        place.mkdir()
    for name in ("red", "green", "blue"):
        Image.new("RGB", (16, 16), name).save(folder / "input" / "squares" / f"{name}.png")
    with serving(folder, "--models", str(HOME / "models"), program=PROGRAM) as server:
        yield server


def run(page: Page, folder: Path, seed: int) -> None:
    """Opens the graph and runs it; each seed is a run of its own, which no cache has."""
    graph: dict[str, Any] = {
        id: {"class_type": kind, "inputs": inputs, "_meta": {"title": title}}
        for id, (kind, title, inputs) in GRAPH.items()
    }
    graph["3"]["inputs"] = {**graph["3"]["inputs"], "seed": seed}
    path = folder / "learn.json"
    path.write_text(json.dumps(graph))
    page.locator("#open-file").set_input_files(path)
    expect(node(page, "Train")).to_be_visible()
    page.get_by_role("button", name="Run", exact=True).click()


def curve(page: Page) -> Locator:
    return node(page, "Train").get_by_role("slider", name="loss of Train")


def learned(page: Page) -> None:
    """Waits until the curve has all steps, and both sheets are there."""
    expect(curve(page)).to_have_attribute("aria-valuemax", str(STEPS), timeout=PATIENCE)
    sheets = node(page, "Train").get_by_role("button", name="Show what was drawn at step")
    expect(sheets).to_have_count(2, timeout=PATIENCE)
    picture = sheets.first.locator("img")
    until(lambda: picture.evaluate("(image) => image.naturalWidth") > 16)


def test_a_curve_falls_while_the_node_learns_and_is_there_after_a_reload(
    page: Page, tmp_path: Path
) -> None:
    run(page, tmp_path, seed=1)

    expect(curve(page)).to_be_visible(timeout=PATIENCE)
    learned(page)
    expect(curve(page)).to_have_accessible_description(
        re.compile(
            rf"{STEPS} values of loss: [\d.]+ at first, [\d.]+ at last, lowest [\d.]+ at step"
        )
    )
    expect(
        node(page, "Train").get_by_text(re.compile(r"loss [\d.]+ · rate .* · norm"))
    ).to_be_visible()
    page.reload()

    learned(page)


def test_points_are_read_by_keys_and_by_the_mouse(page: Page, tmp_path: Path) -> None:
    run(page, tmp_path, seed=2)
    learned(page)
    line = curve(page)
    said = re.compile(r"step 1: loss [\d.e+-]+$")

    line.focus()
    line.press("Home")
    expect(line).to_have_attribute("aria-valuetext", said)
    line.press("ArrowRight")
    expect(line).to_have_attribute("aria-valuenow", "2")
    expect(node(page, "Train").get_by_text("step 2: loss")).to_be_visible()
    line.press("Escape")
    expect(line).to_have_attribute("aria-valuenow", str(STEPS))

    assert violations(page, "the curve of a node") == []
    line.hover(position={"x": 1, "y": 20})
    expect(node(page, "Train").get_by_text(said)).to_be_visible()


def test_a_window_shows_all_that_was_measured(page: Page, tmp_path: Path) -> None:
    run(page, tmp_path, seed=3)
    learned(page)
    drawn = node(page, "Train").locator(".curve-average")
    bent = drawn.get_attribute("d")

    page.get_by_role("button", name="Show the curves of Train large").click()

    window = page.get_by_role("dialog", name="What Train measured")
    for name in ("loss", "rate", "norm", "examples/s"):
        expect(window.get_by_role("slider", name=f"{name} of Train")).to_be_visible()
    expect(window.get_by_role("img", name=f"Drawn at step {STEPS}")).to_be_visible()
    slider = window.get_by_role("slider", name="Pictures drawn on the way")
    slider.press("ArrowLeft")
    expect(window.get_by_role("img", name="Drawn at step 6")).to_be_visible()
    window.get_by_text("As a table").click()
    assert violations(page, "the window of curves") == []
    expect(window.get_by_role("row")).to_have_count(STEPS + 1)
    window.get_by_role("slider", name="Smoothing").press("Home")
    window.get_by_role("checkbox", name="Logarithmic axis").uncheck()
    page.keyboard.press("Escape")

    expect(window).to_have_count(0)
    expect(drawn).to_have_count(0)
    log = node(page, "Train").get_by_role("button", name="Logarithmic axis")
    expect(log).to_have_attribute("aria-pressed", "false")
    assert node(page, "Train").locator(".curve-raw").get_attribute("d") != bent
