"""Pictures and other files to look at."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import get_args

from aiohttp import ETag, web

from .. import schema
from ..answers import bad_request
from ..bodies import choice, whole
from ..pictures import Channel, Conversion, convert
from ..places import PLACES, find
from ..route import Param, Routes
from ..sending import file_answer, file_headers, picture_media
from ..server import Server

CHANNELS: tuple[Channel, ...] = get_args(Channel)
PREVIEW = r"(webp|jpeg)(;(100|[1-9]?[0-9]))?"

routes = Routes("files")


@routes.get(
    "/view",
    "A file from input, output or temp; pictures also in another format",
    query=(
        Param(
            "filename",
            {"type": "string", "minLength": 1},
            "its name, which may say where it is itself: `x.png [temp]`",
            required=True,
        ),
        Param("type", {"type": "string", "enum": ["", *PLACES]}, "the folder; output by default"),
        Param("subfolder", help="the folder in that folder"),
        Param(
            "preview",
            {"type": "string", "pattern": f"^({PREVIEW})?$"},
            "a format and a quality from 0 to 100: `webp;90`",
        ),
        Param("channel", {"type": "string", "enum": ["", *CHANNELS]}, "the channels wanted"),
        Param("size", schema.FROM_ONE, "pixels of the longer side, at most; WebP by default"),
    ),
    answer="*/*",
    statuses={
        206: "the part of the file that was asked for",
        304: "the file is what the client has already",
        403: "the file leads out of its folder",
        404: "there is no such file",
        412: "the file is another by now",
        416: "the file has no such part",
    },
)
async def view(server: Server, request: web.Request) -> web.StreamResponse:
    """Only pictures of dots are shown; all else comes as a file to save."""
    conversion = _conversion(request)
    place = choice(request, "type", PLACES, "output")
    name, subfolder = request.query.get("filename", ""), request.query.get("subfolder", "")
    path = await asyncio.to_thread(find, server.folders, name, place, subfolder)
    if conversion is None:
        return file_answer(path, await asyncio.to_thread(picture_media, path))
    return await _converted(request, path, conversion)


def _conversion(request: web.Request) -> Conversion | None:
    """What the picture is to be made into; None: it is sent as it is. Refused (400)."""
    preview = request.query.get("preview", "")
    if not request.query.get("channel"):
        channel: Channel | None = None
    else:
        named = choice(request, "channel", CHANNELS, "rgba")
        channel = next(each for each in CHANNELS if each == named)
    size = whole(request, "size", 0, low=1) or None
    if preview:
        match = re.fullmatch(PREVIEW, preview)
        if match is None:
            expected = f"expected webp;90 or jpeg;90, with any quality to 100, not {preview!r}"
            raise bad_request("preview is wrong", expected)
        quality = int(match[3] or 90)
        return Conversion("JPEG" if match[1] == "jpeg" else "WEBP", quality, channel, size)
    if size is not None:
        return Conversion("WEBP", channel=channel, size=size)
    return None if channel in (None, "rgba") else Conversion("PNG", channel=channel)


async def _converted(
    request: web.Request, path: Path, conversion: Conversion
) -> web.StreamResponse:
    """The picture made anew, unless the client has just that already."""
    headers = file_headers(path.with_suffix(f".{conversion.target.lower()}").name, conversion.media)
    tag = await asyncio.to_thread(_tag, path, conversion)
    known = request.if_none_match or ()
    if any(each.value in (tag, "*") for each in known):
        response = web.Response(status=304, headers=headers)
    else:
        picture = await asyncio.to_thread(convert, path, conversion)
        response = web.Response(body=picture, headers=headers)
    response.etag = ETag(tag)
    return response


def _tag(path: Path, conversion: Conversion) -> str:
    """Changes when the picture does."""
    found = os.stat(path)
    made = f"{conversion.target}-{conversion.quality}-{conversion.channel}-{conversion.size}"
    return f"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}-{made}"
