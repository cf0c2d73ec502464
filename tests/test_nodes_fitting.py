"""A latent and conditioning as a model takes them, and what is said where they do not fit."""

from __future__ import annotations

import math

import pytest
import torch
from node_support import Painter, painted_model, worth

from nodegraph import NodeGraphError
from nodes.diffusion.area import Area as Cells
from nodes.fitting import conditions, fit
from nodes.types import Area, Condition, Conditioning, Latent, Model

LATENTS = torch.randn(2, 4, 6, 5, generator=torch.Generator().manual_seed(0))


def inpainting(channels: int = 4, scale: float = 0.5) -> Model:
    return painted_model(
        Painter(), channels=channels, inputs=2 * channels + 1, scale=scale, context=3
    )


@pytest.mark.parametrize(
    ("channels", "factor", "expected"),
    [(4, 8, (2, 4, 5, 9)), (4, 4, (2, 4, 10, 18)), (3, 1, (2, 3, 40, 72)), (16, 16, (2, 16, 2, 4))],
)
def test_an_empty_latent_takes_the_channels_and_cells_of_its_model(
    channels: int, factor: int, expected: tuple[int, ...]
) -> None:
    model = painted_model(Painter(), channels=channels, factor=factor)

    fitted = fit(Latent.empty(72, 40, 2), model)

    assert fitted.samples.shape == expected
    assert not fitted.samples.any()
    assert (fitted.factor, fitted.pixels) == (factor, None)


def test_a_latent_of_zeros_takes_the_channels_and_keeps_its_cells() -> None:
    fitted = fit(Latent(torch.zeros(1, 4, 6, 5)), painted_model(Painter(), channels=16))

    assert fitted.samples.shape == (1, 16, 6, 5)


def test_a_fitted_latent_keeps_mask_and_indices_and_learns_the_factor() -> None:
    mask = torch.ones(1, 1, 8, 8)

    fitted = fit(Latent(LATENTS, mask, (4, 7)), painted_model(Painter(), factor=4))

    assert fitted.samples is LATENTS
    assert fitted.noise_mask is mask
    assert fitted.batch_index == (4, 7)
    assert fitted.factor == 4


def test_a_latent_of_another_family_is_refused_with_what_to_do() -> None:
    with pytest.raises(NodeGraphError, match=r"has 4 channels.*works on 16.*VAE that belongs"):
        fit(Latent(LATENTS), painted_model(Painter(), channels=16))


def test_a_picture_smaller_than_a_latent_cell_is_refused() -> None:
    with pytest.raises(NodeGraphError, match=r"64 x 16 pixels.*32 x 32"):
        fit(Latent.empty(64, 16, 1), painted_model(Painter(), factor=32))


def test_entries_become_the_drivers_conditions_in_order() -> None:
    model = painted_model(Painter())
    mask = torch.rand(1, 8, 8)
    entries = (
        *worth(1.0, strength=0.5, start=0.0, end=0.5).entries,
        *worth(2.0, mask=mask, mask_strength=0.25, start=0.5, end=1.0).entries,
    )

    first, second = conditions(Conditioning(entries), model, LATENTS, None)

    assert first.context is not None
    assert second.context is not None
    assert (float(first.context.mean()), float(second.context.mean())) == (1, 2)
    assert (first.strength, second.strength) == (0.5, 1)
    assert second.mask is mask
    assert second.mask_strength == 0.25
    middle = model.sampling.schedule.t_to_sigma(499.5).item()
    assert first.start_sigma > 1e8
    assert math.isclose(first.end_sigma, middle)
    assert math.isclose(second.start_sigma, middle)
    assert second.end_sigma == 0


def test_tokens_of_another_width_are_refused_with_both_widths() -> None:
    model = painted_model(Painter(), context=768)

    with pytest.raises(NodeGraphError, match=r"1024 wide.*reads 768.*text encoder that belongs"):
        conditions(worth(1.0, width=1024), model, LATENTS, None)


def test_conditioning_without_tokens_is_refused_by_a_model_that_reads_some() -> None:
    with pytest.raises(NodeGraphError, match=r"no tokens.*768 wide.*encode a prompt"):
        conditions(
            Conditioning((Condition(None),)), painted_model(Painter(), context=768), LATENTS, None
        )


def test_a_model_that_reads_no_tokens_is_given_none() -> None:
    model = painted_model(Painter(), context=None)

    [plain] = conditions(worth(1.0), model, LATENTS, None)
    [empty] = conditions(Conditioning((Condition(None),)), model, LATENTS, None)

    assert plain.context is None
    assert empty.context is None


def test_what_stands_beside_the_latent_and_the_area_reach_the_driver() -> None:
    area = Area(width=16, height=24, x=8, y=8)

    [condition] = conditions(worth(1.0, area=area), inpainting(), LATENTS, None)

    assert condition.concat is not None
    assert condition.concat.shape == (2, 5, 6, 5)
    assert condition.area == Cells(height=3, width=2, top=1, left=1)
