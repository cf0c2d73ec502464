"""Port types: what connects to what, and how values go to disk and come back."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.types import accepts, structural


@pytest.mark.parametrize(
    ("wanted", "given", "allowed"),
    [
        ("IMAGE", "IMAGE", True),
        ("IMAGE", "LATENT", False),
        ("*", "LATENT", True),
        ("LATENT", "*", True),
        ("INT,FLOAT", "INT", True),
        ("INT", "INT,FLOAT", False),
        ("FLOAT", "INT", True),
        ("FLOAT", "INT,FLOAT", True),
        ("INT", "FLOAT", False),
        ("STRING", "COMBO", True),
        ("COMBO", "STRING", True),
        ("BOOLEAN", "INT", False),
        ("INT,IMAGE", "IMAGE,INT", True),
    ],
)
def test_a_link_is_allowed_when_every_type_given_is_wanted(
    wanted: str, given: str, allowed: bool
) -> None:
    assert accepts(wanted, given) is allowed


@dataclass(frozen=True)
class Box:
    content: Any
    label: str = ""


@dataclass(frozen=True)
class Derived:
    side: int
    area: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "area", self.side**2)


class Pair(NamedTuple):
    one: int
    two: int


class Level(IntEnum):
    LOW = 1


class Text(str): ...


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text(), inner)
        | st.builds(Box, inner, st.text())
    ),
)


@given(TREES)
def test_a_tree_of_plain_data_and_known_classes_comes_back_as_it_was(tree: Any) -> None:
    codec = structural(Box)

    assert codec.decode(codec.encode(tree)) == tree


def test_tensors_are_left_in_place() -> None:
    codec = structural(Box)
    tensor = torch.arange(3)

    encoded = codec.encode(Box((tensor, 1)))

    assert encoded["fields"]["content"]["items"][0] is tensor
    assert codec.decode(encoded).content[0] is tensor


def test_fields_that_a_class_works_out_by_itself_are_worked_out_again() -> None:
    codec = structural(Derived)

    assert codec.encode(Derived(3)) == {"$": "Derived", "fields": {"side": 3}}
    assert codec.decode(codec.encode(Derived(3))).area == 9


@pytest.mark.parametrize("value", [Box(1), Pair(1, 2), Level.LOW, Text("a"), {1: 2}, object()])
def test_a_value_that_would_come_back_as_something_else_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        structural().encode([value])


def test_two_classes_of_one_name_cannot_share_a_codec() -> None:
    other = dataclass(frozen=True)(type("Box", (), {}))

    with pytest.raises(TypeError, match="two classes of one codec are named Box"):
        structural(Box, other)


def test_a_codec_takes_only_dataclasses_apart() -> None:
    with pytest.raises(TypeError, match="Text is no dataclass"):
        structural(Text)
