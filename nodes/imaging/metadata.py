"""The texts a picture file carries: PNG text chunks, EXIF in JPEG and WebP.

The names this ecosystem uses: `prompt` (the graph in the API format) and `workflow` (the editor's
document), both JSON; `parameters` (other programs' settings, plain text); and our manifest.
Sources: PNG 1.2, 4.2.3 and 11.3.3 (tEXt, zTXt, iTXt); `exif` for the rest.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, Any

from PIL import PngImagePlugin

from . import exif
from .errors import PictureError
from .opening import Source, name_of, open_picture, reading

MANIFEST = "nodegraph"
"""The name of the text that records what made a picture: versions, model hashes, devices."""

MAX_TEXT = 16 * 2**20
"""Bytes of one text, after decompression, above which a file is refused."""

MAX_TEXTS = 4 * MAX_TEXT
"""Bytes of all texts of one file above which it is refused."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JSON_TEXTS = ("prompt", "workflow", MANIFEST)


def metadata(source: Source) -> dict[str, str]:
    """Every text in a picture file (or its bytes), by name; pixels are not decoded.

    Where a name comes twice the last one counts. Raises PictureError for a file that cannot be
    read, is no picture, or has texts larger than MAX_TEXT or MAX_TEXTS.
    """
    with reading(source) as stream:
        if stream.read(len(_PNG)) == _PNG:
            return _png_texts(stream)
        stream.seek(0)
        with open_picture(stream) as image:
            block = image.info.get("exif", b"")
        _limit(len(block), MAX_TEXTS, "its EXIF block")
        return exif.unpack(block)


def metadata_json(source: Source) -> dict[str, Any]:
    """Those of the texts `prompt`, `workflow` and `nodegraph` that are there, parsed.

    NaN and infinities, which ComfyUI writes although JSON has none, become None.
    Raises PictureError as `metadata` does, and for a text that is not JSON.
    """
    documents: dict[str, Any] = {}
    texts = metadata(source)
    for name in _JSON_TEXTS:
        if name in texts:
            try:
                documents[name] = json.loads(texts[name], parse_constant=lambda _: None)
            except (ValueError, RecursionError) as error:
                message = f"{name_of(source)}: its text {name!r} is not JSON ({error})"
                raise PictureError(message) from error
    return documents


def png_text(text: Mapping[str, str]) -> PngImagePlugin.PngInfo:
    """The texts as PNG chunks: tEXt where ASCII, since its Latin-1 is often misread, else iTXt."""
    info = PngImagePlugin.PngInfo()
    for name, value in text.items():
        exif.checked(name, value)
        if value.isascii():
            info.add_text(name, value)
        else:
            info.add_itxt(name, value)
    return info


def _png_texts(stream: IO[bytes]) -> dict[str, str]:
    texts: dict[str, str] = {}
    total = 0
    for kind, data in _text_chunks(stream):
        if kind == b"eXIf":
            entries = exif.unpack(data)
        else:
            name, _, body = data.partition(b"\0")
            entries = {name.decode("latin-1"): _READERS[kind](body)}
        total += sum(len(value) for value in entries.values())
        _limit(total, MAX_TEXTS, "all its texts together")
        texts |= entries
    return texts


def _text_chunks(stream: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """(type, data) of the chunks that may hold text; the others are skipped unread."""
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IEND":
            return
        if kind not in _READERS and kind != b"eXIf":
            stream.seek(length + 4, 1)
            continue
        _limit(length, MAX_TEXT, f"a {kind.decode()} chunk")
        data = stream.read(length)
        if len(data) < length:
            raise PictureError(f"a {kind.decode()} chunk is cut short")
        stream.seek(4, 1)
        yield kind, data


def _limit(size: int, limit: int, what: str) -> None:
    if size > limit:
        raise PictureError(f"{what}: more than {limit} bytes, the most that is read")


def _inflated(data: bytes) -> bytes:
    """Decompressed, but never more than one byte beyond the limit."""
    inflater = zlib.decompressobj()
    text = inflater.decompress(data, MAX_TEXT + 1)
    _limit(len(text), MAX_TEXT, "a compressed text")
    if not inflater.eof:
        raise PictureError("a compressed text is cut short")
    return text


def _plain(body: bytes) -> str:
    """tEXt is Latin-1, but some programs put UTF-8 there, which Latin-1 text hardly ever is."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.decode("latin-1")


def _compressed(body: bytes) -> str:
    return _plain(_inflated(body[1:]))


def _international(body: bytes) -> str:
    compressed, (_, _, text) = body[:1] == b"\1", body[2:].split(b"\0", 2)
    return (_inflated(text) if compressed else text).decode("utf-8", "replace")


_READERS = {b"tEXt": _plain, b"zTXt": _compressed, b"iTXt": _international}
