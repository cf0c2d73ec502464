"""nodegraph: a node-graph engine for latent diffusion. What plugins and programs import.

Plugins use `node`, the marks of ports and `Context`. Programs use `Engine`:

    with Engine(nodes.modules()) as engine:
        result = engine.run("graph.json", {"5.seed": 7}, targets=["6"], emit=print).require()
        images = result["6"][0]
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
    NameClash,
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
    FilesIn,
    Number,
    Seed,
    Text,
    Tip,
    node,
)
from .outputs import SavedFile, Sent, Shown
from .registry import Alias, Extension, Registry
from .types import Codec, PortType, structural
from .version import VERSION

if TYPE_CHECKING:
    from .documents import Document, FileReader
    from .engine import Engine
    from .events import Event
    from .graph import Checked, Graph
    from .memory import ModelManager, ModelSource
    from .pictures import Picturable
    from .plugins import Plugin, load_plugin
    from .settings import Settings
    from .tasks import RunResult

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
    "Checked",
    "ChoiceOf",
    "Codec",
    "Context",
    "DeclarationError",
    "Document",
    "DocumentError",
    "Engine",
    "Event",
    "ExecutionError",
    "Expansion",
    "Extension",
    "Fault",
    "FileMissing",
    "FileOf",
    "FileReader",
    "FilesIn",
    "Graph",
    "InputChanged",
    "InvalidGraph",
    "Link",
    "ModelManager",
    "ModelSource",
    "NameClash",
    "NodeFailed",
    "NodeGraphError",
    "Number",
    "Picturable",
    "Plugin",
    "PluginError",
    "PortType",
    "Registry",
    "RunFailed",
    "RunResult",
    "SavedFile",
    "Seed",
    "Sent",
    "Settings",
    "SettingsError",
    "Shown",
    "Text",
    "Tip",
    "load_plugin",
    "node",
    "structural",
]

# Imported when first used: the command line answers --help without them.
_LATE = {
    "Checked": ".graph",
    "Document": ".documents",
    "Engine": ".engine",
    "Event": ".events",
    "FileReader": ".documents",
    "Graph": ".graph",
    "ModelManager": ".memory",
    "ModelSource": ".memory",
    "Picturable": ".pictures",
    "Plugin": ".plugins",
    "load_plugin": ".plugins",
    "RunResult": ".tasks",
    "Settings": ".settings",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATE[name], __name__), name)
