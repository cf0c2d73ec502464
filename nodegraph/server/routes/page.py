"""GET /: the page of the server."""

from __future__ import annotations

from html import escape

from aiohttp import web

from nodegraph.version import VERSION

from ..headers import PAGE_CSP
from ..route import Routes
from ..server import Server

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
<p>Send graphs with any ComfyUI client, or see <a href="/api/openapi.json">the routes</a>,
<a href="/api/object_info">the node types</a>, <a href="/api/queue">the queue</a>,
<a href="/api/history">the history</a> and <a href="/metrics">the metrics</a>.</p>
</main>
</html>
"""
STYLE = """:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
main { max-width: 40rem; margin: 4rem auto; padding: 0 1rem }
"""


@routes.get("/", "The page of the server", answer="text/html", doubled=False)
async def page(server: Server, _request: web.Request) -> web.Response:
    queue = server.queue
    text = PAGE.format(
        version=escape(VERSION),
        state="ready" if server.backend.loaded is not None else "the nodes are being loaded",
        running=len(queue.running),
        pending=len(queue.pending),
        paused=", paused" if queue.paused else "",
    )
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": PAGE_CSP}
    return web.Response(text=text, content_type="text/html", headers=headers)


@routes.get("/page.css", "Its style", answer="text/css", doubled=False)
async def style(_server: Server, _request: web.Request) -> web.Response:
    return web.Response(text=STYLE, content_type="text/css")
