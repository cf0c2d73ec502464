"""Segments by colour, and prompts for each of them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from example_plugins import module, registered
from hypothesis import given, settings
from hypothesis import strategies as st
from node_support import Desk, Given, Painter, painted_model, worth
from scipy.cluster.vq import kmeans2
from torch import Tensor

from nodegraph import NodeGraphError
from nodes.imaging.files import decode
from nodes.models.clip import CLIPText
from nodes.models.clip_config import CLIPConfig
from nodes.models.encoders import SegmentationConfig, one_hot_map
from nodes.models.text import TextEncoder
from nodes.models.tokenizer import CLIPTokenizer
from nodes.sampling import ksampler
from nodes.text import clip_encode
from nodes.types import Clip, Conditioning, Latent

clusters = module("segmentation", "clusters")
kinds = module("segmentation", "kinds")
segmenting = module("segmentation", "segmenting")
prompting = module("segmentation", "prompting")

RED, GREEN, BLUE, WHITE = (1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), (1.0, 1.0, 1.0)
EXAMPLE = Path(__file__).parents[1] / "input" / "example.png"


def painted(*rows: tuple[tuple[float, ...], int], width: int = 4) -> Tensor:
    """A picture of stripes: (colour, its height), (1, H, width, 3)."""
    stripes = [torch.tensor(color).expand(height, width, 3) for color, height in rows]
    return torch.cat(stripes)[None].contiguous()


def three() -> Tensor:
    return painted((RED, 2), (GREEN, 4), (BLUE, 3))


# Segments


def test_a_picture_of_three_colours_comes_apart_into_them_the_largest_first() -> None:
    segments, image, index = segmenting.segment_by_color(three(), segments=3)

    expected = torch.tensor([2, 2, 0, 0, 0, 0, 1, 1, 1])[None, :, None].expand(1, 9, 4)
    assert torch.equal(segments.labels, expected)
    torch.testing.assert_close(segments.colors, torch.tensor([GREEN, BLUE, RED]))
    torch.testing.assert_close(image, three())
    torch.testing.assert_close(index * 255, expected.float())


def test_there_are_no_more_segments_than_colours() -> None:
    assert len(segmenting.segment_by_color(three(), segments=8).segments) == 3
    assert len(segmenting.segment_by_color(torch.full((1, 4, 4, 3), 0.3)).segments) == 1


def test_like_colours_go_together_as_the_eye_sees_them() -> None:
    noise = torch.rand(3, 40, 40, 3, generator=torch.Generator().manual_seed(1)) * 0.2
    image = noise + torch.tensor([[0.0, 0.0, 0.7], [0.8, 0.0, 0.0], [0.8, 0.8, 0.8]])[:, None, None]
    image = image.reshape(1, 120, 40, 3)

    made = segmenting.segment_by_color(image, segments=3).segments

    for part in made.labels.reshape(3, -1):
        assert len(part.unique()) == 1
    assert sorted(made.labels.reshape(3, -1)[:, 0].tolist()) == [0, 1, 2]


def test_the_clusters_are_the_best_that_there_are() -> None:
    """Against every way to divide six weighted points into two groups."""
    points = torch.tensor([[0.0], [1.0], [2.0], [7.0], [8.0], [20.0]], dtype=torch.float64)
    weights = torch.tensor([5.0, 1.0, 1.0, 4.0, 1.0, 0.5], dtype=torch.float64)

    def spread(labels: Tensor) -> float:
        total = 0.0
        for number in labels.unique():
            p, n = points[labels == number], weights[labels == number, None]
            total += float((n * (p - (n * p).sum(0) / n.sum()) ** 2).sum())
        return total

    ways = map(torch.tensor, itertools.product([0, 1], repeat=6))
    best = min(spread(way) for way in ways if 0 < int(way.sum()) < 6)

    assert spread(clusters.k_means(points, weights, 2, seed=0)) == pytest.approx(best)


def test_the_clusters_hold_still_under_another_round_of_k_means() -> None:
    """scipy's k-means, begun at the means of these clusters, does not move them."""
    image = decode(EXAMPLE).image
    found = clusters.palette(image, 256)
    points = clusters.lab(found.colors)
    labels = clusters.k_means(points, torch.ones(len(points), dtype=torch.float64), 5, seed=3)
    centres = torch.stack([points[labels == number].mean(dim=0) for number in range(5)])

    again, theirs = kmeans2(points.numpy(), centres.numpy(), iter=1, minit="matrix")

    torch.testing.assert_close(torch.from_numpy(again), centres)
    assert torch.equal(torch.from_numpy(theirs).long(), labels)


def test_the_same_seed_gives_the_same_segments_wherever_the_pixels_lie() -> None:
    image = decode(EXAMPLE).image
    order = torch.randperm(64, generator=torch.Generator().manual_seed(2))

    one = segmenting.segment_by_color(image, segments=6, seed=5).segments
    again = segmenting.segment_by_color(image, segments=6, seed=5).segments
    shuffled = segmenting.segment_by_color(image[:, order], segments=6, seed=5).segments

    assert torch.equal(one.labels, again.labels)
    assert torch.equal(one.labels[:, order], shuffled.labels)
    torch.testing.assert_close(one.colors, shuffled.colors)


def test_smoothing_removes_specks_and_keeps_the_rest() -> None:
    image = painted((RED, 9), (BLUE, 7), width=16)
    image[0, 3, 3] = torch.tensor(BLUE)

    rough = segmenting.segment_by_color(image, segments=2).segments
    smooth = segmenting.segment_by_color(image, segments=2, smoothing=1).segments

    assert rough.labels[0, 3, 3] != rough.labels[0, 3, 4]
    expected = painted((RED, 9), (BLUE, 7), width=16)
    assert torch.equal(smooth.labels, segmenting.segments_from_image(expected).segments.labels)


@pytest.mark.parametrize("radius", [1, 2, 4])
def test_a_smoothed_pixel_has_the_most_frequent_label_of_its_square(radius: int) -> None:
    labels = torch.randint(3, (2, 7, 9), generator=torch.Generator().manual_seed(radius))

    made = clusters.smoothed(labels, radius)

    for b, y, x in itertools.product(range(2), range(7), range(9)):
        rows = slice(max(0, y - radius), y + radius + 1)
        square = labels[b, rows, max(0, x - radius) : x + radius + 1]
        assert made[b, y, x] == square.flatten().bincount().argmax()


def test_a_batch_is_taken_apart_together() -> None:
    batch = torch.cat([painted((RED, 4)), painted((BLUE, 2), (RED, 2))])

    made = segmenting.segment_by_color(batch, segments=2).segments

    assert made.labels[:, :, 0].tolist() == [[0, 0, 0, 0], [1, 1, 0, 0]]


def test_a_painted_map_has_a_segment_for_every_colour_even_of_nearly_equal_ones() -> None:
    image = painted(((0.5, 0.5, 0.5), 3), ((0.5, 0.5, 0.51), 2), (WHITE, 1))

    made = segmenting.segments_from_image(image)

    assert made.segments.labels[0, :, 0].tolist() == [0, 0, 0, 1, 1, 2]
    torch.testing.assert_close(made.image, image)


def test_a_picture_with_too_many_colours_is_no_painted_map() -> None:
    with pytest.raises(NodeGraphError, match="424 colours and a map has at most 64"):
        segmenting.segments_from_image(torch.linspace(0, 1, 4800).reshape(1, 40, 40, 3))


PICTURES = st.builds(
    lambda seed, batch, height, width, levels: (
        (
            torch.rand(batch, height, width, 3, generator=torch.Generator().manual_seed(seed))
            * levels
        ).round()
        / levels
    ),
    st.integers(0, 1000),
    st.integers(1, 2),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 20),
)


@given(PICTURES, st.integers(2, 6), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_masks_divide_every_picture_and_sizes_fall(
    image: Tensor, most: int, smoothing: int
) -> None:
    segments = segmenting.segment_by_color(image, most, smoothing).segments

    masks = segmenting.segment_masks(segments).reshape(len(segments), *image.shape[:3])
    assert torch.equal(masks.sum(dim=0), torch.ones(image.shape[:3]))
    sizes = masks.sum(dim=(1, 2, 3)).tolist()
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes) > 0
    assert 1 <= len(segments) <= most
    for number in range(len(segments)):
        assert torch.equal(segmenting.segment_mask(segments, str(number)), masks[number])
        inside = image[masks[number].bool()].double().mean(dim=0).float()
        torch.testing.assert_close(segments.colors[number], inside)


def test_segments_go_to_disk_and_back() -> None:
    segments = segmenting.segment_by_color(three(), segments=3).segments
    codec = kinds.SEGMENTS.codec

    back = codec.decode(codec.encode(segments))

    assert torch.equal(back.labels, segments.labels)
    assert torch.equal(back.colors, segments.colors)


def test_the_mask_of_numbers_is_what_condition_encoders_read() -> None:
    image = painted((RED, 2), (GREEN, 4), (BLUE, 2), width=8)
    parts = segmenting.segment_by_color(image, segments=3)
    config = SegmentationConfig(width=8, size=(8, 8), patch=8, classes=3)

    classes = one_hot_map(parts.numbers, config)

    masks = segmenting.segment_masks(parts.segments)
    assert torch.equal(classes, masks[None])


# Names of segments


@pytest.mark.parametrize(
    ("name", "number"),
    [("0", 0), ("2", 2), ("red", 2), ("#00f", 1), ("#00ff00", 0), ("tomato", 2), ("lime", 0)],
)
def test_a_segment_is_named_by_number_or_by_a_colour_near_its_own(name: str, number: int) -> None:
    segments = segmenting.segment_by_color(three(), segments=3).segments

    assert segments.named(name) == number


@pytest.mark.parametrize("name", ["3", "-1", "grey", "white", "nonsense", "#12", ""])
def test_a_name_without_a_segment_is_refused_with_what_there_is(name: str) -> None:
    segments = segmenting.segment_by_color(three(), segments=3).segments

    with pytest.raises(NodeGraphError) as told:
        segmenting.segment_mask(segments, name)

    assert f"no segment {name!r}" in str(told.value)
    assert "0 (#00ff00, 44.4%), 1 (#0000ff, 33.3%), 2 (#ff0000, 22.2%)" in str(told.value)


# Prompts

CONFIG = CLIPConfig(vocab=49408, width=64, layers=1, heads=1, mlp=64)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


class Counting(TextEncoder):
    """Remembers what it was asked to encode."""

    def __init__(self) -> None:
        super().__init__(CONFIG, CLIPTokenizer())
        self.prompts: list[str] = []

    def encode(self, module: CLIPText, prompt: str, **options: Any) -> Any:
        self.prompts.append(prompt)
        return super().encode(module, prompt, **options)


@pytest.fixture(scope="module")
def clip() -> Clip:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        text = CLIPText(CONFIG).eval().requires_grad_(False)
    return Clip(Given(text), Counting())


def prompts(desk: Desk, clip: Clip, text: str, default: str = "") -> Conditioning:
    segments = segmenting.segment_by_color(three(), segments=3).segments
    return prompting.segment_prompts(segments, clip, text, default, context=desk.context)


def test_each_segment_gets_its_prompt_and_its_mask(desk: Desk, clip: Clip) -> None:
    made = prompts(desk, clip, "red: a cat\n\n 0 : (dog:1.2): sitting \n#0000ff: the sea")

    segments = segmenting.segment_by_color(three(), segments=3).segments
    assert len(made.entries) == 3
    for number, text in enumerate(["(dog:1.2): sitting", "the sea", "a cat"]):
        [plain] = clip_encode(text, clip, context=desk.context).entries
        entry = made.entries[number]
        assert torch.equal(entry.context, plain.context)
        assert torch.equal(entry.pooled, plain.pooled)
        assert torch.equal(entry.mask, segments.mask(number))


def test_segments_without_a_line_get_the_default_encoded_once(desk: Desk, clip: Clip) -> None:
    assert isinstance(clip.encoder, Counting)
    clip.encoder.prompts.clear()

    made = prompts(desk, clip, "red: a cat", "grass")

    assert sorted(clip.encoder.prompts) == ["a cat", "grass"]
    assert torch.equal(made.entries[0].context, made.entries[1].context)
    assert not torch.equal(made.entries[0].context, made.entries[2].context)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("red: a\nblue: b", r"no prompt for segment 0 \(#00ff00, 44.4%\): add a line"),
        ("red: a\n2: b", r"'2' means segment 2 \(#ff0000, 22.2%\), which has a prompt already"),
        ("white: a", "no segment 'white'"),
        ("7: a", "no segment '7'"),
        ("red a cat", "line 1: expected a segment's number or colour"),
        ("0: a\n: b", "line 2: expected a segment's number or colour"),
    ],
)
def test_prompts_that_do_not_match_the_segments_are_refused(
    desk: Desk, clip: Clip, text: str, fault: str
) -> None:
    with pytest.raises(NodeGraphError, match=fault):
        prompts(desk, clip, text)


def test_a_wrong_line_is_found_before_anything_runs() -> None:
    check = registered("segmentation").nodes["SegmentPrompts"].check

    assert check is not None
    assert "line 2" in (check(text="0: a\nb") or "")
    assert check(text="0: a") is None
    assert check(text=None) is None


def test_embeddings_of_every_line_are_part_of_the_key() -> None:
    assert prompting.embeddings_of("0:embedding:one\nred: embedding:two") == ("one", "two")
    assert prompting.embeddings_of("broken") == ()


def test_a_sampler_draws_each_segment_s_prompt_in_its_place(desk: Desk, clip: Clip) -> None:
    image = painted((RED, 16), (BLUE, 48), width=32)
    segments = segmenting.segment_by_color(image, segments=2).segments
    made = prompting.segment_prompts(
        segments, clip, "red: a\nblue: b", context=desk.context
    ).entries
    values = {0: 3.0, 1: -2.0}
    positive = Conditioning(
        tuple(
            replace(entry, context=worth(values[number]).entries[0].context)
            for number, entry in enumerate(made)
        )
    )

    latent = ksampler(
        painted_model(Painter()),
        seed=1,
        steps=3,
        cfg=1.0,
        sampler_name="euler",
        scheduler="normal",
        positive=positive,
        negative=worth(0.0),
        latent_image=Latent(torch.zeros(1, 4, 8, 4)),
        context=desk.context,
    )

    expected = torch.full((1, 4, 8, 4), 3.0)
    expected[:, :, :2] = -2.0
    torch.testing.assert_close(latent.samples, expected)


# -- silhouettes -----------------------------------------------------------------------------------


def framed(frame: Any, inside: Any, hole: Any = None) -> Tensor:
    """(1, 7, 7, 3): a ring or a block of colour in the middle of a frame."""
    picture = torch.tensor(frame, dtype=torch.float32).repeat(1, 7, 7, 1)
    picture[:, 2:5, 2:5] = torch.tensor(inside, dtype=torch.float32)
    if hole is not None:
        picture[:, 3, 3] = torch.tensor(hole, dtype=torch.float32)
    return picture


def test_a_silhouette_is_all_that_the_border_does_not_reach_for_each_picture() -> None:
    batch = torch.cat([framed(WHITE, RED, hole=WHITE), framed(GREEN, GREEN, hole=BLUE)])

    image, mask = segmenting.silhouette_of(batch)

    block, dot = torch.zeros(7, 7), torch.zeros(7, 7)
    block[2:5, 2:5], dot[3, 3] = 1, 1  # a hole of the background's colour is inside
    assert torch.equal(mask, torch.stack([block, dot]))
    assert torch.equal(image, mask[..., None].expand(2, 7, 7, 3))
    assert image.is_contiguous()


def test_the_tolerance_says_what_is_still_background() -> None:
    picture = framed(WHITE, (0.9, 0.9, 0.9))

    assert segmenting.silhouette_of(picture, 0.05).mask.sum() == 9
    assert segmenting.silhouette_of(picture, 0.2).mask.sum() == 0


def test_alpha_does_not_count_in_a_silhouette() -> None:
    alpha = torch.rand(1, 7, 7, 1, generator=torch.Generator().manual_seed(0))

    plain, seen = framed(WHITE, RED), torch.cat([framed(WHITE, RED), alpha], dim=-1)

    assert torch.equal(segmenting.silhouette_of(plain)[1], segmenting.silhouette_of(seen)[1])
