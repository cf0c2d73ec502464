"""Answers of the server: JSON always, an error in the same shape everywhere.

{"error": {"type": "value_not_in_list", "message": ..., "details": ..., "extra_info": {}},
 "node_errors": {}}
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web


class Refused(Exception):
    """A request that is answered with an error.

    status:  the HTTP status. type: a stable word for programs. message: what is wrong, as a
    sentence; details: this very case, and what to do.
    """

    def __init__(
        self,
        status: int,
        type: str,
        message: str,
        details: str = "",
        *,
        extra: Mapping[str, Any] | None = None,
        node_errors: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{message}: {details}" if details else message)
        self.status = status
        self.type = type
        self.message = message
        self.details = details
        self.extra = dict(extra or {})
        self.node_errors = dict(node_errors or {})
        self.headers = dict(headers or {})

    def as_json(self) -> dict[str, Any]:
        return {
            "error": {
                "type": self.type,
                "message": self.message,
                "details": self.details,
                "extra_info": self.extra,
            },
            "node_errors": self.node_errors,
        }

    def response(self) -> web.Response:
        return answer(self.as_json(), status=self.status, headers=self.headers)


def bad_request(message: str, details: str = "", *, type: str = "bad_request") -> Refused:
    """400."""
    return Refused(400, type, message, details)


def not_found(message: str, details: str = "") -> Refused:
    """404."""
    return Refused(404, "not_found", message, details)


def answer(
    data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A JSON answer. What JSON cannot say (NaN) is null, so that every client can read it."""
    return web.Response(
        text=to_json(data), status=status, headers=headers, content_type="application/json"
    )


async def large_answer(data: Any) -> web.Response:
    """The same for what may be very long. It is written in a thread and piece by piece, as nobody
    else has a turn while Python writes one.
    """
    text = await asyncio.to_thread(lambda: _pieces(data, 2).encode())
    return web.Response(body=text, content_type="application/json", charset="utf-8")


def _pieces(data: Any, depth: int) -> str:
    if depth and isinstance(data, Mapping):
        pairs = (f"{to_json(key)}:{_pieces(value, depth - 1)}" for key, value in data.items())
        return f"{{{','.join(pairs)}}}"
    if depth and isinstance(data, list):
        return f"[{','.join(_pieces(item, depth - 1) for item in data)}]"
    return to_json(data)


def empty(status: int = 200) -> web.Response:
    """An answer without a body."""
    return web.Response(status=status)


def to_json(data: Any) -> str:
    """Strict JSON, in one line."""
    try:
        return json.dumps(data, allow_nan=False, separators=(",", ":"), default=str)
    except ValueError:
        loose = json.dumps(data, default=str)
        return json.dumps(json.loads(loose, parse_constant=lambda _: None), separators=(",", ":"))
