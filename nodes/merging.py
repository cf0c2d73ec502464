"""Nodes that merge models: the result is computed weight by weight when it is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from nodegraph import Context, Number, Tip, node
from nodes.models.derived import Share
from nodes.patching import combined
from nodes.types import Clip, Model

Ratio = Annotated[
    float, Number(min=0.0, max=1.0, step=0.01), Tip("the share of the first; 1 is the first alone")
]
Multiplier = Annotated[float, Number(min=-10.0, max=10.0, step=0.01)]
CATEGORY = "advanced/model_merging"


@node("ModelMergeSimple", category=CATEGORY)
def model_merge_simple(
    model1: Model, model2: Model, ratio: Ratio = 1.0, *, context: Context
) -> Model:
    """ratio * model1 + (1 - ratio) * model2, weight by weight."""
    return _models(model1, model2, [_mix("", ratio)], context)


@node("ModelMergeBlocks", category=CATEGORY)
def model_merge_blocks(
    model1: Model,
    model2: Model,
    input: Ratio = 1.0,
    middle: Ratio = 1.0,
    out: Ratio = 1.0,
    *,
    context: Context,
) -> Model:
    """Like ModelMergeSimple, with a ratio for the way down, the middle and the way up each.

    What belongs to no block (the embedding of time) goes with the way down.
    """
    shares = [_mix("", input), _mix("middle_block.", middle), _mix("out", out)]
    return _models(model1, model2, shares, context)


@node("ModelMergeAdd", category=CATEGORY)
def model_merge_add(model1: Model, model2: Model, *, context: Context) -> Model:
    """model1 + model2, weight by weight; the second is a difference of two models."""
    return _models(model1, model2, [Share("", 1.0, 1.0)], context)


@node("ModelMergeSubtract", category=CATEGORY)
def model_merge_subtract(
    model1: Model, model2: Model, multiplier: Multiplier = 1.0, *, context: Context
) -> Model:
    """(model1 - model2) * multiplier, weight by weight."""
    return _models(model1, model2, [Share("", multiplier, -multiplier)], context)


@node("CLIPMergeSimple", category=CATEGORY)
def clip_merge_simple(clip1: Clip, clip2: Clip, ratio: Ratio = 1.0) -> Clip:
    """ratio * clip1 + (1 - ratio) * clip2, weight by weight."""
    return _clips(clip1, clip2, [_mix("", ratio)])


@node("CLIPMergeAdd", category=CATEGORY)
def clip_merge_add(clip1: Clip, clip2: Clip) -> Clip:
    """clip1 + clip2, weight by weight; the second is a difference of two text encoders."""
    return _clips(clip1, clip2, [Share("", 1.0, 1.0)])


@node("CLIPMergeSubtract", category=CATEGORY)
def clip_merge_subtract(clip1: Clip, clip2: Clip, multiplier: Multiplier = 1.0) -> Clip:
    """(clip1 - clip2) * multiplier, weight by weight."""
    return _clips(clip1, clip2, [Share("", multiplier, -multiplier)])


def _mix(prefix: str, ratio: float) -> Share:
    return Share(prefix, ratio, 1.0 - ratio)


def _models(one: Model, other: Model, shares: Sequence[Share], context: Context) -> Model:
    if one.sampling.kind != other.sampling.kind:
        context.warn(
            f"the first model predicts {one.sampling.kind}, the second {other.sampling.kind}: "
            "their mix is taken to predict what the first does, and is seldom of use"
        )
    return replace(one, source=combined(one.source, other.source, shares))


def _clips(one: Clip, other: Clip, shares: Sequence[Share]) -> Clip:
    return replace(one, source=combined(one.source, other.source, shares))
