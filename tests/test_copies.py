"""Copies that share nothing that can be changed in place."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.copies import copied
from nodegraph.values import Many, fingerprint


@dataclass(frozen=True)
class Box:
    inner: Any
    side: int = field(init=False, default=1)


@dataclass(frozen=True, slots=True)
class Slotted:
    inner: Any


class Pair(NamedTuple):
    one: Any
    two: Any


class Opaque: ...


def tensor() -> Any:
    return torch.arange(4.0)


@pytest.mark.parametrize(
    ("wrap", "reach"),
    [
        (lambda t: t, lambda v: v),
        (lambda t: Box(t), lambda v: v.inner),
        (lambda t: Slotted([t]), lambda v: v.inner[0]),
        (lambda t: [1, t], lambda v: v[1]),
        (lambda t: (1, (t,)), lambda v: v[1][0]),
        (lambda t: Pair(t, 2), lambda v: v.one),
        (lambda t: {"a": {"b": t}}, lambda v: v["a"]["b"]),
        (lambda t: OrderedDict(a=t), lambda v: v["a"]),
        (lambda t: MappingProxyType({"a": t}), lambda v: v["a"]),
        (lambda t: deque([t], maxlen=3), lambda v: v[0]),
        (lambda t: Many((t, t)), lambda v: v.items[1]),
        (lambda t: {t}, lambda v: next(iter(v))),
        (lambda t: frozenset([t]), lambda v: next(iter(v))),
    ],
)
def test_what_is_inside_is_the_copy_s_own(wrap: Any, reach: Any) -> None:
    original = wrap(tensor())

    copy = copied(original)
    reach(copy).add_(1)

    assert type(copy) is type(original)
    assert torch.equal(reach(original), tensor())
    assert torch.equal(reach(copy), tensor() + 1)


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6).reshape(2, 3)[:, ::2],
        bytearray(b"abc"),
        torch.arange(6).reshape(2, 3).t(),
        torch.ones(2, dtype=torch.bfloat16),
        torch.eye(3).to_sparse(),
        torch.ones(2, requires_grad=True),
        torch.Size([1, 2]),
    ],
)
def test_buffers_are_copied_with_their_content(value: Any) -> None:
    copy = copied([value])[0]

    assert fingerprint(copy) == fingerprint(value)
    assert getattr(copy, "requires_grad", False) == getattr(value, "requires_grad", False)


def test_the_copy_of_an_array_is_its_own() -> None:
    array, text = np.zeros(3), bytearray(b"abc")

    copy = copied({"array": array, "text": text})
    copy["array"][0] = 5
    copy["text"][0] = 0

    assert array[0] == 0
    assert text == b"abc"


def test_what_cannot_be_looked_into_is_shared() -> None:
    opaque = Opaque()

    copy = copied([opaque, len, Opaque])

    assert copy == [opaque, len, Opaque]
    assert copy[0] is opaque


def test_what_stands_in_several_places_stays_one_thing() -> None:
    shared = [tensor()]

    copy = copied((shared, {"again": shared}))

    assert copy[0] is copy[1]["again"]
    assert copy[0] is not shared


def test_a_value_may_contain_itself() -> None:
    listed: list[Any] = [1]
    listed.append(listed)
    named: dict[str, Any] = {}
    named["me"] = Box(named)

    copy, other = copied(listed), copied(named)

    assert copy[1] is copy
    assert copy is not listed
    assert other["me"].inner is other


def test_fields_a_dataclass_did_not_get_yet_are_left_out() -> None:
    box = Box(1)
    object.__delattr__(box, "inner")

    assert not hasattr(copied(box), "inner")


PLAIN = st.none() | st.booleans() | st.integers() | st.text() | st.binary()
TREES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(), inner)
        | st.builds(Box, inner)
    ),
)


@given(TREES)
def test_a_copy_has_the_same_content(tree: Any) -> None:
    assert copied(tree) == tree
    assert fingerprint(copied(tree)) == fingerprint(tree)


@given(st.recursive(PLAIN, lambda inner: st.tuples(inner, inner)))
def test_what_nobody_can_change_is_not_copied(tree: Any) -> None:
    assert copied(tree) is tree
