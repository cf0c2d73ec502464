"""Modules without memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from tiny_models import UNETS
from torch import nn

from nodes.models.blank import blank
from nodes.models.unet import UNet

ROOT = Path(__file__).parents[1]


def test_a_blank_module_has_the_names_and_shapes_of_the_real_one() -> None:
    with blank():
        found = UNet(UNETS["sd1"])

    expected = UNet(UNETS["sd1"])
    assert all(tensor.is_meta for tensor in found.state_dict().values())
    assert {n: t.shape for n, t in found.state_dict().items()} == {
        n: t.shape for n, t in expected.state_dict().items()
    }


def test_modules_made_afterwards_get_their_first_weights_as_ever() -> None:
    torch.manual_seed(0)
    expected = nn.Linear(3, 4).weight

    with blank():
        nn.Linear(3, 4)
    torch.manual_seed(0)

    assert torch.equal(nn.Linear(3, 4).weight, expected)


def test_random_numbers_drawn_later_do_not_depend_on_blank_modules() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)

    torch.manual_seed(0)
    with blank():
        nn.Embedding(5, 6)
        nn.Conv2d(3, 4, 3)

    assert torch.equal(torch.rand(3), expected)


def test_building_one_imports_no_compiler() -> None:
    program = (
        "import sys; from nodes.models.blank import blank; from torch import nn\n"
        "before = set(sys.modules)\n"
        "with blank(): nn.Linear(2, 2); nn.Embedding(2, 2); nn.Conv2d(2, 2, 3); nn.LayerNorm(2)\n"
        "print(len(set(sys.modules) - before))"
    )

    command = [sys.executable, "-c", program]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)

    assert int(found.stdout) < 20  # without the mode there are hundreds
