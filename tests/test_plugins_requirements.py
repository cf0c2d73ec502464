"""Versions against what a plugin needs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from nodegraph.plugins.requirements import allows


@pytest.mark.parametrize(
    ("wanted", "version", "expected"),
    [
        (">=1.2", "1.10", True),
        (">=1.2", "1.1.9", False),
        ("==1.2", "1.2.0", True),
        ("~=1.2", "1.9", True),
        ("~=1.2", "2.0", False),
        ("<2", "2.0.0+cpu", False),
        (">=1,<2", "1.9+cu126", True),
        (">=2", "2.1.0.dev20261101", True),
        (">=2.1", "2.1.0rc1", False),
        ("", "2.0.0a1", True),
        ("", "anything", True),
        ("<2", "unknown", False),
    ],
)
def test_a_version_will_do_or_not(wanted: str, version: str, expected: bool) -> None:
    assert allows(SpecifierSet(wanted), version) is expected


@given(st.lists(st.integers(0, 50), min_size=1, max_size=4), st.integers(0, 50))
def test_a_version_is_either_below_or_not(parts: list[int], bound: int) -> None:
    version = ".".join(map(str, parts))

    assert allows(SpecifierSet(f"<{bound}"), version) is (parts[0] < bound)
    assert allows(SpecifierSet(f">={bound}"), version) is (parts[0] >= bound)
