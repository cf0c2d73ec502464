"""Latents and text features that are computed once: what they hold, and that they are kept."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from picture_sets import coordinates, of_arrays
from tiny_models import VAES
from torch import Tensor
from torch.nn.functional import avg_pool2d

from nodes.models.clip import CLIPText
from nodes.models.clip_config import CLIPConfig
from nodes.models.text import TextEncoder
from nodes.models.tokenizer import CLIPTokenizer
from nodes.models.vae import VAE, Posterior
from nodes.training.chance import Chance
from nodes.training.dataset import Dataset
from nodes.training.framing import Framing
from nodes.training.latents import Encoder, Latents, cache_latents
from nodes.training.pixels import Pixels
from nodes.training.shards import Shelf, shards_of
from nodes.training.texts import EMPTY, Texts, cache_texts, encoding, token_ids

MIXED = Framing(32, 8, square=False, flip=0.5)


class Counting:
    """An encoder whose mean is the cells' mean colour, and whose deviation is e^-1."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.pictures = 0
        self.fail_at = fail_at

    def __call__(self, pixels: Tensor) -> Posterior:
        assert not torch.is_grad_enabled()
        self.pictures += len(pixels)
        if self.fail_at is not None and self.pictures > self.fail_at:
            raise KeyboardInterrupt
        mean = avg_pool2d(pixels, 4)
        return Posterior(mean, torch.full_like(mean, -2.0))

    @property
    def encoder(self) -> Encoder:
        return Encoder(self, "counting", channels=3, factor=4)


def pictures() -> Dataset:
    """Six of one size, three of another, whose halves differ."""
    rng = np.random.default_rng(0)
    wide = [rng.integers(0, 256, (24, 48, 3), dtype=np.uint8) for _ in range(3)]
    even = [rng.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(6)]
    return of_arrays(*even[:3], *wide, *even[3:], hints={"mask": wide[0]})


def cached(folder: Path, counting: Counting, framing: Framing = MIXED, **options: Any) -> Latents:
    return cache_latents(Pixels(pictures(), framing), counting.encoder, folder, **options)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# -- what they hold --------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", [MIXED, replace(MIXED, crop="random", square=True)])
@pytest.mark.parametrize("crops", [1, 3])
def test_a_latent_is_that_of_the_picture_that_goes_with_it(
    tmp_path: Path, framing: Framing, crops: int
) -> None:
    counting = Counting()
    latents = cached(tmp_path, counting, framing, crops=crops)
    order = latents.order(2, seed=0)

    for number in range(12):
        examples, chance = order.examples(number), Chance(4).at(number)
        mean = latents.batch(examples, chance, sample=False)
        shown = latents.pictures(examples, chance)
        torch.testing.assert_close(mean, avg_pool2d(shown, 4))


def test_mirror_images_and_crops_are_really_taken(tmp_path: Path) -> None:
    framing = replace(MIXED, crop="random", square=True)
    latents = cached(tmp_path, Counting(), framing, crops=3)

    made = latents.batch((4,) * 60, Chance(0), sample=False)

    assert len({tuple(row.flatten().tolist()) for row in made}) == 6  # 3 crops and 3 mirrored
    unmirrored = cached(tmp_path, Counting(), replace(framing, flip=0.0), crops=3)
    made = unmirrored.batch((4,) * 60, Chance(0), sample=False)
    assert len({tuple(row.flatten().tolist()) for row in made}) == 3


def test_hints_are_seen_as_the_latents_are(tmp_path: Path) -> None:
    framing = Framing(32, 8, crop="random", flip=0.5)
    picture = coordinates(64, 32)
    dataset = of_arrays(picture, picture, hints={"mask": picture})
    counting = Counting()
    latents = cache_latents(Pixels(dataset, framing), counting.encoder, tmp_path, crops=4)
    examples, chance = (0, 1) * 10, Chance(1)

    hint = latents.hint("mask", examples, chance)

    torch.testing.assert_close(hint * 2 - 1, latents.pictures(examples, chance))
    mean = latents.batch(examples, chance, sample=False)
    torch.testing.assert_close(mean, avg_pool2d(hint * 2 - 1, 4))


def test_of_pictures_cut_in_the_middle_hints_and_latents_agree_with_the_pixels(
    tmp_path: Path,
) -> None:
    latents = cached(tmp_path, Counting())
    examples, chance = (0, 1, 2, 6), Chance(3)

    assert torch.equal(
        latents.hint("mask", examples, chance), latents.pixels.hint("mask", examples, chance)
    )
    assert torch.equal(latents.pictures(examples, chance), latents.pixels.batch(examples, chance))


def test_a_sample_has_the_posterior_s_mean_and_deviation(tmp_path: Path) -> None:
    latents = cached(tmp_path, Counting(), replace(MIXED, flip=0.0))
    mean = latents.batch((0,), Chance(0), sample=False)

    samples = latents.batch((0,) * 4000, Chance(0))

    torch.testing.assert_close(samples.mean(0), mean[0], atol=0.03, rtol=0)
    torch.testing.assert_close(
        samples.std(0), torch.full_like(mean[0], float(np.exp(-1))), atol=0.03, rtol=0
    )
    assert torch.equal(samples, latents.batch((0,) * 4000, Chance(0)))


def test_a_real_vae_s_posterior_is_kept_whole(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vae = VAE(VAES).eval()
    pixels = Pixels(pictures(), Framing(32, 8))
    latents = cache_latents(pixels, Encoder.of(vae, "v"), tmp_path, batch=3)

    examples = (5, 0, 8)
    with torch.no_grad():
        q = vae.encode(pixels.batch(examples, Chance(0)))

    stored = latents.rows.take(examples)[:, 0]
    torch.testing.assert_close(stored, torch.cat([q.mean, q.logvar], 1), atol=1e-5, rtol=1e-5)
    assert latents.batch(examples, Chance(0)).shape == (3, 4, 16, 16)
    assert not latents.batch(examples, Chance(0)).requires_grad


def test_half_precision_halves_the_files(tmp_path: Path) -> None:
    full = cached(tmp_path / "a", Counting())
    half = cached(tmp_path / "b", Counting(), dtype=torch.float16)

    sizes = [sum(map(len, files(tmp_path / name).values())) for name in ("a", "b")]
    assert sizes[1] < 0.6 * sizes[0]
    z = half.batch((0, 1), Chance(0))
    assert z.dtype == torch.float32
    torch.testing.assert_close(z, full.batch((0, 1), Chance(0)), atol=2e-3, rtol=0)


def test_held_by_a_device_they_are_the_same(tmp_path: Path) -> None:
    latents = cached(tmp_path, Counting(), shard_bytes=9000)
    held = latents.to("cpu")

    assert len(held.rows.tensors) == 2 < len(latents.rows.tensors)
    for examples in ((0, 1, 7), (3, 5), (8, 0)):
        assert torch.equal(held.batch(examples, Chance(1)), latents.batch(examples, Chance(1)))


# -- that they are kept ----------------------------------------------------------------------------


def test_what_is_there_is_not_computed_again(tmp_path: Path) -> None:
    first, again = Counting(), Counting()
    told: list[tuple[int, int]] = []

    before = cached(tmp_path, first, batch=2, on_progress=lambda *x: told.append(x))
    after = cached(tmp_path, again)

    assert (first.pictures, again.pictures) == (18, 0)  # nine, and their mirror images
    assert told[0] == (2, 9)
    assert told[-1] == (9, 9)
    assert torch.equal(before.batch((0, 1), Chance(0)), after.batch((0, 1), Chance(0)))


@pytest.mark.parametrize("stop", [0, 5, 11, 17])
def test_stopped_work_goes_on_with_the_first_shard_that_is_missing(
    tmp_path: Path, stop: int
) -> None:
    options = {"shard_bytes": 3100, "batch": 2}
    cached(tmp_path / "whole", Counting(), **options)
    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path / "cut", Counting(fail_at=stop), **options)
    kept = files(tmp_path / "cut")
    again = Counting()

    cached(tmp_path / "cut", again, **options)

    whole = files(tmp_path / "whole")
    assert len(whole) == 9  # a picture a shard
    assert len(kept) == stop // 2
    assert again.pictures == 18 - 2 * len(kept)
    assert files(tmp_path / "cut") == whole


def test_a_damaged_shard_is_made_again(tmp_path: Path) -> None:
    options = {"shard_bytes": 3100}
    cached(tmp_path, Counting(), **options)
    whole = files(tmp_path)
    broken = sorted(tmp_path.rglob("*.safetensors"))
    os.truncate(broken[0], 200)
    broken[1].write_bytes(b"")
    again = Counting()

    cached(tmp_path, again, **options)

    assert again.pictures == 4
    assert files(tmp_path) == whole


@pytest.mark.parametrize(
    "change",
    [{"resolution": 64}, {"square": True}, {"crop": "random"}, {"background": (0.0, 0.0, 0.0)}],
)
def test_another_framing_has_latents_of_its_own(tmp_path: Path, change: dict[str, Any]) -> None:
    again = Counting()
    cached(tmp_path, Counting())

    cached(tmp_path, again, replace(MIXED, **change))

    assert again.pictures == 18


def test_another_share_of_mirror_images_needs_no_others(tmp_path: Path) -> None:
    again = Counting()
    cached(tmp_path, Counting())

    cached(tmp_path, again, replace(MIXED, flip=0.1))

    assert again.pictures == 0


def test_other_weights_have_latents_of_their_own(tmp_path: Path) -> None:
    again = Counting()
    cached(tmp_path, Counting())

    cache_latents(Pixels(pictures(), MIXED), replace(again.encoder, identity="other"), tmp_path)

    assert again.pictures == 18


def test_shards_are_about_as_large_as_asked() -> None:
    shards = shards_of([((4, 8), range(10)), ((2,), range(10, 13))], 4, limit=512)

    assert [len(shard.numbers) for shard in shards] == [4, 4, 2, 3]
    assert [number for shard in shards for number in shard.numbers] == list(range(13))
    assert len({shard.name for shard in shards}) == 4


@pytest.mark.parametrize(
    "other", [Shelf(Path(), "y"), Shelf(Path(), "x", torch.float16)], ids=["about", "dtype"]
)
def test_files_made_from_something_else_are_made_anew(tmp_path: Path, other: Shelf) -> None:
    shards = shards_of([((2,), range(3))], 4)

    first = Shelf(tmp_path, "x").fill(shards, lambda n: torch.zeros(len(n), 2), 2)
    second = replace(other, path=tmp_path).fill(shards, lambda n: torch.ones(len(n), 2), 2)

    assert first.take((0, 2)).sum() == 0  # read by memory map, and left alone
    assert second.take((0, 2)).sum() == 4


def test_rows_of_another_shape_than_planned_are_refused(tmp_path: Path) -> None:
    shards = shards_of([((2,), range(3))], 4)

    with pytest.raises(ValueError, match=r"shape \(2,\) were expected, and \(3,\) were made"):
        Shelf(tmp_path, "x").fill(shards, lambda numbers: torch.zeros(len(numbers), 3), 2)
    assert files(tmp_path) == {}


def test_sizes_that_the_vae_cannot_take_are_refused(tmp_path: Path) -> None:
    encoder = replace(Counting().encoder, factor=64)

    with pytest.raises(ValueError, match="do not fill the VAE's latent cells of 64"):
        cache_latents(Pixels(pictures(), MIXED), encoder, tmp_path)
    with pytest.raises(ValueError, match="crops: expected at least 1"):
        cached(tmp_path, Counting(), crops=0)


# -- texts -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def text() -> TextEncoder:
    return TextEncoder(CLIPConfig(49408, 64, layers=2, heads=1, mlp=64), CLIPTokenizer())


def captioned(*captions: str) -> Dataset:
    dataset = of_arrays(*[np.full((4, 4, 3), i, np.uint8) for i in range(len(captions))])
    pairs = zip(dataset.examples, captions, strict=True)
    return replace(dataset, examples=tuple(replace(e, caption=c) for e, c in pairs))


def test_a_caption_is_one_chunk_with_start_end_and_padding(text: TextEncoder) -> None:
    ids = token_ids(text, "a red apple")

    assert len(ids) == 77
    assert ids[:5] == [49406, 320, 736, 3055, 49407]  # as OpenAI's tokenizer numbers them
    assert set(ids[5:]) == {49407}
    other = TextEncoder(replace(text.config, pad_token=0), text.tokenizer)
    assert set(token_ids(other, "a red apple")[5:]) == {0}


def test_a_caption_that_is_too_long_is_cut_and_told(text: TextEncoder) -> None:
    long = " ".join(["apple"] * 90)

    texts = Texts.of(captioned("a", long, " ".join(["apple"] * 75)), text)

    assert texts.cut == (long,)
    ids = texts.tokens((1,), Chance(0))[0].tolist()
    assert ids == [49406, *[3055] * 75, 49407]


def test_parentheses_in_a_caption_are_text(text: TextEncoder) -> None:
    assert token_ids(text, "(a:2)")[1:-1] != token_ids(text, "a")[1:-1]


def test_equal_captions_share_their_tokens(text: TextEncoder) -> None:
    texts = Texts.of(captioned("a", "b", "a", ""), text)

    assert texts.ids.shape == (3, 77)
    assert texts.numbers == (1, 2, 1, EMPTY)
    a, b, empty = (torch.tensor(token_ids(text, caption)) for caption in ("a", "b", ""))
    assert torch.equal(texts.tokens((2, 1, 3), Chance(0)), torch.stack([a, b, empty]))


def test_a_share_of_the_captions_is_dropped(text: TextEncoder) -> None:
    texts = Texts.of(captioned("a", "b"), text)

    chosen = texts.chosen((0,) * 1000, Chance(0), drop=0.2)

    assert 150 < chosen.count(EMPTY) < 250
    assert chosen == texts.chosen((0,) * 1000, Chance(0), drop=0.2)
    assert chosen != texts.chosen((0,) * 1000, Chance(1), drop=0.2)
    assert texts.chosen((0, 1), Chance(0), drop=1.0) == [EMPTY, EMPTY]
    assert texts.chosen((0, 1), Chance(0)) == [1, 2]


def test_hidden_states_are_those_of_the_encoder(text: TextEncoder, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = CLIPText(text.config).eval()
    dataset = captioned("a red apple", "a cat", "a cat")

    texts = cache_texts(dataset, text, encoding(module, text), "m", tmp_path, batch=2)

    with torch.no_grad():
        expected = [
            text.encode(module, prompt).hidden[0] for prompt in ("a cat", "a red apple", "")
        ]
    torch.testing.assert_close(
        texts.hidden((2, 0), Chance(0)), torch.stack(expected[:2]), atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(
        texts.hidden((0,), Chance(0), drop=1.0)[0], expected[2], atol=1e-5, rtol=1e-5
    )
    assert torch.equal(texts.to("cpu").hidden((1,), Chance(0)), texts.hidden((1,), Chance(0)))


def test_hidden_states_are_computed_once_for_each_caption(
    text: TextEncoder, tmp_path: Path
) -> None:
    asked: list[int] = []

    def encode(ids: Tensor) -> Tensor:
        asked.append(len(ids))
        return torch.zeros(len(ids), 77, 64)

    dataset = captioned("a", "b", "a")
    cache_texts(dataset, text, encode, "m", tmp_path)
    cache_texts(dataset, text, encode, "m", tmp_path)
    assert asked == [3]
    cache_texts(dataset, text, encode, "n", tmp_path)
    cache_texts(captioned("a", "c"), text, encode, "m", tmp_path)
    assert asked == [3, 3, 3]


def test_without_features_hidden_states_are_refused(text: TextEncoder) -> None:
    with pytest.raises(ValueError, match="were not computed"):
        Texts.of(captioned("a"), text).hidden((0,), Chance(0))
