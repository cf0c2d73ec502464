"""Nodes that turn prompts into conditioning."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from nodegraph import Context, Number, node
from nodes.embeddings import PROMPT, encoded
from nodes.types import Clip, Condition, Conditioning


@node("CLIPEncode", category="conditioning", display_name="CLIP Text Encode (Prompt)")
def clip_encode(
    text: Annotated[str, PROMPT],
    clip: Clip,
    *,
    context: Context,
) -> Conditioning:
    """Encode a prompt. `(word)` and `(word:1.3)` weigh words; brackets are escaped with `\\`.

    `embedding:name` stands for the vectors in a file of the folder embeddings.
    """
    features = encoded(clip, text, context)
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
