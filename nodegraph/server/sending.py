"""Files as answers. What a browser cannot run is shown; everything else it only saves.

What a file is, is read from its first bytes: a name proves nothing, as anybody can choose it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from types import MappingProxyType
from urllib.parse import quote

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from .headers import CSP, DEFAULT_CSP

HEAD = 64  # bytes that tell what a picture is
SHOWN = (".png", ".apng", ".jpg", ".jpeg", ".jfif", ".webp", ".gif", ".bmp", ".avif")
MAGIC: Mapping[bytes, str] = MappingProxyType(
    {
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR": "image/png",
        b"\xff\xd8\xff": "image/jpeg",
        b"GIF87a": "image/gif",
        b"GIF89a": "image/gif",
    }
)
DOCUMENTS: Mapping[str, str] = MappingProxyType(
    {".json": "application/json", ".txt": "text/plain; charset=utf-8"}
)
ANY = "application/octet-stream"
POLICY = f"{DEFAULT_CSP}; style-src 'unsafe-inline'"  # with which browsers lay a picture out


class FileAnswer(web.FileResponse):
    """A file, whole or in parts, unless the client has it already.

    It is never that other file which is called the same with .gz or .br at the end.
    """

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        headers = CIMultiDict(
            (name, value.encode(errors="replace").decode())  # a header may be no text at all
            for name, value in request.headers.items()
        )
        headers.popall(hdrs.ACCEPT_ENCODING, None)
        return await super().prepare(request.clone(headers=headers))


def file_answer(path: Path, media: str | None) -> FileAnswer:
    """The answer with a file; `media` is its media type if it may be shown, None if not."""
    return FileAnswer(path, headers=file_headers(path.name, media))


def file_headers(name: str, media: str | None) -> dict[str, str]:
    """The headers of an answer with a file of this name."""
    return {
        hdrs.CONTENT_TYPE: media or ANY,
        hdrs.CONTENT_DISPOSITION: disposition("inline" if media else "attachment", name),
        hdrs.CACHE_CONTROL: "no-cache",  # names are given anew when a file is gone
        "X-Content-Type-Options": "nosniff",
        CSP: POLICY,
    }


def disposition(kind: str, name: str) -> str:
    """A Content-Disposition (RFC 6266): the name in plain letters, and if they differ, as it is."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in name)
    header = f'{kind}; filename="{plain}"'
    if plain != name:
        header += f"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
    return header


def picture_media(path: Path) -> str | None:
    """The media type of a picture that may be shown; None for everything else.

    Its bytes must be those of a picture, and its name must not say that it is something else: it
    may be saved under that name, and opened. Raises OSError.
    """
    if path.suffix.lower() not in SHOWN:
        return None
    with path.open("rb") as file:
        return sniffed(file.read(HEAD))


def sniffed(head: bytes) -> str | None:
    """The media type of a picture of dots, from its first bytes; None if it is no such picture."""
    for magic, media in MAGIC.items():
        if head.startswith(magic):
            return media
    if head[:4] == b"RIFF" and head[8:16] in (b"WEBPVP8 ", b"WEBPVP8L", b"WEBPVP8X"):
        return "image/webp"
    if head[4:8] == b"ftyp" and _brands(head) & {b"avif", b"avis"}:
        return "image/avif"
    if head[:2] == b"BM" and head[6:10] == bytes(4) and head[14:18] in BITMAPS:
        return "image/bmp"
    return None


def document_media(name: str) -> str | None:
    """The media type of a document of the user's that may be shown; None for everything else."""
    return DOCUMENTS.get(PurePath(name).suffix.lower())


# The sizes of the headers that a bitmap can have.
BITMAPS = frozenset(size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124))


def _brands(head: bytes) -> set[bytes]:
    """What a file of boxes says it is: the main brand and, after a version, others that fit."""
    size = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[start : start + 4] for start in (8, *range(16, size, 4))}
