"""GET /: the page of the server, and what it is made of.

There is a plain one as well, for browsers that run no scripts. It stands in for the other where
that has not been built.
"""

from __future__ import annotations

import asyncio
from html import escape
from pathlib import Path

from aiohttp import hdrs, web

from nodegraph.version import VERSION

from ..answers import not_found
from ..headers import CSP, PAGE_CSP
from ..route import Routes
from ..sending import FileAnswer
from ..server import Server
from ..webpage import INDEX, asset, built_page

routes = Routes("page")

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>nodegraph</title>
<link rel="stylesheet" href="/page.css">
<main>
<h1>nodegraph {version}</h1>
<p>The server is running: {state}. {running} running, {pending} waiting{paused}.</p>
<p>{built}Send graphs with any ComfyUI client, or see <a href="/api/openapi.json">the routes</a>,
<a href="/api/object_info">the node types</a>, <a href="/api/queue">the queue</a>,
<a href="/api/history">the history</a> and <a href="/metrics">the metrics</a>.</p>
</main>
</html>
"""
STYLE = """:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
main { max-width: 40rem; margin: 4rem auto; padding: 0 1rem }
"""
UNBUILT = "The canvas has not been built: run <code>make web</code>. "
SENT = {
    206: "the part of the file that was asked for",
    304: "the file is what the client has already",
    412: "the file is another by now",
    416: "the file has no such part",
}


@routes.get("/", "The page of the server", answer="text/html", statuses=SENT, doubled=False)
async def page(server: Server, _request: web.Request) -> web.StreamResponse:
    built = await asyncio.to_thread(built_page)
    if built is None:
        return _plain(server, UNBUILT)
    return _file(built / INDEX, "text/html; charset=utf-8", {CSP: PAGE_CSP})


@routes.get("/plain", "The page without scripts", answer="text/html", doubled=False)
async def plain_page(server: Server, _request: web.Request) -> web.Response:
    return _plain(server)


@routes.get(
    "/assets/{name:[^/]+}",
    "A script, style or picture of the page",
    answer="*/*",
    statuses={404: "the page has no such file", **SENT},
    doubled=False,
)
async def page_asset(_server: Server, request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    found = await asyncio.to_thread(_asset, name)
    if found is None:
        raise not_found("The page has no such file", name)
    return _file(*found)


def _asset(name: str) -> tuple[Path, str] | None:
    built = built_page()
    return None if built is None else asset(built, name)


def _file(path: Path, media: str, more: dict[str, str] | None = None) -> FileAnswer:
    # Names stay the same from build to build, so browsers ask whether it is still the same file.
    headers = {hdrs.CONTENT_TYPE: media, hdrs.CACHE_CONTROL: "no-cache", **(more or {})}
    return FileAnswer(path, headers=headers)


def _plain(server: Server, built: str = "") -> web.Response:
    queue = server.queue
    text = PAGE.format(
        version=escape(VERSION),
        built=built,
        state="ready" if server.backend.loaded is not None else "the nodes are being loaded",
        running=len(queue.running),
        pending=len(queue.pending),
        paused=", paused" if queue.paused else "",
    )
    headers = {hdrs.CACHE_CONTROL: "no-cache", CSP: PAGE_CSP}
    return web.Response(text=text, content_type="text/html", headers=headers)


@routes.get("/page.css", "Its style", answer="text/css", doubled=False)
async def style(_server: Server, _request: web.Request) -> web.Response:
    return web.Response(text=STYLE, content_type="text/css")
