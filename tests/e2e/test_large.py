"""A graph of a thousand nodes: what is mounted, rendered and remembered. Counts, never times."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from desk import FRAMES, cables, node
from playwright.sync_api import CDPSession, Page, WebSocketRoute, expect
from server_process import until

from benchmarks.canvas import graph, joined

PANELS = ("Examples", "Queue", "Gallery", "Errors")
# Stands in for React's developer tools: counts the nodes of the canvas that a commit rendered. A
# fiber did work in a commit if it has the flag PerformedWork; what a commit left alone is reached
# by the same child as before. Nodes are what has the canvas's data and a place.
COUNTER = """
window.rendered = [];
const PERFORMED_WORK = 1;
function visit(fiber, before) {
    const { memoizedProps: props, flags, type } = fiber;
    const isNode = props?.data?.layout && "positionAbsoluteX" in props;
    if (typeof type === "function" && isNode && flags & PERFORMED_WORK)
        window.rendered.push(props.id);
    if (before && fiber.child === before.child) return;
    for (let child = fiber.child; child; child = child.sibling) visit(child, child.alternate);
}
window.__REACT_DEVTOOLS_GLOBAL_HOOK__ = {
    supportsFiber: true,
    inject: () => 1,
    onCommitFiberRoot: (_id, root) => visit(root.current, root.current.alternate),
    onCommitFiberUnmount() {},
    onPostCommitFiberRoot() {},
};
"""
# All inputs in sight that have a cable, as their cables are named.
LINKED = """() => [...document.querySelectorAll(".react-flow__node .port.target[data-linked=true]")]
    .map((port) => `${port.dataset.nodeid}:${port.dataset.handleid.slice(2)}`).sort()"""
DRAWN = """() => [...document.querySelectorAll(".react-flow__edge")]
    .map((edge) => edge.dataset.id)"""


def write_graph(folder: Path, count: int) -> Path:
    path = folder / f"{count}.json"
    path.write_text(graph(count))
    return path


def load(page: Page, path: Path, count: int) -> None:
    page.locator("#open-file").set_input_files(path)
    expect(page.locator(".node[data-far]").first).to_be_attached()
    until(lambda: page.locator(".node").count() == count)


def mounted(page: Page) -> int:
    return page.locator(".react-flow__node").count()


def elements(page: Page) -> int:
    return page.locator("*").count()


def near(page: Page, title: str) -> None:
    """Shows one node at zoom 1, by selecting it."""
    node(page, title).focus()
    page.keyboard.press("Enter")
    page.keyboard.press(".")
    expect(page.locator(".node[data-far]")).to_have_count(0)
    until(lambda: mounted(page) < 60)
    page.evaluate(FRAMES)


def whole(page: Page) -> None:
    """Shows the whole graph."""
    page.keyboard.press("Escape")
    page.get_by_role("toolbar", name="Toolbar").get_by_role("button", name="Fit").click()
    expect(page.locator(".node[data-far]").first).to_be_attached()


@pytest.fixture
def thousand(page: Page, tmp_path: Path) -> Page:
    load(page, write_graph(tmp_path, 1000), 1000)
    return page


def test_from_afar_nodes_are_boxes_and_near_only_those_in_sight_are_mounted(thousand: Page) -> None:
    page = thousand
    assert mounted(page) == 1000
    assert cables(page) == 0
    assert elements(page) <= 6000

    near(page, "Node 512")

    expect(node(page, "Node 512")).to_be_in_viewport(ratio=1)
    zoom = page.locator(".react-flow__viewport").evaluate("(element) => element.style.transform")
    assert "scale(1)" in zoom
    assert 0 < mounted(page) <= 40
    assert elements(page) <= 2500
    assert cables(page) > 0


def test_coming_near_shows_every_cable_in_sight_each_time(thousand: Page) -> None:
    page = thousand
    shown: list[set[str]] = []
    for _ in range(2):
        near(page, "Node 512")
        linked = set(page.evaluate(LINKED))
        assert len(linked) > 5
        until(lambda linked=linked: linked <= set(page.evaluate(DRAWN)))
        shown.append(set(page.evaluate(DRAWN)))
        whole(page)
        assert cables(page) == 0

    assert shown[0] == shown[1]


def test_what_is_selected_or_has_the_focus_stays_mounted_out_of_sight(thousand: Page) -> None:
    page = thousand
    far_off = node(page, "Node 512")
    width = page.get_by_role("spinbutton", name="width, Node 512")

    near(page, "Node 512")
    pan(page, -250)
    zoom_in(page)
    expect(far_off).not_to_be_in_viewport()
    expect(far_off).to_have_count(1)
    page.keyboard.press("Escape")
    expect(far_off).to_have_count(0)

    whole(page)
    near(page, "Node 512")
    pan(page, -250)
    page.keyboard.press("Escape")
    width.focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("12")
    zoom_in(page)
    expect(far_off).not_to_be_in_viewport()
    page.keyboard.type("8")
    expect(width).to_be_focused()
    expect(width).to_have_value("128")
    width.blur()
    expect(far_off).to_have_count(0)

    page.keyboard.press("Control+a")
    page.evaluate(FRAMES)
    assert 0 < mounted(page) <= 40, "all that is selected would be too much"


def pan(page: Page, by: float) -> None:
    """Drags the canvas sideways with the middle button, which moves no node."""
    page.mouse.move(700, 700)
    page.mouse.down(button="middle")
    page.mouse.move(700 + by / 2, 700, steps=2)
    page.mouse.move(700 + by, 700, steps=2)
    page.mouse.up(button="middle")
    page.evaluate(FRAMES)


def zoom_in(page: Page) -> None:
    """Zooms in as far as it goes, at the right, by turns of the wheel that all count."""
    page.mouse.move(1240, 400)
    for _ in range(8):
        page.mouse.wheel(0, -400)
    viewport = page.locator(".react-flow__viewport")
    until(lambda: "scale(2.5)" in str(viewport.get_attribute("style")))
    page.evaluate(FRAMES)


def test_a_step_of_a_run_renders_one_node_and_changes_no_document(
    opened: Callable[..., Page], tmp_path: Path
) -> None:
    sockets: list[list[WebSocketRoute]] = []

    def prepare(page: Page) -> None:
        sockets.append(joined(page))
        page.add_init_script(COUNTER)

    page = opened(before=prepare)
    [socket] = sockets
    load(page, write_graph(tmp_path, 1000), 1000)
    near(page, "Node 512")
    page.keyboard.press("Escape")
    say(socket[-1], "execution_start", timestamp=1.0)
    step(socket[-1], 1)
    bar = page.get_by_role("progressbar", name="Node 512")
    expect(bar).to_have_attribute("aria-valuenow", "1")
    page.evaluate(FRAMES)
    undo = page.get_by_role("button", name="Undo").get_attribute("title")
    dirty = page.title()

    for value in range(2, 12):
        page.evaluate("window.rendered.length = 0")
        step(socket[-1], value)
        expect(bar).to_have_attribute("aria-valuenow", str(value))
        page.evaluate(FRAMES)
        assert page.evaluate("window.rendered") == ["512"]

    assert page.get_by_role("button", name="Undo").get_attribute("title") == undo
    assert page.title() == dirty


def say(socket: WebSocketRoute, kind: str, **data: Any) -> None:
    """A message of a run, as the server sends it."""
    socket.send(json.dumps({"type": kind, "data": {"prompt_id": "a-run", **data}}))


def step(socket: WebSocketRoute, value: int) -> None:
    names = ("node_id", "display_node_id", "real_node_id")
    state = {"prompt_id": "a-run", "parent_node_id": None, "state": "running", "max": 20}
    node = {**state, **dict.fromkeys(names, "512"), "value": value}
    say(socket, "progress_state", nodes={"512": node})


def test_pasting_a_hundred_nodes_is_one_step(page: Page, tmp_path: Path) -> None:
    load(page, write_graph(tmp_path, 100), 100)
    undo = page.get_by_role("button", name="Undo")
    before = str(undo.get_attribute("title"))
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+c")

    page.keyboard.press("Control+v")

    whole(page)
    until(lambda: mounted(page) == 200)
    page.keyboard.press("Control+z")
    until(lambda: mounted(page) == 100)
    expect(undo).to_have_attribute("title", before)
    page.keyboard.press("Control+Shift+z")
    until(lambda: mounted(page) == 200)


def test_panels_and_dialogs_leave_nothing_behind(page: Page) -> None:
    rail = page.get_by_role("navigation", name="Panels")
    bar = page.get_by_role("toolbar", name="Toolbar")
    wire = page.context.new_cdp_session(page)
    wire.send("Performance.enable")

    def round() -> None:
        for name in PANELS:
            rail.get_by_role("button", name=name).click()
            expect(page.get_by_role("complementary", name=name)).to_be_visible()
        rail.get_by_role("button", name=PANELS[-1]).click()
        bar.get_by_role("button", name="Add a node").click()
        page.keyboard.press("Escape")
        bar.get_by_role("button", name="Keyboard shortcuts").click()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)

    for _ in range(3):
        round()
    before = held(wire)
    for _ in range(20):
        round()
    # Answers that are under way hold what asked for them: it is collected when they are there.
    until(lambda: all(held(wire)[name] <= count + 20 for name, count in before.items()))


def held(wire: CDPSession) -> dict[str, int]:
    """Elements and listeners that the page holds, seen or not."""
    wire.send("HeapProfiler.collectGarbage")
    metrics = wire.send("Performance.getMetrics")["metrics"]
    values = {each["name"]: int(each["value"]) for each in metrics}
    return {name: values[name] for name in ("Nodes", "JSEventListeners")}
