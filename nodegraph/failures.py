"""What a node raised, as the error of its node."""

from __future__ import annotations

import traceback

from .errors import ExecutionError, NodeFailed, NodeGraphError
from .graph import Node


def as_execution_error(node: Node, error: BaseException) -> ExecutionError:
    """An ExecutionError that names the node; what was raised is its cause."""
    if isinstance(error, ExecutionError) and error.node == node.id:
        return error
    kind, text = node.type.name, str(error) or "no message"
    said = text if isinstance(error, NodeGraphError) else f"{type(error).__name__}: {text}"
    failure = NodeFailed(f"node {node.id} ({kind}) failed: {said}", node=node.id, class_type=kind)
    failure.__cause__ = error
    return failure


def forget_frames(error: BaseException) -> None:
    """Let go of what the failed calls' frames hold: inputs, for as long as the error lives."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__
