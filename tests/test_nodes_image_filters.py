"""Nodes that blend pictures, blur, sharpen and reduce them, and find their edges."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import nodes
from nodegraph import InvalidGraph, NodeGraphError, Registry
from nodegraph.graph import validate
from nodes.image_filters import (
    canny_edges,
    image_blend,
    image_blur,
    image_morphology,
    image_quantize,
    image_sharpen,
)
from nodes.imaging.filters import blur, canny, morphology, sharpen
from nodes.imaging.palette import reduce_colours
from nodes.imaging.resize import resize_images
from nodes.types import Image


def random(*shape: int, seed: int = 0) -> Image:
    return Image(torch.rand(shape, generator=torch.Generator().manual_seed(seed)))


def with_alpha(image: Tensor, alpha: float) -> Image:
    return Image(torch.cat([image, torch.full_like(image[..., :1], alpha)], dim=-1))


def test_pictures_of_one_size_are_mixed() -> None:
    a, b = random(1, 5, 6, 3), random(1, 5, 6, 3, seed=1)

    torch.testing.assert_close(image_blend(a, b, 0.25, blend_mode="normal"), 0.75 * a + 0.25 * b)
    torch.testing.assert_close(image_blend(a, b, 1.0, blend_mode="multiply"), a * b)


def test_the_second_picture_is_cropped_and_resized_to_the_first() -> None:
    a, b = random(1, 8, 8, 3), random(1, 4, 10, 3, seed=1)

    blended = image_blend(a, b, 1.0, blend_mode="normal")

    expected = resize_images(b, 8, 8, "bicubic", "center").clamp(0, 1)
    torch.testing.assert_close(blended, expected)


@pytest.mark.parametrize(("first", "second"), [(1, 3), (3, 1), (2, 3)])
def test_the_shorter_batch_starts_over(first: int, second: int) -> None:
    a, b = random(first, 4, 4, 3), random(second, 4, 4, 3, seed=1)

    blended = image_blend(a, b, 1.0, blend_mode="multiply")

    assert len(blended) == 3
    for index in range(3):
        torch.testing.assert_close(blended[index], a[index % first] * b[index % second])


def test_alpha_is_that_of_the_first_picture() -> None:
    a, b = random(1, 4, 4, 3), random(1, 4, 4, 3, seed=1)

    for mode in ("normal", "difference"):
        blended = image_blend(with_alpha(a, 0.75), with_alpha(b, 0.1), 0.5, blend_mode=mode)  # type: ignore[arg-type]

        assert blended[..., 3].eq(0.75).all()
        assert torch.equal(blended[..., :3], image_blend(a, b, 0.5, blend_mode=mode))  # type: ignore[arg-type]
    assert image_blend(a, with_alpha(b, 0.1), 0.5, blend_mode="normal").shape[-1] == 3


def test_the_other_nodes_are_their_filters() -> None:
    image = random(2, 12, 10, 3)

    assert torch.equal(image_blur(image, 3, 0.5), blur(image, 3, 0.5))
    assert torch.equal(image_sharpen(image, 2, 0.7, 0.4), sharpen(image, 2, 0.7, 0.4))
    assert torch.equal(image_morphology(image, "close", 5), morphology(image, "close", 5))
    assert torch.equal(canny_edges(image, 0.2, 0.6), canny(image, 0.2, 0.6))
    reduced = image_quantize(image, 5, dither="bayer-2")
    assert torch.equal(reduced, reduce_colours(image, 5, "bayer-2"))


# -- thresholds ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def registry() -> Registry:
    made = Registry()
    made.register(*nodes.modules())
    return made


def graph(**thresholds: Any) -> dict[str, Any]:
    return {
        "1": {"class_type": "EmptyImage", "inputs": {}},
        "2": {"class_type": "Canny", "inputs": {"image": ["1", 0], **thresholds}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }


def test_thresholds_in_the_wrong_order_are_refused_before_anything_runs(
    registry: Registry,
) -> None:
    with pytest.raises(InvalidGraph, match=r"node 2 \(Canny\).*low_threshold is 0.9.*\(0.5\)"):
        validate(graph(low_threshold=0.9, high_threshold=0.5), registry)


@pytest.mark.parametrize("low", [0.4, 0.8])
def test_thresholds_in_order_are_allowed(registry: Registry, low: float) -> None:
    validate(graph(low_threshold=low, high_threshold=0.8), registry)


def test_thresholds_that_come_over_links_are_compared_when_it_runs() -> None:
    with pytest.raises(NodeGraphError, match="choose low_threshold no larger"):
        canny_edges(random(1, 8, 8, 3), 0.9, 0.5)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 2)])
def test_a_picture_too_small_for_edges_is_refused_with_its_size(size: tuple[int, int]) -> None:
    with pytest.raises(NodeGraphError, match=f"this one has {size[1]} x {size[0]}: scale it up"):
        canny_edges(random(1, *size, 3))
    assert canny_edges(random(1, 3, 3, 3)).shape == (1, 3, 3, 3)
