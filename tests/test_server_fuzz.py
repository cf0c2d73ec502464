"""The server against its own OpenAPI description: requests made from it, right and wrong ones.

What schemathesis checks of each answer: it is no failure; its status, type and content are as the
description says; requests that fit are taken, and those that do not are refused.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image
from server_process import ServerProcess, serving
from server_wire import assert_calm

from nodegraph.server.openapi import describe
from nodegraph.server.routes import MODULES

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own, and of what it imports
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import CHECKS
    from schemathesis.core.failures import Failure  # noqa: F401

EXAMPLES, MANY = 6, 300  # for each operation, of right and of wrong requests each
ALWAYS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
GRAPH = "which graphs can run, no JSON schema can say"
NAMES = "which names files may have, no JSON schema can say"
NOT_ACCEPTED = {  # requests that fit the description and are refused, rightly
    "POST /api/prompt": GRAPH,
    "GET /api/view": NAMES,
    "POST /api/upload/image": "which bytes are a picture, no JSON schema can say",
    "POST /api/upload/mask": "which bytes are a picture, no JSON schema can say",
    "GET /api/userdata": NAMES,
    "GET /api/v2/userdata": NAMES,
    "GET /api/userdata/{file}": NAMES,
    "POST /api/userdata/{file}": NAMES,
    "DELETE /api/userdata/{file}": NAMES,
    "POST /api/userdata/{file}/move/{dest}": NAMES,
    "GET /api/internal/files/{place}": "there are three places",
    "GET /api/ws": "it is answered only where it becomes a websocket",
    "POST /api/users": "it is always refused",
}
NOT_REFUSED = {  # requests that do not fit, and are answered all the same
    "GET /login": "without a token there is nothing to log in to",
}
