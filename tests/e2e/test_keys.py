"""Working without a mouse: ports, titles, keys of one's own; and keeping a graph in order."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from desk import (
    FRAMES,
    announced,
    cables,
    centre,
    choose,
    drag,
    input,
    middle,
    node,
)
from playwright.sync_api import Locator, Page, expect
from server_process import ServerProcess, until

FOCUS = "() => document.activeElement?.getAttribute('aria-label') ?? ''"


@pytest.fixture
def usual_keys(server: ServerProcess) -> Iterator[None]:
    """Whatever happens, other tests find the usual keys on the server."""
    yield
    assert server.request("POST", "/settings", {"nodegraph.keys": {}}).status == 200


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def tab_to(page: Page, label: str) -> None:
    """Presses Tab until what has the focus is called so."""
    for _ in range(60):
        if label in page.evaluate(FOCUS):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not come to {label}")


def find(page: Page, words: str) -> None:
    """Goes to the node that the words are about."""
    press(page, "Control+f")
    field = page.get_by_role("combobox", name="Find a node of the graph")
    field.fill(words)
    field.press("Enter")
    expect(field).to_have_count(0)
    expect(page.locator(".react-flow__node:focus")).to_have_count(1)


def select(page: Page, *titles: str) -> None:
    """Selects nodes by a click on each."""
    for index, title in enumerate(titles):
        header = node(page, title).get_by_text(title, exact=True)
        header.click(modifiers=["Control"] if index else [])


def box(locator: Locator) -> dict[str, float]:
    found = locator.bounding_box()
    assert found, "it is not on the page"
    x, y, width, height = found["x"], found["y"], found["width"], found["height"]
    return {"x": x, "y": y, "width": width, "height": height}


def test_two_ports_are_joined_by_keys_alone_and_what_happened_is_said(page: Page) -> None:
    before = cables(page)

    find(page, "decode")
    announced(page, "Decode")
    tab_to(page, "Input vae of Decode")
    press(page, "Enter")
    page.keyboard.type("take the")
    press(page, "Enter")
    until(lambda: cables(page) == before - 1)
    announced(page, "The cable of vae of Decode is gone")

    press(page, "Control+ArrowLeft")
    announced(page, "Sampler")
    press(page, "Control+ArrowLeft", "Control+ArrowLeft")
    announced(page, "Checkpoint")
    tab_to(page, "Output VAE of Checkpoint")
    press(page, "Enter")
    options = page.get_by_role("listbox", name="Ports that fit").get_by_role("option")
    expect(options).to_have_text([re.compile("vae of Decode"), re.compile("A new node")])
    press(page, "Enter")

    until(lambda: cables(page) == before)
    announced(page, "VAE of Checkpoint now feeds vae of Decode")
    # The focus is where it was, and arrows go from port to port.
    assert "Output VAE of Checkpoint" in page.evaluate(FOCUS)
    press(page, "ArrowUp")
    assert "Output CLIP of Checkpoint" in page.evaluate(FOCUS)


def test_nodes_and_groups_get_titles_by_a_key(page: Page) -> None:
    find(page, "decode")
    press(page, "F2")
    page.keyboard.type("To pixels")
    press(page, "Enter")
    expect(node(page, "To pixels")).to_be_focused()

    press(page, "Control+g")
    page.keyboard.type("Last steps")
    press(page, "Enter")
    expect(node(page, "Last steps")).to_be_visible()
    press(page, "F2")
    page.keyboard.type("Other")
    press(page, "Escape")
    expect(node(page, "Last steps")).to_be_visible()

    press(page, "Control+z", "Control+z", "Control+z")
    expect(node(page, "Decode")).to_be_visible()
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


@pytest.mark.usefixtures("usual_keys")
def test_a_key_can_be_given_to_another_command_and_is_kept(page: Page) -> None:
    press(page, "Control+,")
    settings = page.get_by_role("dialog", name="Settings")
    settings.get_by_role("button", name="Change the key: Mute").click()
    press(page, "Control+b")
    conflict = settings.get_by_role("alert")
    expect(conflict).to_contain_text("Ctrl+B is the key of: Bypass")
    conflict.get_by_role("button", name="Leave it").click()
    settings.get_by_role("button", name="Change the key: Mute").click()
    press(page, "x")
    press(page, "Escape")
    expect(settings).to_have_count(0)

    find(page, "decode")
    press(page, "x")
    expect(node(page, "Decode").get_by_text("muted")).to_be_visible()
    press(page, "Control+m")
    expect(node(page, "Decode").get_by_text("muted")).to_be_visible()
    press(page, "Control+z")

    # The server keeps it for other browsers, too.
    page.evaluate("localStorage.clear()")
    page.reload()
    expect(node(page, "Sampler")).to_be_visible()
    press(page, "?")
    sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
    row = sheet.locator("dl > div").filter(has_text="Mute")
    expect(row.locator("kbd")).to_have_text(["X"])
    sheet.get_by_role("button", name="Change keys").click()
    settings.get_by_role("button", name="All keys as usual").click()
    expect(settings.get_by_role("button", name="All keys as usual")).to_be_disabled()


@pytest.mark.usefixtures("usual_keys")
def test_a_button_names_the_key_that_counts_now(page: Page) -> None:
    run = page.get_by_role("button", name="Run", exact=True)
    expect(run).to_have_attribute("title", "Run the graph (Ctrl+Enter)")

    press(page, "Control+,")
    settings = page.get_by_role("dialog", name="Settings")
    settings.get_by_role("button", name="Change the key: Run the graph", exact=True).click()
    press(page, "Alt+r")
    press(page, "Escape")

    expect(run).to_have_attribute("title", "Run the graph (Alt+R)")


def test_the_menu_of_a_node_opens_by_a_key_and_mutes_colours_and_deletes(page: Page) -> None:
    find(page, "negative")
    prompt = node(page, "Negative prompt")
    press(page, "Shift+F10")
    menu = page.get_by_role("menu", name="Menu of the nodes")
    mute = menu.get_by_role("menuitemcheckbox", name="Mute")
    expect(mute).to_have_attribute("aria-checked", "false")
    mute.press("Enter")
    expect(menu).to_have_count(0)
    expect(prompt.get_by_text("muted")).to_be_visible()
    expect(prompt).to_be_focused()

    press(page, "ContextMenu")
    expect(mute).to_have_attribute("aria-checked", "true")
    menu.get_by_role("menuitemradio", name="Green").press("Enter")
    expect(menu).to_have_count(0)
    expect(prompt).to_be_focused()
    press(page, "Shift+F10")
    expect(menu.get_by_role("menuitemradio", name="Green")).to_have_attribute(
        "aria-checked", "true"
    )
    press(page, "End", "Enter")
    expect(prompt).to_have_count(0)

    page.locator(".react-flow__pane").click(button="right", position={"x": 600, "y": 60})
    page.get_by_role("menu", name="Menu of the canvas").get_by_role("menuitem", name="Undo").click()
    expect(prompt.get_by_text("muted")).to_be_visible()


def test_selected_nodes_are_moved_lined_up_and_spaced(page: Page) -> None:
    prompt, negative, size = (node(page, title) for title in ("Prompt", "Negative prompt", "Size"))
    find(page, "decode")
    before = box(node(page, "Decode"))
    press(page, "ArrowDown", "ArrowDown", "Shift+ArrowRight")
    until(lambda: box(node(page, "Decode"))["y"] > before["y"] + 5)
    press(page, "Control+z")
    until(lambda: box(node(page, "Decode")) == before)
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()

    drag(page, centre(size.get_by_text("Size", exact=True)), (420, 700))
    select(page, "Prompt", "Negative prompt", "Size")
    press(page, "Alt+Shift+ArrowLeft")
    until(lambda: abs(box(size)["x"] - box(prompt)["x"]) < 1)
    assert abs(box(negative)["x"] - box(prompt)["x"]) < 1
    lines = page.get_by_role("toolbar", name="What is selected")
    lines.get_by_role("button", name="Equal gaps from top to bottom").click()
    page.evaluate(FRAMES)
    gaps = [
        box(lower)["y"] - box(upper)["y"] - box(upper)["height"]
        for upper, lower in ((prompt, negative), (negative, size))
    ]
    assert abs(gaps[0] - gaps[1]) < 2


def test_a_group_moves_mutes_and_bypasses_what_is_in_it(page: Page) -> None:
    select(page, "Decode", "Save")
    press(page, "Control+g")
    page.keyboard.type("The end")
    press(page, "Enter")
    group, decode = node(page, "The end"), node(page, "Decode")
    before = box(decode)
    title = group.get_by_text("The end")
    x, y = centre(title)
    drag(page, (x, y), (x, y + 60))
    until(lambda: box(decode)["y"] > before["y"] + 30)
    assert abs(box(decode)["x"] - before["x"]) < 1

    title.click()
    press(page, "Control+m")
    expect(decode.get_by_text("muted")).to_be_visible()
    expect(node(page, "Save").get_by_text("muted")).to_be_visible()
    press(page, "Control+b")
    expect(decode.get_by_text("bypassed")).to_be_visible()
    press(page, "Control+b")
    expect(decode.get_by_text("bypassed")).to_have_count(0)
    title.click(button="right")
    menu = page.get_by_role("menu", name="Menu of the group")
    menu.get_by_role("menuitem", name="Delete with all in it").click()
    expect(decode).to_have_count(0)
    press(page, "Control+z")
    expect(decode).to_be_visible()


def test_a_cable_is_bent_and_a_node_let_go_over_it_is_put_into_it(page: Page) -> None:
    before = cables(page)
    page.mouse.dblclick(*middle(page, "7:images"))
    expect(node(page, "Reroute")).to_be_visible()
    until(lambda: cables(page) == before + 1)
    press(page, "Control+z")
    until(lambda: cables(page) == before)

    page.mouse.dblclick(640, 700)
    choose(page, "invert image")
    invert = node(page, "Invert Image")
    x, y = centre(invert.get_by_text("Invert Image"))
    aim = middle(page, "7:images")
    drag(page, (x, y), aim)
    until(lambda: cables(page) == before + 1)
    expect(input(page, "image", "Invert Image")).to_have_attribute("data-linked", "true")
    press(page, "Control+z")
    until(lambda: cables(page) == before)


def test_dragged_with_alt_a_copy_comes_along_with_the_cables_that_come_in(page: Page) -> None:
    sampler = node(page, "Sampler")
    expect(sampler).to_have_count(1)
    before, count = box(sampler), cables(page)
    x, y = centre(sampler.get_by_text("Sampler", exact=True))

    page.keyboard.down("Alt")
    drag(page, (x, y), (x + 120, y + 180))
    page.keyboard.up("Alt")

    expect(sampler).to_have_count(2)
    until(lambda: cables(page) == count + 4)
    places = sorted(round(box(sampler.nth(index))["y"]) for index in range(2))
    assert abs(places[0] - before["y"]) < 2
    assert places[1] > before["y"] + 100
    press(page, "Control+z")
    expect(sampler).to_have_count(1)
    assert box(sampler) == before

    # With the clipboard: alone, or with the cables that come in.
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    select(page, "Sampler")
    press(page, "Control+c", "Control+v")
    expect(sampler).to_have_count(2)
    assert cables(page) == count
    press(page, "Control+Shift+v")
    expect(sampler).to_have_count(3)
    until(lambda: cables(page) == count + 4)


def test_notes_collapsing_pinning_and_selecting_what_is_connected(page: Page) -> None:
    press(page, "Shift+n")
    expect(node(page, "Note")).to_be_visible()
    find(page, "sampler")
    press(page, "l", "Alt+c")
    until(lambda: box(node(page, "Sampler"))["height"] < 40)
    assert box(node(page, "Save"))["height"] < 40 < box(node(page, "Note"))["height"]
    press(page, "Control+z", "p")
    expect(node(page, "Save").get_by_role("img", name="pinned")).to_be_visible()
    save, decode = node(page, "Save"), node(page, "Decode")
    before = box(save)["x"] - box(decode)["x"]
    drag(page, centre(save.get_by_text("Save", exact=True)), (900, 650))  # it moves the canvas
    assert abs(box(save)["x"] - box(decode)["x"] - before) < 1
    press(page, "Control+Shift+a")
    expect(page.get_by_role("toolbar", name="What is selected")).to_have_count(0)


def test_compact_nodes_are_lower_and_cables_still_meet_their_ports(page: Page) -> None:
    before = box(node(page, "Sampler"))
    press(page, "Control+,")
    page.get_by_role("radio", name="Compact").check()
    press(page, "Escape")

    until(lambda: box(node(page, "Sampler"))["height"] < 0.9 * before["height"])
    for port, cable in (
        (input(page, "images", "Save"), "7:images"),
        (input(page, "vae", "Decode"), "6:vae"),
    ):
        x, y = centre(port)
        end = page.locator(f'.react-flow__edge[data-id="{cable}"] path').first.evaluate(END)
        assert abs(end[0] - x) < 6
        assert abs(end[1] - y) < 2
    for widget in page.locator(".row-widget .widget").all():
        inner, outer = box(widget), box(widget.locator(".."))
        assert inner["y"] >= outer["y"] - 1
        assert inner["y"] + inner["height"] <= outer["y"] + outer["height"] + 1


END = """(path) => {
    const at = path.getPointAtLength(path.getTotalLength());
    const { x, y } = new DOMPoint(at.x, at.y).matrixTransform(path.getScreenCTM());
    return [x, y];
}"""
