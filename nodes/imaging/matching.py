"""Pictures and masks made to fit one another: lengths of batches, channels.

An image is (B, H, W, C), a mask (B, H, W).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

RGB = 3


def repeat_to(batch: Tensor, length: int) -> Tensor:
    """The batch with `length` entries: a long one is cut, a short one starts over.

    Raises ValueError for an empty batch where entries are wanted.
    """
    if length and not len(batch):
        raise ValueError(f"a batch without pictures or masks is to give {length} of them")
    return batch if len(batch) == length else batch[torch.arange(length) % len(batch)]


def together(*batches: Tensor) -> tuple[Tensor, ...]:
    """All with as many entries as the longest has; none if one of them is empty."""
    lengths = [len(batch) for batch in batches]
    length = max(lengths) if all(lengths) else 0
    return tuple(repeat_to(batch, length) if length else batch[:0] for batch in batches)


def as_masks(mask: Tensor) -> Tensor:
    """(H, W), (B, H, W) or (B, 1, H, W) -> (B, H, W). ValueError for less."""
    if mask.ndim < 2:
        raise ValueError(f"a mask is (B, H, W), not {tuple(mask.shape)}")
    return mask.reshape(-1, *mask.shape[-2:])


def with_channels(image: Tensor, channels: int) -> Tensor:
    """The picture with that many channels: alpha is left out, or added opaque; a grey is spread."""
    if image.shape[-1] < RGB <= channels:
        image = image[..., :1].expand(*image.shape[:-1], RGB)
    missing = channels - image.shape[-1]
    return functional.pad(image, (0, missing), value=1.0) if missing > 0 else image[..., :channels]


def apart(image: Tensor) -> tuple[Tensor, Tensor]:
    """Colours (B, H, W, 3) and alpha (B, H, W), which is 1 where the picture has none."""
    image = with_channels(image, RGB + 1)
    return image[..., :RGB], image[..., RGB]
