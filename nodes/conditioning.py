"""Nodes that combine, weigh and place conditioning. Equations: docs/conditioning.md.

They make new entries and touch nothing else that an entry carries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from nodegraph import Context, NodeGraphError, Number, Tip, node
from nodes.diffusion.tokens import averaged, averaged_pooled, joined
from nodes.types import Area, Condition, Conditioning, Mask

ADVANCED = "advanced/conditioning"

Side = Annotated[int, Number(min=64, max=16384, step=8), Tip("in pixels")]
Place = Annotated[int, Number(min=0, max=16384, step=8), Tip("in pixels")]
Share = Annotated[float, Number(min=0, max=1.0, step=0.01), Tip("of the picture's side")]
Strength = Annotated[float, Number(min=0.0, max=10.0, step=0.01)]
Moment = Annotated[float, Number(min=0.0, max=1.0, step=0.001), Tip("a share of the sampling")]


@node("ConditioningCombine", category="conditioning", display_name="Conditioning (Combine)")
def conditioning_combine(
    conditioning_1: Conditioning, conditioning_2: Conditioning
) -> Conditioning:
    """All entries of both: the network is asked about each, and the answers are averaged."""
    return Conditioning(conditioning_1.entries + conditioning_2.entries)


@node("ConditioningConcat", category="conditioning", display_name="Conditioning (Concat)")
def conditioning_concat(
    conditioning_to: Conditioning, conditioning_from: Conditioning, *, context: Context
) -> Conditioning:
    """One prompt after the other: the network reads the tokens of both at once."""
    source = _first(conditioning_from, context)
    return _each(
        conditioning_to,
        lambda to: {"context": _joined(to, source), "origin": to.origin or source.origin},
    )


@node("ConditioningAverage", category="conditioning", display_name="Conditioning (Average)")
def conditioning_average(
    conditioning_to: Conditioning,
    conditioning_from: Conditioning,
    conditioning_to_strength: Annotated[float, Number(min=0.0, max=1.0, step=0.01)] = 1.0,
    *,
    context: Context,
) -> Conditioning:
    """The tokens of two prompts blended: 1 is the first, 0 the second."""
    source, share = _first(conditioning_from, context), conditioning_to_strength
    return _each(
        conditioning_to,
        lambda to: {
            "context": _averaged(to, source, share),
            "pooled": averaged_pooled(to.pooled, source.pooled, share),
        },
    )


@node("ConditioningSetArea", category="conditioning", display_name="Conditioning (Set Area)")
def conditioning_set_area(
    conditioning: Conditioning,
    width: Side = 64,
    height: Side = 64,
    x: Place = 0,
    y: Place = 0,
    strength: Strength = 1.0,
) -> Conditioning:
    """Ask for this in a rectangle of the picture alone, which fades at its sides."""
    return _placed(conditioning, Area(width, height, x, y), strength)


@node(
    "ConditioningSetAreaPercentage",
    category="conditioning",
    display_name="Conditioning (Set Area with Percentage)",
)
def conditioning_set_area_percentage(
    conditioning: Conditioning,
    width: Share = 1.0,
    height: Share = 1.0,
    x: Share = 0,
    y: Share = 0,
    strength: Strength = 1.0,
) -> Conditioning:
    """Ask for this in a rectangle given in shares of the picture, whatever its size."""
    return _placed(conditioning, Area(width, height, x, y, shares=True), strength)


@node(
    "ConditioningSetAreaStrength",
    category="conditioning",
    display_name="Conditioning (Set Strength)",
)
def conditioning_set_area_strength(
    conditioning: Conditioning, strength: Strength = 1.0
) -> Conditioning:
    """How much this counts among the entries it is averaged with."""
    return _each(conditioning, lambda _: {"strength": strength})


@node("ConditioningSetMask", category="conditioning", display_name="Conditioning (Set Mask)")
def conditioning_set_mask(
    conditioning: Conditioning,
    mask: Mask,
    strength: Strength = 1.0,
    *,
    set_cond_area: Annotated[
        Literal["default", "mask bounds"],
        Tip("mask bounds shows the network only the smallest rectangle around the mask"),
    ],
) -> Conditioning:
    """Let this count where the mask is white; the network still sees the whole picture."""
    masks = mask.reshape(-1, *mask.shape[-2:])
    within = set_cond_area == "mask bounds"
    return _each(
        conditioning,
        lambda _: {"mask": masks, "mask_strength": strength, "within_mask": within},
    )


@node(
    "ConditioningSetTimestepRange",
    category=ADVANCED,
    display_name="Conditioning (Set Timestep Range)",
)
def conditioning_set_timestep_range(
    conditioning: Conditioning, start: Moment = 0.0, end: Moment = 1.0
) -> Conditioning:
    """Let this count between two moments of the sampling: 0 is pure noise, 1 the picture."""
    return _each(conditioning, lambda _: {"start": start, "end": end})


@node("ConditioningZeroOut", category=ADVANCED, display_name="Conditioning (Zero Out)")
def conditioning_zero_out(conditioning: Conditioning) -> Conditioning:
    """Zeros for tokens and pooled vector: for models trained to draw anything from those."""
    return _each(
        conditioning,
        lambda entry: {"context": _zeros(entry.context), "pooled": _zeros(entry.pooled)},
    )


def _each(
    conditioning: Conditioning, changes: Callable[[Condition], dict[str, Any]]
) -> Conditioning:
    """Every entry with its changes."""
    return Conditioning(tuple(replace(entry, **changes(entry)) for entry in conditioning.entries))


def _placed(conditioning: Conditioning, area: Area, strength: float) -> Conditioning:
    return _each(conditioning, lambda _: {"area": area, "strength": strength, "within_mask": False})


def _first(conditioning: Conditioning, context: Context) -> Condition:
    """The entry that is taken from; says where there are others."""
    if not conditioning.entries:
        raise NodeGraphError("conditioning_from has no entries: encode a prompt for it")
    if (others := len(conditioning.entries) - 1) > 0:
        context.warn(
            f"conditioning_from has {others + 1} entries; the first is taken, the other "
            f"{'one is' if others == 1 else f'{others} are'} left out: combine after this node"
        )
    return conditioning.entries[0]


def _joined(to: Condition, source: Condition) -> Tensor | None:
    if to.context is None or source.context is None:
        return source.context if to.context is None else to.context
    _require_one_encoder(to.context, source.context, to.origin or source.origin)
    return joined(to.context, source.context)


def _averaged(to: Condition, source: Condition, share: float) -> Tensor | None:
    if to.context is None and source.context is None:
        return None
    if to.context is None or source.context is None:
        raise NodeGraphError(
            "one of the two has no tokens, and nothing can be averaged with nothing: encode a "
            "prompt for it"
        )
    _require_one_encoder(to.context, source.context, to.origin or source.origin)
    return averaged(to.context, source.context, share)


def _require_one_encoder(to: Tensor, source: Tensor, origin: str) -> None:
    if to.shape[-1] != source.shape[-1]:
        remedy = "encode both prompts with the same text encoder"
        if origin:
            remedy = f"{origin} and the other encoder belong to different models"
        raise NodeGraphError(
            f"conditioning_to has tokens {to.shape[-1]} wide, conditioning_from {source.shape[-1]} "
            f"wide: {remedy}"
        )


def _zeros(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else torch.zeros_like(tensor)
