"""Masks painted on pictures, and what is made of them."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from desk import drop, fill, node
from fingers import Fingers
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from server_process import HOME, ServerProcess, until

LOADER = "Picture with a hole"
PATIENCE = 60_000  # milliseconds: the model draws on a slow machine
SIDE = 64  # pixels of the example's picture
MASKED = "clipspace/example-mask"

Pixels = NDArray[np.int64]


@pytest.fixture
def inpaint(page: Page) -> Page:
    """The example for inpainting with a picture that has no mask, dropped on its node."""
    drop(page, HOME / "workflows" / "inpaint.json", "application/json")
    expect(node(page, LOADER)).to_be_visible()
    target = f'.react-flow__node[aria-label="{LOADER}"]'
    drop(page, HOME / "input" / "example.png", onto=target)
    expect(chosen(page)).to_contain_text("example.png")
    return page


def chosen(page: Page, title: str = LOADER) -> Locator:
    """What the node says which picture it loads."""
    return page.get_by_role("button", name=f"image, {title}")


def loaded(page: Page, server: ServerProcess, title: str = LOADER) -> Image.Image:
    """The picture that the node loads."""
    label = chosen(page, title).get_attribute("aria-label") or ""
    return Image.open(server.folder / "input" / label.rpartition(": ")[2])


def start(page: Page, title: str = LOADER) -> Locator:
    """Opens the painting; the picture in it."""
    page.get_by_role("button", name=f"Paint mask, {title}").click()
    stage = page.get_by_role("application", name="Picture ")
    expect(stage).to_be_focused()
    return stage


def at(stage: Locator, x: float, y: float) -> tuple[float, float]:
    """Where a point of the picture is on the screen."""
    box = stage.locator("canvas").bounding_box()
    assert box, "there is no picture"
    return box["x"] + x * box["width"] / SIDE, box["y"] + y * box["height"] / SIDE


def width(stage: Locator) -> float:
    return at(stage, SIDE, 0)[0] - at(stage, 0, 0)[0]


def paint(page: Page, stage: Locator, *points: tuple[float, float], button: str = "left") -> None:
    """A stroke of the mouse through points of the picture."""
    first, *others = [at(stage, *point) for point in points]
    page.mouse.move(*first)
    page.mouse.down(button=button)  # type: ignore[arg-type]
    for point in others or [first]:
        page.mouse.move(*point, steps=4)
    page.mouse.up(button=button)  # type: ignore[arg-type]


def save(page: Page) -> None:
    dialog = page.get_by_role("dialog", name="Paint a mask")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)


def alpha(image: Image.Image) -> Pixels:
    return np.asarray(image.getchannel("A")).astype(np.int64)


def colours(image: Image.Image) -> Pixels:
    return np.asarray(image.convert("RGB")).astype(np.int64)


def share(page: Page) -> str:
    return page.get_by_role("dialog").get_by_role("status").inner_text()


def test_what_is_painted_is_made_anew_and_the_rest_stays(
    inpaint: Page, server: ServerProcess
) -> None:
    page = inpaint
    before = (server.folder / "input/example.png").read_bytes()
    stage = start(page)
    for _ in range(6):
        page.keyboard.press("]")
    paint(page, stage, (12, 48), (52, 48), (12, 58), (52, 58))
    expect(page.get_by_role("dialog").get_by_role("status")).to_contain_text("is masked")
    save(page)

    expect(chosen(page)).to_contain_text(MASKED)
    assert (server.folder / "input/example.png").read_bytes() == before
    stored = loaded(page, server)
    assert (colours(stored) == colours(Image.open(server.folder / "input/example.png"))).all()
    hidden = alpha(stored)
    assert (hidden[44:60, 12:52] == 0).all()
    assert (hidden[:30] == 255).all()

    fill(page, "steps, Sampler", "4")
    page.get_by_role("button", name="Run", exact=True).click()
    picture = node(page, "Save").get_by_role("img", name="Picture of Save")
    expect(picture).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("status", name="State of the run")).to_contain_text("Done")
    made = Image.open(next((server.folder / "output").glob("inpaint_*.png")))
    change = np.abs(colours(made) - colours(stored)).mean(axis=-1)
    assert change[:28].mean() < 15, "the autoencoder alone changes about 9 of 255"
    assert change[46:58, 14:50].mean() > 40


def test_painting_again_goes_on_from_the_mask_that_was_and_undo_takes_the_picture_back(
    inpaint: Page, server: ServerProcess
) -> None:
    page = inpaint
    stage = start(page)
    page.get_by_role("slider", name="Softness").fill("0")
    paint(page, stage, (10, 12), (54, 12))
    paint(page, stage, (32, 12), button="right")
    painted = share(page)
    save(page)
    first = chosen(page).inner_text()
    expect(chosen(page)).to_contain_text(MASKED)
    kept = alpha(loaded(page, server))

    stage = start(page)
    assert share(page) == painted
    paint(page, stage, (10, 50), (54, 50))
    page.keyboard.press("Control+z")
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text(painted)
    page.keyboard.press("Control+Shift+Z")
    page.get_by_role("button", name="Invert").click()
    save(page)
    expect(chosen(page)).not_to_have_text(first)

    assert (kept[12, 12:26] == 0).all()
    assert (kept[12, 30:35] == 255).all()
    assert (kept[50] == 255).all()
    turned = alpha(loaded(page, server))
    assert (turned[:40] == 255 - kept[:40]).all()
    assert (turned[50, 12:52] == 255).all()

    page.keyboard.press("Control+z")
    expect(chosen(page)).to_have_text(first)
    page.keyboard.press("Control+z")
    expect(chosen(page)).to_contain_text("example.png")


def test_keys_alone_paint_and_nothing_painted_is_thrown_away_unasked(inpaint: Page) -> None:
    page = inpaint
    page.get_by_role("group", name=LOADER, exact=True).focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+M")
    dialog = page.get_by_role("dialog", name="Paint a mask")
    stage = dialog.get_by_role("application")
    expect(stage).to_be_focused()
    expect(dialog.get_by_role("status")).to_have_text("Nothing is masked")

    page.keyboard.press("Enter")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("status")).to_contain_text("is masked")

    page.keyboard.press("Escape")
    question = page.get_by_role("alertdialog", name="Throw away what you painted?")
    expect(question).to_be_visible()
    page.keyboard.press("Escape")
    expect(question).to_have_count(0)
    expect(dialog.get_by_role("status")).to_contain_text("is masked")
    expect(stage).to_be_focused()
    page.keyboard.press("Escape")
    question.get_by_role("button", name="Throw away").click()

    expect(dialog).to_have_count(0)
    expect(page.get_by_role("group", name=LOADER, exact=True)).to_be_focused()
    expect(chosen(page)).to_contain_text("example.png")
    page.keyboard.press("Shift+M")
    expect(stage).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_the_wheel_and_the_space_bar_move_the_picture_and_strokes_go_where_they_are_seen(
    inpaint: Page,
) -> None:
    page = inpaint
    stage = start(page)
    whole = width(stage)
    page.mouse.move(*at(stage, 32, 32))
    page.mouse.wheel(0, -600)
    until(lambda: width(stage) > 1.5 * whole)
    place = at(stage, 0, 0)

    page.keyboard.down(" ")
    paint(page, stage, (32, 32), (36, 30))
    page.keyboard.up(" ")
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("Nothing is masked")
    until(lambda: at(stage, 0, 0) != place)

    paint(page, stage, (30, 30))
    page.get_by_role("radio", name="Mask").check()
    page.get_by_role("dialog").get_by_role("button", name="Fit").click()
    assert pixel(page, stage, 30, 30) == (255, 255, 255)
    assert pixel(page, stage, 45, 45) == (0, 0, 0)


def pixel(page: Page, stage: Locator, x: float, y: float) -> tuple[int, int, int]:
    """What the screen shows in the middle of a pixel of the picture."""
    page.mouse.move(2, 2)
    left, top = at(stage, x + 0.5, y + 0.5)
    shot = page.screenshot(clip={"x": left, "y": top, "width": 1, "height": 1})
    found = Image.open(io.BytesIO(shot)).convert("RGB").getpixel((0, 0))
    assert isinstance(found, tuple)
    red, green, blue = map(int, found)
    return red, green, blue


def test_one_finger_paints_and_two_zoom(opened: Callable[..., Page], server: ServerProcess) -> None:
    page = opened(viewport={"width": 390, "height": 844}, has_touch=True)
    drop(page, HOME / "input" / "example.png")
    expect(page.get_by_text("Sent as example.png")).to_be_visible()
    page.keyboard.press(".")  # shows what is selected, the node of the picture
    stage = start(page, "Load Image")
    fingers = Fingers(page)
    status = page.get_by_role("dialog").get_by_role("status")

    fingers.drag(at(stage, 10, 30), at(stage, 54, 30))
    expect(status).to_contain_text("is masked")
    painted = status.inner_text()
    before = width(stage)
    fingers.pinch(at(stage, 32, 50), 20, 60)
    until(lambda: width(stage) > 2 * before)
    expect(status).to_have_text(painted)
    save(page)

    expect(chosen(page, "Load Image")).to_contain_text(MASKED)
    hidden = alpha(loaded(page, server, "Load Image"))
    assert (hidden[30, 14:50] == 0).all()
    assert (hidden[44:] == 255).all()
