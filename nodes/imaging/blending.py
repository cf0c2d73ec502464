"""Two pictures mixed pixel by pixel: blend modes, and Porter and Duff's composition."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Mode = Callable[[Tensor, Tensor], Tensor]
Layers = tuple[Tensor, Tensor]  # of colours that are multiplied by alpha, and alpha
Composition = Callable[[Tensor, Tensor, Tensor, Tensor], Layers]  # of s, sa, d, da
Share = Callable[[Tensor], Tensor]

TRANSPARENT = 1e-5  # alpha up to which a pixel has no colour of its own


def _overlay(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(a <= 0.5, 2 * a * b, 1 - 2 * (1 - a) * (1 - b))


def _soft_light(a: Tensor, b: Tensor) -> Tensor:
    g = torch.where(a <= 0.25, ((16 * a - 12) * a + 4) * a, a.clamp(min=0).sqrt())
    return torch.where(b <= 0.5, a - (1 - 2 * b) * a * (1 - a), a + (2 * b - 1) * (g - a))


# B(a, b), a below and b above (W3C Compositing and Blending Level 1); the difference is signed.
MODES: Mapping[str, Mode] = {
    "normal": lambda _, b: b,
    "multiply": lambda a, b: a * b,
    "screen": lambda a, b: 1 - (1 - a) * (1 - b),
    "overlay": _overlay,
    "soft_light": _soft_light,
    "difference": lambda a, b: a - b,
}


def blend(a: Tensor, b: Tensor, factor: float, mode: str) -> Tensor:
    """(1 - factor) a + factor B(a, b), clamped to [0, 1]; a and b of one shape."""
    return (a * (1 - factor) + MODES[mode](a, b) * factor).clamp(0, 1)


def _either(x: Tensor, y: Tensor) -> Tensor:
    """x + y - x y: the alpha of two layers that cover independently; of colours, the screen."""
    return x + y - x * y


def _mixed(pick: Mode) -> Composition:
    """Each layer where it is alone, and `pick` of both where they meet."""
    return lambda s, sa, d, da: ((1 - da) * s + (1 - sa) * d + pick(s, d), _either(sa, da))


def _overlaid(s: Tensor, sa: Tensor, d: Tensor, da: Tensor) -> Layers:
    light = sa * da - 2 * (da - s) * (sa - d)
    return torch.where(2 * d < da, 2 * s * d, light), _either(sa, da)


NONE, WHOLE, INSIDE, OUTSIDE = (
    torch.zeros_like,
    torch.ones_like,
    lambda alpha: alpha,
    lambda alpha: 1 - alpha,
)
# Which share of the source and of the destination is seen, by the alpha of the other one (Porter
# and Duff, Compositing Digital Images, 1984, the table of operators).
SHARES: Mapping[str, tuple[Share, Share]] = {
    "CLEAR": (NONE, NONE),
    "DST": (NONE, WHOLE),
    "DST_ATOP": (OUTSIDE, INSIDE),
    "DST_IN": (NONE, INSIDE),
    "DST_OUT": (NONE, OUTSIDE),
    "DST_OVER": (OUTSIDE, WHOLE),
    "SRC": (WHOLE, NONE),
    "SRC_ATOP": (INSIDE, OUTSIDE),
    "SRC_IN": (INSIDE, NONE),
    "SRC_OUT": (OUTSIDE, NONE),
    "SRC_OVER": (WHOLE, OUTSIDE),
    "XOR": (OUTSIDE, OUTSIDE),
}
# The further modes of Android's PorterDuff.Mode, by its documentation.
BLENDS: Mapping[str, Composition] = {
    "ADD": lambda s, sa, d, da: ((s + d).clamp(0, 1), (sa + da).clamp(0, 1)),
    "DARKEN": _mixed(torch.minimum),
    "LIGHTEN": _mixed(torch.maximum),
    "MULTIPLY": lambda s, sa, d, da: (s * d, sa * da),
    "OVERLAY": _overlaid,
    "SCREEN": lambda s, sa, d, da: (_either(s, d), _either(sa, da)),
}


def porter_duff(
    source: Tensor, source_alpha: Tensor, destination: Tensor, destination_alpha: Tensor, mode: str
) -> Layers:
    """Colours (B, H, W, 3) and alpha (B, H, W) of `source` on `destination`.

    With colours s, d times their alphas sa, da: F_s s + F_d d and F_s sa + F_d da, or one of
    BLENDS. What comes in and goes out is not multiplied by alpha. A pixel that is fully
    transparent is black.
    """
    sa, da = source_alpha[..., None], destination_alpha[..., None]
    s, d = source * sa, destination * da
    if mode in BLENDS:
        colours, alpha = BLENDS[mode](s, sa, d, da)
    else:
        seen_s, seen_d = SHARES[mode]
        f_s, f_d = seen_s(da), seen_d(sa)
        colours, alpha = f_s * s + f_d * d, f_s * sa + f_d * da
    visible = alpha > TRANSPARENT
    colours = torch.where(visible, colours / torch.where(visible, alpha, 1), 0)
    return colours.clamp(0, 1), alpha[..., 0]
