"""All routes of the server, as it describes them, and requests for each."""

from __future__ import annotations

import re
from importlib import import_module

from nodegraph.server.openapi import describe
from nodegraph.server.routes import MODULES

DESCRIBED = describe(
    route
    for module in MODULES
    for route in import_module(f"nodegraph.server.routes.{module}").routes
)
# (method, path), names in the path filled in.
PLACES = [
    (method.upper(), re.sub(r"\{\w+\}", "x", path))
    for path, entry in DESCRIBED["paths"].items()
    for method in entry
]
CHANGING = [(method, path) for method, path in PLACES if method != "GET"]
READING = [path for method, path in PLACES if method == "GET"]
OPEN = {"/api/healthz", "/login"}  # to anybody
