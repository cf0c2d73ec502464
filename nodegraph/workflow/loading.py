"""Graph documents from files and requests, in whichever form they come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nodegraph.errors import DocumentError
from nodegraph.graph import read
from nodegraph.registry import Registry

from .converting import convert
from .reading import is_workflow


def load_document(
    source: Path | str | Mapping[str, Any],
    registry: Registry,
    *,
    warn: Callable[[str], None] = lambda _: None,
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The graph document in a file or parsed JSON, and the editor's form of it, if that is known.

    source: a file's path, or data. Both may be a graph document, a file of the editor, or a
            request: {"prompt": either of them, "extra_data": {"extra_pnginfo": {"workflow": ...}}}.
    warn:   is told what conversion guessed or left out.
    Raises DocumentError if it is none of them.
    """
    title = str(source) if isinstance(source, (Path, str)) else "the document"
    data = read(Path(source)) if isinstance(source, (Path, str)) else source
    workflow: Any = None
    if _is_request(data):
        workflow = _workflow_of(data)
        data = data["prompt"]
    if is_workflow(data):
        converted = convert(data, registry, title=title)
        for warning in converted.warnings:
            warn(warning)
        return converted.document, dict(data)
    if not isinstance(data, Mapping):
        raise DocumentError(
            f"{title} is no graph: expected an object of nodes by id, or a file of the editor"
        )
    return dict(data), dict(workflow) if is_workflow(workflow) else None


def _is_request(data: Any) -> bool:
    if not isinstance(data, Mapping) or not isinstance(data.get("prompt"), Mapping):
        return False
    return not is_workflow(data) and "class_type" not in data["prompt"]


def _workflow_of(request: Mapping[str, Any]) -> Any:
    """The editor's form that travels with a request, or beside a document in a picture."""
    found: Any = request.get("extra_data")
    for key in ("extra_pnginfo", "workflow"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return request.get("workflow") if found is None else found
