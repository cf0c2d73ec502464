"""What goes over a websocket: JSON texts, and binary frames with a number in front.

    1    picture          u32 1   | u32 format (1 JPEG, 2 PNG) | bytes
    4    preview          u32 4   | u32 length | JSON {node_id, prompt_id ...} | bytes
    100  result picture   u32 100 | u32 length | JSON {prompt_id, node_id, filename ...} | bytes

All integers big-endian. 1 and 4 are the ecosystem's; 100 goes to clients that ask for results.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from .answers import to_json

PICTURE, PREVIEW, RESULT = 1, 4, 100
JPEG, PNG = 1, 2


def text(type: str, data: Mapping[str, Any], **more: Any) -> str:
    """`{"type": type, "data": data}`, and what else stands beside them."""
    return to_json({"type": type, "data": data, **more})


def picture(format: int, content: bytes) -> bytes:
    return struct.pack(">II", PICTURE, format) + content


def with_metadata(kind: int, metadata: Mapping[str, Any], content: bytes) -> bytes:
    about = to_json(metadata).encode()
    return struct.pack(">II", kind, len(about)) + about + content
