"""Gradient checkpointing: activations inside a block are computed again instead of kept.

Chen et al. 2016, arXiv:1604.06174. Memory for one more forward pass; gradients are the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

ROWS = ("input_blocks", "output_blocks", "layers", "down", "up")  # lists of a network's blocks
SINGLE = ("middle_block", "mid")


def recompute(blocks: Iterable[nn.Module]) -> None:
    """From now on these modules keep only what goes into them, wherever gradients are wanted.

    Names and parameters stay as they are.
    """
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """The blocks of a UNet, ControlNet, autoencoder or text encoder; none inside another."""
    found: list[nn.Module] = []
    for name, module in network.named_modules():
        leaf = name.rpartition(".")[2]
        if leaf in ROWS and isinstance(module, nn.ModuleList):
            found += module
        elif leaf in SINGLE:
            found.append(module)
    return found
