"""Texts in an EXIF block, the way JPEG and WebP files of this ecosystem carry them.

The block is a small TIFF file: a header, then a directory of entries (tag, type, count, value or
its offset). A text named k is the ASCII value "k:..." of a tag: `prompt` of 0x0110, the others of
0x010f and downwards. Other programs keep the generation parameters in the user comment (0x9286).
Sources: TIFF 6.0, section 2; Exif 2.3, 4.6.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping

from .errors import PictureError

PARAMETERS = "parameters"
"""The name under which a user comment is given."""

_PREFIX = b"Exif\0\0"
_PROMPT_TAG, _COMMENT_TAG, _SUBDIRECTORY_TAG = 0x0110, 0x9286, 0x8769
_BYTE, _ASCII, _LONG, _UNDEFINED = 1, 2, 4, 7
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. \-]{0,78}")
_MAX_ENTRIES = 4096


def checked(name: str, value: str) -> bytes:
    """The value in UTF-8, if `name` and it can be a text in every format; else PictureError."""
    if not _NAME.fullmatch(name) or name.endswith(" "):
        raise PictureError(
            f"a text in a picture cannot be named {name!r}: use 1 to 79 letters, digits, _, - or ."
        )
    if "\0" in value:
        raise PictureError(f"the text {name!r} contains a NUL character, which no format can hold")
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise PictureError(f"the text {name!r} is not valid Unicode: {error.reason}") from None


def pack(text: Mapping[str, str]) -> bytes:
    """The EXIF block, with its `Exif` prefix, that holds the texts. Little-endian."""
    names = [name for name in text if name != "prompt"]
    tags = dict(zip(names, range(_PROMPT_TAG - 1, 0, -1), strict=False))
    if len(tags) < len(names):
        raise PictureError(f"{len(text)} texts are more than the {_PROMPT_TAG} an EXIF block holds")
    if "prompt" in text:
        tags["prompt"] = _PROMPT_TAG
    ordered = sorted(tags, key=lambda name: tags[name])
    offset = 8 + 2 + 12 * len(ordered) + 4
    entries, values = b"", b""
    for name in ordered:
        value = name.encode() + b":" + checked(name, text[name]) + b"\0"
        inline = value.ljust(4, b"\0") if len(value) <= 4 else None
        place = inline or struct.pack("<I", offset + len(values))
        entries += struct.pack("<HHI", tags[name], _ASCII, len(value)) + place
        values += b"" if inline else value
    head = b"II*\0" + struct.pack("<IH", 8, len(ordered))
    return _PREFIX + head + entries + struct.pack("<I", 0) + values


def unpack(block: bytes) -> dict[str, str]:
    """The texts in an EXIF block; whatever in it is damaged or of another kind is passed over."""
    block = block.removeprefix(_PREFIX)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return {}
    text: dict[str, str] = {}
    main = dict(_entries(block, order, struct.unpack_from(order + "I", block, 4)[0]))
    for tag in sorted(main, reverse=True):
        name, colon, value = _decoded(main[tag]).partition(":")
        if tag <= _PROMPT_TAG and colon and _NAME.fullmatch(name):
            text[name] = value
    pointer = main.get(_SUBDIRECTORY_TAG, b"")
    if len(pointer) == 4:
        inner = dict(_entries(block, order, struct.unpack(order + "I", pointer)[0]))
        comment = _comment(inner.get(_COMMENT_TAG, b""), order)
        if comment:
            text.setdefault(PARAMETERS, comment)
    return text


def _entries(block: bytes, order: str, start: int) -> Iterator[tuple[int, bytes]]:
    """(tag, bytes of the value) of a directory; slices, so no offset reaches outside the block."""
    if start + 2 > len(block):
        return
    count = min(struct.unpack_from(order + "H", block, start)[0], _MAX_ENTRIES)
    for at in range(start + 2, min(start + 2 + 12 * count, len(block) - 11), 12):
        tag, kind, size = struct.unpack_from(order + "HHI", block, at)
        if kind == _LONG and size == 1:
            yield tag, block[at + 8 : at + 12]
        elif kind in (_BYTE, _ASCII, _UNDEFINED):
            place = at + 8 if size <= 4 else struct.unpack_from(order + "I", block, at + 8)[0]
            yield tag, block[place : place + size]


def _decoded(value: bytes) -> str:
    value = value.rstrip(b"\0")
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _comment(value: bytes, order: str) -> str:
    """A user comment: eight bytes name its character set. Exif 2.3, 4.6.5."""
    charset, body = value[:8], value[8:]
    if charset != b"UNICODE\0":
        return _decoded(body) if charset in (b"ASCII\0\0\0", bytes(8)) else ""
    # UTF-16, of an order the standard leaves open: the zero bytes of plain letters tell.
    big = body[0::2].count(0) > body[1::2].count(0) if body else order == ">"
    return body.decode("utf-16-be" if big else "utf-16-le", "replace").strip("\0\ufeff")
