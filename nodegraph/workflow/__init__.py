"""The editor's file format ("workflow"), converted to graph documents.

The canvas of the ecosystem stores what it shows: nodes with positions, cables between slots, values
of widgets by position. `convert` writes out what that computes: reroutes, primitives, notes, muted
and bypassed nodes, subgraphs and group nodes are gone, and every value has a name.
"""

from .converting import Converted, convert
from .loading import load_document
from .reading import is_workflow

__all__ = ["Converted", "convert", "is_workflow", "load_document"]
