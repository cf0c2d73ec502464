"""A picture that steers: dropped, its edges seen at once, and then drawn with."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from desk import drop, fill, node
from PIL import Image, ImageDraw
from playwright.sync_api import Locator, Page, expect
from server_process import until

from nodes.imaging.files import decode
from nodes.training.following import edge_f1
from nodes.training.hints import edges

PATIENCE = 60_000  # milliseconds: the model draws on a slow machine
HINT = "Use the picture of Load Image as ControlNet hint"
# How many pixels of a picture are light.
LIGHT = """(image) => {
    if (!image.complete || !image.naturalWidth) return 0;
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const pen = canvas.getContext("2d");
    pen.drawImage(image, 0, 0);
    const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
    return data.filter((value, at) => at % 4 === 0 && value > 128).length;
}"""


@pytest.fixture
def shape(tmp_path: Path) -> Path:
    """A picture with edges, that carries no graph."""
    picture = Image.new("RGB", (64, 64), "white")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((12, 12, 52, 52), fill="red")
    pen.rectangle((24, 28, 40, 44), fill=(255, 120, 110))
    path = tmp_path / "shape.png"
    picture.save(path)
    return path


def picture_of(page: Page, title: str) -> Locator:
    return node(page, title).get_by_role("img", name=f"Picture of {title}")


def light(page: Page, title: str) -> int:
    """The light pixels of a node's picture; 0 while there is none."""
    pictures = picture_of(page, title)
    return int(pictures.first.evaluate(LIGHT)) if pictures.count() else 0


def steer(page: Page, shape: Path) -> None:
    """Drops the picture and has its edges steer the graph."""
    fill(page, "steps, Sampler", "2")
    fill(page, "batch_size, Size", "1")
    drop(page, shape)
    expect(picture_of(page, "Load Image")).to_be_visible()
    picture_of(page, "Load Image").hover()
    page.get_by_role("button", name=HINT).click()
    choice = page.get_by_role("combobox", name="ControlNet hint")
    kinds = page.get_by_role("listbox", name="What of the picture steers?").get_by_role("option")
    expect(kinds.first).to_contain_text("Canny")
    choice.press("Enter")
    expect(choice).to_have_count(0)
    until(lambda: light(page, "Preview Image") > 0)
    page.get_by_role("button", name="Fit", exact=True).click()
    expect(node(page, "Save")).to_be_visible()


def run(page: Page) -> str:
    """Runs the graph; the address of the picture that it saved."""
    before = sources(page)
    page.get_by_role("button", name="Run", exact=True).click()
    until(lambda: sources(page) not in ([], before))
    return sources(page)[0]


def sources(page: Page) -> list[str]:
    found = picture_of(page, "Save").evaluate_all("(images) => images.map(({ src }) => src)")
    return [str(each) for each in found]


def agreement(page: Page, address: str, shape: Path) -> float:
    """How well the edges of a picture are those of the shape, from 0 to 1."""
    drawn = Image.open(BytesIO(page.request.get(address).body())).convert("RGB")
    drawn.save(shape.with_name("drawn.png"))
    found, wanted = (
        edges(decode(path).image)[..., 0] > 0.5 for path in (shape.with_name("drawn.png"), shape)
    )
    return float(edge_f1(found, wanted))


def test_the_edges_of_a_dropped_picture_are_seen_before_anything_is_drawn(
    page: Page, shape: Path
) -> None:
    steer(page, shape)

    assert 40 < light(page, "Preview Image") < 1200  # lines, of 64 x 64 pixels
    expect(page.get_by_text("emoji-edges.safetensors steers Sampler")).to_be_visible()
    for title in ("Canny", "Load ControlNet", "Apply ControlNet"):
        expect(node(page, title)).to_be_visible()
    expect(picture_of(page, "Save")).to_have_count(0)

    page.get_by_role("button", name="Undo", exact=True).click()
    expect(node(page, "Canny")).to_have_count(0)
    expect(node(page, "Load Image")).to_be_visible()


def test_they_steer_as_strongly_as_one_sets_it(page: Page, shape: Path) -> None:
    steer(page, shape)
    fill(page, "steps, Sampler", "10")

    steered = run(page)
    expect(page.get_by_role("status", name="State of the run")).to_contain_text("Done")
    fill(page, "strength, Apply ControlNet", "0")
    plain = run(page)

    follows, does_not = (agreement(page, each, shape) for each in (steered, plain))
    assert follows > 1.3 * does_not


def test_a_live_preview_follows_the_thresholds_once_it_is_switched_on(
    page: Page, shape: Path
) -> None:
    steer(page, shape)
    lines = light(page, "Preview Image")
    fill(page, "high_threshold, Canny", "0.98")
    picture_of(page, "Preview Image").hover()
    live = page.get_by_role("button", name="Live preview of Preview Image")
    expect(live).to_have_attribute("aria-pressed", "false")

    live.click()

    expect(live).to_have_attribute("aria-pressed", "true")
    until(lambda: light(page, "Preview Image") < lines)
    fill(page, "high_threshold, Canny", "0.3")
    until(lambda: light(page, "Preview Image") == lines)
    expect(picture_of(page, "Save")).to_have_count(0)


def test_running_to_a_node_by_key_or_menu_runs_nothing_beyond_it(page: Page, shape: Path) -> None:
    steer(page, shape)
    lines = light(page, "Preview Image")

    fill(page, "high_threshold, Canny", "0.98")
    node(page, "Preview Image").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Control+Alt+Shift+Enter")
    until(lambda: light(page, "Preview Image") < lines)

    fill(page, "high_threshold, Canny", "0.3")
    node(page, "Canny").get_by_text("Canny", exact=True).click(button="right")
    page.get_by_role("menuitem", name="Run to here").click()
    until(lambda: light(page, "Preview Image") == lines)
    expect(picture_of(page, "Save")).to_have_count(0)


def test_where_nothing_can_be_steered_it_is_said_why(page: Page) -> None:
    page.get_by_role("button", name="Examples").click()
    page.get_by_role("searchbox", name="Search examples").fill("hints")
    page.get_by_role("button", name="Hints", exact=True).click()
    expect(picture_of(page, "Picture")).to_be_visible()

    node(page, "Picture").get_by_text("Picture", exact=True).click(button="right")
    page.get_by_role("menuitem", name="Use as ControlNet hint").click()

    expect(page.get_by_text("no sampler that takes a positive and a negative")).to_be_visible()
    expect(page.get_by_role("combobox", name="ControlNet hint")).to_have_count(0)
