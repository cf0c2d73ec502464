"""What the server is and how it is: /system_stats, /features, /healthz, /metrics, OpenAPI."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from aiohttp import web

from nodegraph.engine import Engine
from nodegraph.memory.devices import host_available, host_total, memory_of
from nodegraph.version import VERSION

from .. import schema
from ..answers import Refused, answer
from ..commands import features
from ..route import OBJECT, Routes
from ..server import Server

routes = Routes("system")

PROTOCOL = "0.3.64"  # of ComfyUI's protocol, which clients look at
PAGE = "1.28.7"  # of ComfyUI's own page that goes with it


@routes.get(
    "/healthz",
    "Whether the server is there; `loading` until the nodes are",
    answer=schema.HEALTH,
    statuses={503: "the nodes could not be loaded"},
    open=True,
)
async def healthz(server: Server, _request: web.Request) -> web.Response:
    if server.backend.error is not None:
        raise Refused(503, "not_ready", "The nodes could not be loaded", "the log says why")
    return answer({"status": "ok" if server.backend.loaded is not None else "loading"})


@routes.get("/metrics", "Counts and sizes, for Prometheus", answer="text/plain", doubled=False)
async def metrics(server: Server, _request: web.Request) -> web.Response:
    text, kind = await asyncio.to_thread(server.metrics.text)
    return web.Response(body=text, headers={"Content-Type": kind})


@routes.get("/features", "What the server understands", answer=schema.FEATURES)
async def get_features(server: Server, _request: web.Request) -> web.Response:
    return answer(features(server))


@routes.get(
    "/system_stats",
    "Versions, memory and devices",
    answer=schema.SYSTEM,
    statuses={503: "the nodes could not be loaded"},
)
async def system_stats(server: Server, _request: web.Request) -> web.Response:
    engine = await server.engine()
    return answer(await asyncio.to_thread(_stats, engine))


@routes.get("/openapi.json", "This description", answer=OBJECT)
async def openapi(_server: Server, request: web.Request) -> web.Response:
    return answer(request.config_dict[DESCRIPTION])


DESCRIPTION: web.AppKey[dict[str, Any]] = web.AppKey("description", dict)


def _stats(engine: Engine) -> dict[str, Any]:
    return {
        "system": {
            "os": os.name,
            "ram_total": host_total(),
            "ram_free": host_available(),
            "comfyui_version": PROTOCOL,
            "required_frontend_version": PAGE,
            "nodegraph_version": VERSION,
            "python_version": sys.version,
            "pytorch_version": _version("torch"),
            "embedded_python": False,
            "argv": ["main.py"],
        },
        "devices": [_device(engine)],
    }


def _device(engine: Engine) -> dict[str, Any]:
    """The device that graphs run on. Sizes in bytes; of the CPU, those of the host."""
    name = engine.executor.device
    kind, _, index = name.partition(":")
    total, free = memory_of(name)
    return {
        "name": name if kind != "cpu" else platform.machine() or "cpu",
        "type": kind,
        "index": int(index or 0) if kind != "cpu" else None,
        "vram_total": total,
        "vram_free": free,
        "torch_vram_total": total,
        "torch_vram_free": free,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
