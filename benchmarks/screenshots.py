"""The README's pictures of the canvas, taken anew: docs/images/canvas/NAME.png.

    python -m benchmarks.screenshots [--docs FOLDER]

A real server with the embedded model, and Chromium from the PATH: a run in its middle,
a mask being painted, two pictures being compared, and the canvas on a telephone. Two minutes.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from .measure import ROOT
from .server import served

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 120_000  # milliseconds
LARGE, SMALL = (1280, 800), (390, 844)


def number(page: Page, name: str, text: str) -> None:
    field = page.get_by_role("spinbutton", name=name)
    field.fill(text)
    field.press("Enter")


def run(page: Page) -> None:
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("status", name="State of the run")).not_to_contain_text("Done")


def done(page: Page) -> None:
    said = page.get_by_role("status", name="State of the run")
    expect(said).to_contain_text("Done", timeout=PATIENCE)


def example(page: Page, title: str) -> None:
    page.get_by_role("button", name="Examples").click()
    page.get_by_role("button", name=title).first.click()


def running(page: Page) -> None:
    """In the middle of a run, with a preview in the sampler."""
    number(page, "steps, Sampler", "300")
    run(page)
    sampler = page.get_by_role("group", name="Sampler", exact=True)
    preview = sampler.get_by_role("img")
    expect(preview.first).to_be_visible(timeout=PATIENCE)
    bar = sampler.get_by_role("progressbar")
    page.wait_for_function(
        "(bar) => Number(bar.getAttribute('aria-valuenow')) > 200",
        arg=bar.element_handle(),
        timeout=PATIENCE,
    )


def mask(page: Page) -> None:
    """A mask over the example's picture, half painted."""
    example(page, "Inpaint")
    loader = page.get_by_role("button", name="Paint mask, Picture with a hole")
    loader.click()
    stage = page.get_by_role("application", name="Picture ")
    box = stage.locator("canvas").bounding_box()
    assert box
    x, y, width = box["x"], box["y"], box["width"]
    page.mouse.move(x + 0.2 * width, y + 0.3 * width)
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(x + (0.2 + 0.06 * step) * width, y + (0.3 + 0.02 * step) * width, steps=4)
    page.mouse.up()


def compare(page: Page) -> None:
    """Two runs under a slider."""
    for steps in ("4", "30"):
        number(page, "steps, Sampler", steps)
        run(page)
        done(page)
    page.get_by_role("button", name="Gallery").click()
    gallery = page.get_by_role("complementary", name="Gallery")
    gallery.get_by_role("button", name="Show the picture").first.click()
    page.get_by_role("button", name="Compare with the run before").click()
    expect(page.get_by_role("dialog", name="Compare two pictures")).to_be_visible()


def phone(page: Page) -> None:
    """A finished run on a telephone."""
    run(page)
    done(page)


SHOTS: Mapping[str, Callable[[Page], None]] = MappingProxyType(
    {"running": running, "mask": mask, "compare": compare, "phone": phone}
)


def taken(browser: Browser, address: str, name: str, place: Path) -> None:
    width, height = SMALL if name == "phone" else LARGE
    options: dict[str, Any] = {"has_touch": True, "is_mobile": True} if name == "phone" else {}
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark",
        reduced_motion="reduce",
        **options,
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(address)
    expect(page.get_by_role("group", name="Sampler", exact=True)).to_be_visible(timeout=PATIENCE)
    SHOTS[name](page)
    place.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=place)
    context.close()


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", default=[*SHOTS], help=", ".join(SHOTS))
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where images/ is")
    asked = parser.parse_args(arguments)
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        sys.exit("there is no Chromium on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        for name in asked.names:
            print(name, flush=True)
            with served("main.py") as (address, _):  # each begins without the others' runs
                taken(browser, address, name, asked.docs / "images" / "canvas" / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
