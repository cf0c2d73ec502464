"""Which numbers a part of a model is computed in, and what happens when they overflow.

"auto" takes what is fast and safe where the part runs:

| device | UNet, text encoder | VAE |
|---|---|---|
| CPU that multiplies bfloat16 itself | bf16; text fp32 | bf16, channels-last |
| any other CPU | fp32 | fp32, channels-last |
| CUDA | fp16; UNet channels-last | bf16 where the card has it, else fp32; channels-last |
| other | fp32 | fp32 |

A text encoder runs once a prompt, so on a CPU its speed counts for less than its digits. A VAE's
activations can exceed float16's 65504; bfloat16 has float32's range. On a CPU channels-last makes a
VAE 5 to 13 % faster and leaves a UNet as fast as it was (measured, float32, one thread). "fp32" is
float32 in the plain layout: the mode in which pictures are compared exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import group_norm, layer_norm, linear
from torch.overrides import TorchFunctionMode

from .checkpoint_part import Part

Policy = Literal["auto", "fp32", "bf16", "fp16"]

DTYPES: Mapping[str, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
# What torch offers, under names of its own, to ask a CPU for instructions on bfloat16.
NATIVE_BF16 = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
# The operations that need all their operands in one dtype; everything else promotes.
MATCHED = frozenset(
    {torch.conv1d, torch.conv2d, torch.conv_transpose2d, linear, group_norm, layer_norm}
)


@dataclass(frozen=True)
class Precision:
    """The dtype of a part's weights and inputs, and whether its convolutions run channels-last."""

    dtype: torch.dtype
    channels_last: bool = False

    def __str__(self) -> str:
        return f"{self.dtype}{', channels-last' if self.channels_last else ''}"


def choose(policy: Policy, part: Part, device: torch.device | str) -> Precision:
    """What a part runs in on `device` under a policy. ValueError for an unknown policy."""
    kind = torch.device(device).type
    if policy == "auto":
        dtype = _automatic(part, kind)
    elif policy in DTYPES:
        dtype = DTYPES[policy]
    else:
        raise ValueError(f"precision {policy!r}: expected auto, {', '.join(DTYPES)}")
    return Precision(dtype, policy != "fp32" and _channels_last(part, kind))


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 itself; where it must emulate it, float32 is faster."""
    checks = (getattr(torch.cpu, name, None) for name in NATIVE_BF16)
    return any(check() for check in checks if check is not None)


def _automatic(part: Part, kind: str) -> torch.dtype:
    if kind == "cpu" and part != "text" and cpu_has_bf16():
        return torch.bfloat16
    if kind == "cuda":
        if part != "vae":
            return torch.float16
        return (
            torch.bfloat16
            if torch.cuda.is_bf16_supported(including_emulation=False)
            else torch.float32
        )
    return torch.float32


def _channels_last(part: Part, kind: str) -> bool:
    return (kind == "cpu" and part == "vae") or (kind == "cuda" and part != "text")


def safely(
    module: nn.Module, function: Callable[[Tensor], Tensor], x: Tensor
) -> tuple[Tensor, str | None]:
    """`function(x)`, which runs `module`, in float32, and a warning where it had to be run twice.

    `x` is cast to the module's dtype. If a half-precision result has an overflow (inf or NaN)
    that `x` had not, it is computed once more in float32: operation by operation, each with a
    float32 copy of its weights, so that the module is not touched and other threads may use it.
    """
    dtype = next(module.parameters()).dtype
    result = function(x.to(dtype)).float()
    if dtype not in (torch.float16, torch.bfloat16) or _finite(result) or not _finite(x):
        return result, None
    with _Float32():
        result = function(x.float()).float()
    return result, (
        f"{type(module).__name__} overflowed in {str(dtype).removeprefix('torch.')} and was run "
        "again in float32: choose fp32 for it to save the time of the first run"
    )


def _finite(x: Tensor) -> bool:
    return bool(torch.isfinite(x).all())


class _Float32(TorchFunctionMode):
    """In this thread, weights in half precision meet their inputs as float32."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func in MATCHED:
            args = tuple(_widened(value) for value in args)
            given = {name: _widened(value) for name, value in given.items()}
        return func(*args, **given)


def _widened(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
