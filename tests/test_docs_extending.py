"""The plugin of docs/extending.md, made from its text, works."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from nodegraph import Context, Registry
from nodegraph.plugins import load_all
from nodes import types

TEXT = (Path(__file__).parent.parent / "docs" / "extending.md").read_text()


def block(language: str, index: int = 0) -> str:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)[index]


def test_the_plugin_in_the_guide_registers_and_runs(tmp_path: Path) -> None:
    folder = tmp_path / "film"
    folder.mkdir()
    (folder / "plugin.yaml").write_text(block("yaml"))
    (folder / "grain.py").write_text(block("python"))
    registry = Registry()
    registry.register(types)

    errors = load_all([tmp_path], registry)

    film_grain = registry.nodes["FilmGrain"].function
    image = torch.full((1, 4, 4, 3), 0.5)
    assert not errors
    assert torch.equal(film_grain(image, seed=1, strength=0.0, context=Context()), image)
    assert not torch.equal(film_grain(image, seed=1, strength=0.5, context=Context()), image)
