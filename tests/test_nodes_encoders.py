"""Nodes of condition encoders: loaded, leased, and what each gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from encoder_files import (
    CONFIGS,
    LABELS,
    PATCHES,
    SEGMENTED,
    SEGMENTS,
    WIDTH,
    furnished,
    in_context,
    loaded,
    network,
    tokens,
)
from node_support import Desk
from safetensors.torch import save_file
from torch import Tensor

from nodegraph import Context, ModelManager, NodeGraphError
from nodes.encoders import (
    encode_class,
    encode_clip_image,
    encode_condition,
    encode_depth,
    encode_image_condition,
    encode_segmentation,
    encode_text,
    load_condition_encoder,
)
from nodes.encoding import Encoded, EncoderSource
from nodes.models.clip_config import CLIPConfig
from nodes.models.encoders import PatchConfig, as_depth, as_picture, one_hot_map, text_numbers
from nodes.models.errors import CheckpointError
from nodes.types import CONDITIONING, ClipVisionOutput, Image, Mask

pytestmark = pytest.mark.usefixtures("without_gradients")
IMAGE = Image(torch.rand(2, 24, 20, 3, generator=torch.Generator().manual_seed(1)))
DEPTH = Mask(IMAGE[..., 0])
SEEN = ClipVisionOutput(torch.randn(2, 6), torch.randn(2, 5, 8), torch.randn(2, 5, 8))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return furnished(tmp_path_factory.mktemp("desk"))


@pytest.fixture
def context(desk: Desk) -> Context:
    return in_context(desk)


# -- loading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_a_file_is_a_handle_with_its_kind_and_configuration(kind: str, context: Context) -> None:
    encoder = loaded(kind, context)

    assert (encoder.kind, encoder.config) == (kind, CONFIGS[kind])
    assert encoder.source.nbytes == sum(p.nbytes for p in network(kind).parameters())
    assert encoder.source.key == loaded(kind, context).source.key


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_an_encoder_can_be_put_together_weight_by_weight(kind: str, context: Context) -> None:
    source = loaded(kind, context).source
    skeleton, whole = source.skeleton(), source.load()

    names = dict(skeleton.named_parameters())

    assert all(parameter.is_meta for parameter in names.values())
    assert not list(skeleton.buffers())
    for name, parameter in whole.named_parameters():
        assert torch.equal(source.tensor(name), parameter)
        assert names[name].dtype == parameter.dtype


@pytest.mark.parametrize("kind", ["class", "segmentation"])
def test_an_encoder_that_does_not_fit_is_streamed_with_the_same_result(
    kind: str, context: Context
) -> None:
    encoder, value = loaded(kind, context), "dog" if kind == "class" else SEGMENTS
    tight = ModelManager(host_budget=encoder.source.nbytes - 1)

    streamed = encode_condition(encoder, value, context=replace(context, models=tight))
    whole = encode_condition(encoder, value, context=context)

    assert tight.stats().streams == 1
    assert torch.equal(tokens(streamed.conditioning), tokens(whole.conditioning))
    assert torch.equal(tokens(streamed.null), tokens(whole.null))


def test_the_key_tells_contents_and_precisions_apart(desk: Desk, context: Context) -> None:
    sources = [
        loaded("image", context).source,
        loaded("depth", context).source,
        loaded("image", replace(context, precision="bf16")).source,
    ]

    assert len({source.key for source in sources}) == 3
    assert isinstance(sources[2], EncoderSource)
    assert sources[2].dtype == torch.bfloat16


def test_a_file_of_something_else_is_refused_by_the_loader(desk: Desk, context: Context) -> None:
    path = desk.place("condition_encoders", "vae.safetensors")
    save_file({"decoder.conv_in.weight": torch.zeros(1)}, path)

    with pytest.raises(CheckpointError, match=r"encoders/vae.safetensors: is no condition encoder"):
        load_condition_encoder("vae.safetensors", context=context)


# -- encoding --------------------------------------------------------------------------------------


def test_a_class_is_its_row_of_the_table(context: Context) -> None:
    table = network("class").get_parameter("embedding.weight")

    found = encode_class(loaded("class", context), "dog\n0", context=context)

    assert torch.equal(tokens(found.conditioning), table[[1, 0], None])
    assert torch.equal(tokens(found.null), table[[3, 3], None])


@pytest.mark.parametrize("resolution", ["trained", "given"])
def test_pictures_and_maps_are_what_the_network_makes_of_them(
    resolution: Any, context: Context
) -> None:
    def expect(kind: str, y: Tensor, found: Encoded) -> None:
        module = network(kind)
        torch.testing.assert_close(tokens(found.conditioning), module(y))
        torch.testing.assert_close(tokens(found.null), module.null(y))

    image, depth, segments = (loaded(k, context) for k in ("image", "depth", "segmentation"))
    expect(
        "image",
        as_picture(IMAGE, PatchConfig(**PATCHES), resolution),
        encode_image_condition(image, IMAGE, resolution, context=context),
    )
    expect(
        "depth",
        as_depth(DEPTH, PatchConfig(**PATCHES), resolution, normalise=False),
        encode_depth(depth, DEPTH, False, resolution, context=context),
    )
    expect(
        "segmentation",
        one_hot_map(SEGMENTS, SEGMENTED, resolution),
        encode_segmentation(segments, SEGMENTS, "error", resolution, context=context),
    )


def test_a_map_of_colours_and_one_of_numbers_give_the_same_tokens(context: Context) -> None:
    encoder = loaded("segmentation", context)

    by_colour = encode_segmentation(encoder, SEGMENTS, context=context)
    by_number = encode_segmentation(encoder, Mask(LABELS / 255), context=context)
    rough = encode_segmentation(
        encoder, Image((SEGMENTS + 0.1).clamp(0, 1)), "nearest", context=context
    )

    for other in (by_number, rough):
        assert torch.equal(tokens(other.conditioning), tokens(by_colour.conditioning))


def test_what_clip_sees_is_projected(context: Context) -> None:
    found = encode_clip_image(loaded("clip_image", context), SEEN, context=context)

    expected = network("clip_image")(SEEN.image_embeds[:, None])
    torch.testing.assert_close(tokens(found.conditioning), expected)
    assert tokens(found.null).shape == (2, 4, WIDTH)


@pytest.mark.parametrize(
    ("kind", "value", "typed"),
    [
        ("class", "hill", lambda e, c: encode_class(e, "hill", context=c)),
        ("class", 2, lambda e, c: encode_class(e, "2", context=c)),
        ("image", IMAGE, lambda e, c: encode_image_condition(e, IMAGE, context=c)),
        ("segmentation", SEGMENTS, lambda e, c: encode_segmentation(e, SEGMENTS, context=c)),
        ("depth", DEPTH, lambda e, c: encode_depth(e, DEPTH, context=c)),
        ("clip_image", SEEN, lambda e, c: encode_clip_image(e, SEEN, context=c)),
    ],
)
def test_the_node_for_anything_gives_what_the_kinds_own_node_gives(
    kind: str, value: Any, typed: Any, context: Context
) -> None:
    encoder = loaded(kind, context)

    anything, own = encode_condition(encoder, value, context=context), typed(encoder, context)

    assert torch.equal(tokens(anything.conditioning), tokens(own.conditioning))
    assert torch.equal(tokens(anything.null), tokens(own.null))


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (
            "image",
            3,
            "'image.safetensors' (image) takes a picture (IMAGE): expected a picture or a ",
        ),
        ("depth", torch.zeros(4), "takes a depth map (IMAGE or MASK): expected a depth map"),
        ("class", "cow", "takes a class number or name (INT or STRING): there is no class 'cow'"),
        ("clip_image", IMAGE, "(CLIP_VISION_OUTPUT): expected the output of CLIP's image encoder"),
    ],
)
def test_what_a_kind_does_not_take_is_an_error_that_says_what_it_takes(
    kind: str, value: Any, message: str, context: Context
) -> None:
    with pytest.raises(NodeGraphError) as caught:
        encode_condition(loaded(kind, context), value, context=context)

    assert message in str(caught.value)


def test_a_map_in_strange_colours_is_an_error_that_lists_them(context: Context) -> None:
    with pytest.raises(
        NodeGraphError,
        match=r"'segmentation.safetensors' .* takes a segmentation map .* the colours #800000, whi",
    ):
        encode_segmentation(
            loaded("segmentation", context),
            Image(torch.tensor([128 / 255, 0, 0]).expand(1, 4, 4, 3)),
            context=context,
        )


def test_the_node_of_another_kind_is_an_error_that_names_the_encoder(context: Context) -> None:
    with pytest.raises(
        NodeGraphError,
        match=r"'depth.safetensors' \(depth\) does not read .* for the kind image: use the node",
    ):
        encode_image_condition(loaded("depth", context), IMAGE, context=context)


def test_inputs_are_left_alone(context: Context) -> None:
    image, segments, depth = IMAGE.clone(), SEGMENTS.clone(), DEPTH.clone()

    encode_image_condition(loaded("image", context), Image(image), context=context)
    encode_segmentation(loaded("segmentation", context), Image(segments), context=context)
    encode_depth(loaded("depth", context), Mask(depth), context=context)

    assert torch.equal(image, IMAGE)
    assert torch.equal(segments, SEGMENTS)
    assert torch.equal(depth, DEPTH)


def test_half_precision_gives_float32_tokens_near_those_of_float32(context: Context) -> None:
    half = replace(context, precision="bf16")

    found = encode_image_condition(loaded("image", half), IMAGE, context=half)
    expected = encode_image_condition(loaded("image", context), IMAGE, context=context)

    assert tokens(found.conditioning).dtype == torch.float32
    difference = (tokens(found.conditioning) - tokens(expected.conditioning)).abs().max()
    assert 0 < difference < 0.05


def test_what_is_encoded_goes_to_disk_and_comes_back(context: Context) -> None:
    found = encode_class(loaded("class", context), "cat", context=context).conditioning
    assert CONDITIONING.codec is not None

    back = CONDITIONING.codec.decode(CONDITIONING.codec.encode(found))

    assert torch.equal(tokens(back), tokens(found))
    assert back.entries[0].origin == "the condition encoder 'class.safetensors' (class)"


# -- texts -----------------------------------------------------------------------------------------


def test_a_text_becomes_the_tokens_of_its_encoder(context: Context) -> None:
    encoder = loaded("text", context)
    config = encoder.config
    assert isinstance(config, CLIPConfig)

    found = encode_text(encoder, "a cat", context=context)

    module = network("text").eval()
    with torch.no_grad():
        y = text_numbers(config, "a cat")
        assert torch.allclose(tokens(found.conditioning), module(y), atol=1e-6)
        assert torch.allclose(tokens(found.null), module.null(y), atol=1e-6)


def test_a_text_for_another_kind_of_encoder_is_refused(context: Context) -> None:
    with pytest.raises(NodeGraphError, match="is for the kind text: use the node of"):
        encode_text(loaded("class", context), "a cat", context=context)
