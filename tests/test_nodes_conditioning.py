"""Nodes that combine, weigh and place conditioning, and what a sampler makes of it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from node_support import Desk, Painter, painted_model, worth
from torch import Tensor

from nodegraph import NodeGraphError
from nodes.conditioning import (
    conditioning_average,
    conditioning_combine,
    conditioning_concat,
    conditioning_set_area,
    conditioning_set_area_percentage,
    conditioning_set_area_strength,
    conditioning_set_mask,
    conditioning_set_timestep_range,
    conditioning_zero_out,
)
from nodes.sampling import ksampler
from nodes.types import Area, Attached, Condition, Conditioning, Latent, Mask

WIDTH = 5


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def full(seed: int, tokens: int = 4, batch: int = 1) -> Condition:
    """An entry with something in every field."""
    return Condition(
        random(batch, tokens, WIDTH, seed=seed),
        random(batch, 3, seed=seed + 1),
        strength=0.5,
        mask=torch.rand(1, 4, 4),
        mask_strength=0.25,
        start=0.1,
        end=0.9,
        kept=random(1, 4, 2, 2),
        hole=torch.ones(1, 1, 2, 2),
        attached=(Attached("strange", (1, 2)),),
        area=Area(64, 64, 8, 0),
        depth=torch.rand(1, 1, 4, 4),
        edited=random(1, 4, 2, 2),
        label=torch.tensor([3]),
    )


def assert_others_kept(found: Condition, given: Condition, *changed: str) -> None:
    """All fields but those named are the very values that came in."""
    for field in fields(Condition):
        if field.name not in changed:
            assert getattr(found, field.name) is getattr(given, field.name), field.name


def only(conditioning: Conditioning) -> Condition:
    [entry] = conditioning.entries
    return entry


def context_of(entry: Condition) -> Tensor:
    assert entry.context is not None
    return entry.context


# -- combining -------------------------------------------------------------------------------------


def test_combining_keeps_all_entries_in_order() -> None:
    one, two, three = full(1), full(2), full(3)

    found = conditioning_combine(Conditioning((one, two)), Conditioning((three,)))

    assert found.entries == (one, two, three)


def test_concat_puts_the_tokens_of_the_first_entry_behind_each(desk: Desk) -> None:
    to, source = (full(1), full(2, tokens=6)), full(3, tokens=2)

    found = conditioning_concat(Conditioning(to), Conditioning((source,)), context=desk.context)

    for entry, before in zip(found.entries, to, strict=True):
        expected = torch.cat([context_of(before), context_of(source)], dim=1)
        assert torch.equal(context_of(entry), expected)
        assert_others_kept(entry, before, "context")
    assert desk.warnings == []


def test_average_blends_tokens_and_pooled_vectors_of_each(desk: Desk) -> None:
    to, source = (full(1), full(2, tokens=6)), full(3, tokens=5)

    found = conditioning_average(
        Conditioning(to), Conditioning((source,)), 0.3, context=desk.context
    )

    padded = torch.cat([context_of(source), torch.zeros(1, 1, WIDTH)], dim=1)
    first, second = found.entries
    torch.testing.assert_close(
        context_of(first), 0.3 * context_of(to[0]) + 0.7 * context_of(source)[:, :4]
    )
    torch.testing.assert_close(context_of(second), 0.3 * context_of(to[1]) + 0.7 * padded)
    for entry, before in zip(found.entries, to, strict=True):
        assert entry.pooled is not None
        assert before.pooled is not None
        assert source.pooled is not None
        torch.testing.assert_close(entry.pooled, 0.3 * before.pooled + 0.7 * source.pooled)
        assert_others_kept(entry, before, "context", "pooled")


def test_batches_of_prompts_are_repeated_to_the_larger_one(desk: Desk) -> None:
    one, three = full(1), full(2, batch=3)

    joined = conditioning_concat(Conditioning((one,)), Conditioning((three,)), context=desk.context)
    blended = conditioning_average(
        Conditioning((one,)), Conditioning((three,)), 0.5, context=desk.context
    )

    assert context_of(only(joined)).shape == (3, 8, WIDTH)
    torch.testing.assert_close(
        context_of(only(blended)), 0.5 * context_of(one) + 0.5 * context_of(three)
    )
    assert only(blended).pooled is not None
    assert only(blended).pooled.shape == (3, 3)  # type: ignore[union-attr]


def test_a_pooled_vector_that_one_side_lacks_is_the_others(desk: Desk) -> None:
    with_one = full(1)
    without = Condition(random(1, 4, WIDTH))

    for to, source in [(with_one, without), (without, with_one)]:
        found = conditioning_average(
            Conditioning((to,)), Conditioning((source,)), 0.3, context=desk.context
        )
        assert only(found).pooled is with_one.pooled


def test_entries_that_are_left_out_are_told(desk: Desk) -> None:
    to = Conditioning((full(1),))

    conditioning_concat(to, Conditioning((full(2), full(3))), context=desk.context)
    conditioning_average(to, Conditioning((full(2), full(3), full(4))), context=desk.context)

    assert [w.split(":")[0] for w in desk.warnings] == [
        "conditioning_from has 2 entries; the first is taken, the other one is left out",
        "conditioning_from has 3 entries; the first is taken, the other 2 are left out",
    ]


def test_prompts_of_different_encoders_are_refused(desk: Desk) -> None:
    other = Conditioning((Condition(random(1, 4, WIDTH + 1)),))

    for combine in (conditioning_concat, conditioning_average):
        with pytest.raises(NodeGraphError, match=r"tokens 5 wide.*6 wide.*same text encoder"):
            combine(Conditioning((full(1),)), other, context=desk.context)
        with pytest.raises(NodeGraphError, match=r"conditioning_from has no entries"):
            combine(other, Conditioning(()), context=desk.context)


def test_conditioning_without_tokens_adds_none_and_is_not_averaged(desk: Desk) -> None:
    some, none = Conditioning((full(1),)), Conditioning((Condition(None),))

    for to, source in [(some, none), (none, some)]:
        joined = conditioning_concat(to, source, context=desk.context)
        assert only(joined).context is some.entries[0].context
        with pytest.raises(NodeGraphError, match="one of the two has no tokens"):
            conditioning_average(to, source, context=desk.context)
    assert only(conditioning_concat(none, none, context=desk.context)).context is None
    assert only(conditioning_average(none, none, context=desk.context)).context is None


def test_zeroing_out_leaves_the_shapes() -> None:
    given = full(1)

    entry = only(conditioning_zero_out(Conditioning((given,))))

    assert torch.equal(context_of(entry), torch.zeros(1, 4, WIDTH))
    assert entry.pooled is not None
    assert torch.equal(entry.pooled, torch.zeros(1, 3))
    assert_others_kept(entry, given, "context", "pooled")
    assert only(conditioning_zero_out(Conditioning((Condition(None),)))).context is None


# -- where, how much and when ----------------------------------------------------------------------


def test_an_area_is_set_on_every_entry_with_its_strength() -> None:
    given = full(1), full(2)

    found = conditioning_set_area(Conditioning(given), 128, 64, 16, 24, 2.0)

    for entry, before in zip(found.entries, given, strict=True):
        assert entry.area == Area(width=128, height=64, x=16, y=24)
        assert entry.strength == 2.0
        assert_others_kept(entry, before, "area", "strength", "within_mask")


def test_an_area_in_shares() -> None:
    entry = only(conditioning_set_area_percentage(Conditioning((full(1),)), 0.5, 0.25, 0.1, 0.2))

    assert entry.area == Area(width=0.5, height=0.25, x=0.1, y=0.2, shares=True)
    assert entry.strength == 1.0


def test_a_strength_alone() -> None:
    given = full(1)

    entry = only(conditioning_set_area_strength(Conditioning((given,)), 3.0))

    assert entry.strength == 3.0
    assert_others_kept(entry, given, "strength")


@pytest.mark.parametrize(("choice", "within"), [("default", False), ("mask bounds", True)])
def test_a_mask_and_what_is_seen_of_the_picture(choice: Any, within: bool) -> None:
    given, mask = full(1), Mask(torch.rand(2, 6, 4))

    entry = only(conditioning_set_mask(Conditioning((given,)), mask, 2.0, set_cond_area=choice))

    assert entry.mask is not None
    assert torch.equal(entry.mask, mask)
    assert (entry.mask_strength, entry.within_mask) == (2.0, within)
    assert_others_kept(entry, given, "mask", "mask_strength", "within_mask")


def test_a_mask_without_a_batch_is_one_of_one() -> None:
    found = conditioning_set_mask(
        Conditioning((full(1),)), Mask(torch.rand(6, 4)), set_cond_area="default"
    )

    assert only(found).mask is not None
    assert only(found).mask.shape == (1, 6, 4)  # type: ignore[union-attr]


def test_an_area_set_after_the_bounds_of_a_mask_counts() -> None:
    bounds = conditioning_set_mask(
        Conditioning((full(1),)), Mask(torch.rand(1, 6, 4)), set_cond_area="mask bounds"
    )

    assert not only(conditioning_set_area(bounds)).within_mask
    assert not only(conditioning_set_area_percentage(bounds)).within_mask


def test_a_range_of_the_sampling() -> None:
    given = full(1)

    entry = only(conditioning_set_timestep_range(Conditioning((given,)), 0.2, 0.7))

    assert (entry.start, entry.end) == (0.2, 0.7)
    assert_others_kept(entry, given, "start", "end")


# -- as samplers use them --------------------------------------------------------------------------


def sampled(desk: Desk, painter: Painter, positive: Conditioning, **options: Any) -> Tensor:
    """A picture of 128 x 128 pixels, 16 x 16 cells."""
    given = {
        "seed": 1,
        "steps": 4,
        "cfg": 1.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "negative": worth(0.0),
        "latent_image": Latent.empty(128, 128, 1),
        "context": desk.context,
    }
    options = {**given, **options}
    return ksampler(painted_model(painter), positive=positive, **options).samples[0, 0]


def test_regional_prompts_paint_their_regions(desk: Desk) -> None:
    left = conditioning_set_area(worth(2.0), width=64, height=128)
    right = conditioning_set_area_percentage(worth(4.0), 0.5, 1.0, 0.5, 0.0)
    mask = torch.zeros(1, 128, 128)
    mask[:, 64:] = 1
    bottom = conditioning_set_mask(
        worth(-1.0), Mask(mask), strength=3.0, set_cond_area="mask bounds"
    )
    both = conditioning_combine(conditioning_combine(left, right), bottom)
    painter = Painter()

    found = sampled(desk, painter, both)

    torch.testing.assert_close(found[:8, :6], torch.full((8, 6), 2.0))
    torch.testing.assert_close(found[:8, 10:], torch.full((8, 6), 4.0))
    torch.testing.assert_close(found[8:, :6], torch.full((8, 6), (2.0 - 3.0) / 4))
    # in the column next to the seam the left area weighs 1/2
    assert found[12, 7].item() == pytest.approx((2 * 0.5 - 3.0) / 3.5)
    # two areas of 16 x 8 cells in one call, the bounds of 8 x 16 in another, at each of the steps
    assert [tuple(x.shape) for x in painter.shown[:2]] == [(2, 4, 16, 8), (1, 4, 8, 16)]
    assert len(painter.shown) == 2 * 4


def test_guidance_leads_away_from_the_negative_prompt_in_each_region(desk: Desk) -> None:
    left = conditioning_set_area(worth(2.0), width=64, height=128)
    right = conditioning_set_area(worth(4.0), width=64, height=128, x=64)
    painter = Painter()

    found = sampled(desk, painter, conditioning_combine(left, right), negative=worth(1.0), cfg=3.0)

    torch.testing.assert_close(found[:, 0], torch.full((16,), 1 + 3 * (2.0 - 1)))
    torch.testing.assert_close(found[:, 15], torch.full((16,), 1 + 3 * (4.0 - 1)))
    # the negative prompt is asked in the crops as well, in the call of the positive ones
    assert sorted(tuple(x.shape) for x in painter.shown[:2]) == [(1, 4, 16, 16), (4, 4, 16, 8)]


def test_an_area_of_a_picture_of_another_factor_lies_in_the_same_place(desk: Desk) -> None:
    left = conditioning_set_area(worth(2.0), width=64, height=128)
    right = conditioning_set_area(worth(4.0), width=64, height=128, x=64)
    model = painted_model(Painter(), factor=4)

    found = ksampler(
        model,
        seed=1,
        steps=2,
        cfg=1.0,
        sampler_name="euler",
        scheduler="normal",
        positive=conditioning_combine(left, right),
        negative=worth(0.0),
        latent_image=Latent.empty(128, 128, 1),
        context=desk.context,
    ).samples[0, 0]

    assert found.shape == (32, 32)
    assert found[0].tolist() == pytest.approx([2.0] * 16 + [4.0] * 16)


def test_a_prompt_counts_in_its_range_alone(desk: Desk) -> None:
    early = conditioning_set_timestep_range(worth(2.0), 0.0, 0.5)
    late = conditioning_set_timestep_range(worth(4.0), 0.5, 1.0)
    painter = Painter()

    found = sampled(desk, painter, conditioning_combine(early, late))

    torch.testing.assert_close(found, torch.full((16, 16), 4.0))
    assert [len(x) for x in painter.shown] == [1, 1, 1, 1]


def test_an_area_outside_the_picture_is_refused(desk: Desk) -> None:
    outside = conditioning_set_area(worth(2.0), width=64, height=64, x=128)

    with pytest.raises(NodeGraphError, match=r"64 x 64 at \(128, 0\), lies outside"):
        sampled(desk, Painter(), outside)
