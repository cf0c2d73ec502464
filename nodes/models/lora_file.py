"""Files of LoRA and its kin: which modules they change, and how each change is stored.

A tensor's name is a module's name and a role. Roles in the formats known here:

    up, down       lora_up lora_down . lora.up lora.down . lora_linear_layer.up .down
                   (kohya, diffusers) . lora_B lora_A (PEFT, with or without an adapter's name)
                   . processor.to_q_lora.up (diffusers before 0.22)
    mid            lora_mid                                        (LyCORIS, convolutions)
    hada_*, lokr_* the factors of LoHa and LoKr                    (LyCORIS)
    oft_blocks     what OFT's rotations are made of; rescale: lengths of rows (kohya, LyCORIS);
                   alpha is then the limit of all of them together, per row
    diff, diff_b   whole differences of weight and bias; w_norm, b_norm likewise
    alpha          a number; dora_scale, lora_magnitude_vector: DoRA's m
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from torch import Tensor

from .adapters import (
    PLAIN,
    Adapter,
    Full,
    Hadamard,
    Kronecker,
    LowRank,
    Orthogonal,
    Scale,
    composed,
)
from .checkpoint_part import PARTS, locate
from .errors import CheckpointError
from .key_map import NO_MAPS, KeyMap, renamed
from .weights import WeightFile, open_weights

Read = Callable[[str], Tensor]

ADAPTER = r"(?:\.(?!weight$)\w+)?"  # the name PEFT may give an adapter
ROLES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), role)
    for pattern, role in (
        (rf"\.(?:lora_up|lora\.up|lora_linear_layer\.up|lora_B{ADAPTER})\.weight$", "up"),
        (rf"\.(?:lora_down|lora\.down|lora_linear_layer\.down|lora_A{ADAPTER})\.weight$", "down"),
        (r"_lora\.up\.weight$", "up"),
        (r"_lora\.down\.weight$", "down"),
        (r"\.lora_mid\.weight$", "mid"),
        (r"\.alpha$", "alpha"),
        (r"\.dora_scale$", "dora_scale"),
        (rf"\.lora_magnitude_vector{ADAPTER}(?:\.weight)?$", "magnitude"),
        (r"\.(?:diff|w_norm)$", "diff"),
        (r"\.(?:diff_b|b_norm)$", "diff_b"),
    )
)
FACTORS = re.compile(
    r"\.((?:hada_(?:w[12]_[ab]|t[12]))|(?:lokr_(?:w[12](?:_[ab])?|t2))|oft_blocks|rescale)$"
)  # whose role is their own name
PROCESSOR = re.compile(r"\.processor\.(to_[qkv]|to_out)$")
LOW_RANK = ("up", "down")
LOHA = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
OFT, OFT_DIMENSIONS = "oft_blocks", 3  # with four it is BOFT, which is not read
METADATA = "lora_adapter_metadata"  # what diffusers writes of PEFT's settings, as JSON
SHOWN = 3


@dataclass(frozen=True)
class LoraModule:
    """What a file holds for one module: role -> the tensor's name."""

    name: str
    roles: Mapping[str, str]
    scale: Scale = PLAIN

    @property
    def changes_weight(self) -> bool:
        return any(role not in ("diff_b", "alpha", "rescale") for role in self.roles)

    @property
    def changes_bias(self) -> bool:
        return "diff_b" in self.roles


@dataclass(frozen=True, eq=False)
class LoraFile:
    """A LoRA file, inspected: its modules by name, and the tensors no format here explains."""

    file: WeightFile = field(repr=False)
    modules: Mapping[str, LoraModule] = field(repr=False)
    unknown: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        return self.file.path

    def size(self, module: LoraModule) -> tuple[int, int | None]:
        """(rows, elements) of the weight that a module's change is for, by the file's header.

        OFT does not say how long the rows are: None.
        """
        shapes = {role: self.file.tensors[name].shape for role, name in module.roles.items()}
        if "diff" in shapes:
            return _matrix(shapes["diff"])
        if OFT in shapes:
            return shapes[OFT][0] * shapes[OFT][1], None
        if "up" in shapes:
            rows, across = shapes["up"][0], shapes["down"][1:]
            kernel = shapes["mid"][2:] if "mid" in shapes else ()
            return rows, rows * prod((*across, *kernel))
        if "hada_w1_a" in shapes:
            core = shapes.get("hada_t1")
            rows = shapes["hada_w1_a"][0 if core is None else 1]
            return rows, rows * prod((shapes["hada_w1_b"][1], *(core[2:] if core else ())))
        first, second = _kronecker_size(shapes, 1), _kronecker_size(shapes, 2)
        return first[0] * second[0], first[1] * second[1]

    def adapter(self, module: LoraModule, read: Read) -> Adapter | Orthogonal:
        """The change of a module's weight; `read` gives tensors of the file by name."""

        def get(role: str) -> Tensor:
            return read(module.roles[role]).float()

        def maybe(role: str) -> Tensor | None:
            return get(role) if role in module.roles else None

        if "diff" in module.roles:
            return Full(get("diff"))
        if OFT in module.roles:
            blocks, alpha = get(OFT), maybe("alpha")
            limit = 0.0 if alpha is None else float(alpha) * blocks.shape[0] * blocks.shape[1]
            return Orthogonal(blocks, limit, maybe("rescale"))
        scale = _scale(module, maybe("alpha"))
        if "up" in module.roles:
            return LowRank(get("up"), get("down"), maybe("mid"), scale)
        if "hada_w1_a" in module.roles:
            a1, b1, a2, b2 = (get(role) for role in LOHA)
            return Hadamard(a1, b1, a2, b2, maybe("hada_t1"), maybe("hada_t2"), scale)
        return _kronecker(get, maybe, scale)

    def magnitude(self, module: LoraModule, read: Read) -> Tensor | None:
        """DoRA's m: (out, 1, ...) or (1, in, ...); None where there is none."""
        if "magnitude" in module.roles:  # PEFT's, one for each row, whatever its shape
            return read(module.roles["magnitude"]).float().reshape(-1, 1)
        if "dora_scale" in module.roles:
            return read(module.roles["dora_scale"]).float()
        return None


def read_lora(path: Path, *, ckpt: bool = False, maps: Mapping[str, KeyMap] = NO_MAPS) -> LoraFile:
    """Inspect a LoRA file; `ckpt` allows pickles, `maps` are further layouts of its names.

    Raises CheckpointError where it cannot be read, holds half of a change, or is no LoRA: then the
    message says what it holds instead.
    """
    file = renamed(open_weights(path, ckpt=ckpt), maps)
    roles: dict[str, dict[str, str]] = {}
    unknown: list[str] = []
    for name in file.tensors:
        if (found := _role(name)) and _is_read(found[1], file.tensors[name].shape):
            roles.setdefault(found[0], {})[found[1]] = name
        else:
            unknown.append(name)
    settings = _settings(file.metadata)
    modules = {
        name: LoraModule(name, found, _declared(settings, name)) for name, found in roles.items()
    }
    changing = {n: m for n, m in modules.items() if m.changes_weight or m.changes_bias}
    if not changing:
        raise CheckpointError(path, f"is no LoRA: {_instead(file)}")
    for module in changing.values():
        _require_whole(path, module)
    return LoraFile(file, changing, tuple(unknown))


def _role(name: str) -> tuple[str, str] | None:
    """(module, role) of a tensor."""
    if match := FACTORS.search(name):
        return name[: match.start()], match[1]
    for pattern, role in ROLES:
        if match := pattern.search(name):
            return _plain(name[: match.start()]), role
    return None


def _is_read(role: str, shape: tuple[int, ...]) -> bool:
    return role != OFT or (len(shape) == OFT_DIMENSIONS and shape[1] == shape[2])


def _plain(module: str) -> str:
    """Without the wrapper that diffusers once put around an attention's projections."""
    match = PROCESSOR.search(module)
    if match is None:
        return module
    inner = "to_out.0" if match[1] == "to_out" else match[1]
    return f"{module[: match.start()]}.{inner}"


def _require_whole(path: Path, module: LoraModule) -> None:
    wanted: tuple[str, ...] = ()
    roles = module.roles
    if "diff" in roles or OFT in roles or not module.changes_weight:
        return
    if any(role in roles for role in (*LOW_RANK, "mid")):
        wanted = LOW_RANK
    elif any(role.startswith("hada_") for role in roles):
        wanted = LOHA
    elif any(role.startswith("lokr_") for role in roles):
        wanted = tuple(part for i in (1, 2) for part in _kronecker_roles(roles, i))
    if missing := [role for role in wanted if role not in roles]:
        have = ", ".join(roles)
        raise CheckpointError(
            path, f"is incomplete: {module.name} has {have}, but no {', '.join(missing)}"
        )
    if not wanted:
        raise CheckpointError(path, f"is incomplete: {module.name} has {', '.join(roles)} alone")


def _instead(file: WeightFile) -> str:
    names = list(file.tensors)
    if found := [what for part, what in PARTS.items() if locate(names, part)]:
        return f"it holds a {' and a '.join(found)}: load it with a checkpoint's loader"
    if {"emb_params", "string_to_param", "clip_l", "clip_g"} & set(names):
        return "it holds an embedding: put it into embeddings and write embedding:NAME"
    shown = ", ".join(names[:SHOWN])
    return f"it holds {len(names)} tensors ({shown}{', ...' if len(names) > SHOWN else ''})"


def _matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    return (shape[0] if shape else 1), prod(shape)


def _kronecker_roles(roles: Mapping[str, Any], i: int) -> tuple[str, ...]:
    whole = f"lokr_w{i}"
    factored = f"{whole}_a" in roles or f"{whole}_b" in roles
    return (f"{whole}_a", f"{whole}_b") if factored and whole not in roles else (whole,)


def _kronecker_size(shapes: Mapping[str, tuple[int, ...]], i: int) -> tuple[int, int]:
    """(rows, elements) of one factor."""
    if f"lokr_w{i}" in shapes:
        return _matrix(shapes[f"lokr_w{i}"])
    a, b = shapes[f"lokr_w{i}_a"], shapes[f"lokr_w{i}_b"]
    core = shapes.get("lokr_t2") if i == 2 else None
    rows = a[0] if core is None else a[1]
    return rows, rows * prod((*b[1:], *(core[2:] if core else ())))


def _kronecker(get: Read, maybe: Callable[[str], Tensor | None], scale: Scale) -> Kronecker:
    rank: int | None = None
    factors: list[Tensor] = []
    for i in (1, 2):
        whole = maybe(f"lokr_w{i}")
        if whole is None:
            a, b = get(f"lokr_w{i}_a"), get(f"lokr_w{i}_b")
            core = maybe("lokr_t2") if i == 2 else None
            rank = len(b)
            kernel = () if core is not None else b.shape[1:]
            whole = composed(a, b if core is not None else b.flatten(1), core)
            whole = whole.reshape(len(whole), *kernel) if kernel else whole
        factors.append(whole)
    return Kronecker(factors[0], factors[1], rank, scale)


def _scale(module: LoraModule, alpha: Tensor | None) -> Scale:
    return module.scale if alpha is None else Scale(float(alpha))


def _settings(metadata: Mapping[str, str]) -> Mapping[str, Any]:
    try:
        found = json.loads(metadata.get(METADATA, "{}"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _declared(settings: Mapping[str, Any], module: str) -> Scale:
    """PEFT's alpha of a module, `{"unet.lora_alpha": 8, "unet.alpha_pattern": {path: 4}}`."""
    part, _, path = module.partition(".")
    alpha = settings.get(f"{part}.lora_alpha")
    pattern = settings.get(f"{part}.alpha_pattern")
    for ending, value in pattern.items() if isinstance(pattern, dict) else ():
        if path == ending or path.endswith(f".{ending}"):
            alpha = value
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)):
        return PLAIN
    return Scale(float(alpha), bool(settings.get(f"{part}.use_rslora")))
