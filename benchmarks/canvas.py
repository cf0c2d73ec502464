"""The page with large graphs, in Chromium with software rendering: opening, panning, progress.

ready       from a file being chosen to all of its nodes being drawn as boxes, or to those in sight
            being drawn as nodes; the file's bytes are there already
script      milliseconds of JavaScript and of React for each frame of a pan, by the browser's own
            account, at zoom 1 and with the whole graph in view
frames      the time between frames meanwhile, which is mostly drawing: median and 95 of 100
progress    milliseconds of JavaScript for each event of a node's progress that the page hears

The server is a real one, with the nodes that come along; the progress is said by this script in the
server's name. Chromium has to be on the PATH.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, WebSocketRoute, sync_playwright

from .measure import table
from .server import served

SIZES = (100, 300, 1000)
COLUMNS = 25
ROUNDS = 5
STEPS, STEP = 60, 8  # movements of the mouse in a pan, pixels of each
EVENTS = 200
MIDDLE = (640, 500)
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
# Chooses a file, and waits until the canvas has drawn what is in it.
OPEN = """([text, count, far]) => new Promise((done) => {
    const data = new DataTransfer();
    data.items.add(new File([text], "graph.json", { type: "application/json" }));
    const field = document.getElementById("open-file");
    const selector = far ? ".node[data-far]" : ".node:not([data-far])";
    const begin = performance.now();
    field.files = data.files;
    field.dispatchEvent(new Event("change", { bubbles: true }));
    const look = () => {
        const here = document.querySelectorAll(selector).length;
        if (here >= count) requestAnimationFrame(() => done(performance.now() - begin));
        else requestAnimationFrame(look);
    };
    look();
})"""
WATCH = """() => {
    window.frames_ = [];
    let last = performance.now();
    const tick = (now) => {
        window.frames_.push(now - last);
        last = now;
        window.watching = requestAnimationFrame(tick);
    };
    window.watching = requestAnimationFrame(tick);
}"""
WATCHED = "() => { cancelAnimationFrame(window.watching); return window.frames_.slice(1); }"
FRAME = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def main() -> None:
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        print("\nThe canvas was not measured: there is no Chromium on the PATH.", file=sys.stderr)
        return
    with served("main.py") as (address, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        rows = [_measure(browser, address, count) for count in SIZES]
        browser.close()
    _print(rows)


def _print(rows: list[dict[str, float]]) -> None:
    table(
        "The canvas: graphs opened, milliseconds",
        ("nodes", "all drawn as boxes", "elements", "one of them near", "elements near"),
        [
            (
                f"{row['nodes']:.0f}",
                f"{row['ready']:.0f}",
                f"{row['elements']:.0f}",
                f"{row['near']:.0f}",
                f"{row['elements near']:.0f}",
            )
            for row in rows
        ],
    )
    table(
        "The canvas: milliseconds of script for each frame of a pan, and between frames",
        ("nodes", "zoom 1: script", "frames (95 %)", "all in view: script", "frames (95 %)"),
        [
            (
                f"{row['nodes']:.0f}",
                f"{row['near script']:.1f}",
                f"{row['near frame']:.0f} ({row['near worst']:.0f})",
                f"{row['far script']:.1f}",
                f"{row['far frame']:.0f} ({row['far worst']:.0f})",
            )
            for row in rows
        ],
    )
    table(
        "The canvas: milliseconds of script for each event of progress",
        ("nodes", "script"),
        [(f"{row['nodes']:.0f}", f"{row['progress']:.2f}") for row in rows],
    )


def graph(count: int) -> str:
    """A graph of chains, each node of which scales what the last one gives."""
    values = {"upscale_method": "bilinear", "width": 64, "height": 64, "crop": "disabled"}
    nodes = {
        str(id): {
            "class_type": "ImageScale",
            "inputs": values | ({"image": [str(id - 1), 0]} if id % COLUMNS else {}),
            "_meta": {"title": f"Node {id}"},
        }
        for id in range(count)
    }
    return json.dumps(nodes)


def joined(page: Page) -> list[WebSocketRoute]:
    """The websockets that the page opens from now on, on which others can speak to it, too."""
    sockets: list[WebSocketRoute] = []

    def join(route: WebSocketRoute) -> None:
        sockets.append(route)
        server = route.connect_to_server()
        route.on_message(server.send)
        server.on_message(route.send)

    page.route_web_socket("**/ws?*", join)
    return sockets


def _measure(browser: Browser, address: str, count: int) -> dict[str, float]:
    text = graph(count)
    row: dict[str, float] = {"nodes": count}
    opened: list[float] = []
    for _ in range(ROUNDS):
        with _page(browser, address) as (page, wire, socket):
            opened.append(page.evaluate(OPEN, [text, count, True]))
            row["elements"] = page.locator("*").count()
    row["ready"] = statistics.median(opened)
    with _page(browser, address) as (page, wire, socket):
        page.evaluate(OPEN, [text, count, True])
        row |= {f"far {name}": value for name, value in _pan(page, wire).items()}
        page.evaluate(FRAME)
        row["near"] = _near(page, f"Node {count // 2}")
        row["elements near"] = page.locator("*").count()
        row["progress"] = _progress(page, wire, socket, str(count // 2))
        row |= {f"near {name}": value for name, value in _pan(page, wire).items()}
    return row


@contextmanager
def _page(
    browser: Browser, address: str
) -> Iterator[tuple[Page, CDPSession, list[WebSocketRoute]]]:
    """The page, open on its first graph; and its websocket, on which others can speak, too."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    sockets = joined(page)
    page.goto(address)
    page.get_by_role("group", name="Sampler", exact=True).wait_for()
    page.evaluate(FRAME)
    wire = context.new_cdp_session(page)
    wire.send("Performance.enable")
    try:
        yield page, wire, sockets
    finally:
        context.close()


def _script(wire: CDPSession) -> float:
    """Milliseconds of script so far."""
    metrics = wire.send("Performance.getMetrics")["metrics"]
    return next(1000 * float(each["value"]) for each in metrics if each["name"] == "ScriptDuration")


def _pan(page: Page, wire: CDPSession) -> dict[str, float]:
    """Drags the canvas to and fro with the middle button."""
    x, y = MIDDLE
    page.mouse.move(x, y)
    page.mouse.down(button="middle")
    page.evaluate(WATCH)
    before = _script(wire)
    for step in range(STEPS):
        there = step if step < STEPS / 2 else STEPS - step
        page.mouse.move(x - there * STEP, y - there * STEP / 2)
    script = _script(wire) - before
    frames: list[float] = page.evaluate(WATCHED)
    page.mouse.up(button="middle")
    return {
        "script": script / max(1, len(frames)),
        "frame": statistics.median(frames),
        "worst": statistics.quantiles(frames, n=20)[-1],
    }


def _near(page: Page, title: str) -> float:
    """Goes to one node at zoom 1; how long that takes, with what the keys need on their way."""
    node = page.get_by_role("group", name=title, exact=True)
    node.focus()
    page.keyboard.press("Enter")
    begin = page.evaluate("performance.now()")
    page.keyboard.press(".")
    page.locator(".node:not([data-far])").first.wait_for()
    end: float = page.evaluate("performance.now()")
    page.evaluate(FRAME)
    return end - begin


def _progress(page: Page, wire: CDPSession, sockets: list[WebSocketRoute], node: str) -> float:
    def say(kind: str, **data: Any) -> None:
        message = {"type": kind, "data": {"prompt_id": "measured", **data}}
        sockets[-1].send(json.dumps(message))

    def step(value: int) -> None:
        names = dict.fromkeys(("node_id", "display_node_id", "real_node_id"), node)
        state = {"prompt_id": "measured", "parent_node_id": None, "state": "running"}
        say("progress_state", nodes={node: {**state, **names, "value": value, "max": EVENTS}})

    say("execution_start", timestamp=1.0)
    step(1)
    bar = page.get_by_role("progressbar").first
    bar.wait_for()
    before = _script(wire)
    for value in range(2, EVENTS + 1):
        step(value)
    page.locator(f"[role=progressbar][aria-valuenow='{EVENTS}']").wait_for()
    return (_script(wire) - before) / (EVENTS - 1)


if __name__ == "__main__":
    main()
