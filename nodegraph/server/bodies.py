"""Reading requests: JSON within its limits, fields of the type they must have."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiohttp import web

from nodegraph.errors import DocumentError
from nodegraph.graph import parse

from .answers import Refused, bad_request

MAX_DEPTH = 100  # of lists and objects in each other
# Lists and objects in one document. While Python makes them, nothing else has its turn: more of
# them than any graph has would stop the server for many seconds, and fill the memory.
MAX_PARTS = 4_000_000
SMALL = 1 << 20  # bytes that are parsed on the event loop
PATIENCE = 60.0  # seconds in which some more of a body must come

T = TypeVar("T")


async def read_bytes(request: web.Request, limit: int) -> bytes:
    """The body. Refused: 413 once it is longer than `limit` bytes, 408 if it stops coming."""
    declared = request.content_length
    if declared is not None and declared > limit:
        raise too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        while True:
            async with patience():
                chunk = await request.content.read(1 << 18)
            if not chunk:
                return b"".join(parts)
            size += len(chunk)
            if size > limit:
                raise too_large(limit)
            parts.append(chunk)
    except web.RequestPayloadError:
        details = "its Content-Encoding or Transfer-Encoding does not fit what was sent"
        raise bad_request("The body cannot be read", details) from None


@asynccontextmanager
async def patience() -> AsyncIterator[None]:
    """Around waiting for more of a body. Refused (408) for a client that sends nothing."""
    try:
        async with asyncio.timeout(PATIENCE):
            yield
    except TimeoutError:
        details = f"nothing came for {PATIENCE:g} s: send it again"
        raise Refused(408, "too_slow", "The request did not come to its end", details) from None


async def read_json(request: web.Request, limit: int, *, empty: Any = None) -> Any:
    """The JSON in the body; `empty` where there is no body. Refused (400, 413)."""
    text = await read_bytes(request, limit)
    if not text.strip():
        if empty is not None:
            return empty
        raise bad_request("The request has no body", "send JSON", type="invalid_json")
    if len(text) <= SMALL:
        return parse_json(text)
    return await asyncio.to_thread(parse_json, text)


async def read_object(
    request: web.Request, limit: int, *, empty: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The JSON object in the body. Refused (400, 413)."""
    return as_object(await read_json(request, limit, empty=empty), "the body")


def parse_json(text: bytes | str) -> Any:
    """JSON text, in UTF-8 if it is bytes. Refused: 400 for anything else and past MAX_DEPTH, 413
    past MAX_PARTS.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise bad_request("The body is not UTF-8", error.reason, type="invalid_json") from None
    if text.count("[") + text.count("{") > MAX_PARTS:
        details = f"it may have {MAX_PARTS:,} of [ and {{"
        raise Refused(413, "too_large", "The JSON has too many lists and objects", details)
    try:
        data = parse(text, source="the body", max_bytes=len(text))
    except DocumentError as error:
        raise bad_request("The body is not JSON", str(error), type="invalid_json") from None
    if deeper_than(data, MAX_DEPTH):
        details = f"lists and objects may stand in each other {MAX_DEPTH} deep"
        raise bad_request("The JSON is nested too deep", details, type="invalid_json")
    return data


def deeper_than(data: Any, depth: int) -> bool:
    """Whether lists and objects are nested more than `depth` deep."""
    level = [data]
    for _ in range(depth + 1):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(v for v in item.values() if isinstance(v, (dict, list)))
            elif isinstance(item, list):
                inner.extend(v for v in item if isinstance(v, (dict, list)))
        if not inner:
            return False
        level = inner
    return True


def as_object(data: Any, what: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise bad_request(f"{what} is not an object", f"expected {{...}}, not {kind_of(data)}")
    return data


def field(data: Mapping[str, Any], name: str, kind: type[T], default: T) -> T:
    """A field of a request, `default` where it is missing or null. Refused (400) for another type.

    A whole number is taken where a float is wanted; a truth value is no number.
    """
    value = data.get(name)
    if value is None:
        return default
    if kind is float and type(value) is int:
        try:
            return float(value)  # type: ignore[return-value]
        except OverflowError:
            raise bad_request(f"{name} is too large a number") from None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        expected = NAMES.get(kind, kind.__name__)
        raise bad_request(
            f"{name} has the wrong type", f"expected {expected}, not {kind_of(value)}"
        )
    if isinstance(value, str):
        _check_whole(value, name)
    return value


def number(data: Mapping[str, Any], name: str) -> float | None:
    """A number from -2^53 to 2^53, None where it is missing or null. Refused (400)."""
    if data.get(name) is None:
        return None
    value = field(data, name, float, 0.0)
    if not abs(data[name]) <= 2**53:  # not of the value, which may be rounded; nor is NaN
        raise bad_request(f"{name} is no usable number", "expected one from -2^53 to 2^53")
    return value


def texts(data: Mapping[str, Any], name: str) -> list[str]:
    """A field that is a list of texts; [] where it is missing. Refused (400)."""
    values = field(data, name, list, [])
    if not all(isinstance(value, str) for value in values):
        raise bad_request(f"{name} has the wrong type", "expected a list of texts")
    for value in values:
        _check_whole(value, name)
    return values


def _check_whole(text: str, name: str) -> None:
    """Refused (400) for a text with half a character in it, which JSON can say and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        details = f"{text[:100]!a} has half a character in it (a surrogate without its pair)"
        raise bad_request(f"{name} is no text", details) from None


def whole(request: web.Request, name: str, default: int, *, low: int = 0) -> int:
    """A whole number in the query, `default` where it is missing or empty. Refused (400)."""
    text = request.query.get(name, "")
    if not text:
        return default
    value = int(text) if re.fullmatch("[0-9]{1,16}", text) else low - 1
    if not low <= value < 1 << 53:
        raise bad_request(f"{name} is wrong", f"expected a whole number from {low}, not {text!r}")
    return value


def choice(request: web.Request, name: str, choices: tuple[str, ...], default: str) -> str:
    """One of some words in the query. Refused (400)."""
    text = request.query.get(name, "") or default
    if text not in choices:
        raise bad_request(f"{name} is wrong", f"expected one of {', '.join(choices)}, not {text!r}")
    return text


def truth(request: web.Request, name: str, default: bool = False) -> bool:
    """Whether a query parameter says yes."""
    text = request.query.get(name, "").lower()
    return text in ("true", "1", "yes", "on") if text else default


def too_large(limit: int) -> Refused:
    details = f"a body may have {limit:,} bytes here; the settings can allow more"
    return Refused(413, "too_large", "The request is too large", details)


NAMES: Mapping[type, str] = {
    str: "text",
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    return "null" if value is None else NAMES.get(type(value), type(value).__name__)
