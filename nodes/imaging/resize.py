"""Samples and images to another width and height.

W, H are the sides there are, w, h those wanted. Output cell i of n takes its value around the
position (i + 1/2) W / n - 1/2 (centres of cells, not corners, correspond). No method smooths
before it shrinks, except area, which averages, and lanczos, whose window widens.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from .pixels import dequantise, quantise

Method: TypeAlias = Literal["nearest-exact", "bilinear", "area", "bicubic", "lanczos", "bislerp"]
Crop: TypeAlias = Literal["disabled", "center"]

_PARALLEL = 1e-5  # 1 - |cos| below which two directions count as one line


def resize(
    samples: Tensor, width: int, height: int, method: Method, crop: Crop = "disabled"
) -> Tensor:
    """(B, C, H, W) to (B, C, height, width), in the same dtype and on the same device.

    A width or height of 0 follows from the other and the aspect; both 0 change nothing. `crop`
    "center" first trims the longer side, equally at both ends, to the wanted aspect; "disabled"
    stretches. lanczos goes through 8 bits and so takes values in [0, 1] only.
    Raises ValueError for a size below 0, or a method or crop that is not one of those named.
    """
    if method not in get_args(Method):
        raise ValueError(f"resizing is done by {', '.join(get_args(Method))}, not by {method!r}")
    if crop not in get_args(Crop):
        raise ValueError(f"crop is {' or '.join(get_args(Crop))}, not {crop!r}")
    if samples.ndim != 4 or 0 in samples.shape[1:]:
        raise ValueError(f"what is resized is (B, C, H, W), not {tuple(samples.shape)}")
    if width < 0 or height < 0:
        raise ValueError(f"a size is at least 0, not {width} x {height}")
    if width == 0 and height == 0:
        return samples
    width, height = _both_sides(samples, width, height)
    if crop == "center":
        samples = _trimmed(samples, width, height)
    if samples.shape[0] == 0:
        return samples.new_zeros(0, samples.shape[1], height, width)
    if method == "bislerp":
        return bislerp(samples, width, height)
    if method == "lanczos":
        return _lanczos(samples, width, height)
    return functional.interpolate(samples, (height, width), mode=method)


def resize_images(
    images: Tensor, width: int, height: int, method: Method, crop: Crop = "disabled"
) -> Tensor:
    """`resize` for images (B, H, W, C)."""
    resized = resize(images.movedim(-1, 1), width, height, method, crop)
    return resized.movedim(1, -1).contiguous()


def _both_sides(samples: Tensor, width: int, height: int) -> tuple[int, int]:
    """w and h, the one that is 0 made to keep the aspect, at least 1."""
    H, W = samples.shape[-2:]
    if width == 0:
        return max(1, round(W * height / H)), height
    return width, height or max(1, round(H * width / W))


def _trimmed(samples: Tensor, width: int, height: int) -> Tensor:
    """The centre with the aspect w / h, as exactly as whole cells trimmed at both ends allow."""
    H, W = samples.shape[-2:]
    there, wanted = W / H, width / height
    # Ties in the rounding decide which cells are kept, and so does the order of these operations.
    x = round((W - W * (wanted / there)) / 2) if there > wanted else 0
    y = round((H - H * (there / wanted)) / 2) if there < wanted else 0
    x, y = min(x, (W - 1) // 2), min(y, (H - 1) // 2)
    return samples[..., y : H - y, x : W - x]


def _lanczos(samples: Tensor, width: int, height: int) -> Tensor:
    """Pillow's Lanczos (a = 3) on floor(255 x), one picture at a time."""
    pictures = [_lanczos_picture(picture, width, height) for picture in samples]
    return torch.stack(pictures).to(samples.device, samples.dtype)


def _lanczos_picture(picture: Tensor, width: int, height: int) -> Tensor:
    """(C, H, W); 3 and 4 channels are a colour (and alpha), any other number separate greys."""
    values = quantise(picture).movedim(0, -1).numpy()
    layers = [values] if values.shape[-1] in (3, 4) else np.moveaxis(values, -1, 0)
    size, window = (width, height), Image.Resampling.LANCZOS
    resized = [np.array(Image.fromarray(layer.copy()).resize(size, window)) for layer in layers]
    return dequantise(torch.from_numpy(np.dstack(resized))).movedim(-1, 0)


def bislerp(samples: Tensor, width: int, height: int) -> Tensor:
    """Spherical interpolation of the channel vectors: first along the width, then the height.

    Between neighbours a and b at fraction r: length (1 - r)|a| + r|b|, direction slerp(a, b; r),
    so a blend of unlike vectors does not lose length, as the mean of two random latents does.
    (B, C, H, W) -> (B, C, height, width). Source: Shoemake, Animating Rotation with Quaternion
    Curves, 1985.
    """
    wide = _bislerp_last(samples.to(torch.float32), width)
    tall = _bislerp_last(wide.mT, height).mT
    return tall.to(samples.dtype).contiguous()


def _bislerp_last(samples: Tensor, n: int) -> Tensor:
    """(B, C, H, W) -> (B, C, H, n)."""
    W = samples.shape[-1]
    cells = torch.arange(n, device=samples.device, dtype=torch.float64)
    position = ((cells + 0.5) * (W / n) - 0.5).clamp(0, W - 1)
    left = position.floor().long()
    right = (left + 1).clamp(max=W - 1)
    r = (position - left).to(samples.dtype)
    return _slerp(samples[..., left], samples[..., right], r)


def _slerp(a: Tensor, b: Tensor, r: Tensor) -> Tensor:
    """sin((1-r) w)/sin w a/|a| + sin(r w)/sin w b/|b|, w the angle, times the length between.

    Where the angle is next to 0 (or a length is 0) this tends to, and next to pi, where no
    shortest arc is singled out, it is replaced by, a straight line.
    """
    length_a, length_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    unit_a, unit_b = functional.normalize(a, dim=1), functional.normalize(b, dim=1)
    cos = (unit_a * unit_b).sum(dim=1, keepdim=True)
    # the half angle's tangent: acos loses half the digits of a small angle
    apart = (unit_a - unit_b).norm(dim=1, keepdim=True)
    together = (unit_a + unit_b).norm(dim=1, keepdim=True)
    omega = 2 * torch.atan2(apart, together)
    arc = torch.sin((1 - r) * omega) * unit_a + torch.sin(r * omega) * unit_b
    curved = arc / torch.sin(omega) * ((1 - r) * length_a + r * length_b)
    straight = (1 - r) * a + r * b
    return torch.where((cos.abs() > 1 - _PARALLEL) | (length_a * length_b == 0), straight, curved)
