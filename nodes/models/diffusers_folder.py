"""Reading a folder in diffusers' layout: model_index.json, and a folder for each part.

    unet/config.json, unet/diffusion_pytorch_model.safetensors    (vae/ likewise)
    text_encoder/config.json, text_encoder/model.safetensors
    scheduler/scheduler_config.json, tokenizer/tokenizer_config.json, tokenizer/vocab.json

A weight file may come in a variant (`.fp16` before the ending), in shards with an index, or, on
request, as a pickle (`.bin`). One part's folder alone can be read as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from . import clip_config, keys_unet, keys_vae
from .checkpoint_metadata import PREDICTIONS, SCHEDULES, BetaSchedule, Declared
from .checkpoint_part import PARTS, Config, Part, PartInfo, locate
from .checkpoint_reading import Contents, Hints, read_part
from .errors import ArchitectureError, CheckpointError
from .weights import open_weights

FOLDERS: Mapping[str, Part] = {"unet": "unet", "text_encoder": "text", "vae": "vae"}
CLASSES: Mapping[str, Part] = {
    "UNet2DConditionModel": "unet",
    "AutoencoderKL": "vae",
    "CLIPTextModel": "text",
    "CLIPTextModelWithProjection": "text",
}
STEMS: Mapping[Part, tuple[str, ...]] = {
    "unet": ("diffusion_pytorch_model",),
    "vae": ("diffusion_pytorch_model",),
    "text": ("model", "pytorch_model"),
}
PATTERNS = (  # in order of preference: full precision before variants, pickles last
    "{stem}.safetensors",
    "{stem}.safetensors.index.json",
    "{stem}.safetensors.index.*.json",
    "{stem}.*.safetensors",
    "{stem}.bin",
    "{stem}.bin.index.json",
    "{stem}.bin.index.*.json",
    "{stem}.*.bin",
)
# What a scheduler of diffusers assumes where its file is silent.
SILENT = {
    "prediction_type": "epsilon",
    "beta_schedule": "linear",
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "num_train_timesteps": 1000,
}
K = TypeVar("K", bound=str)


def is_folder(path: Path) -> bool:
    """Whether `path` is a diffusers pipeline, or one part of one."""
    return (path / "model_index.json").is_file() or (path / "config.json").is_file()


def read_folder(path: Path, *, ckpt: bool = False) -> Contents:
    """Read the headers and the JSON files of a folder. Raises CheckpointError naming the file."""
    if not is_folder(path):
        raise CheckpointError(
            path, "is a folder without model_index.json: no checkpoint in diffusers' layout"
        )
    if not (path / "model_index.json").is_file():
        return _single(path, ckpt)
    index = read_json(path / "model_index.json")
    if (path / "text_encoder_2").is_dir() or (path / "transformer").is_dir():
        raise CheckpointError(
            path, f"is a {index.get('_class_name')}: only Stable Diffusion 1 and 2 can be read"
        )
    folders = {part: path / name for name, part in FOLDERS.items() if (path / name).is_dir()}
    if not folders:
        raise CheckpointError(path, f"has none of the folders {', '.join(FOLDERS)}")
    parts = {part: _part(folder, part, ckpt) for part, folder in folders.items()}
    return Contents("diffusers", parts, _declared(path))


def part_class(config: Mapping[str, Any]) -> Part | None:
    """Which part a config.json describes, or None."""
    names = [config.get("_class_name"), *(config.get("architectures") or ())]
    return next((CLASSES[name] for name in names if name in CLASSES), None)


def read_config(path: Path, part: Part, pad_token: int | None = None) -> Config:
    """The architecture a part's config.json describes. Raises CheckpointError."""
    found = read_json(path)
    if part_class(found) != part:
        kind = found.get("_class_name") or found.get("architectures")
        raise CheckpointError(path, f"describes a {kind}, which is no {PARTS[part]} known here")
    readers: Mapping[Part, Callable[[], Config]] = {
        "unet": lambda: keys_unet.config_from_diffusers(found),
        "vae": lambda: keys_vae.config_from_diffusers(found),
        "text": lambda: clip_config.config_from_diffusers(found, pad_token=pad_token),
    }
    try:
        return readers[part]()
    except ArchitectureError as error:
        raise CheckpointError(path, str(error)) from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises CheckpointError."""
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(path, f"is damaged, no valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise CheckpointError(path, "is damaged: expected a JSON object")
    return found


def _single(folder: Path, ckpt: bool) -> Contents:
    part = part_class(read_json(folder / "config.json"))
    if part is None:
        raise CheckpointError(
            folder / "config.json", f"describes none of {', '.join(CLASSES)}: no part known here"
        )
    scale = _scale(folder) if part == "vae" else None
    return Contents("diffusers", {part: _part(folder, part, ckpt)}, Declared(scale_factor=scale))


def _part(folder: Path, part: Part, ckpt: bool) -> PartInfo:
    pad_token = _pad_token(folder.parent / "tokenizer") if part == "text" else None
    config = read_config(folder / "config.json", part, pad_token)
    file = open_weights(_weight_file(folder, part), ckpt=ckpt)
    location = locate(file.tensors, part)
    if location is None:
        raise CheckpointError(file.path, f"holds no {PARTS[part]}")
    return read_part(file, location, Hints(config=config))


def _weight_file(folder: Path, part: Part) -> Path:
    for pattern in PATTERNS:
        for stem in STEMS[part]:
            if found := sorted(folder.glob(pattern.format(stem=stem))):
                return found[0]
    raise CheckpointError(folder, f"has no {' or '.join(STEMS[part])}.safetensors")


def _declared(path: Path) -> Declared:
    scale = _scale(path / "vae") if (path / "vae").is_dir() else None
    scheduler = path / "scheduler" / "scheduler_config.json"
    if not scheduler.is_file():
        return Declared(scale_factor=scale)
    found = {**SILENT, **read_json(scheduler)}
    return Declared(
        prediction=_known(scheduler, found, "prediction_type", PREDICTIONS),
        schedule=_schedule(scheduler, found),
        zero_terminal=found.get("rescale_betas_zero_snr") is True,
        scale_factor=scale,
    )


def _schedule(scheduler: Path, found: Mapping[str, Any]) -> BetaSchedule:
    kind = _known(scheduler, found, "beta_schedule", SCHEDULES)
    if found.get("trained_betas") is not None:
        raise CheckpointError(scheduler, "has trained_betas, which are not supported")
    numbers = [found[name] for name in ("beta_start", "beta_end", "num_train_timesteps")]
    try:
        return BetaSchedule(kind, float(numbers[0]), float(numbers[1]), int(numbers[2]))
    except (TypeError, ValueError) as error:
        raise CheckpointError(scheduler, f"has a bad schedule: {error}") from error


def _known(scheduler: Path, found: Mapping[str, Any], name: str, known: Mapping[str, K]) -> K:
    if found[name] not in known:
        raise CheckpointError(
            scheduler, f"has {name} = {found[name]!r}; expected one of {', '.join(known)}"
        )
    return known[found[name]]


def _scale(vae: Path) -> float | None:
    scale = read_json(vae / "config.json").get("scaling_factor")
    return float(scale) if isinstance(scale, (int, float)) and scale > 0 else None


def _pad_token(tokenizer: Path) -> int | None:
    """The number of the token prompts are padded with; None where the tokenizer does not say."""
    settings, vocabulary = tokenizer / "tokenizer_config.json", tokenizer / "vocab.json"
    if not settings.is_file() or not vocabulary.is_file():
        return None
    token = read_json(settings).get("pad_token")
    text = token.get("content") if isinstance(token, dict) else token
    number = read_json(vocabulary).get(str(text))
    return number if isinstance(number, int) else None
