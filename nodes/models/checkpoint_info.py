"""What a checkpoint holds: its parts, and how its diffusion was trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from .checkpoint_metadata import BetaSchedule, Declared, PredictionKind
from .checkpoint_part import PARTS, Part, PartInfo
from .checkpoint_reading import Contents
from .class_table import ClassTable
from .clip_config import CLIPConfig, Family
from .diffusers_folder import read_folder
from .errors import CheckpointError
from .key_map import NO_MAPS, KeyMap
from .single_file import read_file
from .unet_config import UNetConfig
from .vae import VAEConfig

DecidedBy = Literal["user", "metadata", "inpainting", "depth", "statistic", "family"]

SCALE = 0.18215  # of the latents of Stable Diffusion 1 and 2
FACTOR = 8  # pixels per latent cell, where there is no VAE to tell
# Stable Diffusion 2's eps and v networks have equal shapes; this bias is known to tell them apart.
TELLTALE = "output_blocks.11.1.transformer_blocks.0.norm1.bias"
V_SPREAD = 0.09  # its standard deviation is above this in v networks


@dataclass(frozen=True, eq=False)
class CheckpointInfo:
    """A checkpoint, inspected.

    `scale_factor` is what latents are multiplied by before the network sees them.
    `zero_terminal` asks for a schedule that ends in pure noise (arXiv:2305.08891). `unknown` are
    the file's tensors that belong to no part; `notes` what a user should be told. `classes` are
    those of the UNet; None where it has none.
    """

    path: Path
    layout: Literal["original", "diffusers"]
    family: Family | None  # None for an autoencoder alone, which the families share
    parts: Mapping[Part, PartInfo]
    prediction: PredictionKind
    decided_by: DecidedBy
    schedule: BetaSchedule
    zero_terminal: bool
    scale_factor: float
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    classes: ClassTable | None = None

    @property
    def unet(self) -> UNetConfig | None:
        return _unet(self.parts)

    @property
    def text(self) -> CLIPConfig | None:
        return _text(self.parts)

    @property
    def vae(self) -> VAEConfig | None:
        config = self.parts["vae"].config if "vae" in self.parts else None
        return config if isinstance(config, VAEConfig) else None

    @property
    def inpainting(self) -> bool:
        """Whether the UNet also reads a mask and the masked picture's latents."""
        return _inpaints(self.unet)

    @property
    def factor(self) -> int:
        """Pixels per latent cell, along each side; 8 where there is no VAE to tell."""
        return FACTOR if self.vae is None else self.vae.factor

    @property
    def declared(self) -> Declared:
        """What there is to say of it besides shapes, for saving it again."""
        return Declared(
            self.family,
            self.prediction,
            self.schedule,
            self.zero_terminal,
            self.scale_factor,
            classes=self.classes,
        )

    @property
    def dtype(self) -> torch.dtype:
        """What most of the first part (UNet, text encoder, VAE) is stored in."""
        return next(self.parts[part].dtype for part in PARTS if part in self.parts)


def inspect(
    path: Path,
    *,
    ckpt: bool = False,
    prediction: PredictionKind | None = None,
    family: Family | None = None,
    maps: Mapping[str, KeyMap] = NO_MAPS,
) -> CheckpointInfo:
    """Read what a checkpoint file, a diffusers folder, or a file of one part holds.

    Headers alone are read, and one tensor where only its statistic tells eps from v. `prediction`
    and `family` are the user's word and count most; then come metadata, the rule that inpainting
    and depth networks predict eps, the statistic, and what is usual. `ckpt` allows pickles;
    `maps` are further layouts of a file's names.
    Raises CheckpointError naming the file and what is wrong with it.
    """
    if path.is_dir():
        contents = read_folder(path, ckpt=ckpt)
    else:
        contents = read_file(path, ckpt=ckpt, family=family, maps=maps)
    _require_fitting(path, contents.parts)
    declared = contents.declared
    chosen = family or declared.family or _usual_family(contents.parts)
    kind, decided_by = _prediction(contents, chosen, prediction)
    notes = []
    if prediction and declared.prediction and prediction != declared.prediction:
        notes.append(
            f"{path.name} says that it predicts {declared.prediction}; "
            f"{prediction} is taken, as asked for"
        )
    return CheckpointInfo(
        path=path,
        layout=contents.layout,
        family=chosen,
        parts=contents.parts,
        prediction=kind,
        decided_by=decided_by,
        schedule=declared.schedule or BetaSchedule(),
        zero_terminal=declared.zero_terminal,
        scale_factor=declared.scale_factor or SCALE,
        unknown=contents.unknown,
        notes=tuple(notes),
        classes=_classes(path, _unet(contents.parts), declared.classes),
    )


def _prediction(
    contents: Contents, family: Family | None, asked: PredictionKind | None
) -> tuple[PredictionKind, DecidedBy]:
    if asked:
        return asked, "user"
    if contents.declared.prediction:
        return contents.declared.prediction, "metadata"
    if _inpaints(_unet(contents.parts)):
        return "eps", "inpainting"
    if _sees_depth(_unet(contents.parts)):
        return "eps", "depth"
    unet = contents.parts.get("unet")
    if family == "sd2" and unet is not None and TELLTALE in unet.sources:
        spread = unet.file.read(unet.sources[TELLTALE].name).float().std().item()
        return ("v" if spread > V_SPREAD else "eps"), "statistic"
    return "eps", "family"


def _classes(path: Path, unet: UNetConfig | None, said: ClassTable | None) -> ClassTable | None:
    """What the rows of the class embedding stand for; each a class, where nothing says more."""
    if unet is None or unet.num_classes is None:
        return None
    if said is not None and said.rows != unet.num_classes:
        raise CheckpointError(
            path,
            f"its metadata tell of {said.rows} rows in the class embedding, which has "
            f"{unet.num_classes}",
        )
    return said or ClassTable(unet.num_classes)


def _usual_family(parts: Mapping[Part, PartInfo]) -> Family | None:
    if unet := _unet(parts):
        return "sd2" if unet.use_linear_projection else "sd1"
    if text := _text(parts):
        return "sd2" if text.activation == "gelu" else "sd1"
    return None


def _require_fitting(path: Path, parts: Mapping[Part, PartInfo]) -> None:
    unet, text = _unet(parts), _text(parts)
    if unet and text and unet.context_dim != text.width:
        raise CheckpointError(
            path,
            f"its parts do not fit together: the UNet reads tokens {unet.context_dim} wide, "
            f"and the text encoder makes them {text.width} wide",
        )


def _inpaints(unet: UNetConfig | None) -> bool:
    """x, a mask, and the masked picture's latents: 2C + 1 channels in, C out."""
    return unet is not None and unet.in_channels == 2 * unet.out_channels + 1


def _sees_depth(unet: UNetConfig | None) -> bool:
    """x and a depth map: C + 1 channels in, C out."""
    return unet is not None and unet.in_channels == unet.out_channels + 1


def _unet(parts: Mapping[Part, PartInfo]) -> UNetConfig | None:
    config = parts["unet"].config if "unet" in parts else None
    return config if isinstance(config, UNetConfig) else None


def _text(parts: Mapping[Part, PartInfo]) -> CLIPConfig | None:
    config = parts["text"].config if "text" in parts else None
    return config if isinstance(config, CLIPConfig) else None
