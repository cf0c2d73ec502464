"""Engines for which there are few emoji, so that training on all of them is quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from example_plugins import FOLDER, module
from node_support import settings_in

import nodes
from nodegraph import Engine

ROOT = Path(__file__).parents[1]
fonts = module("emoji", "font")
HAS_FONT = any((Path(folder) / fonts.FILE).is_file() for folder in fonts.FOLDERS)
needs_font = pytest.mark.skipif(
    not HAS_FONT and not os.environ.get("CI"), reason="the font is not installed here"
)


def all_emoji() -> tuple[Any, ...]:
    sequences = module("emoji", "sequences")
    return sequences.known_emoji(sequences.Wanted())


@contextmanager
def engine_on(few: tuple[Any, ...], folder: Path, **changes: Any) -> Iterator[Engine]:
    """Reads the project's models and inputs, and writes into the folder."""
    places = {"models": (ROOT / "models",), "input": ROOT / "input", "plugins": (FOLDER,)}
    settings = settings_in(folder, **(places | changes))
    with pytest.MonkeyPatch.context() as patch, Engine(nodes.modules(), settings) as made:
        for loaded in [m for m in sys.modules.values() if m.__name__.endswith("emoji_dataset")]:
            patch.setattr(loaded, "known_emoji", lambda _: few)
        yield made
