"""Condition encoders τ_θ: inputs of other modalities as tokens for cross-attention."""

from __future__ import annotations

from .class_label import ClassConfig, ClassEncoder
from .clip_image import ClipImageConfig, ClipImageEncoder
from .encoder import EncoderConfig, TokenEncoder
from .file import EncoderFile, Kinds, read_encoder, save_encoder
from .kinds import CORE, EncoderKind, class_numbers, clip_vectors, fresh
from .maps import Resolution, as_depth, as_picture
from .patches import PatchConfig, PatchEncoder
from .segmentation import SegmentationConfig, Unknown, one_hot_map
from .text import TextTokens, text_numbers

__all__ = [
    "CORE",
    "ClassConfig",
    "ClassEncoder",
    "ClipImageConfig",
    "ClipImageEncoder",
    "EncoderConfig",
    "EncoderFile",
    "EncoderKind",
    "Kinds",
    "PatchConfig",
    "PatchEncoder",
    "Resolution",
    "SegmentationConfig",
    "TextTokens",
    "TokenEncoder",
    "Unknown",
    "as_depth",
    "as_picture",
    "class_numbers",
    "clip_vectors",
    "fresh",
    "one_hot_map",
    "read_encoder",
    "save_encoder",
    "text_numbers",
]
