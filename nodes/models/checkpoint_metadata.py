"""What a checkpoint's metadata says that its shapes cannot show.

Keys this package writes and reads, in a safetensors file's `__metadata__` (all values are strings):

* `nodegraph.family`         "sd1" or "sd2"
* `nodegraph.prediction`     "eps", "v" or "x0": what the network's output stands for
* `nodegraph.schedule`       JSON {"kind", "start", "end", "steps"}: the β it was trained with
* `nodegraph.zero_terminal`  "true": the schedule was rescaled to end in pure noise
* `nodegraph.latent_scale`   what latents are multiplied by before the network sees them
* `nodegraph.unet`           JSON {"num_heads"} or {"head_channels"}
* `nodegraph.text`           JSON of the fields of CLIPConfig in `TEXT_FIELDS`
* `nodegraph.classes`        JSON of the fields of ClassTable: what rows of `label_emb` stand for

Read as well, where ours are silent: `modelspec.prediction_type`, then tensors named `v_pred` and
`ztsnr`, which other programs leave as marks, then `modelspec.architecture`
(github.com/Stability-AI/ModelSpec).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Literal, get_args

from .class_table import ClassTable
from .clip_config import Activation, CLIPConfig, Family
from .errors import ArchitectureError, CheckpointError
from .unet_config import UNetConfig

PredictionKind = Literal["eps", "v", "x0"]
ScheduleKind = Literal["scaled_linear", "linear", "cosine"]

PREFIX = "nodegraph."
PREDICTIONS: Mapping[str, PredictionKind] = {
    "eps": "eps",
    "epsilon": "eps",
    "v": "v",
    "v_prediction": "v",
    "v-prediction": "v",
    "velocity": "v",
    "x0": "x0",
    "sample": "x0",
}
MODELSPEC_NAMES: Mapping[PredictionKind, str] = {"eps": "epsilon", "v": "v"}  # it knows no x0
SCHEDULES: Mapping[str, ScheduleKind] = {
    "scaled_linear": "scaled_linear",
    "linear": "linear",
    "cosine": "cosine",
    "squaredcos_cap_v2": "cosine",
}
FAMILIES: Mapping[str, Family] = {"sd1": "sd1", "sd2": "sd2"}
ARCHITECTURES: Mapping[str, tuple[Family, PredictionKind | None]] = {
    "stable-diffusion-v1": ("sd1", None),
    "stable-diffusion-v2-512": ("sd2", "eps"),
    "stable-diffusion-v2-768-v": ("sd2", "v"),
}
ACTIVATIONS = get_args(Activation)
TEXT_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "heads": int,
    "activation": str,
    "pad_token": int,
    "start_token": int,
    "end_token": int,
    "default_skip": int,
    "dropped_layers": int,
    "norm_eps": float,
}
UNET_FIELDS: Mapping[str, type | tuple[type, ...]] = {"num_heads": int, "head_channels": int}
SCHEDULE_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "kind": str,
    "start": (int, float),
    "end": (int, float),
    "steps": int,
}


@dataclass(frozen=True)
class BetaSchedule:
    """β_1 to β_T over `steps` steps: linear in √β ("scaled_linear") or in β, or the cosine one."""

    kind: ScheduleKind = "scaled_linear"
    start: float = 0.00085
    end: float = 0.012
    steps: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.start <= self.end < 1 or self.steps < 2:
            raise ValueError(
                f"a schedule from β {self.start} to {self.end} in {self.steps} steps: expected "
                "0 < start <= end < 1 and at least 2 steps"
            )


@dataclass(frozen=True)
class Declared:
    """What a file or folder states outright; None and {} where it is silent."""

    family: Family | None = None
    prediction: PredictionKind | None = None
    schedule: BetaSchedule | None = None
    zero_terminal: bool = False
    scale_factor: float | None = None
    unet: Mapping[str, Any] = field(default_factory=dict)
    text: Mapping[str, Any] = field(default_factory=dict)
    # Untrained networks without classes are files named by this object's repr.
    classes: ClassTable | None = field(default=None, repr=False)


def read_metadata(path: Path, metadata: Mapping[str, str], names: Collection[str]) -> Declared:
    """What `metadata`, and marks among the tensor `names`, declare.

    Raises CheckpointError naming the key of ours that cannot be read; of a foreign key a value
    that is not understood is passed over.
    """
    ours = {k.removeprefix(PREFIX): v for k, v in metadata.items() if k.startswith(PREFIX)}
    family, prediction = ARCHITECTURES.get(metadata.get("modelspec.architecture", ""), (None, None))
    if "v_pred" in names:
        prediction = "v"
    prediction = PREDICTIONS.get(metadata.get("modelspec.prediction_type", ""), prediction)
    return Declared(
        family=_one_of(path, ours, "family", FAMILIES) or family,
        prediction=_one_of(path, ours, "prediction", PREDICTIONS) or prediction,
        schedule=_schedule(path, ours),
        zero_terminal=ours.get("zero_terminal") == "true" or "ztsnr" in names,
        scale_factor=_scale(path, ours),
        unet=_table(path, ours, "unet", UNET_FIELDS),
        text=_table(path, ours, "text", TEXT_FIELDS),
        classes=_classes(path, ours),
    )


def write_metadata(
    declared: Declared, unet: UNetConfig | None, text: CLIPConfig | None
) -> dict[str, str]:
    """The metadata that `read_metadata` reads back, heads and text settings from the configs."""
    found: dict[str, str | None] = {
        "family": declared.family,
        "prediction": declared.prediction,
        "schedule": json.dumps(asdict(declared.schedule)) if declared.schedule else None,
        "zero_terminal": "true" if declared.zero_terminal else None,
        "latent_scale": None if declared.scale_factor is None else repr(declared.scale_factor),
        "unet": _fields(unet, UNET_FIELDS),
        "text": _fields(text, TEXT_FIELDS),
        "classes": _class_fields(declared.classes, unet),
    }
    metadata = {PREFIX + name: value for name, value in found.items() if value is not None}
    if declared.prediction is not None and declared.prediction in MODELSPEC_NAMES:
        metadata["modelspec.prediction_type"] = MODELSPEC_NAMES[declared.prediction]
    return metadata


def _fields(config: Any, names: Collection[str]) -> str | None:
    if config is None:
        return None
    values = {name: getattr(config, name) for name in names}
    return json.dumps({name: value for name, value in values.items() if value is not None})


def _class_fields(classes: ClassTable | None, unet: UNetConfig | None) -> str | None:
    if classes is None or unet is None or unet.num_classes != classes.rows:
        return None
    return json.dumps(asdict(classes))


def _classes(path: Path, ours: Mapping[str, str]) -> ClassTable | None:
    if "classes" not in ours:
        return None
    try:
        found = json.loads(ours["classes"])
        classes, names, null = found["classes"], found["names"], found["null"]
        plain = type(classes) is int and isinstance(names, list) and isinstance(null, bool)
        if not plain or not all(isinstance(name, str) for name in names):
            raise ValueError("expected a number, a list of texts, and true or false")
        return ClassTable(classes, tuple(names), null)
    except (ValueError, KeyError, TypeError, RecursionError, ArchitectureError) as error:
        raise CheckpointError(path, f"has a bad {PREFIX}classes: {error}") from error


def _one_of(path: Path, ours: Mapping[str, str], name: str, known: Mapping[str, Any]) -> Any:
    if name in ours and ours[name] not in known:
        raise CheckpointError(
            path, f"has {PREFIX}{name} = {ours[name]!r}; expected one of {', '.join(known)}"
        )
    return known.get(ours.get(name, ""))


def _schedule(path: Path, ours: Mapping[str, str]) -> BetaSchedule | None:
    table = _table(path, ours, "schedule", SCHEDULE_FIELDS)
    if not table:
        return None
    if table.setdefault("kind", "scaled_linear") not in SCHEDULES:
        raise CheckpointError(
            path,
            f"has a schedule of kind {table['kind']!r}; expected one of {', '.join(SCHEDULES)}",
        )
    try:
        return BetaSchedule(**{**table, "kind": SCHEDULES[table["kind"]]})
    except ValueError as error:
        raise CheckpointError(path, f"has a bad {PREFIX}schedule: {error}") from error


def _scale(path: Path, ours: Mapping[str, str]) -> float | None:
    if "latent_scale" not in ours:
        return None
    try:
        scale = float(ours["latent_scale"])
    except ValueError:
        scale = 0.0
    if not isfinite(scale) or scale <= 0:
        raise CheckpointError(
            path, f"has {PREFIX}latent_scale = {ours['latent_scale']!r}; expected a number above 0"
        )
    return scale


def _table(
    path: Path,
    ours: Mapping[str, str],
    name: str,
    fields: Mapping[str, type | tuple[type, ...]],
) -> dict[str, Any]:
    """The fields of `fields` in the JSON object at key `name`; other fields are passed over."""
    try:
        found = json.loads(ours.get(name, "{}"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(path, f"has a {PREFIX}{name} that is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise CheckpointError(path, f"has a {PREFIX}{name} that is no JSON object")
    for key, kinds in fields.items():
        if key in found and (not isinstance(found[key], kinds) or isinstance(found[key], bool)):
            raise CheckpointError(path, f"has {PREFIX}{name} with {key} = {found[key]!r}")
    if found.get("activation", ACTIVATIONS[0]) not in ACTIVATIONS:
        raise CheckpointError(
            path,
            f"has {PREFIX}{name} with activation {found['activation']!r}; "
            f"expected one of {', '.join(ACTIVATIONS)}",
        )
    return {key: found[key] for key in fields if key in found}
