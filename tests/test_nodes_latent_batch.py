"""Batches of latents: whose image, mask and noise goes where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from latents import filled, numbered, seeded

import nodes
from nodegraph import Engine, NodeGraphError, Settings
from nodes.diffusion.noise import initial_noise
from nodes.latent import empty_latent_image, latent_from_batch
from nodes.latent_batch import latent_batch, latent_batch_seed_behavior, rebatch_latents
from nodes.types import Latent

# -- LatentBatch -----------------------------------------------------------------------------------


def test_images_of_two_latents_follow_each_other_and_each_counts_its_noise_from_0() -> None:
    batch = latent_batch(numbered(2), numbered(3, first=5))

    assert filled(batch.samples) == [0, 1, 5, 6, 7]
    assert batch.batch_index == (0, 1, 0, 1, 2)
    assert batch.noise_mask is None


def test_images_that_know_their_noise_keep_it() -> None:
    batch = latent_batch(numbered(2, batch_index=(4, 2)), latent_from_batch(numbered(9), 7, 2))

    assert batch.batch_index == (4, 2, 7, 8)


def test_a_second_of_another_size_is_trimmed_and_scaled_to_the_first() -> None:
    columns = torch.arange(16.0).expand(1, 4, 4, 16)  # 4 of them are left

    batch = latent_batch(seeded(1, 4, 2, 2), Latent(columns))

    assert batch.samples.shape == (2, 4, 2, 2)
    assert batch.samples[1, 0].tolist() == [[6.5, 8.5], [6.5, 8.5]]


def test_a_mask_of_a_second_of_another_size_is_trimmed_with_it() -> None:
    mask = torch.zeros(1, 1, 32, 128)
    mask[..., 64:] = 1  # the right half of the latent, and of what is left of it

    batch = latent_batch(seeded(1, 4, 2, 2), Latent(torch.zeros(1, 4, 4, 16), mask))

    assert batch.noise_mask is not None
    assert batch.noise_mask.shape == (2, 1, 16, 16)
    assert batch.noise_mask[1, 0, 8].tolist() == [0.0] * 8 + [1.0] * 8


def test_masks_of_the_first_alone_start_over_for_the_second() -> None:
    first = numbered(2, masks=2)

    assert latent_batch(first, numbered(2)).noise_mask is first.noise_mask


def test_every_image_gets_a_mask_once_the_second_has_one() -> None:
    assert filled(latent_batch(numbered(2), numbered(2, masks=2)).noise_mask, 10) == [10, 10, 0, 1]
    both = latent_batch(numbered(3, masks=1), numbered(2, masks=2))
    assert filled(both.noise_mask, 10) == [0, 0, 0, 0, 1]


def test_masks_of_different_sizes_become_as_large_as_the_picture() -> None:
    first = numbered(1, masks=1)
    second = Latent(torch.zeros(1, 4, 2, 3), torch.full((1, 1, 7, 5), 0.5))

    batch = latent_batch(first, second)

    assert batch.noise_mask is not None
    assert batch.noise_mask.shape == (2, 1, 16, 24)
    assert filled(batch.noise_mask, 10) == [0, 5]


def test_empty_latents_stay_empty_together_and_beside_another_become_like_it() -> None:
    empty, pixels = empty_latent_image(48, 32), Latent(torch.ones(1, 3, 32, 48), factor=1)

    assert latent_batch(empty, empty).pixels == (48, 32)
    for batch in (latent_batch(empty, pixels), latent_batch(pixels, empty)):
        assert batch.samples.shape == (2, 3, 32, 48)
        assert batch.factor == 1
        assert batch.pixels is None


def test_latents_of_different_vaes_are_refused_with_what_both_are() -> None:
    other = Latent(torch.ones(1, 16, 2, 3), factor=4)

    said = "have 4 channels at 8 pixels a cell and 16 channels at 4 .*different VAEs"
    with pytest.raises(NodeGraphError, match=said):
        latent_batch(numbered(1), other)


# -- RebatchLatents --------------------------------------------------------------------------------


def test_images_of_a_list_are_put_into_batches_of_the_size_asked_for() -> None:
    batches = rebatch_latents([numbered(3), numbered(2, first=3), numbered(1, first=5)], 4)

    assert [filled(batch.samples) for batch in batches] == [[0, 1, 2, 3], [4, 5]]
    assert [batch.batch_index for batch in batches] == [(0, 1, 2, 3), (4, 5)]


def test_an_image_that_knows_its_noise_keeps_it_and_the_others_go_by_their_place() -> None:
    batches = rebatch_latents([numbered(2, batch_index=(9, 9)), numbered(2)], 3)

    assert [batch.batch_index for batch in batches] == [(9, 9, 2), (3,)]


def test_only_neighbours_of_one_size_and_kind_share_a_batch() -> None:
    wide, deep = seeded(1, 4, 2, 9), seeded(1, 16, 2, 3)
    latents = [numbered(1), numbered(1), wide, numbered(1), deep, seeded(1, 16, 2, 3, factor=4)]

    batches = rebatch_latents(latents, 8)

    assert [len(batch.samples) for batch in batches] == [2, 1, 1, 1, 1]
    assert [batch.factor for batch in batches] == [8, 8, 8, 8, 4]


def test_masks_go_with_their_images_and_batches_that_are_wholly_made_anew_have_none() -> None:
    batches = rebatch_latents([numbered(2), numbered(2, masks=1), numbered(2)], 2)

    assert batches[0].noise_mask is None
    assert filled(batches[1].noise_mask) == [0, 0]
    assert batches[2].noise_mask is None
    mixed = rebatch_latents([numbered(1), numbered(1, masks=1)], 2)
    assert filled(mixed[0].noise_mask) == [1, 0]


def test_an_empty_latent_in_batches_is_still_empty() -> None:
    batches = rebatch_latents([empty_latent_image(64, 32, 3)], 2)

    assert [batch.pixels for batch in batches] == [(64, 32), (64, 32)]
    assert [len(batch.samples) for batch in batches] == [2, 1]


def test_a_batch_does_not_keep_the_others_in_memory() -> None:
    batch = rebatch_latents([numbered(8, masks=8)], 2)[1]

    assert batch.samples.untyped_storage().nbytes() == batch.samples.nbytes
    assert batch.noise_mask is not None
    assert batch.noise_mask.untyped_storage().nbytes() == batch.noise_mask.nbytes


@given(counts=st.lists(st.integers(1, 5), min_size=1, max_size=5), size=st.integers(1, 6))
def test_nothing_is_lost_or_moved_by_rebatching(counts: list[int], size: int) -> None:
    starts = [sum(counts[:i]) for i in range(len(counts))]
    latents = [numbered(n, first=s) for n, s in zip(counts, starts, strict=True)]

    batches = rebatch_latents(latents, size)

    everything = [number for batch in batches for number in filled(batch.samples)]
    assert everything == list(range(sum(counts)))
    assert all(len(batch.samples) == size for batch in batches[:-1])
    assert [i for batch in batches for i in batch.batch_index or ()] == everything


def test_a_graph_gets_a_list_of_batches(tmp_path: Path) -> None:
    graph = {
        "1": {"class_type": "EmptyLatentImage", "inputs": {"batch_size": 5}},
        "2": {"class_type": "RebatchLatents", "inputs": {"latents": ["1", 0], "batch_size": 2}},
    }
    file = tmp_path / "graph.json"
    file.write_text(json.dumps(graph))

    with Engine(nodes.modules(), settings=Settings(output=tmp_path)) as engine:
        [batches] = engine.run(file, targets=["2"]).require()["2"]

    assert [len(batch.samples) for batch in batches.items] == [2, 2, 1]


# -- LatentBatchSeedBehavior -----------------------------------------------------------------------


def test_fixed_gives_every_image_the_noise_of_the_first() -> None:
    plain = latent_batch_seed_behavior(numbered(3), "fixed")
    taken = latent_batch_seed_behavior(numbered(2, batch_index=(5, 3)), "fixed")

    assert plain.batch_index == (0, 0, 0)
    assert taken.batch_index == (5, 5)
    noise = initial_noise(plain.samples.shape, 7, batch_index=plain.batch_index)
    assert torch.equal(noise, noise[:1].expand_as(noise))


def test_random_gives_every_image_its_own_noise_again() -> None:
    fixed = latent_batch_seed_behavior(empty_latent_image(64, 32, 3), "fixed")

    random = latent_batch_seed_behavior(fixed, "random")

    assert random.batch_index is None
    assert random.pixels == fixed.pixels == (64, 32)
