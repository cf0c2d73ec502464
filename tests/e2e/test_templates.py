"""The gallery of examples: pictures, searching, the keyboard; opening one loses nothing."""

from __future__ import annotations

from pathlib import Path

from desk import fill
from playwright.sync_api import Locator, Page, expect
from server_process import HOME, until

EXAMPLES = sorted(path.stem for path in Path(HOME, "workflows").glob("*.json"))


def gallery(page: Page) -> Locator:
    """The examples, opened."""
    page.get_by_role("button", name="Examples", exact=True).click()
    panel = page.get_by_role("complementary", name="Examples")
    expect(panel.get_by_role("heading", name="Text to image")).to_be_visible()
    return panel


def cards(panel: Locator) -> Locator:
    return panel.get_by_role("listitem").get_by_role("button")


def test_every_example_has_a_picture_and_a_description(page: Page) -> None:
    panel = gallery(page)

    expect(cards(panel)).to_have_count(len(EXAMPLES))
    for index in range(len(EXAMPLES)):
        card = cards(panel).nth(index)
        card.scroll_into_view_if_needed()
        picture = card.locator("img")
        until(lambda picture=picture: picture.evaluate("(image) => image.naturalWidth") > 0)
        assert len(card.inner_text().splitlines()) > 1, card.inner_text()


def test_words_and_groups_narrow_what_is_shown(page: Page) -> None:
    panel = gallery(page)
    search = panel.get_by_role("searchbox", name="Search examples")

    search.fill("edges steer")
    expect(cards(panel)).to_have_count(1)
    expect(panel.get_by_role("button", name="ControlNet", exact=True)).to_be_visible()
    search.fill("no such thing")
    expect(panel.get_by_text("No example has these words.")).to_be_visible()
    search.fill("")

    panel.get_by_role("button", name="LoRA", exact=True).click()
    expect(panel.get_by_role("heading", name="Text to image")).to_have_count(0)
    expect(panel.get_by_role("button", name="Train LoRA")).to_be_visible()
    panel.get_by_role("button", name="All", exact=True).click()
    expect(cards(panel)).to_have_count(len(EXAMPLES))


def test_an_example_is_found_and_opened_by_keys_alone(page: Page) -> None:
    panel = gallery(page)
    panel.get_by_role("searchbox", name="Search examples").focus()

    page.keyboard.type("inpaint")
    page.keyboard.press("ArrowDown")
    expect(panel.get_by_role("button", name="Inpaint")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(panel.get_by_role("searchbox")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")

    expect(page.get_by_text("Opened inpaint")).to_be_visible()


def test_opening_an_example_loses_nothing_of_the_graph_that_is_shown(page: Page) -> None:
    fill(page, "steps, Sampler", "11")
    gallery(page).get_by_role("button", name="Two stage").click()
    expect(page.get_by_text("Opened two_stage")).to_be_visible()
    graphs = page.get_by_role("navigation", name="Open graphs")

    graphs.get_by_role("button", name="text_to_image, not saved", exact=True).click()

    expect(page.get_by_role("spinbutton", name="steps, Sampler")).to_have_value("11")
