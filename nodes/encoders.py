"""Nodes for condition encoders: classes, pictures, segmentation and depth maps as conditioning.

What is computed: docs/encoders.md.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from nodegraph import Context, Extension, FileOf, Text, Tip, node
from nodes.encoding import FOLDER, POINT, Encoded, config_of, encode, encode_any, open_encoder
from nodes.models.clip_config import CLIPConfig
from nodes.models.encoders import (
    CORE,
    ClassConfig,
    ClipImageConfig,
    PatchConfig,
    Resolution,
    SegmentationConfig,
    Unknown,
    as_depth,
    as_picture,
    class_numbers,
    clip_vectors,
    one_hot_map,
    text_numbers,
)
from nodes.types import ClipVisionOutput, ConditionEncoder, Image, Mask

CONDITION_ENCODERS = Extension(POINT, CORE)

Size = Annotated[
    Resolution, Tip("trained: resized to what the encoder was trained on; given: whole patches")
]


@node(
    "LoadConditionEncoder",
    category="loaders",
    display_name="Load Condition Encoder",
    extensions=(POINT,),  # the file says which kind
)
def load_condition_encoder(
    encoder_name: Annotated[str, FileOf(FOLDER)], *, context: Context
) -> ConditionEncoder:
    """A network that gives tokens for texts, classes, pictures, segmentation or depth maps."""
    return open_encoder(encoder_name, context)


@node("EncodeText", category="conditioning/encoders", display_name="Encode Text")
def encode_text(
    encoder: ConditionEncoder,
    text: Annotated[str, Text(multiline=True), Tip("as it stands: parentheses are no weights")],
    *,
    context: Context,
) -> Encoded:
    """Tokens of a text by an encoder of its own; CLIPEncode is for a checkpoint's."""
    config = config_of(encoder, "text", CLIPConfig)
    return encode(encoder, partial(text_numbers, config, text), context)


@node("EncodeClass", category="conditioning/encoders", display_name="Encode Class")
def encode_class(
    encoder: ConditionEncoder,
    label: Annotated[str, Text(multiline=True), Tip("a number or a name; a line for each image")],
    *,
    context: Context,
) -> Encoded:
    """The token of a class; `null` is that of none."""
    config = config_of(encoder, "class", ClassConfig)
    return encode(encoder, partial(class_numbers, config, label), context)


@node("EncodeImageCondition", category="conditioning/encoders", display_name="Encode Image")
def encode_image_condition(
    encoder: ConditionEncoder, image: Image, resolution: Size = "trained", *, context: Context
) -> Encoded:
    """Tokens of a picture's patches; `null` is as many tokens of no picture."""
    config = config_of(encoder, "image", PatchConfig)
    return encode(encoder, partial(as_picture, image, config, resolution), context)


@node("EncodeSegmentation", category="conditioning/encoders", display_name="Encode Segmentation")
def encode_segmentation(
    encoder: ConditionEncoder,
    segments: Annotated[
        Image | Mask, Tip("flat colours of the palette, or class numbers / 255 as a mask")
    ],
    unknown: Annotated[Unknown, Tip("for colours that are not in the palette")] = "error",
    resolution: Size = "trained",
    *,
    context: Context,
) -> Encoded:
    """Tokens of a segmentation map's patches; `null` is as many tokens of no map."""
    config = config_of(encoder, "segmentation", SegmentationConfig)
    return encode(
        encoder, partial(one_hot_map, segments, config, resolution, unknown=unknown), context
    )


@node("EncodeDepth", category="conditioning/encoders", display_name="Encode Depth")
def encode_depth(
    encoder: ConditionEncoder,
    depth: Image | Mask,
    normalise: Annotated[bool, Tip("stretch each map to the whole range")] = True,
    resolution: Size = "trained",
    *,
    context: Context,
) -> Encoded:
    """Tokens of a depth map's patches; `null` is as many tokens of no map."""
    config = config_of(encoder, "depth", PatchConfig)
    return encode(
        encoder, partial(as_depth, depth, config, resolution, normalise=normalise), context
    )


@node("EncodeCLIPImage", category="conditioning/encoders", display_name="Encode CLIP Image")
def encode_clip_image(
    encoder: ConditionEncoder, clip_vision_output: ClipVisionOutput, *, context: Context
) -> Encoded:
    """Tokens of what CLIP sees in a picture; `null` is as many tokens of seeing nothing."""
    config = config_of(encoder, "clip_image", ClipImageConfig)
    return encode(encoder, partial(clip_vectors, config, clip_vision_output), context)


@node("EncodeCondition", category="conditioning/encoders", display_name="Encode Condition")
def encode_condition(encoder: ConditionEncoder, value: Any, *, context: Context) -> Encoded:
    """Tokens of anything the encoder's kind takes; for the kinds of plugins."""
    return encode_any(encoder, value, context)
