"""Cross-origin headers, for the pages that allowed_origins names and for nobody else."""

from __future__ import annotations

import re

from aiohttp import web

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
HEADERS = "Authorization, Content-Type"
NAMES = re.compile(r"[A-Za-z0-9_-]+(?:\s*,\s*[A-Za-z0-9_-]+)*")
AGE = "600"  # seconds that a browser may remember the answer to a preflight


def is_preflight(request: web.Request) -> bool:
    """Whether a browser asks what a page may send."""
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def preflight() -> web.Response:
    """The answer to that: `allow` adds what is in it."""
    return web.Response(status=204)


def allow(request: web.Request, response: web.StreamResponse) -> None:
    """Let the page behind the request read the answer."""
    headers = response.headers
    headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
    headers["Access-Control-Allow-Credentials"] = "true"
    if not is_preflight(request):
        headers["Access-Control-Expose-Headers"] = "Content-Disposition, ETag, Retry-After"
        return
    wanted = request.headers.get("Access-Control-Request-Headers", "")
    headers["Access-Control-Allow-Methods"] = METHODS
    headers["Access-Control-Allow-Headers"] = wanted if NAMES.fullmatch(wanted) else HEADERS
    headers["Access-Control-Max-Age"] = AGE
