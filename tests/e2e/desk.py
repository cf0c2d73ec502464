"""What the tests of the page do with it: ports, cables, the palette, files that are dropped."""

from __future__ import annotations

import base64
from pathlib import Path

from playwright.sync_api import Locator, Page, expect
from server_process import until

DROP = """async ([target, name, media, text]) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name, { type: media }));
    const at = { clientX: 640, clientY: 400 };
    const options = { bubbles: true, cancelable: true, dataTransfer: data, ...at };
    document.querySelector(target).dispatchEvent(new DragEvent("drop", options));
}"""

# Until what was asked for is drawn.
FRAMES = """() => new Promise((done) => {
    const next = (left) => (left ? requestAnimationFrame(() => next(left - 1)) : done());
    next(4);
})"""

MIDDLE = """(path) => {
    const at = path.getPointAtLength(path.getTotalLength() / 2);
    const { x, y } = new DOMPoint(at.x, at.y).matrixTransform(path.getScreenCTM());
    return [x, y];
}"""

DRAWING = 60_000  # milliseconds: the model draws on a slow machine


def node(page: Page, title: str) -> Locator:
    return page.get_by_role("group", name=title, exact=True)


def output(page: Page, name: str, title: str) -> Locator:
    return page.get_by_role("button", name=f"Output {name} of {title},")


def input(page: Page, name: str, title: str) -> Locator:
    return page.get_by_role("button", name=f"Input {name} of {title},")


def cables(page: Page) -> int:
    return page.locator(".react-flow__edge").count()


def centre(locator: Locator) -> tuple[float, float]:
    box = locator.bounding_box()
    assert box, "it is not on the page"
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(
    page: Page, start: tuple[float, float], end: tuple[float, float], drop: bool = True
) -> None:
    """Moves the mouse from point to point with the button held."""
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=3)
    page.mouse.move(*end, steps=3)
    if drop:
        page.mouse.up()


def draw(page: Page, start: Locator, end: Locator) -> None:
    """Draws a cable from port to port."""
    drag(page, centre(start), centre(end))


def draw_out(page: Page, port: Locator, words: str) -> None:
    """Lets a cable go over empty space, takes the node that the palette finds, and tidies up."""
    count = cables(page)
    drag(page, centre(port), (640, 730))
    choose(page, words)
    until(lambda: cables(page) == count + 1)
    page.get_by_role("button", name="Arrange").click()
    page.evaluate(FRAMES)


def fill(page: Page, name: str, text: str) -> None:
    """Types a number into a widget, named as "steps, KSampler"."""
    field = page.get_by_role("spinbutton", name=name)
    field.fill(text)
    field.press("Enter")


def choose(page: Page, words: str) -> None:
    """Takes the first node that the palette finds."""
    field = page.get_by_role("combobox", name="Add a node")
    field.fill(words)
    field.press("Enter")
    expect(field).to_have_count(0)


def drop(page: Page, path: Path, media: str = "image/png", onto: str = ".react-flow__pane") -> None:
    """Drops a file on the canvas, or on what a selector finds."""
    text = base64.b64encode(path.read_bytes()).decode()
    page.evaluate(DROP, [onto, path.name, media, text])


def shown(page: Page, title: str, count: int = 1, pixels: int = 64) -> None:
    """Waits until a node shows so many pictures, of that width."""
    pictures = node(page, title).get_by_role("img", name=f"Picture of {title}")
    expect(pictures).to_have_count(count, timeout=DRAWING)
    until(lambda: pictures.first.evaluate("(image) => image.naturalWidth") == pixels)


def announced(page: Page, words: str) -> None:
    """Waits until screen readers are told something."""
    expect(page.locator("[aria-live]").get_by_text(words).first).to_be_attached()


def clear(page: Page) -> None:
    """Deletes all nodes."""
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    expect(page.locator(".react-flow__node")).to_have_count(0)


def middle(page: Page, cable: str) -> tuple[float, float]:
    """The middle of a cable on the screen. cable: its end, as "7:images"."""
    path = page.locator(f'.react-flow__edge[data-id="{cable}"] path').first
    x, y = path.evaluate(MIDDLE)
    return x, y
