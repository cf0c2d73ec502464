"""The plugins that come with the project, as tests get at them: registered as the engine does it.

Their modules can be imported by name once they are: `module("edges", "hints")`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import nodes
from nodegraph import Registry
from nodegraph.plugins import load_all

FOLDER = Path(__file__).parents[1] / "plugins"


def registered(plugin: str) -> Registry:
    """A registry of the core nodes and one plugin."""
    registry = Registry()
    registry.register(*nodes.modules())
    errors = load_all([FOLDER / plugin], registry)
    assert not errors
    return registry


def module(plugin: str, name: str) -> ModuleType:
    registered(plugin)
    return importlib.import_module(f"nodegraph_plugins.{plugin}.{name}")


def function(plugin: str, node: str) -> Callable[..., Any]:
    """A node of a plugin as the plain function it is."""
    return registered(plugin).nodes[node].function
