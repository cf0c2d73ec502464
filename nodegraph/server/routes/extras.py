"""What ComfyUI's page asks for when it starts, and this server has nothing of."""

from __future__ import annotations

from aiohttp import web

from ..answers import answer
from ..route import OBJECT, TEXT, Routes, array
from ..server import Server

routes = Routes("page")


@routes.get("/extensions", "Scripts of node packs for the page: none", answer=array(TEXT))
async def extensions(_server: Server, _request: web.Request) -> web.Response:
    return answer([])


@routes.get("/workflow_templates", "Workflows of node packs: none", answer=OBJECT)
async def workflow_templates(_server: Server, _request: web.Request) -> web.Response:
    return answer({})


@routes.get("/i18n", "Translations of node packs: none", answer=OBJECT)
async def translations(_server: Server, _request: web.Request) -> web.Response:
    return answer({})


@routes.get("/global_subgraphs", "Subgraphs that all may use: none", answer=OBJECT)
async def global_subgraphs(_server: Server, _request: web.Request) -> web.Response:
    return answer({})
