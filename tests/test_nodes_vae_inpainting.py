"""Encoding for inpainting: what the encoder sees, and the mask that goes with the latent."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from node_support import Desk
from test_nodes_vae import Blocks, Given

from nodegraph import NodeGraphError
from nodes.types import Image, Mask, Vae
from nodes.vae_inpainting import vae_encode_for_inpaint

PIXELS = Vae(None, factor=1, channels=3)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def vae() -> Vae:
    """Four pixels a cell; a latent is the mean colour."""
    return Vae(Given(Blocks()), factor=4, channels=4)


def left_half(rows: int, columns: int) -> Mask:
    mask = torch.zeros(1, rows, columns)
    mask[..., : columns // 2] = 1
    return Mask(mask)


def test_the_encoder_sees_grey_where_the_mask_is_white(desk: Desk, vae: Vae) -> None:
    picture = Image(torch.ones(1, 8, 16, 3))

    latent = vae_encode_for_inpaint(picture, vae, left_half(8, 16), 0, context=desk.context)

    assert latent.factor == 4
    assert latent.samples[0, 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]
    assert torch.equal(picture, torch.ones(1, 8, 16, 3))


def test_the_noise_mask_is_grown_but_the_picture_is_not(desk: Desk, vae: Vae) -> None:
    picture = Image(torch.ones(1, 8, 16, 3))

    latent = vae_encode_for_inpaint(picture, vae, left_half(8, 16), 5, context=desk.context)

    assert latent.noise_mask is not None
    assert latent.noise_mask.shape == (1, 1, 8, 16)
    assert latent.noise_mask[0, 0, 4].tolist() == [1.0] * 10 + [0.0] * 6
    assert latent.samples[0, 0, 0].tolist() == [0, 0, 1, 1]


def test_a_mask_of_another_size_is_stretched_and_then_rounded(desk: Desk) -> None:
    mask = Mask(torch.tensor([[[0.0, 1.0]]]))

    latent = vae_encode_for_inpaint(
        Image(torch.zeros(1, 2, 8, 3)), PIXELS, mask, 0, context=desk.context
    )

    assert latent.noise_mask is not None
    assert latent.noise_mask[0, 0].tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]] * 2
    assert latent.samples[0, 0, 0].tolist() == [-1, -1, -1, -1, 0, 0, 0, 0]


def test_the_mask_is_cropped_to_the_centre_like_the_picture(desk: Desk, vae: Vae) -> None:
    mask = torch.zeros(1, 7, 10)
    mask[:, 3, 4] = 1

    latent = vae_encode_for_inpaint(
        Image(torch.zeros(1, 7, 10, 3)), vae, Mask(mask), 0, context=desk.context
    )

    assert latent.samples.shape[-2:] == (1, 2)  # rows 1 to 4 and columns 1 to 8 of the picture
    assert latent.noise_mask is not None
    assert latent.noise_mask.shape == (1, 1, 4, 8)
    assert latent.noise_mask[0, 0].nonzero().tolist() == [[2, 3]]


def test_a_hole_outside_the_crop_does_not_grow_into_it(desk: Desk, vae: Vae) -> None:
    mask = torch.zeros(1, 4, 9)
    mask[..., 8] = 1  # cut off

    latent = vae_encode_for_inpaint(
        Image(torch.zeros(1, 4, 9, 3)), vae, Mask(mask), 5, context=desk.context
    )

    assert latent.noise_mask is not None
    assert not latent.noise_mask.any()


def test_fewer_masks_than_pictures_start_over(desk: Desk) -> None:
    masks = Mask(torch.stack([torch.zeros(2, 2), torch.ones(2, 2)]))
    pictures = Image(torch.ones(3, 2, 2, 4))

    latent = vae_encode_for_inpaint(pictures, PIXELS, masks, 0, context=desk.context)

    assert [float(one.mean()) for one in latent.samples] == [1, 0, 1]
    assert latent.noise_mask is not None
    assert len(latent.noise_mask) == 2  # which start over for the sampler as well


def test_a_grey_picture_and_one_smaller_than_a_cell_are_refused(desk: Desk, vae: Vae) -> None:
    mask = Mask(torch.ones(1, 8, 8))

    with pytest.raises(NodeGraphError, match="1 channel; a VAE encodes red"):
        vae_encode_for_inpaint(Image(torch.zeros(1, 8, 8, 1)), vae, mask, context=desk.context)
    with pytest.raises(NodeGraphError, match="3 x 8 pixels, smaller than"):
        vae_encode_for_inpaint(Image(torch.zeros(1, 8, 3, 3)), vae, mask, context=desk.context)
