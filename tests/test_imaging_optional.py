"""Libraries that are imported late, and what is said where they are not installed."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nodes.imaging.errors import LibraryMissing
from nodes.imaging.filters import blur
from nodes.imaging.optional import optional

ROOT = Path(__file__).parents[1]


def test_a_library_that_is_there_is_imported() -> None:
    assert optional("math") is math


def test_a_library_that_is_not_there_is_named_with_what_brings_it() -> None:
    with pytest.raises(LibraryMissing, match="pip install no_such_library") as caught:
        optional("no_such_library.part")

    assert caught.value.library == "no_such_library"


def test_a_filter_without_kornia_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia.filters", None)

    with pytest.raises(LibraryMissing, match="needs kornia, which is not installed: pip install"):
        blur(torch.zeros(1, 4, 4, 3), 1, 1.0)


def test_the_nodes_are_there_before_the_rare_libraries_are_imported() -> None:
    code = (
        "import sys, nodes; nodes.modules(); "
        "sys.exit(bool({'kornia', 'spandrel', 'scipy.ndimage'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False)

    assert done.returncode == 0
