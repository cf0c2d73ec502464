"""Nodes that turn prompts into conditioning."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, cast

from nodegraph import Context, Number, Text, node
from nodes.models.clip import CLIPText
from nodes.types import Clip, Condition, Conditioning


@node("CLIPEncode", category="conditioning", display_name="CLIP Text Encode (Prompt)")
def clip_encode(
    text: Annotated[str, Text(multiline=True, dynamic_prompts=True)],
    clip: Clip,
    *,
    context: Context,
) -> Conditioning:
    """Encode a prompt. `(word)` and `(word:1.3)` weigh words; brackets are escaped with `\\`."""
    with context.need_models().lease(clip.source, clip.device or context.device) as module:
        assert clip.encoder is not None  # an absent part refuses to be leased
        features = clip.encoder.encode(cast(CLIPText, module), text, skip=clip.skip)
    for warning in features.warnings:
        context.warn(warning)
    return Conditioning((Condition(features.hidden, features.pooled),))


@node("CLIPSetLastLayer", category="conditioning", display_name="CLIP Set Last Layer")
def clip_set_last_layer(
    clip: Clip, stop_at_clip_layer: Annotated[int, Number(min=-24, max=-1, step=1)] = -1
) -> Clip:
    """Take the text encoder's hidden state of an earlier layer ("clip skip")."""
    return replace(clip, skip=stop_at_clip_layer)


@node("ConditioningEmpty", category="conditioning", display_name="Conditioning (Empty)")
def conditioning_empty() -> Conditioning:
    """Conditioning without a prompt, for models that read none, such as those on pixels."""
    return Conditioning((Condition(None),))
