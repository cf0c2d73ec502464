"""docs/conditioning.md: it says what entries carry and what the nodes do."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from nodegraph.registry import Registry
from nodes import class_labels, conditioning, conditioning_inputs, types
from nodes.diffusion.area import FADE, Area
from nodes.types import Condition

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "conditioning.md").read_text()


def node_names() -> list[str]:
    registry = Registry()
    registry.register(types, conditioning, conditioning_inputs, class_labels)
    return sorted(registry.nodes)


def test_every_field_of_an_entry_is_in_the_table() -> None:
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \|.*\|.*\|$", PAGE, re.MULTILINE)

    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}

    assert named == {field.name for field in fields(Condition)}


@pytest.mark.parametrize("name", node_names())
def test_every_node_is_named(name: str) -> None:
    assert re.search(rf"\b{name}\b", PAGE)


def test_areas_fade_as_the_page_says() -> None:
    [steps] = re.findall(r"n = (\d+) cells", PAGE)
    assert int(steps) == FADE

    row = Area(64, 64, 0, 64).faded(torch.empty(64, 128))[32]

    assert row[:FADE].tolist() == [n / FADE for n in range(1, FADE + 1)]
    assert row[FADE:].unique().tolist() == [1.0]


def test_the_picture_is_small() -> None:
    assert (ROOT / "docs" / "images" / "regional_prompts.png").stat().st_size < 60_000
