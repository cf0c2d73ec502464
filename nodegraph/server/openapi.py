"""The OpenAPI description, from the routes themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from nodegraph.version import VERSION

from . import schema
from .route import Param, Route, Schema

ABOUT = """ComfyUI's protocol, and what it lacks. Every path is there with and without `/api`.

Errors have one shape everywhere: `{"error": {"type", "message", "details", "extra_info"},
"node_errors": {}}`. Events, and the same commands without HTTP, go over the websocket at `/ws`.
"""


def describe(routes: Iterable[Route]) -> dict[str, Any]:
    """The description of all routes, as they are under /api."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = f"/api{route.path}" if route.doubled else route.path
        entry = paths.setdefault(re.sub(r"\{(\w+):[^}]*\}", r"{\1}", path), {})
        entry[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "nodegraph",
            "version": VERSION,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": dict(schema.ERROR)},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
        "security": [{}, {"bearer": []}, {"basic": []}],
    }


def _operation(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _name(route),
        "tags": [route.tag],
        "responses": _responses(route),
    }
    parameters = [
        *_in_path(route),
        *_params("query", route.query),
        *_params("header", route.headers),
    ]
    if parameters:
        found["parameters"] = parameters
    if route.body is not None:
        found["requestBody"] = {"content": _content(route.body), "required": not route.optional}
    return found


def _responses(route: Route) -> dict[str, Any]:
    ok: dict[str, Any] = {"description": "done"}
    if route.answer is not None:
        ok["content"] = _content(route.answer)
    responses = {"200": ok, "400": _error("the request is wrong")}
    if route.body is not None:
        responses["408"] = _error("the body did not come to its end")
    for status, text in route.statuses.items():
        plain = {"description": text}
        responses[str(status)] = plain if status < 400 else _error(text)
    for status, text in ((401, "a token is needed"), (403, "not from this page or host")):
        responses.setdefault(str(status), _error(text))
    return responses


def _error(text: str) -> dict[str, Any]:
    shape = {"schema": {"$ref": "#/components/schemas/Error"}}
    return {"description": text, "content": {"application/json": shape}}


def _content(what: Schema | str | tuple[str, Schema]) -> dict[str, Any]:
    if isinstance(what, str):
        what = (what, {})
    media, schema = what if isinstance(what, tuple) else ("application/json", what)
    return {media: {"schema": _plain(schema)}}


def _in_path(route: Route) -> list[dict[str, Any]]:
    names = re.findall(r"\{(\w+)(?::[^}]*)?\}", route.path)
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in names
    ]


def _params(place: str, params: tuple[Param, ...]) -> list[dict[str, Any]]:
    return [
        {
            "name": param.name,
            "in": place,
            "required": param.required,
            "schema": _plain(param.schema),
            **({"description": param.help} if param.help else {}),
        }
        for param in params
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _name(route: Route) -> str:
    words = re.findall(r"\w+", re.sub(r":[^}]*\}", "}", route.path))
    return "_".join([route.method.lower(), *words])
