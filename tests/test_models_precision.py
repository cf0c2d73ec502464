"""The precision policy, and pictures that overflow half precision."""

from __future__ import annotations

import threading

import pytest
import torch
from tiny_models import Models, tiny
from torch import Tensor

from nodes.models import precision
from nodes.models.checkpoint_part import Part
from nodes.models.precision import Policy, Precision, choose, cpu_has_bf16, safely
from nodes.models.vae import VAE

HALF = (torch.float16, torch.bfloat16)


@pytest.fixture
def models() -> Models:
    return tiny("sd1")


def overflowing() -> VAE:
    """A VAE whose first activations are beyond float16, and its picture within it."""
    vae = tiny("sd1").vae
    vae.decoder.conv_in.weight.mul_(3e4)
    vae.decoder.conv_in.bias.add_(3e4)
    return vae


def native(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in precision.NATIVE_BF16:
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name in names, raising=False)


@pytest.mark.parametrize(
    ("policy", "dtype"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
@pytest.mark.parametrize("part", ["unet", "text", "vae"])
@pytest.mark.parametrize("device", ["cpu", "cuda:1", "mps"])
def test_a_dtype_that_is_asked_for_is_taken_everywhere(
    policy: Policy, dtype: torch.dtype, part: Part, device: str
) -> None:
    assert choose(policy, part, device).dtype == dtype


@pytest.mark.parametrize("part", ["unet", "text", "vae"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_fp32_is_the_plain_layout_in_which_pictures_are_compared(part: Part, device: str) -> None:
    assert choose("fp32", part, device) == Precision(torch.float32, channels_last=False)


def test_auto_takes_bf16_on_a_cpu_that_has_it_except_for_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    native(monkeypatch, "_is_amx_tile_supported")

    assert choose("auto", "unet", "cpu") == Precision(torch.bfloat16)
    assert choose("auto", "vae", "cpu") == Precision(torch.bfloat16, channels_last=True)
    assert choose("auto", "text", "cpu") == Precision(torch.float32)


def test_auto_takes_fp32_on_a_cpu_that_would_emulate_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    native(monkeypatch)

    assert choose("auto", "unet", "cpu") == Precision(torch.float32)
    assert choose("auto", "vae", "cpu") == Precision(torch.float32, channels_last=True)


def test_a_torch_that_cannot_be_asked_about_the_cpu_counts_as_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in precision.NATIVE_BF16:
        monkeypatch.delattr(torch.cpu, name, raising=False)

    assert cpu_has_bf16() is False


@pytest.mark.parametrize(("native_bf16", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_on_cuda_takes_halves_and_never_fp16_for_the_vae(
    monkeypatch: pytest.MonkeyPatch, native_bf16: bool, dtype: torch.dtype
) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return native_bf16 or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)

    assert choose("auto", "unet", "cuda:0") == Precision(torch.float16, channels_last=True)
    assert choose("auto", "text", "cuda:0") == Precision(torch.float16)
    assert choose("auto", "vae", "cuda:0") == Precision(dtype, channels_last=True)


def test_auto_takes_fp32_on_devices_nobody_measured() -> None:
    assert {choose("auto", part, "mps").dtype for part in ("unet", "vae")} == {torch.float32}


def test_an_unknown_policy_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(ValueError, match="'fp64': expected auto, fp32, bf16, fp16"):
        choose("fp64", "unet", "cpu")  # type: ignore[arg-type]


def test_precisions_are_told_apart_by_their_text() -> None:
    assert str(Precision(torch.float16)) == "torch.float16"
    assert str(Precision(torch.float16, channels_last=True)) == "torch.float16, channels-last"


@pytest.mark.parametrize("dtype", HALF)
def test_a_result_in_half_precision_that_is_finite_is_kept_without_a_word(
    models: Models, dtype: torch.dtype
) -> None:
    vae, z = models.vae.to(dtype), torch.randn(1, 4, 4, 4)

    pixels, warning = safely(vae, vae.decode, z)

    assert warning is None
    assert torch.equal(pixels, vae.decode(z.to(dtype)).float())


def test_an_overflow_is_computed_again_in_float32_and_said() -> None:
    vae, z = overflowing().half(), torch.randn(1, 4, 4, 4)
    assert not vae.decode(z.half()).isfinite().all()
    exact = overflowing().half().float().decode(z)

    pixels, warning = safely(vae, vae.decode, z)

    assert warning == (
        "VAE overflowed in float16 and was run again in float32: "
        "choose fp32 for it to save the time of the first run"
    )
    assert pixels.dtype == torch.float32
    torch.testing.assert_close(pixels, exact, rtol=0, atol=0)


def test_an_overflow_while_encoding_is_caught_as_well() -> None:
    vae, pixels = tiny("sd1").vae, torch.rand(1, 3, 8, 8)
    vae.encoder.conv_in.weight.mul_(3e4)
    vae.encoder.conv_in.bias.add_(6e4)
    exact = vae.half().float().encode(pixels).mean
    half = vae.half()

    mean, warning = safely(half, lambda x: half.encode(x).mean, pixels)

    assert warning is not None
    torch.testing.assert_close(mean, exact, rtol=0, atol=0)


def test_the_module_is_left_as_it_was_and_usable_by_other_threads_meanwhile() -> None:
    vae, z = overflowing().half(), torch.randn(1, 4, 4, 4)
    seen: list[tuple[torch.dtype, torch.dtype]] = []

    def decode(x: Tensor) -> Tensor:
        other = threading.Thread(target=lambda: seen.append(beside()))
        other.start()
        other.join()
        return vae.decode(x)

    def beside() -> tuple[torch.dtype, torch.dtype]:
        with torch.no_grad():
            return vae.decoder.conv_in.weight.dtype, vae.post_quant_conv(z.half()).dtype

    before = {name: tensor.data_ptr() for name, tensor in vae.state_dict().items()}
    _, warning = safely(vae, decode, z)

    assert warning is not None
    assert seen == [(torch.float16, torch.float16)] * 2
    assert {name: tensor.data_ptr() for name, tensor in vae.state_dict().items()} == before


def test_a_float32_model_is_run_once_whatever_comes_out(models: Models) -> None:
    runs = []

    def decode(z: Tensor) -> Tensor:
        runs.append(z.dtype)
        return models.vae.decode(z) * float("inf")

    pixels, warning = safely(models.vae, decode, torch.randn(1, 4, 4, 4))

    assert (warning, runs) == (None, [torch.float32])
    assert not pixels.isfinite().any()


def test_latents_that_are_broken_already_are_not_blamed_on_the_precision(models: Models) -> None:
    z = torch.full((1, 4, 4, 4), float("nan"))
    half = models.vae.half()

    pixels, warning = safely(half, half.decode, z)

    assert warning is None
    assert pixels.isnan().all()
