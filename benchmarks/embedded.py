"""The embedded model, in an engine that keeps no results: each run computes the whole graph."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nodes
from nodegraph import Engine, Settings

from .measure import ROOT

GRAPH = ROOT / "workflows" / "text_to_image.json"
CHECKPOINT = ROOT / "models" / "checkpoints" / "emoji.safetensors"


@contextmanager
def forgetful(device: str = "auto") -> Iterator[Engine]:
    """It writes into a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(
            models=(ROOT / "models",),
            output=folder,
            temp=folder,
            cache=folder,
            disk_cache_bytes=0,
            memory_cache_bytes=0,
            precision="fp32",
            device=device,
        )
        with Engine(nodes.modules(), settings) as engine:
            yield engine
