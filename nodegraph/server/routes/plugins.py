"""The plugins, and what became of each."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from nodegraph.plugins import Plugin

from .. import schema
from ..answers import answer
from ..route import Routes, array
from ..server import Server

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


def _told(server: Server, plugin: Plugin) -> dict[str, Any]:
    """What anybody may know of a plugin: without the places of this computer."""
    told = plugin.as_json()
    if not server.settings.debug:
        told["reason"] = server.logs.redact(plugin.reason)
        told["warnings"] = [server.logs.redact(text) for text in plugin.warnings]
    return told
