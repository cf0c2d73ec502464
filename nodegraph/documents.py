"""Where graphs come from: API documents, editor workflows, pictures that carry one.

The engine reads JSON itself; for other kinds of file it asks the extension point "file_readers",
whose entries are FileReaders by suffix (".png").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import DocumentError, NodeGraphError
from .graph import MAX_BYTES, read
from .registry import Registry
from .workflow import load_document as from_json

Source = str | Path | Mapping[str, Any]
READERS = "file_readers"


@dataclass(frozen=True)
class FileReader:
    """Reads what a picture or other file of one suffix carries.

    texts:  path -> its embedded JSON by name: "prompt" (API format), "workflow" (editor format),
            "nodegraph" (the manifest).
    pixels: path -> its pixels, a float32 tensor (B, H, W, C) in [0, 1].
    """

    texts: Callable[[Path], Mapping[str, Any]]
    pixels: Callable[[Path], Any]


@dataclass(frozen=True)
class Document:
    """A graph document, and what came with it.

    source:   the file, if it was one. workflow: the editor's form. manifest: of a picture's maker.
    warnings: what a conversion from the editor's form guessed or left out.
    """

    document: Mapping[str, Any]
    source: Path | None = None
    workflow: Mapping[str, Any] | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def load_document(source: Source, registry: Registry, *, max_bytes: int = MAX_BYTES) -> Document:
    """The document in a file or given as data. Raises DocumentError."""
    if not isinstance(source, (str, Path)):
        return _from_data(source, registry, None)
    path = Path(source)
    reader = registry.extensions.get(READERS, {}).get(path.suffix.lower())
    if reader is not None:
        size_of(path)
        return _from_picture(path, reader, registry)
    return _from_data(read_json(path, max_bytes=max_bytes), registry, path)


def read_json(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """What a JSON file holds. Raises DocumentError, before reading it if it is too large."""
    size = size_of(path)
    if size > max_bytes:
        raise DocumentError(f"{path} has {size:,} bytes; a graph may have {max_bytes:,}")
    return read(path, max_bytes=max_bytes)


def size_of(path: Path) -> int:
    """Bytes in a file. Raises DocumentError where there is no such file."""
    try:
        if path.is_dir():
            raise DocumentError(f"{path} is a folder; give the file of a graph")
        return path.stat().st_size
    except FileNotFoundError:
        raise DocumentError(f"there is no file {path}") from None
    except (OSError, ValueError) as error:  # too long a name; a null character in it
        reason = getattr(error, "strerror", None) or error
        raise DocumentError(f"{str(path)!r} cannot be read: {reason}") from error


def _from_data(data: Any, registry: Registry, path: Path | None) -> Document:
    warnings: list[str] = []
    try:
        document, workflow = from_json(data, registry, warn=warnings.append)
    except DocumentError as error:
        if path is None:
            raise
        raise DocumentError(_about(path, str(error))) from error
    named = {str(id): entry for id, entry in document.items()}
    return Document(named, path, workflow, {}, tuple(warnings))


def _from_picture(path: Path, reader: FileReader, registry: Registry) -> Document:
    try:
        texts = reader.texts(path)
    except NodeGraphError:
        raise
    except Exception as error:  # a reader may come from a plugin, and raise anything
        reason = str(error).removeprefix(f"{path.name}: ") or type(error).__name__
        raise DocumentError(f"{path} cannot be read: {reason}") from error
    graphs = (texts.get("prompt"), texts.get("workflow"))
    graph = next((each for each in graphs if isinstance(each, Mapping) and each), None)
    if graph is None:
        raise DocumentError(
            f"{path} carries no graph: it has no text named prompt or workflow. Pictures keep "
            "theirs only as long as no other program saves them anew"
        )
    found = _from_data(graph, registry, path)
    workflow, manifest = texts.get("workflow"), texts.get("nodegraph")
    return Document(
        found.document,
        path,
        workflow if isinstance(workflow, Mapping) else found.workflow,
        manifest if isinstance(manifest, Mapping) else {},
        found.warnings,
    )


def _about(path: Path, message: str) -> str:
    """A message about "the document", with the file in its place."""
    what = "the document"
    return f"{path}{message[len(what) :]}" if message.startswith(what) else f"{path}: {message}"
