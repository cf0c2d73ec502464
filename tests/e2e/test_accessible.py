"""What people meet who see little or nothing of the page, or use no mouse, or want no motion."""

from __future__ import annotations

import re
from collections.abc import Callable

from axe import violations
from desk import cables, centre, choose, drag, drop, fill, input, node, output
from playwright.sync_api import Locator, Page, expect
from server_process import HOME, until

PATIENCE = 60_000  # milliseconds: the model draws on a slow machine
PANELS = ("Examples", "Queue", "Gallery", "Errors")
# What has the focus, and whether one can see that it has: by its own outline, or that of what
# stands for it.
FOCUSED = """() => {
    const { activeElement: element } = document;
    const outlined = ({ outlineStyle, outlineWidth, outlineColor }) =>
        outlineStyle !== "none" && parseFloat(outlineWidth) >= 2
        && outlineColor !== "rgba(0, 0, 0, 0)";
    const name = element.ariaLabel || element.textContent.trim() || element.className;
    return [`${element.tagName} ${name}`, outlined(getComputedStyle(element))];
}"""
MOVES = """() => [...document.querySelectorAll("*")].filter((each) => {
    const { animationName, transitionDuration, scrollBehavior } = getComputedStyle(each);
    return animationName !== "none" || scrollBehavior === "smooth"
        || transitionDuration.split(",").some((time) => parseFloat(time) > 0);
}).map((each) => each.className)"""


def rail(page: Page, name: str) -> Locator:
    return page.get_by_role("navigation", name="Panels").get_by_role("button", name=name)


def bar(page: Page, name: str) -> Locator:
    return page.get_by_role("toolbar", name="Toolbar").get_by_role("button", name=name, exact=True)


def heard(page: Page) -> Locator:
    """What is read out, and cannot be seen."""
    return page.locator(".unseen[aria-live=polite]")


# -- axe -------------------------------------------------------------------------------------------


def test_the_graph_its_search_and_its_lists_have_no_violations(page: Page) -> None:
    found = violations(page, "graph")
    node(page, "Sampler").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("toolbar", name="What is selected")).to_be_visible()
    found += violations(page, "selected")
    page.keyboard.press("Control+m")
    node(page, "Decode").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Control+b")
    found += violations(page, "muted and bypassed")

    page.get_by_role("button", name="sampler_name, Sampler").click()
    expect(page.get_by_role("listbox", name="sampler_name, Sampler")).to_be_visible()
    found += violations(page, "list")
    page.keyboard.press("Escape")
    bar(page, "Add a node").click()
    found += violations(page, "search")
    page.get_by_role("combobox", name="Add a node").fill("no such node")
    found += violations(page, "search without a hit")
    page.keyboard.press("Escape")
    drag(page, centre(output(page, "CLIP", "Checkpoint")), (640, 740))
    expect(page.get_by_role("combobox", name="Add a node")).to_be_visible()
    found += violations(page, "search for a cable")
    page.keyboard.press("Escape")

    assert found == []


def test_the_panels_have_no_violations_before_and_after_a_run(page: Page) -> None:
    found: list[str] = []
    for name in PANELS:
        rail(page, name).click()
        expect(page.get_by_role("complementary", name=name)).to_be_visible()
        found += violations(page, name)
    rail(page, PANELS[-1]).click()
    fill(page, "steps, Sampler", "2")
    bar(page, "Run").click()
    expect(page.get_by_role("img", name="Picture of Save")).to_have_count(4, timeout=PATIENCE)
    found += violations(page, "after a run")
    rail(page, "Gallery").click()
    gallery = page.get_by_role("complementary", name="Gallery")
    expect(gallery.get_by_role("button", name="Show the picture").first).to_be_visible()
    found += violations(page, "gallery with pictures")
    gallery.get_by_role("button", name="Show the picture").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    found += violations(page, "a picture")

    assert found == []


def test_errors_have_no_violations_and_are_told(page: Page) -> None:
    drag(page, centre(input(page, "latent_image", "Sampler")), (700, 720))
    bar(page, "Run").click()

    expect(page.get_by_role("complementary", name="Errors")).to_be_visible()
    expect(heard(page)).to_contain_text("Nodes with errors: 1")
    assert violations(page, "errors") == []


def test_the_dialogs_have_no_violations_and_give_the_focus_back(page: Page) -> None:
    found: list[str] = []
    opener = bar(page, "Keyboard shortcuts")
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    found += violations(page, "keys")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(opener).to_be_focused()

    page.keyboard.press("Control+,")
    expect(page.get_by_role("dialog", name="Settings")).to_be_visible()
    found += violations(page, "settings")
    page.keyboard.press("Escape")
    expect(opener).to_be_focused()

    assert found == []


def test_menus_and_what_is_looked_for_have_no_violations(page: Page) -> None:
    found: list[str] = []
    node(page, "Sampler").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+F10")
    expect(page.get_by_role("menu")).to_be_visible()
    found += violations(page, "menu")
    page.keyboard.press("Escape")

    page.keyboard.press("Control+f")
    page.get_by_role("dialog").get_by_role("combobox").fill("sam")
    expect(page.get_by_role("option", name="Sampler")).to_be_visible()
    found += violations(page, "find")
    page.keyboard.press("Escape")

    input(page, "positive", "Sampler").press("Enter")
    expect(page.get_by_role("listbox", name="Ports that fit")).to_be_visible()
    found += violations(page, "join")
    page.keyboard.press("Escape")

    assert found == []


def test_windows_for_texts_and_masks_have_no_violations(page: Page) -> None:
    page.get_by_role("button", name="Edit large: text, Prompt", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    found = violations(page, "text")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)

    drop(page, HOME / "workflows" / "inpaint.json", "application/json")
    page.get_by_role("button", name="Paint mask, Picture with a hole").click()
    dialog = page.get_by_role("dialog", name="Paint a mask")
    expect(dialog.get_by_role("application")).to_be_focused()
    found += violations(page, "mask")

    assert found == []


# -- names, and what is told -----------------------------------------------------------------------


def test_nodes_ports_and_cables_have_names_that_say_what_they_are(page: Page) -> None:
    sampler = node(page, "Sampler")
    expect(sampler).to_have_accessible_description(re.compile("Enter selects the node"))
    for port in ("Input model of Sampler, MODEL", "Output LATENT of Sampler, LATENT"):
        expect(sampler.get_by_role("button", name=port, exact=True)).to_be_visible()
    expect(sampler.get_by_role("spinbutton", name="steps, Sampler", exact=True)).to_be_visible()
    cable = "Cable from MODEL of Checkpoint to model of Sampler"
    expect(page.get_by_role("img", name=cable, exact=True)).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_text("nodegraph")
    for place in ("navigation", "main", "banner", "application"):
        expect(page.get_by_role(place)).to_have_count(1)


def test_what_happens_to_the_graph_is_told(page: Page) -> None:
    sampler = node(page, "Sampler")
    sampler.focus()
    page.keyboard.press("Enter")
    transform = sampler.evaluate("(element) => element.style.transform")
    x, y = (int(part.strip(" px)")) for part in transform.removeprefix("translate(").split(","))

    page.keyboard.press("ArrowRight")
    expect(heard(page)).to_have_text(f"Sampler moved to x {x + 5}, y {y}")
    page.keyboard.press("Shift+ArrowDown")
    expect(heard(page)).to_have_text(f"Sampler moved to x {x + 5}, y {y + 20}")
    page.keyboard.press("Control+z")
    expect(heard(page)).to_have_text("Move: undone")
    page.keyboard.press("Control+m")
    expect(heard(page)).to_have_text("Mute: done")

    before = cables(page)
    drag(page, centre(input(page, "vae", "Decode")), (700, 720))
    until(lambda: cables(page) == before - 1)
    expect(heard(page)).to_have_text("Disconnect: done")


# -- keyboard --------------------------------------------------------------------------------------


def test_wherever_the_focus_goes_one_sees_it(page: Page) -> None:
    node(page, "Sampler").focus()
    page.keyboard.press("Enter")
    rail(page, "Examples").click()
    page.evaluate("document.activeElement.blur()")
    bar(page, "Run").focus()
    hidden: list[str] = []
    seen: set[str] = set()
    for _ in range(150):
        page.keyboard.press("Tab")
        name, visible = page.evaluate(FOCUSED)
        if name.startswith("BODY"):
            continue
        seen.add(name)
        if not visible:
            hidden.append(name)
        if "Run" in name.split() and len(seen) > 5:
            break

    assert hidden == []
    names = " ".join(seen)
    for part in (
        "Examples",
        "Close the panel",
        "Sampler",
        "steps, Sampler",
        "Input model of Sampler",
    ):
        assert part in names, f"Tab does not lead to {part}"


def test_the_focus_is_seen_in_lists_and_dialogs(page: Page) -> None:
    bar(page, "Add a node").click()
    assert page.evaluate(FOCUSED) == ["INPUT Add a node", True]
    page.keyboard.press("Escape")
    page.get_by_role("button", name="sampler_name, Sampler").press("Enter")
    name, visible = page.evaluate(FOCUSED)
    assert visible, name
    page.keyboard.press("Escape")
    page.keyboard.press("Control+,")
    expect(page.get_by_role("dialog", name="Settings")).to_be_visible()
    for _ in range(12):
        page.keyboard.press("Tab")
        name, visible = page.evaluate(FOCUSED)
        assert visible or name.startswith("BODY"), name


# -- what people ask of their system ---------------------------------------------------------------


def test_nothing_moves_by_itself_for_those_who_want_no_motion(page: Page) -> None:
    page.keyboard.press("Tab")
    choose(page, "invert image")
    bar(page, "Arrange").click()
    rail(page, "Queue").click()

    assert page.evaluate(MOVES) == []
    assert page.evaluate("document.getAnimations().length") == 0


def test_with_colours_of_the_system_nodes_and_what_is_selected_are_seen(
    opened: Callable[..., Page],
) -> None:
    page = opened(forced_colors="active")
    outline = "(element) => getComputedStyle(element.querySelector('.node')).outline"

    plain = node(page, "Sampler").evaluate(outline)
    node(page, "Sampler").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("toolbar", name="What is selected")).to_be_visible()
    selected = node(page, "Sampler").evaluate(outline)

    assert "none" not in plain
    assert selected != plain
    stroke = "(element) => getComputedStyle(element).stroke"
    strokes = page.locator(".react-flow__edge-path").evaluate_all(f"(all) => all.map({stroke})")
    assert len(set(strokes)) > 3, "the colours of the types of cables"
    port = output(page, "LATENT", "Sampler")
    paint = "(element) => getComputedStyle(element, '::before').backgroundColor"
    assert port.evaluate(paint) != output(page, "MODEL", "Checkpoint").evaluate(paint)


def test_at_200_percent_all_is_there_and_nothing_scrolls_sideways(
    opened: Callable[..., Page],
) -> None:
    # What a window of 1280 by 800 has left at 200 %.
    page = opened(viewport={"width": 640, "height": 400}, device_scale_factor=2)
    wide = "document.documentElement.scrollWidth"

    expect(bar(page, "Run")).to_be_in_viewport(ratio=1)
    for name in PANELS:
        rail(page, name).click()
        expect(page.get_by_role("complementary", name=name)).to_be_in_viewport(ratio=1)
        assert page.evaluate(wide) <= 640
    rail(page, PANELS[-1]).click()
    bar(page, "Add a node").click()
    expect(page.get_by_role("dialog", name="Add a node")).to_be_in_viewport(ratio=1)
    page.keyboard.press("Escape")
    bar(page, "More").click()
    page.get_by_role("button", name="Keyboard shortcuts").click()
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_in_viewport(ratio=1)
    page.keyboard.press("Escape")
    assert page.evaluate(wide) <= 640
