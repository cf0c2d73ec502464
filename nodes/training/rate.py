"""The learning rate over a run."""

from __future__ import annotations

import math


def warmed_cosine(step: int, steps: int, warmup: int, final: float = 0.0) -> float:
    """The rate at `step` (from 0) as a share of its peak: up in a line, then down a half cosine.

    `warmup` steps reach 1; the last of `steps` is about `final` (SGDR, arXiv:1608.03983, eq. 5).
    """
    if step < warmup:
        return (step + 1) / warmup
    share = (step - warmup) / max(steps - warmup, 1)
    return final + (1 - final) * (1 + math.cos(math.pi * min(share, 1.0))) / 2
