"""Fingers on the screen of a page, as Chromium's own events of touch."""

from __future__ import annotations

from desk import FRAMES
from playwright.sync_api import Page

Point = tuple[float, float]
STEPS = 6


class Fingers:
    """One finger that drags, and two that pinch."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.wire = page.context.new_cdp_session(page)

    def drag(self, start: Point, end: Point) -> None:
        """Moves a finger from point to point."""
        self._send("touchStart", start)
        for step in range(1, STEPS + 1):
            self._send("touchMove", _between(start, end, step / STEPS))
        self._send("touchEnd")

    def pinch(self, middle: Point, near: float, far: float) -> None:
        """Moves two fingers, one above the other, from `near` pixels of the middle to `far`."""
        x, y = middle
        for kind, step in (("touchStart", 0), *(("touchMove", at) for at in range(1, STEPS + 1))):
            by = near + (far - near) * step / STEPS
            self._send(kind, (x, y - by), (x, y + by))
        self._send("touchEnd")

    def _send(self, kind: str, *points: Point) -> None:
        touches = [{"x": x, "y": y, "id": id} for id, (x, y) in enumerate(points)]
        self.wire.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
        self.page.evaluate(FRAMES)


def _between(start: Point, end: Point, share: float) -> Point:
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share
