"""Routes: a path, its handler, and what the OpenAPI description says of it, in one place.

    routes = Routes("queue")

    @routes.get("/queue", "What runs and what waits", answer=schema.QUEUE)
    async def get_queue(server: Server, request: web.Request) -> web.Response: ...

Each route is there twice, at `/x` and at `/api/x`, as clients of both kinds expect.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from aiohttp import web

if TYPE_CHECKING:
    from .server import Server

Handler: TypeAlias = "Callable[[Server, web.Request], Awaitable[web.StreamResponse]]"
Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
ANYTHING: Schema = {}
OBJECT: Schema = {"type": "object"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
TRUTH: Schema = {"type": "boolean"}


def array(items: Schema) -> Schema:
    return {"type": "array", "items": dict(items)}


def record(required: Mapping[str, Schema], **optional: Schema) -> Schema:
    """An object with these fields; others may be there."""
    return {
        "type": "object",
        "properties": {**required, **optional},
        **({"required": list(required)} if required else {}),
    }


@dataclass(frozen=True)
class Param:
    """A parameter of the query, or a header."""

    name: str
    schema: Schema = field(default_factory=lambda: TEXT)
    help: str = ""
    required: bool = False


@dataclass(frozen=True)
class Route:
    """One route.

    path:     with `{name}` for a segment; a segment may hold an encoded `/`.
    answer:   the schema of the JSON in the 200; None: there is no body; a text: its media type.
    body:     the schema of the request's JSON, or the media type of what else it is, or both.
    optional: the body may be left out.
    statuses: beside 200 and 400, with what they mean.
    open:     answered without a token, and to any page.
    doubled:  also at /api.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    tag: str
    query: tuple[Param, ...] = ()
    headers: tuple[Param, ...] = ()
    body: Schema | str | tuple[str, Schema] | None = None
    optional: bool = False
    answer: Schema | str | None = None
    statuses: Mapping[int, str] = field(default_factory=dict)
    open: bool = False
    doubled: bool = True


class Routes:
    """The routes of one module."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.all: list[Route] = []

    def __iter__(self) -> Iterator[Route]:
        return iter(self.all)

    def add(
        self, method: str, path: str, summary: str, **options: Any
    ) -> Callable[[Handler], Handler]:
        def mark(handler: Handler) -> Handler:
            self.all.append(Route(method, path, handler, summary, self.tag, **options))
            return handler

        return mark

    def get(self, path: str, summary: str, **options: Any) -> Callable[[Handler], Handler]:
        return self.add("GET", path, summary, **options)

    def post(self, path: str, summary: str, **options: Any) -> Callable[[Handler], Handler]:
        return self.add("POST", path, summary, **options)
