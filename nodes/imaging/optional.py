"""Libraries that not everybody has: imported when they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .errors import LibraryMissing


def optional(module: str) -> Any:
    """The module. LibraryMissing, which says how to install it, where its library is not there."""
    library = module.partition(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise LibraryMissing((error.name or library).partition(".")[0]) from error
