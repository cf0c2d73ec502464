"""What the command line is built around."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType


@dataclass(frozen=True)
class Core:
    """Who calls the command line.

    modules: gives the modules of core nodes, when they are needed. home: the folder whose models
    and plugins are there whatever the working folder is.
    """

    modules: Callable[[], Iterable[ModuleType]]
    home: Path
