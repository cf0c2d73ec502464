"""The ControlNet nodes, from files to samples, against loops over diffusers' two networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from controlnet_loops import (
    FAMILIES,
    H,
    Shown,
    W,
    assert_close,
    ddim,
    euler,
    hint_of,
    model_of,
    net,
    picture,
    prompts,
    sampled,
    save_all,
)
from node_support import Desk
from safetensors.torch import save_file

from nodes.controlnet import (
    control_net_apply,
    control_net_apply_advanced,
    control_net_guess_mode,
)
from nodes.models.checkpoint import inspect, load
from nodes.models.clip_config import Family
from nodes.models.controlnet import ControlNet as ControlModule

pytestmark = pytest.mark.usefixtures("without_gradients")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_all(tmp_path_factory.mktemp("files"))


@pytest.fixture
def desk(files: Path) -> Desk:
    return Desk(files)


# --- against the loops ---------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["", "-diffusers"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_controlnet_steers_both_sides_as_diffusers(
    desk: Desk, family: Family, layout: str
) -> None:
    model, image = model_of(desk, family), picture(5)
    positive, negative = prompts(family)

    steered = control_net_apply_advanced(
        positive, negative, net(desk, family + layout), image, strength=0.7
    )

    expected = euler(model, family, Shown(family, hint_of(image), 0.7))
    assert_close(sampled(desk, model, *steered), expected)
    plain = sampled(desk, model, positive, negative)
    assert float((plain - expected).abs().max()) > 0.01


def test_it_acts_in_its_range_alone(desk: Desk) -> None:
    model, image = model_of(desk, "sd1"), picture(5)

    steered = control_net_apply_advanced(
        *prompts("sd1"), net(desk), image, strength=1.5, start_percent=0.2, end_percent=0.7
    )

    shown = Shown("sd1", hint_of(image), 1.5, steps=(1, 2))
    assert_close(sampled(desk, model, *steered, sampler="ddim"), ddim(model, "sd1", shown))


def test_chained_controlnets_add_up(desk: Desk) -> None:
    model, first, second = model_of(desk, "sd1"), picture(5), picture(6)
    control_net, again = net(desk), net(desk, "sd1-diffusers")

    steered = control_net_apply_advanced(*prompts("sd1"), control_net, first, 0.8)
    steered = control_net_apply_advanced(*steered, again, second, 0.5, 0.0, 0.5)

    expected = ddim(
        model,
        "sd1",
        Shown("sd1", hint_of(first), 0.8),
        Shown("sd1", hint_of(second), 0.5, steps=(0, 1)),
    )
    assert_close(sampled(desk, model, *steered, sampler="ddim"), expected)


def test_one_controlnet_chained_with_two_pictures_adds_up(desk: Desk) -> None:
    model, first, second = model_of(desk, "sd1"), picture(5), picture(6)

    steered = control_net_apply_advanced(*prompts("sd1"), net(desk), first, 0.8)
    steered = control_net_apply_advanced(*steered, net(desk), second, 0.5)

    shown = Shown("sd1", hint_of(first), 0.8), Shown("sd1", hint_of(second), 0.5)
    assert_close(sampled(desk, model, *steered), euler(model, "sd1", *shown))


def test_a_batch_of_pictures_repeats_over_the_batch(desk: Desk) -> None:
    model, images = model_of(desk, "sd1"), picture(5, count=2)

    steered = control_net_apply_advanced(*prompts("sd1"), net(desk), images)

    expected = euler(model, "sd1", Shown("sd1", hint_of(images)), batch=3)
    assert_close(sampled(desk, model, *steered, batch=3), expected)


def test_a_picture_of_another_size_is_fitted(desk: Desk) -> None:
    model, large = model_of(desk, "sd1"), picture(5, height=24 * H, width=24 * W)

    steered = control_net_apply_advanced(*prompts("sd1"), net(desk), large)

    hint = hint_of(large)[:, :, 1::3, 1::3]
    assert_close(sampled(desk, model, *steered), euler(model, "sd1", Shown("sd1", hint)))


def test_eight_pixels_a_cell_whatever_the_models_factor(desk: Desk) -> None:
    model, image = replace(model_of(desk, "sd1"), factor=4), picture(5)

    steered = control_net_apply_advanced(*prompts("sd1"), net(desk), image)

    expected = euler(model, "sd1", Shown("sd1", hint_of(image)))
    assert_close(sampled(desk, model, *steered), expected)


def test_the_old_node_steers_the_other_side_as_well(desk: Desk) -> None:
    model, image = model_of(desk, "sd1"), picture(5)
    positive, negative = prompts("sd1")

    steered = control_net_apply(positive, net(desk), image, 0.7)

    expected = euler(model, "sd1", Shown("sd1", hint_of(image), 0.7))
    assert_close(sampled(desk, model, steered, negative), expected)


def test_the_old_node_leaves_a_side_with_a_controlnet_of_its_own(desk: Desk) -> None:
    model, image, other = model_of(desk, "sd1"), picture(5), picture(6)
    positive, negative = prompts("sd1")

    steered = control_net_apply(positive, net(desk), image, 0.7)
    _, against = control_net_apply_advanced(positive, negative, net(desk), other, 0.3)

    expected = euler(
        model,
        "sd1",
        Shown("sd1", hint_of(image), 0.7, sides=(True, False)),
        Shown("sd1", hint_of(other), 0.3, sides=(False, True)),
    )
    assert_close(sampled(desk, model, steered, against), expected)


@pytest.mark.parametrize("node", ["advanced", "old"])
def test_guess_mode_is_soft_and_leaves_the_other_side_alone(desk: Desk, node: str) -> None:
    model, image = model_of(desk, "sd1"), picture(5)
    positive, negative = prompts("sd1")
    guessing = control_net_guess_mode(net(desk))

    if node == "advanced":
        steered, against = control_net_apply_advanced(positive, negative, guessing, image, 0.9)
        assert against is negative
    else:
        steered, against = control_net_apply(positive, guessing, image, 0.9), negative

    places = len(guessing.skips) + 1
    weights = [0.825 ** (places - 1 - i) for i in range(places)]
    shown = Shown("sd1", hint_of(image), 0.9, sides=(True, False), weights=weights)
    assert_close(sampled(desk, model, steered, against), euler(model, "sd1", shown))


def test_without_guidance_the_positive_side_is_steered(desk: Desk) -> None:
    model, image = model_of(desk, "sd1"), picture(5)

    steered = control_net_apply_advanced(*prompts("sd1"), net(desk), image)

    expected = euler(model, "sd1", Shown("sd1", hint_of(image)), cfg=1.0)
    assert_close(sampled(desk, model, *steered, cfg=1.0), expected)


# --- what it leaves alone ------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_an_untrained_controlnet_leaves_every_bit_as_it_is(
    desk: Desk, tmp_path: Path, family: Family
) -> None:
    info = inspect(desk.place("unet", f"{family}.safetensors"))
    untrained = ControlModule.from_unet(load(info, "unet", dtype=torch.float32))
    here = Desk(tmp_path)
    save_file(untrained.state_dict(), here.place("controlnet", "new.safetensors"))
    positive, negative = prompts(family)
    model = model_of(desk, family)

    steered = control_net_apply_advanced(positive, negative, net(here, "new"), picture(5), 10.0)

    plain = sampled(desk, model, positive, negative)
    assert torch.equal(sampled(desk, model, *steered), plain)
