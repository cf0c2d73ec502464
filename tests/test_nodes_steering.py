"""The kind "controlnet": what a ControlNet is shown, and which models it fits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from node_support import Given, Painter, painted_model
from tiny_models import UNETS, scrambled

from nodegraph import NodeGraphError
from nodes.models.controlnet import ControlNet as ControlModule
from nodes.models.controlnet import ControlNetConfig
from nodes.models.unet_config import skips_of
from nodes.steering import as_hint, network_of, require_fitting
from nodes.types import ControlNet

SKIPS = skips_of(UNETS["sd1"])


def control_net(**options: object) -> ControlNet:
    facts = {"channels": 4, "hint": 3, "context": 64, "skips": SKIPS, "name": "canny.safetensors"}
    return ControlNet(source=Given(Painter()), **{**facts, **options})  # type: ignore[arg-type]


# --- the picture ---------------------------------------------------------------------------------


def test_a_picture_is_shown_as_it_is() -> None:
    image = torch.rand(2, 4, 6, 3)

    assert torch.equal(as_hint(image, control_net()), image.permute(0, 3, 1, 2))


def test_a_grey_picture_is_shown_in_all_channels() -> None:
    image = torch.rand(2, 4, 6, 1)

    assert torch.equal(as_hint(image, control_net()), image[..., 0][:, None].repeat(1, 3, 1, 1))


def test_transparency_is_left_out() -> None:
    image = torch.rand(2, 4, 6, 4)

    assert torch.equal(as_hint(image, control_net()), image[..., :3].permute(0, 3, 1, 2))


@pytest.mark.parametrize("shape", [(0, 4, 6, 3), (1, 0, 6, 3), (4, 6, 3)])
def test_no_picture_is_an_error_that_says_what_is_missing(shape: tuple[int, ...]) -> None:
    with pytest.raises(NodeGraphError, match=r"canny.safetensors .*give it at least one picture"):
        as_hint(torch.zeros(shape), control_net())


def test_too_few_channels_are_an_error_that_says_what_to_do() -> None:
    with pytest.raises(NodeGraphError, match=r"3 channels, but the picture has 2: convert it"):
        as_hint(torch.zeros(1, 4, 6, 2), control_net())


# --- the model -----------------------------------------------------------------------------------


def test_a_controlnet_fits_the_network_it_was_made_for() -> None:
    model = replace(painted_model(Painter(), context=64), skips=SKIPS)

    require_fitting(control_net(), model)
    require_fitting(control_net(), replace(model, skips=()))  # not known
    require_fitting(control_net(), replace(model, inputs=9))
    require_fitting(control_net(channels=9), replace(model, inputs=9))


def test_tokens_of_another_width_are_named_for_both() -> None:
    model = replace(painted_model(Painter(), context=1024), family="sd2")

    with pytest.raises(NodeGraphError) as caught:
        require_fitting(control_net(context=768), model)

    assert str(caught.value) == (
        "the ControlNet canny.safetensors is made for a network with tokens 768 wide, but the "
        "model (Stable Diffusion 2) has tokens 1024 wide: load a ControlNet that was trained for "
        "this model"
    )


def test_a_model_without_tokens_is_named() -> None:
    with pytest.raises(NodeGraphError, match="tokens 64 wide, but the model has no tokens"):
        require_fitting(control_net(), painted_model(Painter(), context=None))


def test_another_number_of_channels_is_named_for_both() -> None:
    with pytest.raises(NodeGraphError, match="with 4 channels, but the model has 3 channels"):
        require_fitting(control_net(), painted_model(Painter(), channels=3, context=64))


def test_another_architecture_is_named_for_both() -> None:
    deeper = replace(painted_model(Painter(), context=64), skips=(*SKIPS, (64, 1)))

    with pytest.raises(NodeGraphError, match=r"4 skip connections \(32, 32, 32, 64.* has 5 skip"):
        require_fitting(control_net(), deeper)


def test_levels_of_equal_widths_that_are_halved_elsewhere_do_not_fit() -> None:
    other = tuple((channels, 0) for channels, _ in SKIPS)

    with pytest.raises(NodeGraphError, match="load a ControlNet that was trained"):
        require_fitting(control_net(), replace(painted_model(Painter(), context=64), skips=other))


# --- the call ------------------------------------------------------------------------------------


def test_the_network_sees_its_own_first_channels_in_its_own_dtype() -> None:
    torch.manual_seed(0)
    module = scrambled(ControlModule(ControlNetConfig(UNETS["sd1"]))).bfloat16()
    assert isinstance(module, ControlModule)
    x, t, tokens = torch.randn(2, 9, 4, 4), torch.tensor([3.0, 700.0]), torch.randn(2, 5, 64)
    features = module.encode(torch.rand(2, 3, 32, 32).bfloat16())

    control = network_of(module)(x, t, tokens, features)

    expected = module(x[:, :4].bfloat16(), t, tokens.bfloat16(), features)
    assert control.middle is not None
    assert control.middle.dtype == torch.bfloat16
    assert torch.equal(control.middle, expected.middle)
    assert all(torch.equal(a, b) for a, b in zip(control.skips, expected.skips, strict=True))
