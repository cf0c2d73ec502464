"""FreeU against diffusers' own functions, and where in a UNet it acts."""

import pytest
import torch
from diffusers.utils.torch_utils import apply_freeu, fourier_filter
from torch import Tensor

from nodes.models.freeu import FreeU, low_frequencies_scaled
from nodes.models.unet import UNet
from nodes.models.unet_config import UNetConfig

C = 32  # the model's channels


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(8, 8), (6, 10), (7, 5)])
def test_the_filter_is_that_of_diffusers(size: tuple[int, int]) -> None:
    x = draw(2, 3, *size)

    torch.testing.assert_close(low_frequencies_scaled(x, 0.2), fourier_filter(x, 1, 0.2))


def test_a_filter_of_one_leaves_everything_and_of_zero_the_mean_goes() -> None:
    x = draw(2, 3, 8, 8)

    torch.testing.assert_close(low_frequencies_scaled(x, 1.0), x)
    assert low_frequencies_scaled(x, 0.0).mean(dim=(2, 3)).abs().max() < 1e-6


@pytest.mark.parametrize("size", [1, 2, 3])
def test_pictures_of_a_few_cells_are_filtered_too(size: int) -> None:
    assert low_frequencies_scaled(draw(1, 2, size, size), 0.5).shape == (1, 2, size, size)


@pytest.mark.parametrize(("level", "channels"), [(0, 4 * C), (1, 2 * C)])
def test_the_first_form_is_that_of_diffusers(level: int, channels: int) -> None:
    x, skip = draw(2, channels, 8, 8), draw(2, 24, 8, 8, seed=1)
    change = FreeU(1.1, 1.2, 0.9, 0.2)

    ours = change(x, skip, C)

    theirs = apply_freeu(level, x.clone(), skip, b1=1.1, b2=1.2, s1=0.9, s2=0.2)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_the_second_form_scales_by_where_the_mean_over_the_channels_is_high() -> None:
    x, skip = draw(2, 4 * C, 8, 8), draw(2, 24, 8, 8, seed=1)

    scaled, filtered = FreeU(1.4, 1.0, 0.9, 0.2, form=2)(x, skip, C)

    mean = x.mean(1)
    for image in range(2):
        low, high = mean[image].min(), mean[image].max()
        gain = 1 + 0.4 * (mean[image] - low) / (high - low)
        torch.testing.assert_close(scaled[image, : 2 * C], x[image, : 2 * C] * gain)
    assert torch.equal(scaled[:, 2 * C :], x[:, 2 * C :])
    torch.testing.assert_close(filtered, fourier_filter(skip, 1, 0.9))


def test_an_even_picture_does_not_divide_by_zero() -> None:
    scaled, _ = FreeU(1.4, 1.0, 0.9, 0.2, form=2)(torch.ones(1, 4 * C, 4, 4), draw(1, 8, 4, 4), C)

    assert torch.equal(scaled, torch.ones(1, 4 * C, 4, 4))


def test_other_numbers_of_channels_are_left_alone() -> None:
    x, skip = draw(1, C, 4, 4), draw(1, C, 4, 4, seed=1)

    ours = FreeU(1.4, 1.4, 0.2, 0.2)(x, skip, C)

    assert ours[0] is x
    assert ours[1] is skip


# -- in a UNet -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unet() -> UNet:
    config = UNetConfig(4, 4, C, (1, 2, 4), (1, 1, 1), (1, 1, 1), 1, context_dim=16, num_heads=4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        made = UNet(config).eval().requires_grad_(False)
        for parameter in made.parameters():  # the zeroed ones would hide everything
            torch.nn.init.normal_(parameter, std=0.1)
    return made


X, T, TOKENS = draw(2, 4, 8, 8), torch.tensor([10.0, 700.0]), draw(2, 5, 16, seed=2)


def test_freeu_at_rest_changes_nothing(unet: UNet) -> None:
    rest = unet(X, T, TOKENS, freeu=[FreeU(1.0, 1.0, 1.0, 1.0)])

    torch.testing.assert_close(rest, unet(X, T, TOKENS), rtol=1e-4, atol=1e-5)


def test_freeu_acts_on_each_join_of_the_way_up_one_after_the_other(unet: UNet) -> None:
    seen: list[tuple[int, int]] = []

    class Watching(FreeU):
        def __call__(self, x: Tensor, skip: Tensor, channels: int) -> tuple[Tensor, Tensor]:
            seen.append((x.shape[1], channels))
            return 2 * x, skip

    class Halving(FreeU):
        def __call__(self, x: Tensor, skip: Tensor, channels: int) -> tuple[Tensor, Tensor]:
            return x / 2, skip

    rest = (1.0, 1.0, 1.0, 1.0)
    made = unet(X, T, TOKENS, freeu=[Watching(*rest), Halving(*rest)])

    torch.testing.assert_close(made, unet(X, T, TOKENS))
    assert seen == [(4 * C, C), (4 * C, C), (4 * C, C), (2 * C, C), (2 * C, C), (C, C)]


def test_freeu_changes_what_the_network_says(unet: UNet) -> None:
    plain = unet(X, T, TOKENS)

    one, two = (unet(X, T, TOKENS, freeu=[FreeU(1.3, 1.4, 0.9, 0.2, form=f)]) for f in (1, 2))

    assert not torch.allclose(plain, one, rtol=1e-2)
    assert not torch.allclose(one, two, rtol=1e-2)


# -- perturbed attention ---------------------------------------------------------------------------


def test_perturbed_is_the_middle_blocks_self_attention_seeing_each_place_alone(unet: UNet) -> None:
    """The same as with queries and keys under which a place attends to itself alone."""
    perturbed = unet(X, T, TOKENS, perturbed=True)

    hooks = [
        module.attn1.register_forward_hook(
            lambda attention, given, _: attention.to_out(attention.to_v(given[1]))
        )
        for module in unet.middle_block.modules()
        if hasattr(module, "attn1")
    ]
    by_hand = unet(X, T, TOKENS)
    for hook in hooks:
        hook.remove()
    assert len(hooks) == 1
    torch.testing.assert_close(perturbed, by_hand)
    assert not torch.allclose(perturbed, unet(X, T, TOKENS), rtol=1e-2)


def test_a_network_without_a_context_can_be_perturbed_too() -> None:
    config = UNetConfig(3, 3, C, (1, 2), (1, 1), (0, 1), 1, head_channels=32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        made = UNet(config).eval().requires_grad_(False)
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    x = draw(1, 3, 8, 8)

    perturbed = made(x, T[:1], perturbed=True)

    assert not torch.allclose(perturbed, made(x, T[:1]), rtol=1e-2)
