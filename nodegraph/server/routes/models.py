"""Which models there are, and what their files say of themselves."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from aiohttp import web

from nodegraph.errors import FileMissing
from nodegraph.folders import PICTURES, WEIGHTS, Folders
from nodegraph.names import UnsafeName, inside, readable

from ..answers import Refused, answer, not_found
from ..bodies import MAX_DEPTH, deeper_than
from ..pictures import Conversion, convert
from ..route import NUMBER, OBJECT, TEXT, WHOLE, Param, Routes, array, record
from ..server import Server

HEADER = 32 << 20  # bytes that the header of a safetensors file may have
NO_MODELS = ("configs", "custom_nodes")  # kinds that are none of models

routes = Routes("models")


@routes.get("/embeddings", "The names of the embeddings", answer=array(TEXT))
async def embeddings(server: Server, _request: web.Request) -> web.Response:
    names = await asyncio.to_thread(server.folders.list, "embeddings")
    return answer([str(PurePosixPath(name).with_suffix("")) for name in names])


@routes.get("/models", "The kinds of models", answer=array(TEXT))
async def kinds(server: Server, _request: web.Request) -> web.Response:
    return answer(list(server.folders.model_kinds()))


@routes.get(
    "/models/{folder}",
    "The models of a kind",
    answer=array(TEXT),
    statuses={404: "there is no such kind"},
)
async def models(server: Server, request: web.Request) -> web.Response:
    kind = request.match_info["folder"]
    _roots(server.folders, kind)
    return answer(await asyncio.to_thread(server.folders.list, kind))


@routes.get(
    "/view_metadata/{folder}",
    "What the header of a safetensors file says of it",
    query=(Param("filename", help="the name of a model of this kind", required=True),),
    answer=OBJECT,
    statuses={404: "there is no such model, or its file says nothing"},
)
async def view_metadata(server: Server, request: web.Request) -> web.Response:
    kind, name = request.match_info["folder"], request.query.get("filename", "")
    return answer(await asyncio.to_thread(_metadata, server.folders, kind, name))


@routes.get(
    "/experiment/models",
    "The kinds of models, with the names of their folders",
    answer=array(record({"name": TEXT, "folders": array(TEXT)})),
)
async def model_folders(server: Server, _request: web.Request) -> web.Response:
    kinds = [kind for kind in server.folders.model_kinds() if kind not in NO_MODELS]
    return answer([{"name": kind, "folders": folder_names(server, kind)} for kind in kinds])


@routes.get(
    "/experiment/models/{folder}",
    "The models of a kind, with where and how large their files are",
    answer=array(
        record(
            {
                "name": TEXT,
                "pathIndex": WHOLE,
                "modified": NUMBER,
                "created": NUMBER,
                "size": WHOLE,
            }
        )
    ),
    statuses={404: "there is no such kind"},
)
async def model_files(server: Server, request: web.Request) -> web.Response:
    """pathIndex: the number of the folder. Times in seconds since 1970, sizes in bytes."""
    kind = request.match_info["folder"]
    _roots(server.folders, kind)
    return answer(await asyncio.to_thread(lambda: list(_files(server.folders, kind))))


@routes.get(
    "/experiment/models/preview/{folder}/{path_index}/{filename:.+}",
    "The picture beside a model",
    answer="image/webp",
    statuses={404: "there is no such picture"},
)
async def model_preview(server: Server, request: web.Request) -> web.Response:
    """The one that is called as the model, or as the model with .preview, whatever its suffix."""
    kind, index, name = (request.match_info[key] for key in ("folder", "path_index", "filename"))
    path = await asyncio.to_thread(_picture_beside, server.folders, kind, index, name)
    try:
        picture = await asyncio.to_thread(convert, path, Conversion("WEBP"))
    except Refused as error:
        raise not_found("There is no picture of this model", error.message) from error
    return web.Response(body=picture, content_type="image/webp")


def folder_names(server: Server, kind: str) -> list[str]:
    """What the folders of a kind are called, without where they are."""
    return [root.name for root in server.folders.roots(kind)]


def _roots(folders: Folders, kind: str) -> tuple[Path, ...]:
    """The folders of a kind. Refused (404)."""
    try:
        return folders.roots(kind)
    except FileMissing as error:
        raise not_found("There is no such kind of model", str(error)) from None


def _files(folders: Folders, kind: str) -> Iterator[dict[str, Any]]:
    for name in folders.list(kind):
        for index, root in enumerate(folders.roots(kind)):
            try:
                found = os.stat(root / name)
            except OSError:  # it is in another of the folders
                continue
            yield {
                "name": name,
                "pathIndex": index,
                "modified": found.st_mtime,
                "created": found.st_ctime,
                "size": found.st_size,
            }


def _metadata(folders: Folders, kind: str, name: str) -> dict[str, Any]:
    """`__metadata__` in the header of a model's file. Refused (404)."""
    _roots(folders, kind)
    try:
        path = folders.resolve(kind, name)
    except FileMissing as error:
        raise not_found("There is no such model", str(error)) from None
    found = _header(path).get("__metadata__")
    if not isinstance(found, dict) or deeper_than(found, MAX_DEPTH):
        raise not_found("The file says nothing of itself", f"{name} has no __metadata__")
    return found


def _header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file: its length in 8 bytes, and then JSON. {} if it has none."""
    if path.suffix.lower() not in (".safetensors", ".sft"):
        return {}
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            data = json.loads(file.read(size)) if size <= HEADER else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _picture_beside(folders: Folders, kind: str, index: str, name: str) -> Path:
    """The file of the picture beside a model. Refused (404)."""
    roots = _roots(folders, kind)
    missing = not_found("There is no picture of this model", f"of {name} in folder {index}")
    if not index.isascii() or not index.isdigit() or len(index) > 4 or int(index) >= len(roots):
        raise missing
    root = roots[int(index)]
    try:
        relative = readable(name)
    except UnsafeName:
        raise missing from None
    stem = relative.with_suffix("") if relative.suffix in (*WEIGHTS, *PICTURES) else relative
    for ending in (".preview", ""):
        for suffix in PICTURES:
            path = root / f"{stem}{ending}{suffix}"
            if os.path.isfile(path) and inside(path, root):
                return path
    raise missing
