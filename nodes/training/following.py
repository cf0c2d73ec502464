"""How well a picture follows the hint that it was drawn after: edges and silhouettes.

Masks are (B, H, W) of booleans; answers are (B,). What both leave empty agrees.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import max_pool2d


def edge_f1(found: Tensor, wanted: Tensor, tolerance: int = 1) -> Tensor:
    """2 P R / (P + R) of edge pixels: an edge counts as met by one `tolerance` pixels away.

    P is the share of found pixels near a wanted one, R that of wanted pixels near a found one; near
    in rows and in columns (a square of 2 tolerance + 1).
    """
    precision = _share(found & _grown(wanted, tolerance), found, wanted)
    recall = _share(wanted & _grown(found, tolerance), wanted, found)
    both = precision + recall
    return (2 * precision * recall / both.clamp_min(1e-12)).where(both > 0, both)


def overlap(found: Tensor, wanted: Tensor) -> Tensor:
    """Intersection over union."""
    both, either = (found & wanted).sum((1, 2)), (found | wanted).sum((1, 2))
    return (both / either.clamp_min(1)).where(either > 0, 1.0)


def _grown(mask: Tensor, by: int) -> Tensor:
    return max_pool2d(mask.float(), 2 * by + 1, stride=1, padding=by) > 0


def _share(hits: Tensor, of: Tensor, other: Tensor) -> Tensor:
    """hits / of; where `of` is empty: 1 if `other` is as well, else 0."""
    count = of.sum((1, 2))
    empty = (~other.flatten(1).any(1)).float()
    return (hits.sum((1, 2)) / count.clamp_min(1)).where(count > 0, empty)
