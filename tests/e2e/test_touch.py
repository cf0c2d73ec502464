"""The page on a phone: fingers in place of the mouse, 390 by 844 pixels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from desk import FRAMES, cables, centre, input, node, output
from fingers import Fingers
from playwright.sync_api import Locator, Page, expect
from server_process import until

PATIENCE = 60_000  # milliseconds: the model draws on a slow machine
WIDTH, HEIGHT = 390, 844
TARGET = 44  # pixels, for a finger
PANELS = ("Examples", "Queue", "Gallery", "Errors")
# What can be pressed outside the graph, and is smaller than a finger: name, width, height.
SMALL = """(least) => [...document.querySelectorAll(
    "button, select, input:not([type=file], [type=checkbox], [type=radio]), a[href], [role=option],"
    + "[role=menuitem], label:has([type=checkbox], [type=radio])")]
    .filter((each) => !each.closest(".react-flow"))
    .map((each) => [each, each.getBoundingClientRect()])
    .filter(([, { width, height }]) => width > 0 && (width < least || height < least))
    .map(([each, { width, height }]) => [each.ariaLabel || each.textContent, width, height])"""
# Whether a tap on the middle of an element would reach it.
REACHED = """(element) => {
    const { x, y, width, height } = element.getBoundingClientRect();
    return element.contains(document.elementFromPoint(x + width / 2, y + height / 2));
}"""
SIDEWAYS = """() => [document.scrollingElement, ...document.querySelectorAll("main, header, aside, "
    + "nav, dialog[open], [role=dialog], [role=toolbar], aside *, dialog[open] *")]
    .filter((each) => each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 0)
    .filter((each) => ["auto", "scroll"].includes(getComputedStyle(each).overflowX)
        || each === document.scrollingElement)
    .map((each) => each.className || each.tagName)"""


@pytest.fixture
def page(opened: Callable[..., Page]) -> Page:
    """The page on a phone."""
    page = opened(viewport={"width": WIDTH, "height": HEIGHT}, has_touch=True)
    page.evaluate(FRAMES)
    return page


def rail(page: Page, name: str) -> Locator:
    return page.get_by_role("navigation", name="Panels").get_by_role("button", name=name)


def box(locator: Locator) -> tuple[float, float, float, float]:
    found = locator.bounding_box()
    assert found, "it is not on the page"
    return found["x"], found["y"], found["width"], found["height"]


def test_one_finger_pans_and_two_zoom(page: Page) -> None:
    fingers = Fingers(page)
    x, y, width, _ = box(node(page, "Sampler"))

    fingers.drag((195, 700), (135, 640))

    until(lambda: abs(box(node(page, "Sampler"))[0] - (x - 60)) < 3)
    assert abs(box(node(page, "Sampler"))[1] - (y - 60)) < 3

    fingers.pinch((195, 690), 60, 90)

    until(lambda: abs(box(node(page, "Sampler"))[2] / width - 1.5) < 0.1)


def test_cables_are_taken_off_and_laid_with_a_finger_and_with_taps(page: Page) -> None:
    fingers = Fingers(page)
    before = cables(page)
    positive = input(page, "positive", "Sampler")
    prompt = output(page, "CONDITIONING", "Prompt")

    fingers.drag(centre(positive), (250, 690))
    until(lambda: cables(page) == before - 1)
    expect(positive).to_have_attribute("data-linked", "false")

    prompt.tap()
    positive.tap()
    until(lambda: cables(page) == before)

    fingers.drag(centre(positive), (250, 690))
    until(lambda: cables(page) == before - 1)
    fingers.drag(centre(prompt), centre(positive))
    until(lambda: cables(page) == before)
    expect(positive).to_have_attribute("data-linked", "true")


def test_a_cable_let_go_over_empty_space_adds_the_node_that_is_tapped(page: Page) -> None:
    Fingers(page).drag(centre(output(page, "LATENT", "Sampler")), (250, 690))

    palette = page.get_by_role("dialog", name="Add a node")
    palette.get_by_role("combobox").fill("upscale latent by")
    palette.get_by_role("option").first.tap()

    expect(node(page, "Upscale Latent By")).to_be_visible()
    expect(input(page, "samples", "Upscale Latent By")).to_have_attribute("data-linked", "true")


def test_a_node_is_added_from_the_search_and_deleted_again(page: Page) -> None:
    page.get_by_role("toolbar", name="Toolbar").get_by_role("button", name="Add a node").tap()
    palette = page.get_by_role("dialog", name="Add a node")
    expect(palette).to_be_in_viewport(ratio=1)
    palette.get_by_role("combobox").fill("invert image")
    palette.get_by_role("option", name="Invert Image").first.tap()

    expect(node(page, "Invert Image")).to_be_visible()
    page.get_by_role("toolbar", name="What is selected").get_by_role("button", name="Delete").tap()
    expect(node(page, "Invert Image")).to_have_count(0)


def test_numbers_and_texts_are_edited_and_the_picture_is_drawn(page: Page) -> None:
    fingers = Fingers(page)
    steps = page.get_by_role("spinbutton", name="steps, Sampler")
    steps.tap()
    expect(steps).to_be_focused()
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    expect(steps).to_have_value("2")
    page.get_by_role("button", name="More: steps, Sampler").tap()
    expect(steps).to_have_value("3")
    x, y = centre(steps)
    fingers.drag((x, y), (x - 24, y))
    until(lambda: int(steps.input_value()) < 3)

    fingers.drag((100, 700), (330, 700))
    text = page.get_by_role("textbox", name="text, Prompt")
    text.tap()
    text.fill("a red apple")
    expect(text).to_have_value("a red apple")

    page.get_by_role("button", name="Run", exact=True).tap()

    state = page.get_by_role("status", name="State of the run")
    expect(state).to_contain_text("Done", timeout=PATIENCE)
    page.get_by_role("button", name="Show the last picture").tap()
    picture = page.get_by_role("dialog").get_by_role("img").first
    expect(picture).to_be_visible()
    until(lambda: picture.evaluate("(image) => image.naturalWidth") == 64)
    assert box(page.get_by_role("dialog")) == (0, 0, WIDTH, HEIGHT)


def test_running_is_always_in_reach_and_sheets_leave_the_graph_in_sight(page: Page) -> None:
    run = page.get_by_role("button", name="Run", exact=True)
    assert run.evaluate(REACHED)
    x, y, width, _ = box(run)
    assert x + width > WIDTH * 0.7, "on the side of the thumb"
    assert y > HEIGHT * 0.6

    for name in PANELS:
        rail(page, name).tap()
        panel = page.get_by_role("complementary", name=name)
        expect(panel).to_be_in_viewport(ratio=0.99)
        assert run.evaluate(REACHED), name
        assert box(panel)[2] == WIDTH
        assert box(panel)[1] > HEIGHT * 0.3, "the graph above it can still be seen"
        panel.get_by_role("button", name="Close the panel").tap()
        expect(panel).to_have_count(0)


def test_dialogs_take_the_whole_screen_and_close_again(page: Page) -> None:
    def checked(name: str) -> None:
        dialog = page.get_by_role("dialog", name=name, exact=True)
        expect(dialog).to_be_visible()
        assert box(dialog) == (0, 0, WIDTH, HEIGHT), name
        assert page.evaluate(SIDEWAYS) == [], name
        assert page.evaluate(SMALL, TARGET) == [], name
        dialog.get_by_role("button", name="Close", exact=True).tap()
        expect(dialog).to_have_count(0)

    more = page.get_by_role("toolbar", name="Toolbar").get_by_role("button", name="More")
    for button, name in (
        ("Keyboard shortcuts", "Keyboard shortcuts"),
        ("Settings", "Settings"),
        ("Open", "Graphs"),
    ):
        more.tap()
        page.get_by_role("button", name=button, exact=True).tap()
        checked(name)
    Fingers(page).drag((100, 700), (330, 700))
    page.get_by_role("button", name="Edit large: text, Prompt", exact=True).tap()
    checked("text, Prompt")


def test_nothing_is_cut_off_or_too_small_for_a_finger(page: Page) -> None:
    page.get_by_role("toolbar", name="Toolbar").get_by_role("button", name="More").tap()
    expect(page.get_by_role("button", name="Keyboard shortcuts")).to_be_in_viewport(ratio=1)
    assert page.evaluate(SMALL, TARGET) == []
    page.get_by_role("toolbar", name="Toolbar").get_by_role("button", name="More").tap()

    for name in PANELS:
        rail(page, name).tap()
        expect(page.get_by_role("complementary", name=name)).to_be_visible()
        assert page.evaluate(SIDEWAYS) == [], name
        assert page.evaluate(SMALL, TARGET) == [], name
    rail(page, PANELS[-1]).tap()

    node(page, "Sampler").tap(position={"x": 100, "y": 12})
    expect(page.get_by_role("toolbar", name="What is selected")).to_be_in_viewport(ratio=1)
    assert page.evaluate(SIDEWAYS) == []
    assert page.evaluate(SMALL, TARGET) == []
