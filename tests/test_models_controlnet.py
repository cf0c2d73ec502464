"""ControlNet against diffusers' own, on the same random weights, and where training begins."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from controlnet_models import control_model, original_state, unet_model
from diffusers import ControlNetModel
from tiny_models import UNETS, scrambled
from torch import Tensor

from nodes.models import keys_controlnet, keys_unet
from nodes.models.clip_config import Family
from nodes.models.control import Control
from nodes.models.controlnet import (
    HINT_FACTOR,
    ControlNet,
    ControlNetConfig,
    soft_weights,
)
from nodes.models.controlnet_shapes import diffusers_config, infer_config
from nodes.models.errors import ArchitectureError
from nodes.models.shapes import shapes_of
from nodes.models.unet import UNet
from nodes.models.unet_config import skips_of

pytestmark = pytest.mark.usefixtures("without_gradients")
FAMILIES: tuple[Family, ...] = ("sd1", "sd2")
TIMES = torch.tensor([3, 700])


def ours(family: Family, **options: bool) -> ControlNet:
    model = control_model(family, **options)
    network = ControlNet(keys_controlnet.config_from_diffusers(model.config)).eval()
    network.load_state_dict(original_state(model))
    return network


def inputs(width: int, *, h: int = 8, w: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    hint = torch.rand(2, 3, HINT_FACTOR * h, HINT_FACTOR * w, generator=generator)
    return (
        torch.randn(2, 4, h, w, generator=generator),
        torch.randn(2, 7, width, generator=generator),
        hint,
    )


def worst(control: Control, down: tuple[Tensor, ...], middle: Tensor) -> float:
    assert control.middle is not None
    pairs = zip((*control.skips, control.middle), (*down, middle), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


@pytest.mark.parametrize("size", [(8, 12), (4, 4)])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_residual_is_diffusers(family: Family, size: tuple[int, int]) -> None:
    theirs, network = control_model(family), ours(family)
    x, tokens, hint = inputs(theirs.config.cross_attention_dim, h=size[0], w=size[1])

    control = network(x, TIMES, tokens, network.encode(hint))

    down, middle = theirs(x, TIMES, tokens, hint, return_dict=False)
    assert worst(control, down, middle) <= 1e-4
    assert all(float(skip.std()) > 0.01 for skip in control.skips)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_controlled_unet_is_diffusers(family: Family) -> None:
    theirs, unet = control_model(family), unet_model(family)
    network = ours(family)
    config = keys_unet.config_from_diffusers(unet.config)
    mine = UNet(config).eval()
    stored, table = unet.state_dict(), keys_unet.to_diffusers(config)
    mine.load_state_dict({name: stored[other] for name, other in table.items()})
    x, tokens, hint = inputs(theirs.config.cross_attention_dim)

    got = mine(x, TIMES, tokens, control=network(x, TIMES, tokens, network.encode(hint)))

    down, middle = theirs(x, TIMES, tokens, hint, return_dict=False)
    options = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
    expected = unet(x, TIMES, tokens, **options).sample
    assert float((got - expected).abs().max()) <= 1e-4
    assert float((got - mine(x, TIMES, tokens)).abs().max()) > 0.01


def test_a_pooled_network_adds_the_mean_over_the_grid() -> None:
    theirs = control_model("sd1", global_pool_conditions=True)
    network = ours("sd1", global_pool_conditions=True)
    x, tokens, hint = inputs(48)

    control = network(x, TIMES, tokens, network.encode(hint))

    down, middle = theirs(x, TIMES, tokens, hint, return_dict=False)
    assert network.config.pooled
    assert control.skips[0].shape[2:] == (1, 1)
    assert worst(control, down, middle) <= 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_the_architecture_is_read_off_the_shapes(family: Family) -> None:
    network = ours(family)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}

    assert infer_config(shapes) == network.config


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({"cross_attention_dim": 768, "attention_head_dim": 8}, 361_279_120),
        (
            {
                "cross_attention_dim": 1024,
                "attention_head_dim": (5, 10, 20, 20),
                "use_linear_projection": True,
            },
            364_228_240,
        ),
    ],
    ids=FAMILIES,
)
def test_networks_as_large_as_the_published_ones_are_read_off_the_shapes(
    options: dict[str, Any], parameters: int
) -> None:
    with torch.device("meta"):
        theirs = ControlNetModel(**options)
    config = keys_controlnet.config_from_diffusers(theirs.config)
    stored = {name: tuple(tensor.shape) for name, tensor in theirs.state_dict().items()}
    original = {name: stored[other] for name, other in keys_controlnet.to_diffusers(config).items()}

    assert sum(map(math.prod, stored.values())) == parameters
    assert original == shapes_of(lambda: ControlNet(config))
    assert infer_config(original) == config
    assert diffusers_config(stored) == config


def test_heads_that_are_declared_count_more_than_the_familys() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in ours("sd1").state_dict().items()}

    config = infer_config(shapes, num_heads=4)

    assert config == replace(config, unet=replace(config.unet, num_heads=4, head_channels=None))


@pytest.mark.parametrize("family", FAMILIES)
def test_an_untrained_copy_of_a_unet_adds_nothing_bit_for_bit(family: Family) -> None:
    torch.manual_seed(3)
    unet = scrambled(UNet(UNETS[family]))
    network = ControlNet.from_unet(unet).eval()
    x, tokens, hint = inputs(UNETS[family].context_dim or 0)

    control = network(x, TIMES, tokens, network.encode(hint))

    assert control.middle is not None
    assert not any(bool(f.any()) for f in (*control.skips, control.middle))
    assert torch.equal(unet(x, TIMES, tokens, control=control), unet(x, TIMES, tokens))


def test_an_untrained_copy_has_the_unets_own_weights_on_the_way_down() -> None:
    unet = scrambled(UNet(UNETS["sd1"])).half()
    network = ControlNet.from_unet(unet, hint_channels=1)

    state, copied = unet.state_dict(), network.state_dict()
    names = [name for name in copied if name in state]
    assert all(torch.equal(copied[name], state[name]) for name in names)
    assert {name.split(".")[0] for name in names} == {"time_embed", "input_blocks", "middle_block"}
    assert {tensor.dtype for tensor in copied.values()} == {torch.float16}
    assert copied["input_hint_block.0.weight"].shape[1] == 1
    network.input_blocks[0][0].weight.zero_()
    assert unet.input_blocks[0][0].weight.any()


def test_an_untrained_copy_learns_from_its_first_step_on() -> None:
    network = ControlNet.from_unet(scrambled(UNet(UNETS["sd1"])))
    x, tokens, hint = inputs(64)

    with torch.enable_grad():
        control = network(x, TIMES, tokens, network.encode(hint))
        torch.stack([skip.sum() for skip in control.skips]).sum().backward()

    assert network.zero_convs[1][0].weight.grad is not None
    assert network.zero_convs[1][0].weight.grad.any()


def test_a_unet_that_reads_a_vector_has_no_controlnet() -> None:
    with pytest.raises(ArchitectureError, match="classes or a vector is not supported"):
        ControlNetConfig(replace(UNETS["sd2"], adm_channels=16))


def test_a_hint_encoder_has_four_widths() -> None:
    with pytest.raises(ArchitectureError, match=r"4 widths from 1 up, got \(16, 32\)"):
        ControlNetConfig(UNETS["sd1"], 3, (16, 32))


@pytest.mark.parametrize("shape", [(2, 1, 64, 64), (2, 3, 60, 64), (2, 3, 64, 60), (3, 64, 64)])
def test_a_hint_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"a hint is \(B, 3, 8 h, 8 w\)"):
        ours("sd1").encode(torch.zeros(shape))


def test_guess_mode_weighs_the_middle_fully_and_what_is_finer_ever_less() -> None:
    weights = soft_weights(13)

    assert weights[-1] == 1
    assert weights[0] == pytest.approx(0.825**12)
    assert weights[5] == pytest.approx(0.825**7)


def test_skips_are_known_before_anything_is_computed() -> None:
    network = ours("sd1")
    x, tokens, hint = inputs(48)

    control = network(x, TIMES, tokens, network.encode(hint))

    found = [(skip.shape[1], 8 // skip.shape[2]) for skip in control.skips]
    assert found == [(c, 2**halved) for c, halved in skips_of(network.config.unet)]
