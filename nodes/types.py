"""What travels between the nodes, and the port types' names, colours and ways to disk.

IMAGE         float32 (B, H, W, C) in [0, 1], on the host
MASK          float32 (B, H, W) in [0, 1]
LATENT        a Latent: samples (B, C, h, w) as the VAE made them, mask, batch index
CONDITIONING  a Conditioning: entries of tokens with their weights and ranges
SIGMAS        float32 (n + 1,), noise levels, descending
SAMPLER       a Sampler: its name and options
DATASET       a Dataset: pictures with captions, by their files; see nodes.training.dataset
CLIP_VISION_OUTPUT  a ClipVisionOutput: what an image encoder makes of pictures
MODEL, CLIP, VAE, CONTROL_NET, CLIP_VISION, CONDITION_ENCODER
              handles: where the weights come from and how they are used
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NewType

import torch
from torch import Tensor

from nodegraph import ModelSource, PortType, structural
from nodes.diffusion.prediction import ModelSampling
from nodes.models.class_table import ClassTable
from nodes.models.encoders import EncoderConfig
from nodes.models.text import TextEncoder
from nodes.training.dataset import Dataset
from nodes.tweaks import AT_REST, Tweaks

Image = NewType("Image", Tensor)
Mask = NewType("Mask", Tensor)
Sigmas = NewType("Sigmas", Tensor)

FACTOR = 8  # pixels per latent cell of SD's VAE, and of a latent whose model nobody knows yet
CHANNELS = 4


@dataclass(frozen=True, eq=False)
class Latent:
    """A batch of latents.

    samples:     (B, C, h, w), in the VAE's own scale.
    noise_mask:  (B or 1, 1, H, W), where it is made anew (1) and kept (0); any size.
    batch_index: which draw of the seed's noise each image takes; None: 0, 1, 2 ...
    factor:      pixels per latent cell.
    pixels:      (width, height) of an empty latent, which the sampler shapes for its model;
                 None once something has been put in.
    """

    samples: Tensor
    noise_mask: Tensor | None = None
    batch_index: tuple[int, ...] | None = None
    factor: int = FACTOR
    pixels: tuple[int, int] | None = None

    @classmethod
    def empty(cls, width: int, height: int, batch: int) -> Latent:
        """Zeros for pictures of the given size in pixels."""
        shape = (batch, CHANNELS, height // FACTOR, width // FACTOR)
        return cls(torch.zeros(shape), pixels=(width, height))

    def with_samples(self, samples: Tensor, **changes: Any) -> Latent:
        """The same latent with other samples; it is no longer empty."""
        return replace(self, samples=samples, pixels=None, **changes)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        height, width = self.samples.shape[-2:]
        return self.pixels or (width * self.factor, height * self.factor)


@dataclass(frozen=True, eq=False)
class Attached:
    """Something that acts on the network wherever an entry of conditioning is used.

    kind:   its name at the extension point "conditioning_kinds"; see `nodes.kinds`.
    data:   what that kind needs, frozen: tensors, plain data and handles of models. Plain tuples
            and dicts go to disk with the entry; an entry with data of another class is made again.
    shared: it acts on the sides that the positive one is held against as well, where none of their
            entries carries its kind.
    """

    kind: str
    data: Any
    shared: bool = False


@dataclass(frozen=True)
class Area:
    """A rectangle of a picture: its size, and the place of its corner at the top left.

    In pixels; with `shares`, in shares of the picture's width and height.
    """

    width: float
    height: float
    x: float = 0.0
    y: float = 0.0
    shares: bool = False


@dataclass(frozen=True, eq=False)
class Condition:
    """One entry of conditioning.

    context:  (1 or B, L, D) tokens for cross-attention; None for a network without it.
    pooled:   (1 or B, D), where there is one.
    strength: its weight among the entries. mask: (B, H, W), where it counts.
    start, end: shares of the sampling in [0, 1] between which it is active.
    kept, hole: what an inpainting network sees next to the latent: (B, C, h, w), the latent of the
              picture without the part to be made, as the VAE made it, and (B, 1, H, W), 1 in that
              part, of any size. Both or neither.
    attached: what else it does to the network: ControlNets, and what plugins think of.
    area:     the part of the picture that it sees and counts in; None: all of it.
    within_mask: the smallest rectangle around the mask is its area, whatever `area` says.
    depth:    (B, 1, H, W), larger is nearer, of any size and range; for networks that see a depth
              map next to the latent.
    edited:   (B, C, h, w), the latent of the picture to be edited, as the VAE made it; for networks
              that see one next to the latent. None: no picture, zeros.
    origin:   what made the tokens, for messages; nothing for a text encoder.
    label:    (1 or B,) class numbers for a network with classes; None: nothing is said of a class.
    """

    context: Tensor | None
    pooled: Tensor | None = None
    strength: float = 1.0
    mask: Tensor | None = None
    mask_strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    kept: Tensor | None = None
    hole: Tensor | None = None
    attached: tuple[Attached, ...] = ()
    area: Area | None = None
    within_mask: bool = False
    depth: Tensor | None = None
    edited: Tensor | None = None
    origin: str = ""
    label: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Conditioning:
    """What a sampler is asked to show: one or several entries, averaged by their weights."""

    entries: tuple[Condition, ...]


@dataclass(frozen=True)
class Sampler:
    """A sampling method by name, with options as the table of samplers understands them.

    clipping:  "none", "clip" (x0 to [-1, 1]) or "dynamic" (thresholding by percentile).
    spacing:   "given" takes the noise levels as they come; "leading", "linspace" and "trailing"
               replace them by as many training times, spaced that way.
    """

    name: str
    options: tuple[tuple[str, Any], ...] = ()
    clipping: str = "none"
    percentile: float = 0.995
    spacing: str = "given"


@dataclass(frozen=True, eq=False)
class Model:
    """A diffusion network, to be leased from the model manager.

    source:   where its weights come from. sampling: its noise levels and what it predicts.
    scale:    latents are multiplied by it before the network sees them (SD 1 and 2: 0.18215).
    channels: latent channels; inputs: channels the network takes (9 for inpainting).
    factor:   pixels per latent cell. context: width of the tokens it attends to, None for none.
    companion: the VAE of the same file, as it runs on the host; previews are made with it. None
               where there is none, which does no harm.
    skips:    (channels, how often halved) of each of its skip connections; () where unknown.
    tweaks:   how it is used differently, with the weights it has.
    classes:  those it draws by number; None where it has none.
    vector:   width of the vector that it reads beside the tokens; None for none.
    """

    source: ModelSource
    sampling: ModelSampling
    scale: float
    channels: int
    inputs: int
    factor: int
    context: int | None
    family: str = ""
    companion: ModelSource | None = None
    skips: tuple[tuple[int, int], ...] = ()
    tweaks: Tweaks = AT_REST
    classes: ClassTable | None = None
    vector: int | None = None


@dataclass(frozen=True, eq=False)
class ControlNet:
    """A network that lets a picture steer a diffusion network of the same family, to be leased.

    channels: of the latent it sees; hint: of the picture it is shown.
    context:  width of the tokens it attends to, None for none.
    skips:    (channels, how often halved) of each skip connection that it adds to.
    name:     of its file, for messages.
    guess:    guess mode: it acts on the positive side alone, and less on what is finer.
    """

    source: ModelSource
    channels: int
    hint: int
    context: int | None
    skips: tuple[tuple[int, int], ...]
    name: str = ""
    guess: bool = False


@dataclass(frozen=True, eq=False)
class Clip:
    """A text encoder, to be leased.

    encoder: all of it but the weights; None only where `source` is an absent part.
    skip:    the layer it stops at; None: as its family does.
    device:  where it is to run; None: where the graph runs.
    """

    source: ModelSource
    encoder: TextEncoder | None
    skip: int | None = None
    device: str | None = None


@dataclass(frozen=True, eq=False)
class Vae:
    """An autoencoder, to be leased; `source` None is the identity of models trained on pixels.

    factor: pixels per latent cell. channels: of its latents.
    """

    source: ModelSource | None
    factor: int = FACTOR
    channels: int = CHANNELS


@dataclass(frozen=True, eq=False)
class ClipVision:
    """An image encoder of CLIP, to be leased.

    size:      side of the square pictures it sees, in pixels. tokens: how many it makes of one,
               the class token among them. width: of its tokens. embedding: of its embeddings.
    """

    source: ModelSource
    size: int
    tokens: int
    width: int
    embedding: int


@dataclass(frozen=True, eq=False)
class ClipVisionOutput:
    """What an image encoder makes of B pictures, float32 on the host.

    image_embeds:              (B, E), in the space that texts are embedded in as well.
    last_hidden_state:         (B, N, D), a class token and a token per patch, row by row.
    penultimate_hidden_states: (B, N, D), the same a layer earlier.
    """

    image_embeds: Tensor
    last_hidden_state: Tensor
    penultimate_hidden_states: Tensor


@dataclass(frozen=True, eq=False)
class ConditionEncoder:
    """A network that gives tokens for inputs of some kind, to be leased.

    kind:   its name at the extension point "condition_encoders"; see `nodes.models.encoders`.
    config: the kind's configuration. name: of its file, for messages.
    """

    kind: str
    source: ModelSource
    config: EncoderConfig
    name: str = ""

    def __str__(self) -> str:
        return f"the condition encoder {self.name!r} ({self.kind})"


_TENSOR = structural()

IMAGE = PortType("IMAGE", Image, color="#64b5f6", codec=_TENSOR)
MASK = PortType("MASK", Mask, color="#81c784", codec=_TENSOR)
LATENT = PortType("LATENT", Latent, color="#ff9cf9", codec=structural(Latent))
CONDITIONING = PortType(
    "CONDITIONING",
    Conditioning,
    color="#ffa931",
    codec=structural(Conditioning, Condition, Attached, Area),
)
SIGMAS = PortType("SIGMAS", Sigmas, color="#cdffcd", codec=_TENSOR)
SAMPLER = PortType("SAMPLER", Sampler, color="#b0b0b0", codec=structural(Sampler))
MODEL = PortType("MODEL", Model, color="#b39ddb")
CLIP = PortType("CLIP", Clip, color="#ffd500")
VAE = PortType("VAE", Vae, color="#ff6e6e")
DATASET = PortType("DATASET", Dataset, color="#c9a26d")
CONTROL_NET = PortType("CONTROL_NET", ControlNet, color="#6ee7b7")
CLIP_VISION = PortType("CLIP_VISION", ClipVision, color="#a8dadc")
CLIP_VISION_OUTPUT = PortType(
    "CLIP_VISION_OUTPUT", ClipVisionOutput, color="#ad7452", codec=structural(ClipVisionOutput)
)
CONDITION_ENCODER = PortType("CONDITION_ENCODER", ConditionEncoder, color="#e6a0c4")
