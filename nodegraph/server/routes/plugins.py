"""The plugins, what became of each, and the files with which they extend the page."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import hdrs, web

from nodegraph.plugins import Plugin

from .. import schema
from ..answers import answer, not_found
from ..route import Routes, array
from ..sending import FileAnswer
from ..server import Server
from ..webpage import plugin_file

routes = Routes("system")


@routes.get(
    "/plugins",
    "The plugins, and what became of each: loaded, or why not",
    answer=array(schema.PLUGIN),
    statuses={503: "the nodes could not be loaded"},
)
async def plugins(server: Server, _request: web.Request) -> web.Response:
    engine = await server.engine()
    return answer([_told(server, plugin) for plugin in engine.plugins])


@routes.get(
    "/plugins/{plugin:[^/]+}/web/{name:[^/]+}",
    "A script, style or picture with which a plugin extends the page",
    answer="*/*",
    statuses={
        206: "the part of the file that was asked for",
        304: "the file is what the client has already",
        404: "no plugin of this name is loaded, or it has no such file",
        412: "the file is another by now",
        416: "the file has no such part",
        503: "the nodes could not be loaded",
    },
)
async def plugin_web(server: Server, request: web.Request) -> web.StreamResponse:
    wanted, name = request.match_info["plugin"], request.match_info["name"]
    engine = await server.engine()
    folders = (
        plugin.manifest.folder
        for plugin in engine.plugins
        if plugin.name == wanted and plugin.web and plugin.manifest
    )
    folder = next(folders, None)
    found = None if folder is None else await asyncio.to_thread(plugin_file, folder, name)
    if found is None:
        raise not_found("No plugin has such a file for the page", f"{wanted}: {name}")
    path, media = found
    headers = {hdrs.CONTENT_TYPE: media, hdrs.CACHE_CONTROL: "no-cache"}
    return FileAnswer(path, headers=headers)


def _told(server: Server, plugin: Plugin) -> dict[str, Any]:
    """What anybody may know of a plugin: without the places of this computer."""
    told = plugin.as_json()
    if not server.settings.debug:
        told["reason"] = server.logs.redact(plugin.reason)
        told["warnings"] = [server.logs.redact(text) for text in plugin.warnings]
    return told
