"""Gradient checkpointing: activations inside a block are computed again instead of kept.

Chen et al. 2016, arXiv:1604.06174. Memory for one more forward pass; gradients are the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


def recompute(blocks: Iterable[nn.Module]) -> None:
    """From now on these modules keep only what goes into them, wherever gradients are wanted.

    Names and parameters stay as they are.
    """
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
