"""nodegraph: a node-graph engine for latent diffusion. What plugins and programs import.

from nodegraph import Engine
import nodes

with Engine(nodes.modules()) as engine:
    result = engine.run("workflows/text_to_image.json", {"3.seed": 7}, emit=print)
    image = result["8"][0]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .context import CancelToken, Context
from .errors import (
    BadValue,
    Cancelled,
    DeclarationError,
    DocumentError,
    ExecutionError,
    Fault,
    FileMissing,
    InputChanged,
    InvalidGraph,
    NodeFailed,
    NodeGraphError,
    PluginError,
    RunFailed,
    SettingsError,
)
from .expansion import Builder, Expansion, Link
from .node import (
    LAZY,
    OPTIONAL,
    SOCKET,
    ChoiceOf,
    FileOf,
    Number,
    Seed,
    Text,
    Tip,
    node,
)
from .outputs import SavedFile, Shown
from .registry import Alias, Extension, Registry
from .types import Codec, PortType, structural
from .version import VERSION

if TYPE_CHECKING:
    from .documents import FileReader
    from .engine import Engine
    from .memory import ModelManager, ModelSource
    from .settings import Settings

__version__ = VERSION

__all__ = [
    "LAZY",
    "OPTIONAL",
    "SOCKET",
    "Alias",
    "BadValue",
    "Builder",
    "CancelToken",
    "Cancelled",
    "ChoiceOf",
    "Codec",
    "Context",
    "DeclarationError",
    "DocumentError",
    "Engine",
    "ExecutionError",
    "Expansion",
    "Extension",
    "Fault",
    "FileMissing",
    "FileOf",
    "FileReader",
    "InputChanged",
    "InvalidGraph",
    "Link",
    "ModelManager",
    "ModelSource",
    "NodeFailed",
    "NodeGraphError",
    "Number",
    "PluginError",
    "PortType",
    "Registry",
    "RunFailed",
    "SavedFile",
    "Seed",
    "Settings",
    "SettingsError",
    "Shown",
    "Text",
    "Tip",
    "node",
    "structural",
]

# Imported when first used: the command line answers --help without them.
_LATE = {
    "Engine": ".engine",
    "FileReader": ".documents",
    "ModelManager": ".memory",
    "ModelSource": ".memory",
    "Settings": ".settings",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATE[name], __name__), name)
