"""Pixels to latents and back: ranges, sizes, precision, and tiles without seams."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from node_support import Desk, Given
from tiny_pipelines import FACTOR, tiny
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from benchmarks.vae_tiling import borders, drawings, psnr, seam, sunset
from nodegraph import Cancelled, NodeGraphError
from nodes.loaders import load_checkpoint
from nodes.types import Image, Latent, Vae
from nodes.vae import vae_decode, vae_decode_tiled, vae_encode, vae_encode_tiled

pytestmark = pytest.mark.usefixtures("without_gradients")
ROOT = Path(__file__).parents[1]
PIXELS = Vae(None, factor=1, channels=3)


class Blocks(nn.Module):
    """Four pixels a cell: the latent is the mean colour and a channel of zeros; z is the picture.

    Keeps the largest picture or latent it was shown, and can only count so far in half precision.
    """

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, dtype=dtype), requires_grad=False)
        self.largest = 0

    def encode(self, x: Tensor) -> SimpleNamespace:
        self.largest = max(self.largest, x.numel())
        mean = avg_pool2d(x * self.gain, 4)
        return SimpleNamespace(mean=torch.cat([mean, torch.zeros_like(mean[:, :1])], dim=1))

    def decode(self, z: Tensor) -> Tensor:
        self.largest = max(self.largest, z.numel())
        return interpolate(z[:, :3] * self.gain, scale_factor=4.0)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def blocks() -> Blocks:
    return Blocks()


@pytest.fixture
def vae(blocks: Blocks) -> Vae:
    return Vae(Given(blocks), factor=4, channels=4)


def picture(*shape: int) -> Image:
    return Image(torch.rand(shape, generator=torch.Generator().manual_seed(0)))


# -- decoding --------------------------------------------------------------------------------------


def test_decoded_pixels_are_brought_to_0_to_1_and_clamped(desk: Desk, vae: Vae) -> None:
    z = torch.tensor([-1.5, -1.0, 0.5, 0.0]).view(1, 4, 1, 1)

    image = vae_decode(Latent(z), vae, context=desk.context)

    assert image.shape == (1, 4, 4, 3)
    assert image[0, 2, 3].tolist() == [0.0, 0.0, 0.75]
    assert image.dtype == torch.float32
    assert image.is_contiguous()


def test_a_batch_is_decoded_one_by_one_to_what_each_gives_alone(
    desk: Desk, vae: Vae, blocks: Blocks
) -> None:
    z = torch.randn(3, 4, 2, 5)

    images = vae_decode(Latent(z), vae, context=desk.context)

    assert blocks.largest == 4 * 2 * 5
    for one, image in zip(z, images, strict=True):
        alone = vae_decode(Latent(one[None]), vae, context=desk.context)
        assert torch.equal(image, alone[0])
    assert desk.progress[:3] == [(1, 3), (2, 3), (3, 3)]


def test_a_latent_of_another_family_is_refused_with_both_channels(desk: Desk, vae: Vae) -> None:
    for node in (vae_decode, vae_decode_tiled):
        with pytest.raises(NodeGraphError, match=r"has 16 channels.*decodes 4.*VAE that belongs"):
            node(Latent(torch.zeros(1, 16, 2, 2)), vae, context=desk.context)


def test_an_empty_latent_is_decoded_as_zeros_of_the_vaes_shape(desk: Desk, vae: Vae) -> None:
    for node in (vae_decode, vae_decode_tiled):
        image = node(Latent.empty(64, 32, 2), vae, context=desk.context)

        assert torch.equal(image, torch.full((2, 32, 64, 3), 0.5))


def test_the_input_of_decoding_is_not_changed(desk: Desk, vae: Vae) -> None:
    z = torch.randn(1, 4, 3, 3)
    pixels = torch.randn(1, 3, 3, 3)
    before = z.clone(), pixels.clone()

    vae_decode(Latent(z), vae, context=desk.context)
    vae_decode(Latent(pixels, factor=1), PIXELS, context=desk.context)
    vae_decode_tiled(Latent(pixels, factor=1), PIXELS, context=desk.context)

    assert torch.equal(z, before[0])
    assert torch.equal(pixels, before[1])


# -- encoding --------------------------------------------------------------------------------------


def test_pictures_are_encoded_from_minus_1_to_1_as_the_posteriors_mean(
    desk: Desk, vae: Vae
) -> None:
    image = picture(2, 8, 12, 3)

    latent = vae_encode(image, vae, context=desk.context)

    assert latent.factor == 4
    expected = avg_pool2d(image.movedim(-1, 1) * 2 - 1, 4)
    torch.testing.assert_close(latent.samples[:, :3], expected)
    assert not latent.samples[:, 3].any()


def test_a_picture_of_no_whole_cells_is_cropped_at_both_ends(desk: Desk, vae: Vae) -> None:
    image = picture(1, 11, 9, 3)  # 3 rows and 1 column too many

    for node in (vae_encode, vae_encode_tiled):
        latent = node(image, vae, context=desk.context)

        inside = Image(image[:, 1:9, 0:8])
        whole = vae_encode(inside, vae, context=desk.context)
        assert torch.equal(latent.samples, whole.samples)


def test_alpha_is_left_out(desk: Desk, vae: Vae) -> None:
    image = picture(1, 8, 8, 4)

    latent = vae_encode(image, vae, context=desk.context)

    opaque = vae_encode(Image(image[..., :3]), vae, context=desk.context)
    assert torch.equal(latent.samples, opaque.samples)


def test_a_picture_smaller_than_a_cell_or_without_colours_is_refused(desk: Desk, vae: Vae) -> None:
    for node in (vae_encode, vae_encode_tiled):
        with pytest.raises(NodeGraphError, match=r"is 7 x 3 pixels.*4 x 4: scale it up"):
            node(picture(1, 3, 7, 3), vae, context=desk.context)
        with pytest.raises(NodeGraphError, match=r"has 1 channel; a VAE encodes red, green"):
            node(picture(1, 8, 8, 1), vae, context=desk.context)


def test_the_input_of_encoding_is_not_changed(desk: Desk, vae: Vae) -> None:
    for shape in ((1, 8, 8, 3), (1, 1, 1, 3)):
        image = picture(*shape)
        before = image.clone()

        vae_encode(image, PIXELS, context=desk.context)
        if shape[1] == 8:
            vae_encode(image, vae, context=desk.context)
            vae_encode_tiled(image, vae, context=desk.context)

        assert torch.equal(image, before)


def test_the_vae_of_a_pipeline_encodes_and_decodes_as_diffusers_does(desk: Desk) -> None:
    theirs = tiny("sd1").vae

    class Theirs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vae = theirs

        def encode(self, x: Tensor) -> SimpleNamespace:
            return SimpleNamespace(mean=self.vae.encode(x).latent_dist.mean)

        def decode(self, z: Tensor) -> Tensor:
            return cast(Tensor, self.vae.decode(z).sample)

    image, handle = picture(1, 16, 16, 3), Vae(Given(Theirs()), FACTOR, 4)

    latent = vae_encode(image, handle, context=desk.context)
    back = vae_decode(latent, handle, context=desk.context)

    z = theirs.encode(image.movedim(-1, 1) * 2 - 1).latent_dist.mean
    torch.testing.assert_close(latent.samples, z)
    expected = (theirs.decode(z).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    torch.testing.assert_close(back, expected)


# -- the identity ----------------------------------------------------------------------------------


def test_pixel_space_is_there_and_back_without_loss(desk: Desk) -> None:
    image = Image(torch.tensor([0.0, 0.25, 1.0]).expand(2, 5, 7, 3))

    for encode, decode in ((vae_encode, vae_decode), (vae_encode_tiled, vae_decode_tiled)):
        latent = encode(image, PIXELS, context=desk.context)
        back = decode(latent, PIXELS, context=desk.context)

        assert latent.factor == 1
        assert latent.samples[0, :, 0, 0].tolist() == [-1.0, -0.5, 1.0]
        assert torch.equal(back, image)


# -- precision and stopping ------------------------------------------------------------------------


def test_an_overflow_in_half_precision_is_computed_again_and_told(desk: Desk) -> None:
    module = Blocks(torch.float16)
    module.gain.fill_(30000.0)
    z = torch.full((1, 4, 1, 1), 4.0)  # 120000 is beyond float16

    image = vae_decode(Latent(z), Vae(Given(module), 4, 4), context=desk.context)

    assert torch.equal(image, torch.ones(1, 4, 4, 3))
    assert len(desk.warnings) == 1
    assert "overflowed in float16" in desk.warnings[0]


@pytest.mark.parametrize("node", [vae_decode, vae_decode_tiled])
def test_decoding_stops_when_it_is_asked_to(
    desk: Desk, vae: Vae, node: Callable[..., Image]
) -> None:
    desk.cancel.cancel()

    with pytest.raises(Cancelled):
        node(Latent(torch.zeros(9, 4, 2, 2)), vae, context=desk.context)


# -- tiles -----------------------------------------------------------------------------------------


def test_a_picture_within_one_tile_is_what_it_is_without_tiles(desk: Desk, vae: Vae) -> None:
    image, z = picture(1, 64, 48, 3), torch.randn(1, 4, 16, 12)

    latent = vae_encode_tiled(image, vae, 64, 0, context=desk.context)
    pixels = vae_decode_tiled(Latent(z), vae, 64, 0, context=desk.context)

    assert torch.equal(latent.samples, vae_encode(image, vae, context=desk.context).samples)
    assert torch.equal(pixels, vae_decode(Latent(z), vae, context=desk.context))
    assert desk.progress.count((1, 1)) == 4


def test_what_sees_only_its_own_cell_is_the_same_in_tiles_at_any_size(desk: Desk, vae: Vae) -> None:
    image, z = picture(2, 200, 140, 3), torch.randn(2, 4, 50, 35)

    latent = vae_encode_tiled(image, vae, 64, 16, context=desk.context)
    pixels = vae_decode_tiled(Latent(z), vae, 64, 16, context=desk.context)

    whole = vae_encode(image, vae, context=desk.context)
    torch.testing.assert_close(latent.samples, whole.samples)
    assert latent.factor == 4
    torch.testing.assert_close(pixels, vae_decode(Latent(z), vae, context=desk.context))


@pytest.mark.parametrize("node", ["encode", "decode"])
def test_the_memory_a_network_takes_does_not_grow_with_the_picture(
    desk: Desk, vae: Vae, blocks: Blocks, node: str
) -> None:
    largest = []
    for cells in (17, 40, 90):
        blocks.largest = 0
        if node == "encode":
            vae_encode_tiled(picture(1, cells * 4, cells * 4, 3), vae, 64, 16, context=desk.context)
        else:
            z = torch.zeros(1, 4, cells, cells)
            vae_decode_tiled(Latent(z), vae, 64, 16, context=desk.context)
        largest.append(blocks.largest)

    assert largest == [{"encode": 3 * 64 * 64, "decode": 4 * 16 * 16}[node]] * 3


def test_a_larger_picture_is_averaged_over_three_grids_of_tiles(desk: Desk, vae: Vae) -> None:
    z = torch.zeros(1, 4, 40, 40)
    grids = 3 * 3 + 9 * 2 + 2 * 9  # 16 x 16, 8 x 32 and 32 x 8 cells, 4 of them shared

    vae_decode_tiled(Latent(z), vae, 64, 16, context=desk.context)
    vae_encode_tiled(picture(1, 160, 160, 3), vae, 64, 16, context=desk.context)

    assert desk.progress == 2 * [(i, grids) for i in range(1, grids + 1)]


def test_an_overlap_is_at_most_a_quarter_of_the_tile(desk: Desk, vae: Vae) -> None:
    z = torch.randn(1, 4, 40, 40)

    wide = vae_decode_tiled(Latent(z), vae, 64, 4096, context=desk.context)
    steps = len(desk.progress)
    vae_decode_tiled(Latent(z), vae, 64, 16, context=desk.context)

    assert len(desk.progress) == 2 * steps
    torch.testing.assert_close(wide, vae_decode(Latent(z), vae, context=desk.context))


# -- tiles of real pictures through a trained VAE --------------------------------------------------
# docs/vae-tiling.md has the numbers of larger pictures; these are its bounds on a small one.

TILE, OVERLAP = 128, 32  # pixels


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, Vae]:
    desk = Desk(tmp_path_factory.mktemp("trained"))
    (desk.folder / "models").symlink_to(ROOT / "models")
    return desk, load_checkpoint("emoji.safetensors", context=desk.context).vae


@pytest.mark.parametrize(
    ("image", "least"), [(drawings(), 22.0), (sunset(), 17.0)], ids=["drawings", "smooth"]
)
def test_a_tiled_picture_has_no_seams(
    trained: tuple[Desk, Vae], image: Image, least: float
) -> None:
    desk, vae = trained
    latent = vae_encode(image, vae, context=desk.context)
    whole = vae_decode(latent, vae, context=desk.context)

    tiled = vae_decode_tiled(latent, vae, TILE, OVERLAP, context=desk.context)
    hard = vae_decode_tiled(latent, vae, TILE, 0, context=desk.context)

    places = borders(256, TILE, OVERLAP)
    assert psnr(tiled, whole) > least
    assert seam(tiled - whole, places) < 1.1
    assert seam(hard - whole, borders(256, TILE, 0)) > 2  # what this measure makes of a seam


def test_a_tiled_latent_is_close_to_the_untiled_one(trained: tuple[Desk, Vae]) -> None:
    desk, vae = trained
    latent = vae_encode(drawings(), vae, context=desk.context).samples

    tiled = vae_encode_tiled(drawings(), vae, TILE, OVERLAP, context=desk.context).samples

    assert float((tiled - latent).std() / latent.std()) < 0.1
