"""Pictures sent to the server."""

from __future__ import annotations

import asyncio
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from aiohttp import web

from nodegraph.folders import Folders
from nodegraph.names import UnsafeName, clean, inside, portable

from ..answers import answer, bad_request
from ..bodies import as_object, field, parse_json
from ..forms import Form, read_form
from ..pictures import SUFFIXES, format_of, masked
from ..places import PLACES, find, place_of, trimmed
from ..route import TEXT, Routes, Schema, record
from ..server import Server
from ..storing import DEEPEST, refusing, store

STORED = record({"name": TEXT, "subfolder": TEXT, "type": TEXT})
FILE: Schema = {"type": "string", "contentMediaType": "application/octet-stream"}
FIELDS: dict[str, Schema] = {
    "overwrite": {"type": "string", "description": "true: in the place of a file of that name"},
    "type": {"type": "string", "enum": ["", *PLACES], "description": "input by default"},
    "subfolder": TEXT,
}
STATUSES = {413: "the upload is too large", 507: "the disk takes no more"}

routes = Routes("files")


@dataclass(frozen=True)
class Target:
    """Where an upload goes: `subfolder` of the folder called `place`, which is `folder`."""

    place: str
    subfolder: PurePosixPath
    folder: Path
    overwrite: bool

    @classmethod
    def of(cls, folders: Folders, form: Form) -> Target:
        """What a form says of it. Reads the disk. Refused (400)."""
        place = place_of(form.fields.get("type", ""), "input")
        subfolder = _subfolder(form.fields.get("subfolder", ""))
        root = folders.folder(place)
        if not inside(root / subfolder, root):
            raise bad_request("The subfolder leads out of its folder", str(subfolder))
        overwrite = form.fields.get("overwrite", "").lower() in ("true", "1", "yes", "on")
        folder = Path(os.path.realpath(root / subfolder))
        return cls(place, subfolder, folder, overwrite)

    def store(self, name: str, content: IO[bytes] | bytes) -> dict[str, str]:
        """Put a file there; what clients are told of it. Refused (400, 507)."""
        given = store(content, self.folder, name, overwrite=self.overwrite)
        subfolder = "" if self.subfolder == PurePosixPath() else str(self.subfolder)
        return {"name": given, "subfolder": subfolder, "type": self.place}


@routes.post(
    "/upload/image",
    "Put a picture into input, or into output or temp",
    body=("multipart/form-data", record({"image": FILE}, **FIELDS)),
    answer=STORED,
    statuses=STATUSES,
)
async def upload_image(server: Server, request: web.Request) -> web.Response:
    """The form has `image`, and if wanted `overwrite` (true), `type` and `subfolder`."""
    with await asyncio.to_thread(_scratch, server.folders) as content:
        form = await read_form(request, "image", content, server.settings.max_upload_bytes)
        return answer(await asyncio.to_thread(_keep_image, server.folders, form))


@routes.post(
    "/upload/mask",
    "Put a picture with new transparency beside the original",
    body=("multipart/form-data", record({"image": FILE, "original_ref": TEXT}, **FIELDS)),
    answer=STORED,
    statuses={403: "the original leads out of its folder", 404: "there is no original", **STATUSES},
)
async def upload_mask(server: Server, request: web.Request) -> web.Response:
    """The form is that of /upload/image with `original_ref`: JSON, {filename, type, subfolder}.

    The transparency of `image` goes on to the original, which keeps its texts, and the result is
    stored as a PNG with the name of `image`.
    """
    with await asyncio.to_thread(_scratch, server.folders) as content:
        form = await read_form(request, "image", content, server.settings.max_upload_bytes)
        return answer(await asyncio.to_thread(_keep_mask, server.folders, form))


def _scratch(folders: Folders) -> IO[bytes]:
    """A file without a name: nobody else sees it, and it is gone with the process."""
    with refusing("the upload"):
        folders.temp.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folders.temp, prefix=".")


def _keep_image(folders: Folders, form: Form) -> dict[str, str]:
    name, target = _stored_name(form), Target.of(folders, form)
    form.content.seek(0)
    return target.store(_with_suffix(name, format_of(form.content)), form.content)


def _keep_mask(folders: Folders, form: Form) -> dict[str, str]:
    name, target = _stored_name(form), Target.of(folders, form)
    original = _original(folders, form)
    form.content.seek(0)
    return target.store(_with_suffix(name, "PNG"), masked(original, form.content))


def _original(folders: Folders, form: Form) -> Path:
    """The picture that a mask is for. Refused (400, 403, 404)."""
    text = form.fields.get("original_ref", "")
    if not text:
        raise bad_request("original_ref is missing", "give the original's filename as JSON")
    reference = as_object(parse_json(text), "original_ref")
    filename = field(reference, "filename", str, "")
    place = field(reference, "type", str, "output")
    return find(folders, filename, place, field(reference, "subfolder", str, ""))


def _subfolder(name: str) -> PurePosixPath:
    try:
        subfolder = portable(trimmed(name)) if trimmed(name) else PurePosixPath()
    except UnsafeName as error:
        raise bad_request("The subfolder is wrong", str(error)) from None
    if len(subfolder.parts) > DEEPEST:
        raise bad_request("The subfolder is too deep", f"it may have {DEEPEST} parts")
    return subfolder


def _stored_name(form: Form) -> str:
    """The name of the form's file as one that every system takes. Refused (400)."""
    given = form.filename or ""
    if "/" in given or "\\" in given or given in (".", ".."):
        details = f"{given!r} has folders in it: name them in subfolder"
        raise bad_request("The filename is wrong", details)
    try:
        return clean(given)
    except UnsafeName as error:
        raise bad_request("The filename is wrong", str(error)) from None


def _with_suffix(name: str, format: str) -> str:
    """The name with a suffix that says what is in the file."""
    path, suffixes = PurePosixPath(name), SUFFIXES[format]
    return name if path.suffix.lower() in suffixes else path.with_suffix(suffixes[0]).name
