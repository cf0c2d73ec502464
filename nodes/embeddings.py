"""Embeddings that a prompt names: `embedding:name` is a file of the folder embeddings."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from nodegraph import Context, FileMissing, FilesIn, Text
from nodes.models.clip import CLIPText, TextFeatures
from nodes.models.embedding_file import read_embedding
from nodes.models.prompt import embedding_names
from nodes.types import Clip

# A prompt as a port: the embeddings it names are part of the key, by what is in their files.
PROMPT = Text(multiline=True, dynamic_prompts=True, files=FilesIn("embeddings", embedding_names))


def encoded(clip: Clip, text: str, context: Context) -> TextFeatures:
    """The features of a prompt with the embeddings it names; warns of what is left out.

    Raises CheckpointError for a file that holds no vectors of the text encoder's width.
    """
    with context.need_models().lease(clip.source, clip.device or context.device) as module:
        assert clip.encoder is not None  # an absent part refuses to be leased
        vectors = embeddings_in(text, clip.encoder.config.width, context)
        features = clip.encoder.encode(
            cast(CLIPText, module), text, skip=clip.skip, embeddings=vectors
        )
    for warning in features.warnings:
        context.warn(warning)
    return features


def embeddings_in(text: str, width: int, context: Context) -> dict[str, Tensor]:
    """The vectors (v, `width`) of all embeddings a prompt names; none for a name without a file."""
    found: dict[str, Tensor] = {}
    for name in embedding_names(text):
        try:
            path = context.need_folders().resolve("embeddings", name)
        except FileMissing as error:
            context.warn(f"embedding {name!r} was not found and is left out of the prompt: {error}")
            found[name] = torch.empty(0, width)
        else:
            found[name] = read_embedding(path, width, ckpt=bool(context.extra.get("allow_ckpt")))
    return found
