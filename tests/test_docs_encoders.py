"""docs/encoders.md: its code runs, and its tables name what there is."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from node_support import Desk

import nodes
from nodegraph import NodeGraphError, Registry
from nodes.encoders import encode_condition, load_condition_encoder
from nodes.models.encoders import CORE, SegmentationConfig, fresh, read_encoder, save_encoder
from nodes.types import Image

PAGE = (Path(__file__).parent.parent / "docs" / "encoders.md").read_text()
MAKING, PLUGIN = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[ModuleType]:
    """The page's plugin as an imported module."""
    path = tmp_path / "colour_encoder.py"
    path.write_text(PLUGIN)
    spec = importlib.util.spec_from_file_location("colour_encoder", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["colour_encoder"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["colour_encoder"]


def test_the_encoder_that_is_made_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    exec(MAKING, {})

    found = read_encoder(tmp_path / "segments.safetensors", CORE)
    assert isinstance(found.config, SegmentationConfig)
    assert found.config.names == ("sky", "vegetation", "road")


def test_the_plugins_kind_is_loaded_and_encodes(tmp_path: Path, plugin: ModuleType) -> None:
    registry = Registry()
    registry.register(*nodes.modules(), plugin)
    kind = registry.extensions["condition_encoders"]["colour"]
    desk = Desk(tmp_path)
    context = replace(desk.context, extensions=registry.extensions)
    config = plugin.ColourConfig(width=6, hidden=4)
    module = fresh(kind, config, seed=1)
    save_encoder(desk.place("condition_encoders", "c.safetensors"), "colour", config, module)
    image = Image(torch.rand(2, 4, 4, 3))

    encoder = load_condition_encoder("c.safetensors", context=context)
    found = encode_condition(encoder, image, context=context)

    with torch.no_grad():
        expected = module(image.mean(dim=(1, 2)))
    [entry], [nothing] = found.conditioning.entries, found.null.entries
    assert torch.equal(entry.context, expected)  # type: ignore[arg-type]
    assert torch.equal(nothing.context, torch.zeros(2, 1, 6))  # type: ignore[arg-type]
    with pytest.raises(NodeGraphError, match=r"'c.safetensors' \(colour\) takes a picture .*IMAGE"):
        encode_condition(encoder, "red", context=context)


def test_the_table_of_kinds_and_the_configurations_are_the_codes() -> None:
    assert tuple(re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \| [^|]+ \|$", PAGE, re.M)) == tuple(
        CORE
    )
    named = dict(re.findall(r"`(\w+Config)\(([^)]+)\)`", PAGE))
    assert len(named) == 3
    for kind in CORE.values():
        if kind.config.__name__ in named:
            own = [field.name for field in fields(kind.config)]
            assert re.split(r",\s+", named[kind.config.__name__]) == own


def test_the_nodes_of_the_page_are_there() -> None:
    registry = Registry()
    registry.register(*nodes.modules())

    named = re.findall(r"\b(?:Encode(?!r)|Load|CLIPEncode|Conditioning)[A-Za-z]*\b", PAGE)

    assert set(named) <= registry.nodes.keys()
    ours = {name for name, kind in registry.nodes.items() if kind.category.endswith("encoders")}
    assert ours <= set(named)
