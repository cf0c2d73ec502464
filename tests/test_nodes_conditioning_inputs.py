"""Nodes that give networks more to see than the latent."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from linear_vae import LinearVAE
from node_support import Desk, Given, Painter, painted_model, worth
from torch.nn.functional import interpolate

from nodes.conditioning_inputs import (
    depth_conditioning,
    inpaint_model_conditioning,
    instruct_pix_to_pix_conditioning,
)
from nodes.guiding import basic_guider, dual_cfg_guider, sampler_custom_advanced
from nodes.randomness import Noise
from nodes.types import Condition, Conditioning, Image, Latent, Mask, Sampler, Sigmas, Vae
from nodes.vae import vae_encode

pytestmark = pytest.mark.usefixtures("without_gradients")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def vae() -> Vae:
    return Vae(Given(LinearVAE()), factor=8, channels=4)


def picture(*shape: int) -> Image:
    return Image(torch.rand(shape, generator=torch.Generator().manual_seed(0)))


def both(entries: int = 1) -> Conditioning:
    return Conditioning(tuple(Condition(torch.full((1, 2, 3), 1.0 * i)) for i in range(entries)))


def hole(height: int, width: int) -> Mask:
    mask = torch.zeros(1, height, width)
    mask[:, : height // 2, width // 4 :] = 1
    return Mask(mask)


def test_inpainting_gets_the_picture_and_the_same_with_grey_under_the_mask(
    desk: Desk, vae: Vae
) -> None:
    image, mask = picture(1, 32, 48, 3), hole(32, 48)

    positive, negative, latent = inpaint_model_conditioning(
        both(2), both(1), vae, image, mask, context=desk.context
    )

    grey = torch.where(mask[..., None].bool(), torch.tensor(0.5), image)
    whole, masked = (vae_encode(Image(x), vae, context=desk.context).samples for x in (image, grey))
    assert torch.equal(latent.samples, whole)
    assert latent.noise_mask is not None
    assert torch.equal(latent.noise_mask, mask[:, None])
    for side, number in ((positive, 2), (negative, 1)):
        assert len(side.entries) == number
        for entry in side.entries:
            assert entry.kept is not None
            assert entry.hole is not None
            torch.testing.assert_close(entry.kept, masked)
            assert torch.equal(entry.hole, mask[:, None])
    assert [float(e.context.mean()) for e in positive.entries if e.context is not None] == [0, 1]


def test_without_the_noise_mask_all_of_the_latent_is_made_anew(desk: Desk, vae: Vae) -> None:
    result = inpaint_model_conditioning(
        both(), both(), vae, picture(1, 16, 16, 3), hole(16, 16), False, context=desk.context
    )

    assert result.latent.noise_mask is None
    assert result.positive.entries[0].hole is not None


def test_a_mask_of_greys_hides_where_it_rounds_to_one_and_is_carried_as_it_is(
    desk: Desk, vae: Vae
) -> None:
    image, mask = picture(1, 16, 16, 3), Mask(torch.full((1, 16, 16), 0.4))
    mask[:, :, 8:] = 0.6

    result = inpaint_model_conditioning(both(), both(), vae, image, mask, context=desk.context)

    grey = image.clone()
    grey[:, :, 8:] = 0.5
    expected = vae_encode(Image(grey), vae, context=desk.context).samples
    assert result.positive.entries[0].kept is not None
    torch.testing.assert_close(result.positive.entries[0].kept, expected)
    assert result.latent.noise_mask is not None
    torch.testing.assert_close(result.latent.noise_mask, mask[:, None])


def test_picture_and_mask_are_cropped_alike_to_whole_cells(desk: Desk, vae: Vae) -> None:
    image, mask = picture(1, 21, 30, 3), hole(42, 15)  # the mask is of another size

    result = inpaint_model_conditioning(both(), both(), vae, image, mask, context=desk.context)

    resized = interpolate(mask[:, None], (21, 30), mode="bilinear")[..., 2:18, 3:27]
    entry = result.positive.entries[0]
    assert entry.hole is not None
    assert torch.equal(entry.hole, resized)
    grey = torch.where(resized.round().movedim(1, -1).bool(), 0.5, image[:, 2:18, 3:27])
    assert entry.kept is not None
    expected = vae_encode(Image(grey), vae, context=desk.context).samples
    torch.testing.assert_close(entry.kept, expected)
    assert result.latent.samples.shape == (1, 4, 2, 3)


def test_a_batch_of_pictures_with_a_mask_each_or_one_for_all(desk: Desk, vae: Vae) -> None:
    image = picture(3, 16, 16, 3)
    masks = torch.zeros(3, 16, 16)
    masks[1] = 1

    each = inpaint_model_conditioning(both(), both(), vae, image, Mask(masks), context=desk.context)
    one = inpaint_model_conditioning(
        both(), both(), vae, image, Mask(masks[1:2]), context=desk.context
    )

    kept, all_grey = each.positive.entries[0].kept, one.positive.entries[0].kept
    assert kept is not None
    assert all_grey is not None
    assert torch.equal(kept[0], each.latent.samples[0])
    torch.testing.assert_close(kept[1], all_grey[1])
    torch.testing.assert_close(all_grey, all_grey[:1].expand(3, -1, -1, -1))


def test_pictures_and_masks_are_left_as_they_are(desk: Desk, vae: Vae) -> None:
    image, mask = picture(1, 16, 16, 3), hole(16, 16)
    before = image.clone(), mask.clone()

    inpaint_model_conditioning(both(), both(), vae, image, mask, context=desk.context)
    depth_conditioning(both(), both(), image)

    assert torch.equal(image, before[0])
    assert torch.equal(mask, before[1])


def test_an_inpainting_network_is_shown_what_the_node_carries(desk: Desk, vae: Vae) -> None:
    painter = Painter()
    model = painted_model(painter, inputs=9, scale=2.0)
    image, mask = picture(1, 64, 64, 3), hole(64, 64)
    positive, _, latent = inpaint_model_conditioning(
        worth(1.0), worth(0.0), vae, image, mask, context=desk.context
    )

    result = sampler_custom_advanced(
        Noise(1),
        basic_guider(model, positive),
        Sampler("euler"),
        Sigmas(torch.tensor([2.0, 1.0, 0.0])),
        latent,
        context=desk.context,
    ).output

    kept = positive.entries[0].kept
    assert kept is not None
    for shown in painter.shown:
        assert shown[0, 4].tolist() == [[0, 0, *[1] * 6]] * 4 + [[0] * 8] * 4
        torch.testing.assert_close(shown[:, 5:], kept * 2.0)
    inside = shown[:, 4:5].bool().expand(1, 4, 8, 8)
    torch.testing.assert_close(result.samples[~inside], latent.samples[~inside], rtol=0, atol=1e-6)
    torch.testing.assert_close(result.samples[inside], torch.full_like(result.samples[inside], 0.5))


def test_a_depth_map_is_carried_by_every_entry_of_both_sides() -> None:
    image, mask = picture(2, 8, 12, 3), Mask(torch.rand(1, 8, 12))

    from_image = depth_conditioning(both(2), both(1), image)
    from_mask = depth_conditioning(both(1), both(1), mask)

    entries = (*from_image.positive.entries, *from_image.negative.entries)
    assert len(entries) == 3
    for entry in entries:
        assert entry.depth is not None
        torch.testing.assert_close(entry.depth, image.mean(dim=-1)[:, None])
    assert from_mask.negative.entries[0].depth is not None
    assert torch.equal(from_mask.negative.entries[0].depth, mask[:, None])


def test_editing_starts_from_an_empty_latent_of_the_pictures_size(desk: Desk, vae: Vae) -> None:
    image = picture(1, 21, 32, 3)

    positive, negative, latent = instruct_pix_to_pix_conditioning(
        both(2), both(1), vae, image, context=desk.context
    )

    encoded = vae_encode(image, vae, context=desk.context).samples
    assert isinstance(latent, Latent)
    assert torch.equal(latent.samples, torch.zeros(1, 4, 2, 4))
    assert latent.factor == 8
    for entry in (*positive.entries, *negative.entries):
        assert entry.edited is not None
        assert torch.equal(entry.edited, encoded)


def test_the_two_scales_of_editing_compare_with_no_picture_and_with_no_instruction(
    desk: Desk, vae: Vae
) -> None:
    painter = Painter()
    model = painted_model(painter, inputs=8, scale=2.0)
    empty = worth(1.0)
    instructed, uninstructed, latent = instruct_pix_to_pix_conditioning(
        worth(3.0), empty, vae, picture(1, 64, 64, 3), context=desk.context
    )
    guider = dual_cfg_guider(model, instructed, uninstructed, empty, 7.5, 1.5, style="regular")

    result = sampler_custom_advanced(
        Noise(1),
        guider,
        Sampler("euler"),
        Sigmas(torch.tensor([2.0, 0.0])),
        latent,
        context=desk.context,
    ).output

    [shown] = painter.shown
    edited = instructed.entries[0].edited
    assert edited is not None
    # with the instruction, without picture and instruction, with the picture alone
    expected = torch.cat([edited, torch.zeros_like(edited), edited])
    assert torch.equal(shown[:, 4:], expected)
    scaled = 1 + 1.5 * (1 - 1) + 7.5 * (3 - 1)
    torch.testing.assert_close(result.samples, torch.full((1, 4, 8, 8), scaled / 2))
