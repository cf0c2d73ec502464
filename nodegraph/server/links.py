"""One-time links: a code that lets one browser in, once, soon; and the way on from there."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable

from aiohttp import web

from .pages import arriving, from_elsewhere

LIFE = 15 * 60.0  # seconds
ALIVE = 8  # codes at the same time; the oldest makes room

# What browsers say when they fetch a page before anybody has opened it.
EARLY = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")

ONWARD_CSP = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
ONWARD = """<!doctype html>
<meta charset="utf-8">
<meta http-equiv="refresh" content="0;url=/">
<title>nodegraph</title>
<a href="/">nodegraph</a>
"""


class Codes:
    """The codes that are alive. clock: seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # By their hash: how long a look-up takes tells nothing about the codes.
        self._ends: dict[bytes, float] = {}

    def make(self) -> str:
        """A new code."""
        code = secrets.token_urlsafe(24)
        while len(self._ends) >= ALIVE:
            del self._ends[next(iter(self._ends))]
        self._ends[_hash(code)] = self._clock() + LIFE
        return code

    def use(self, code: str) -> bool:
        """Whether the code is alive. It is not any more."""
        end = self._ends.pop(_hash(code), None)
        return end is not None and self._clock() < end


def opened(request: web.Request) -> bool:
    """Whether a link was opened, as far as can be seen, and is not merely looked at."""
    kinds = request.headers.getall("Sec-Fetch-Dest", ["document"])
    early = any(name in request.headers for name in EARLY)
    return request.method == "GET" and kinds == ["document"] and not early


def onward(request: web.Request) -> web.Response:
    """To the first page: a redirect, or a page that leads on where a redirect would not do.

    The cookie is SameSite=Strict. Where the way began at another site, in a web mailer say, a
    browser does not send it, not even after redirects. A page of ours is a new beginning.
    """
    headers = {"Cache-Control": "no-store"}
    site = request.headers.get("Sec-Fetch-Site")
    perhaps = site is None and "text/html" in request.headers.get("Accept", "")
    if perhaps or from_elsewhere(request):
        headers["Content-Security-Policy"] = ONWARD_CSP
        return web.Response(text=ONWARD, content_type="text/html", headers=headers)
    return web.Response(status=303, headers={"Location": "/", **headers})


def cookie_is_held_back(request: web.Request) -> bool:
    """Whether a browser opens a page from another site, and so sends no cookie it may have."""
    return arriving(request) and from_elsewhere(request)


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.encode(errors="backslashreplace")).digest()
