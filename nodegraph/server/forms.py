"""Forms with a file in them (multipart/form-data), read as they arrive.

The file goes to disk, so that the memory holds a small part of it; too long ones are cut off while
they arrive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

from aiohttp import BodyPartReader, web
from aiohttp.http import HttpProcessingError

from .answers import bad_request
from .bodies import patience, too_large
from .storing import refusing

PARTS = 32  # that a form may have
FIELD = 1 << 16  # bytes that a part may have which is not the file
CHUNK = 1 << 16  # one is held back while the next is looked at for the end of the part
AROUND = 1 << 20  # bytes that a form may have beside its file


@dataclass
class Form:
    """The texts of a form by name, and the name of its file, whose content is in `content`."""

    content: IO[bytes]
    filename: str | None = None
    fields: dict[str, str] = field(default_factory=dict)


async def read_form(request: web.Request, name: str, content: IO[bytes], limit: int) -> Form:
    """Read a form, its file called `name` into `content`.

    limit: bytes that the file may have.

    Refused: 400 for what is no such form, has no such file, or ends too early; 408 if it stops
    coming; 413 as soon as the file is too long; 507 if the disk takes no more.
    """
    if request.content_type != "multipart/form-data":
        raise bad_request("The body is not a form", "send it as multipart/form-data")
    if (request.content_length or 0) > limit + AROUND:
        raise too_large(limit)
    form = Form(content)
    with _reading():
        reader = await request.multipart()
        for _ in range(PARTS):
            async with patience():
                part = await reader.next()
            if part is None:
                return _complete(form, name)
            await _read_part(part, form, name, limit)
    raise bad_request("The form has too many parts", f"it may have {PARTS}")


async def _read_part(part: object, form: Form, name: str, limit: int) -> None:
    if not isinstance(part, BodyPartReader) or part.name is None:
        raise bad_request("A part of the form has no name", "send fields and a file, each named")
    if part.name != name:
        form.fields[part.name] = await _read_text(part)
        return
    if form.filename is not None:
        raise bad_request(f"There is more than one {name}", "send each file by itself")
    if not part.filename:
        raise bad_request(f"The {name} is not a file", "send it with a filename")
    form.filename = part.filename
    await _read_file(part, form.content, limit)


async def _read_text(part: BodyPartReader) -> str:
    text = bytearray()
    while not part.at_eof():
        async with patience():
            text += await part.read_chunk(CHUNK)
        if len(text) > FIELD:
            raise too_large(FIELD)
    return text.decode("utf-8")


async def _read_file(part: BodyPartReader, content: IO[bytes], limit: int) -> None:
    size = 0
    while not part.at_eof():
        async with patience():
            chunk = await part.read_chunk(CHUNK)
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        with refusing("the upload"):
            await asyncio.to_thread(content.write, chunk)


def _complete(form: Form, name: str) -> Form:
    if form.filename is None:
        raise bad_request(f"There is no {name}", f"send a file in the field {name}")
    return form


@contextmanager
def _reading() -> Iterator[None]:
    """What a broken form raises, as Refused (400)."""
    try:
        yield
    except (web.RequestPayloadError, ConnectionError) as error:
        raise bad_request("The form ended before its end", "send it again") from error
    except (ValueError, LookupError, RuntimeError, AssertionError, Warning) as error:
        raise bad_request("The form is malformed", _reason(error)) from error
    except HttpProcessingError as error:
        raise bad_request("The form is malformed", error.message) from error


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
