"""Networks for training, from the handles that nodes pass on, and what becomes of them.

A network that is trained is read anew in float32: the model manager's copies are everybody's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from nodegraph import Context, ModelSource, NodeGraphError
from nodes.models.checkpoint_info import inspect
from nodes.models.clip import CLIPText
from nodes.models.precision import Precision
from nodes.models.save import save_original
from nodes.models.unet import UNet
from nodes.models.vae import VAE
from nodes.part_source import FileSource
from nodes.patching import known
from nodes.training.conditioning import Conditioner, Encoded, Fixed
from nodes.training.dataset import Dataset
from nodes.training.framing import Crop, Framing
from nodes.training.latents import Encoder, Latents, cache_latents
from nodes.training.pixels import Pixels
from nodes.training.texts import EMPTY, Texts, cache_texts, encoding
from nodes.types import Clip, Model, Vae
from nodes.weights import AbsentPart, as_clip, as_model
from nodes.writing import declared_of

Stored = Literal["fp16", "bf16", "fp32"]
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
Shape = Literal["square", "buckets"]
FINE_STEP, COARSE_STEP, COARSE_FROM = 8, 64, 256  # pixels; of the sides of aspect buckets
RESULT = "model.safetensors"
M = TypeVar("M", bound=nn.Module)


def network_of(source: ModelSource, kind: type[M], context: Context, *, learns: bool) -> M:
    """A network of its own in float32 on the run's device; `learns`: it is to be trained."""
    if not isinstance(source, FileSource):
        source = known(source)
    made = replace(source, precision=Precision(torch.float32, channels_last=True))
    module = made.load().to(context.device)
    if not isinstance(module, kind):
        raise NodeGraphError(f"a {type(module).__name__} cannot be trained as a {kind.__name__}")
    return module.requires_grad_(learns).train(learns)


def framing_of(resolution: int, shape: Shape, crop: Crop, flip: float) -> Framing:
    """How pictures are brought to size. Raises NodeGraphError for a resolution that does not do."""
    step = FINE_STEP if resolution < COARSE_FROM or resolution % COARSE_STEP else COARSE_STEP
    try:
        return Framing(resolution, step, square=shape == "square", crop=crop, flip=flip)
    except ValueError as fault:
        raise NodeGraphError(str(fault)) from fault


def cached(what: str, context: Context) -> Path:
    """The folder for features that are computed once. NodeGraphError where there is none."""
    folder = context.need_folders().cache
    if folder is None:
        raise NodeGraphError("latents and texts are kept in the cache folder: set one")
    return folder / "features" / what


def latents_of(dataset: Dataset, framing: Framing, vae: Vae, context: Context) -> Latents | Pixels:
    """What the network learns from: latents, computed once, or the pixels themselves."""
    pixels = Pixels(dataset, framing)
    if vae.source is None:
        return pixels

    def tell(done: int, total: int) -> None:
        context.progress(done, total, "encoding pictures")

    with context.need_models().lease(vae.source, context.device) as module:
        assert isinstance(module, VAE)
        encoder = Encoder.of(module, vae.source.key)
        found = cache_latents(pixels, encoder, cached("latents", context), on_progress=tell)
    return found.to(context.device)


def frozen_captions(dataset: Dataset, clip: Clip, context: Context) -> Fixed:
    """The captions' tokens as a text encoder makes them, computed once."""
    text = clip.encoder
    if text is None:
        raise NodeGraphError("there is no text encoder: take one from CLIPLoader or NewTextEncoder")
    with context.need_models().lease(clip.source, context.device) as module:
        assert isinstance(module, CLIPText)
        texts = cache_texts(
            dataset,
            text,
            encoding(module, text),
            clip.source.key,
            cached("texts", context),
            on_progress=lambda done, total: context.progress(done, total, "encoding captions"),
        )
    tell_cut(texts, context)
    features = texts.to(context.device).features
    assert features is not None
    return Fixed(features.take, texts.numbers, EMPTY, context.device)


def learned_captions(dataset: Dataset, clip: Clip, network: CLIPText, context: Context) -> Encoded:
    """The captions' tokens as a text encoder makes them that learns along."""
    text = clip.encoder
    assert text is not None
    texts = Texts.of(dataset, text)
    tell_cut(texts, context)

    def encode(module: nn.Module, ids: Tensor) -> Tensor:
        hidden: Tensor = module(ids, skip=text.config.default_skip).hidden
        return hidden

    ids = texts.ids.to(context.device)
    return Encoded("text", network, ids, texts.numbers, ids[EMPTY], encode, context.device)


def tell_cut(texts: Texts, context: Context) -> None:
    if texts.cut:
        context.warn(
            f"{len(texts.cut)} captions are longer than the text encoder reads and were cut off, "
            f"the first: {texts.cut[0]!r}"
        )


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where a trained UNet, and a text encoder trained along with it, are written to and read."""

    path: Path
    model: Model
    clip: Clip | None
    context: Context

    def write(self, unet: UNet, text: CLIPText | None, stored: Stored) -> None:
        declared = declared_of(self.model, self.context)
        save_original(self.path, declared, unet=unet, text=text, dtype=DTYPES[stored])

    def read(self) -> tuple[Model, Clip]:
        """Handles of the trained parts, used as those they were made from."""
        info = inspect(self.path)
        model = replace(self.model, source=as_model(info, self.context).source)
        if self.clip is None:
            return model, Clip(AbsentPart("this model was trained without a text encoder"), None)
        if "text" not in info.parts:
            return model, self.clip
        return model, replace(self.clip, source=as_clip(info, self.context).source)


def same_width(model: Model, condition: Conditioner | None) -> None:
    """Raises NodeGraphError where a network reads tokens and nobody gives any, or the reverse."""
    if model.context is not None and condition is None:
        raise NodeGraphError(
            f"the model reads tokens {model.context} wide: connect a text encoder (clip) or a "
            "condition encoder"
        )
    if model.context is None and condition is not None:
        raise NodeGraphError("the model reads no tokens: leave clip and encoder unconnected")
