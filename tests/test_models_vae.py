"""The autoencoder against diffusers' own implementation on the same seeded weights."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from nodes.models.errors import ArchitectureError
from nodes.models.keys_vae import reshaped, to_diffusers
from nodes.models.shapes import shapes_of
from nodes.models.vae import VAE, Attention, Posterior, VAEConfig, config_from_shapes

FULL = VAEConfig()
REDUCED = VAEConfig(channels=64)
SMALL = VAEConfig(channels=32, channel_mult=(1, 2), num_res_blocks=1)
EMOJI = VAEConfig(channels=32, channel_mult=(1, 2, 2), num_res_blocks=1)
ATTENDING = VAEConfig(
    channels=64,
    channel_mult=(1, 2),
    num_res_blocks=2,
    attention_levels=(1,),
    z_channels=3,
    embed_dim=3,
)


def random_vae(config: VAEConfig) -> VAE:
    """Seeded weights that keep activations near unit size and leave no parameter without effect."""
    with torch.device("meta"):
        vae = VAE(config)
    vae = vae.to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in vae.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim == 1:
                parameter.copy_(0.1 * noise + (1.0 if name.endswith("weight") else 0.0))
            else:
                parameter.copy_(noise / math.sqrt(parameter[0].numel()))
    return vae


def reference(vae: VAE) -> AutoencoderKL:
    """diffusers' model with the same architecture and weights."""
    config = vae.config
    kinds = ["Attn" if i in config.attention_levels else "" for i in range(len(config.widths))]
    model = AutoencoderKL(
        block_out_channels=config.widths,
        layers_per_block=config.num_res_blocks,
        latent_channels=config.z_channels,
        down_block_types=[f"{kind}DownEncoderBlock2D" for kind in kinds],
        up_block_types=[f"{kind}UpDecoderBlock2D" for kind in reversed(kinds)],
    ).eval()
    names, matrices = to_diffusers(config), reshaped(config)
    state = vae.state_dict()
    model.load_state_dict(
        {names[name]: t.flatten(1) if name in matrices else t for name, t in state.items()}
    )
    return model


def assert_same(found: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    scale = expected.abs().max()
    assert scale > 0.1
    assert (found - expected).abs().max() <= tolerance * scale


CONFIGS = pytest.mark.parametrize(
    "config", [REDUCED, EMOJI, ATTENDING], ids=["Stable Diffusion", "emoji", "attention at a level"]
)


@CONFIGS
@torch.no_grad()
def test_encoding_computes_what_diffusers_does_at_any_size(config: VAEConfig) -> None:
    vae = random_vae(config)
    model = reference(vae)

    for size in [(48, 64), (45, 50)]:
        pixels = torch.rand(2, 3, *size) * 2 - 1
        posterior = vae.encode(pixels)
        expected = model.encode(pixels).latent_dist
        assert posterior.mean.shape[2:] == (size[0] // vae.factor, size[1] // vae.factor)
        assert_same(posterior.mean, expected.mean)
        assert_same(posterior.logvar, expected.logvar)


@CONFIGS
@torch.no_grad()
def test_decoding_computes_what_diffusers_does(config: VAEConfig) -> None:
    vae = random_vae(config)
    z = torch.randn(2, config.embed_dim, 5, 8)

    pixels = vae.decode(z)

    assert pixels.shape == (2, 3, 5 * vae.factor, 8 * vae.factor)
    assert_same(pixels, reference(vae).decode(z).sample)


def test_the_gradient_reaches_every_weight() -> None:
    vae = random_vae(SMALL)
    posterior = vae.encode(torch.rand(1, 3, 16, 16))

    loss = vae.decode(posterior.sample()).square().mean() + posterior.logvar.square().mean()
    loss.backward()

    assert [name for name, p in vae.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_sample_is_the_mean_plus_scaled_noise_from_the_generator() -> None:
    posterior = Posterior(torch.full((1, 4, 100, 100), 3.0), torch.full((1, 4, 100, 100), -2.0))

    first, again = (posterior.sample(torch.Generator().manual_seed(5)) for _ in range(2))

    noise = torch.randn(1, 4, 100, 100, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(first, 3.0 + math.exp(-1.0) * noise)
    assert torch.equal(first, again)
    assert not torch.equal(first, posterior.sample(torch.Generator().manual_seed(6)))
    assert posterior.mode is posterior.mean


@torch.no_grad()
def test_the_variance_is_kept_within_bounds() -> None:
    vae = random_vae(SMALL)
    vae.quant_conv.bias.copy_(torch.tensor([0.0] * 4 + [1e3] * 2 + [-1e3] * 2))

    posterior = vae.encode(torch.zeros(1, 3, 8, 8))

    assert posterior.logvar[:, :2].eq(20).all()
    assert posterior.logvar[:, 2:].eq(-30).all()


class LargestTensor(TorchDispatchMode):
    """Notes how many numbers the largest tensor made inside holds."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = out if isinstance(out, tuple) else (out,)
        sizes = [tensor.numel() for tensor in tensors if isinstance(tensor, Tensor)]
        self.numbers = max([self.numbers, *sizes])
        return out


@torch.no_grad()
def test_attention_never_holds_a_weight_for_each_pair_of_cells() -> None:
    x = torch.randn(1, 32, 48, 48)

    with LargestTensor() as largest:
        Attention(32)(x)

    assert largest.numbers < (48 * 48) ** 2 / 10


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_half_precision_stays_near_single_precision(dtype: torch.dtype) -> None:
    vae = random_vae(SMALL)
    z = torch.randn(1, 4, 6, 6)
    exact = vae.decode(z)

    pixels = vae.to(dtype).decode(z.to(dtype))

    assert pixels.dtype == dtype
    assert_same(pixels.float(), exact, tolerance=0.1)


@torch.no_grad()
def test_channels_last_changes_no_value() -> None:
    vae = random_vae(SMALL)
    z = torch.randn(1, 4, 6, 5)
    expected = vae.decode(z)

    pixels = vae.to(memory_format=torch.channels_last).decode(z)

    assert_same(pixels, expected, tolerance=1e-5)


def test_the_published_network_has_its_known_size_and_names() -> None:
    shapes = shapes_of(lambda: VAE(FULL))

    assert len(shapes) == 248
    assert sum(math.prod(shape) for shape in shapes.values()) == 83_653_863
    assert FULL.factor == 8
    assert EMOJI.factor == 4
    assert shapes["encoder.down.0.downsample.conv.weight"] == (128, 128, 3, 3)
    assert shapes["encoder.down.1.block.0.nin_shortcut.weight"] == (256, 128, 1, 1)
    assert shapes["encoder.mid.attn_1.q.weight"] == (512, 512, 1, 1)
    assert shapes["encoder.conv_out.weight"] == (8, 512, 3, 3)
    assert shapes["decoder.up.3.upsample.conv.weight"] == (512, 512, 3, 3)
    assert shapes["decoder.up.0.block.2.conv2.weight"] == (128, 128, 3, 3)
    assert shapes["quant_conv.weight"] == (8, 8, 1, 1)
    assert shapes["post_quant_conv.weight"] == (4, 4, 1, 1)


@st.composite
def configs(draw: st.DrawFn) -> VAEConfig:
    levels = draw(st.integers(1, 4))
    return VAEConfig(
        channels=32 * draw(st.integers(1, 3)),
        channel_mult=tuple(draw(st.lists(st.integers(1, 4), min_size=levels, max_size=levels))),
        num_res_blocks=draw(st.integers(1, 3)),
        attention_levels=tuple(sorted(draw(st.sets(st.integers(0, levels - 1))))),
        in_channels=draw(st.integers(1, 4)),
        out_channels=draw(st.integers(1, 4)),
        z_channels=draw(st.integers(1, 16)),
        embed_dim=draw(st.integers(1, 16)),
    )


@settings(max_examples=15, deadline=None)
@given(configs())
def test_any_architecture_is_read_back_from_its_shapes(config: VAEConfig) -> None:
    assert config_from_shapes(shapes_of(lambda: VAE(config))) == config


@pytest.mark.parametrize("config", [FULL, EMOJI, ATTENDING])
def test_the_known_architectures_are_read_back_from_their_shapes(config: VAEConfig) -> None:
    assert config_from_shapes(shapes_of(lambda: VAE(config))) == config


def test_attention_stored_as_matrices_and_foreign_tensors_are_understood() -> None:
    shapes = shapes_of(lambda: VAE(SMALL))
    stored = {name: shape[:2] if ".attn_1." in name else shape for name, shape in shapes.items()}

    assert config_from_shapes(stored) == SMALL
    assert config_from_shapes({**shapes, "loss.logvar": (), "model_ema.decay": ()}) == SMALL


def test_a_single_missing_tensor_is_named() -> None:
    shapes = shapes_of(lambda: VAE(SMALL))

    for name in list(shapes)[::5]:
        rest = {other: shape for other, shape in shapes.items() if other != name}
        with pytest.raises(ArchitectureError) as error:
            config_from_shapes(rest)
        assert name in str(error.value)


def test_tensors_that_do_not_belong_are_named() -> None:
    shapes = shapes_of(lambda: VAE(SMALL))

    with pytest.raises(ArchitectureError, match=r"decoder\.extra is not part"):
        config_from_shapes({**shapes, "decoder.extra": (3,)})
    with pytest.raises(ArchitectureError, match=r"encoder\.norm_out\.bias has shape \(5,\)"):
        config_from_shapes({**shapes, "encoder.norm_out.bias": (5,)})
    with pytest.raises(ArchitectureError, match="no multiple"):
        config_from_shapes({**shapes, "encoder.conv_in.weight": (96, 3, 3, 3)})


def test_numbers_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ArchitectureError, match="multiple of 32"):
        replace(SMALL, channels=40)
    with pytest.raises(ArchitectureError, match="count from 1 up"):
        replace(SMALL, num_res_blocks=0)
    with pytest.raises(ArchitectureError, match="at least one level"):
        replace(SMALL, channel_mult=())
    with pytest.raises(ArchitectureError, match="levels beyond the 2"):
        replace(SMALL, attention_levels=(2,))


def test_the_network_can_be_made_without_memory() -> None:
    with torch.device("meta"):
        vae: nn.Module = VAE(FULL)

    assert {parameter.device.type for parameter in vae.parameters()} == {"meta"}
