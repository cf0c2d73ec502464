"""Where graphs come from: API documents, editor workflows, pictures that carry one.

The engine reads JSON itself; for other kinds of file it asks the extension point "file_readers",
whose entries are FileReaders by suffix (".png").
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .errors import DocumentError, NodeGraphError
from .graph import MAX_BYTES, read
from .registry import Registry
from .workflow import load_document as from_json

Source = str | Path | Mapping[str, Any]
READERS = "file_readers"
NOTHING: Mapping[str, Any] = MappingProxyType({})


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
    warnings: what a conversion could not keep.
    """

    document: Mapping[str, Any]
    source: Path | None = None
    workflow: Mapping[str, Any] | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def load_document(
    source: Source, registry: Registry, *, max_bytes: int = MAX_BYTES
) -> Document:
    """The document in a file or given as data. Raises DocumentError."""
    if not isinstance(source, (str, Path)):
        return _from_data(source, registry, None)
    path = Path(source)
    reader = registry.extensions.get(READERS, {}).get(path.suffix.lower())
    if reader is None:
        return _from_data(read(path, max_bytes=max_bytes), registry, path)
    return _from_picture(path, reader, registry)


def _from_data(data: Any, registry: Registry, path: Path | None) -> Document:
    warnings: list[str] = []
    document, workflow = from_json(data, registry, warn=warnings.append)
    return Document(document, path, workflow, {}, tuple(warnings))


def _from_picture(path: Path, reader: FileReader, registry: Registry) -> Document:
    try:
        texts = reader.texts(path)
    except NodeGraphError:
        raise
    except Exception as error:
        raise DocumentError(f"{path} cannot be read: {error}") from error
    prompt, workflow = texts.get("prompt"), texts.get("workflow")
    if not isinstance(prompt, Mapping) and not isinstance(workflow, Mapping):
        raise DocumentError(
            f"{path} carries no graph: it has no text chunk named prompt or workflow; pictures "
            "keep theirs only if nothing re-saved them"
        )
    found = _from_data(prompt if isinstance(prompt, Mapping) else workflow, registry, path)
    manifest = texts.get("nodegraph")
    return Document(
        found.document,
        path,
        workflow if isinstance(workflow, Mapping) else None,
        manifest if isinstance(manifest, Mapping) else {},
        found.warnings,
    )


def with_values(document: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The document with inputs changed, given as {"node.input": value}; itself left as it is.

    A node is named by its id, its title or, if there is only one of them, its type. Raises
    DocumentError for a node that is not there.
    """
    changed = dict(document)
    for name, value in values.items():
        node, dot, input = name.rpartition(".")
        if not dot or not node or not input:
            raise DocumentError(f"{name!r} does not name an input; write NODE.INPUT, as in 3.seed")
        id = find_node(changed, node)
        entry = changed[id]
        literal = {"__value__": value} if isinstance(value, list) else value
        changed[id] = {**entry, "inputs": {**_inputs(entry), input: literal}}
    return changed


def find_node(document: Mapping[str, Any], name: str) -> str:
    """The id of the node with this id, title or type. Raises DocumentError."""
    if name in document:
        return name
    for by in (_title, _class_type):
        found = [id for id, entry in document.items() if by(entry) == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise DocumentError(f"{name!r} is not one node but {len(found)}: {', '.join(found)}")
    known = [*document, *(str(by(e)) for e in document.values() for by in (_title, _class_type))]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise DocumentError(f"the graph has no node {name!r}{hint}")


def parse_value(text: str) -> Any:
    """A value from the command line: JSON where it is JSON, else text as it stands."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def parse_values(text: str) -> Sequence[Any]:
    """Several values: a JSON list, or values between commas."""
    whole = parse_value(text)
    if isinstance(whole, list):
        return whole
    return [parse_value(part.strip()) for part in text.split(",")]


def _inputs(entry: Any) -> Mapping[str, Any]:
    inputs = entry.get("inputs") if isinstance(entry, Mapping) else None
    return inputs if isinstance(inputs, Mapping) else {}


def _title(entry: Any) -> str | None:
    meta = entry.get("_meta") if isinstance(entry, Mapping) else None
    title = meta.get("title") if isinstance(meta, Mapping) else None
    return title if isinstance(title, str) else None


def _class_type(entry: Any) -> str | None:
    name = entry.get("class_type") if isinstance(entry, Mapping) else None
    return name if isinstance(name, str) else None
