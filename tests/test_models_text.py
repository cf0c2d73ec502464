"""Prompts to features: weights, chunks, embeddings, clip skip."""

import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nodes.models.clip import CLIPText
from nodes.models.clip_config import CLIPConfig
from nodes.models.errors import ArchitectureError
from nodes.models.text import TextEncoder
from nodes.models.tokenizer import CLIPTokenizer

pytestmark = pytest.mark.usefixtures("without_gradients")

SD1 = CLIPConfig(vocab=49408, width=64, layers=3, heads=1, mlp=128)
SD2 = replace(SD1, activation="gelu", pad_token=0, default_skip=-2)
CAT = [320, 1125, 539, 320, 2368]  # "a photo of a cat"
LONG = "a photo of a cat " * 20  # 100 tokens: chunks of 75 and 25


def seeded(config: CLIPConfig) -> CLIPText:
    torch.manual_seed(11)
    return CLIPText(config).eval()


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer()


@pytest.fixture
def encoder(tokenizer: CLIPTokenizer) -> TextEncoder:
    return TextEncoder(SD1, tokenizer)


@pytest.fixture(scope="module")
def module() -> CLIPText:
    return seeded(SD1)


def row(tokens: list[int], pad: int = 49407) -> Tensor:
    return torch.tensor([[49406, *tokens, 49407] + [pad] * (75 - len(tokens))])


def near(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_a_plain_prompt_is_encoded_as_its_tokens(encoder: TextEncoder, module: CLIPText) -> None:
    features = encoder.encode(module, "a photo of a cat")

    expected = module(row(CAT))
    near(features.hidden, expected.hidden)
    near(features.pooled, expected.pooled)
    assert features.warnings == ()


def test_sd2_is_padded_with_zeros_and_uses_its_penultimate_layer(tokenizer: CLIPTokenizer) -> None:
    module = seeded(SD2)

    features = TextEncoder(SD2, tokenizer).encode(module, "a photo of a cat")

    near(features.hidden, module(row(CAT, pad=0), skip=-2).hidden)
    assert (features.hidden - module(row(CAT), skip=-2).hidden).abs().max() > 0.01
    assert (features.hidden - module(row(CAT, pad=0), skip=-1).hidden).abs().max() > 0.01


def test_a_weight_scales_the_distance_from_the_empty_prompt(
    encoder: TextEncoder, module: CLIPText
) -> None:
    features = encoder.encode(module, "a photo (of:1.5) a (cat:0.25)")

    z, z_empty = module(row(CAT)).hidden[0], module(row([])).hidden[0]
    expected = z.clone()
    expected[3] = (z[3] - z_empty[3]) * 1.5 + z_empty[3]  # place 0 is the start
    expected[5] = (z[5] - z_empty[5]) * 0.25 + z_empty[5]
    near(features.hidden, expected[None])
    near(features.pooled, module(row(CAT)).pooled)


def test_a_weight_of_zero_is_the_empty_prompt_there(encoder: TextEncoder, module: CLIPText) -> None:
    features = encoder.encode(module, "(a photo of a cat:0)")

    z, z_empty = module(row(CAT)).hidden[0], module(row([])).hidden[0]
    near(features.hidden[0, 1:6], z_empty[1:6])
    near(features.hidden[0, 6:], z[6:])


def test_a_long_prompt_is_encoded_in_chunks(encoder: TextEncoder, module: CLIPText) -> None:
    features = encoder.encode(module, LONG)

    first, second = module(row(CAT * 15)), module(row(CAT * 5))
    near(features.hidden, torch.cat([first.hidden, second.hidden], dim=1))
    near(features.pooled, first.pooled)
    assert features.hidden.shape == (1, 154, 64)


def test_weights_in_a_later_chunk_use_the_empty_prompt_at_their_own_place(
    encoder: TextEncoder, module: CLIPText
) -> None:
    features = encoder.encode(module, LONG + "(a photo of a cat:1.4)")

    z, z_empty = module(row(CAT * 6)).hidden[0], module(row([])).hidden[0]
    z[26:31] = (z[26:31] - z_empty[26:31]) * 1.4 + z_empty[26:31]
    near(features.hidden[0, 77:], z)
    near(features.hidden[0, :77], module(row(CAT * 15)).hidden[0])


def test_the_vectors_of_an_embedding_stand_for_tokens(
    encoder: TextEncoder, module: CLIPText
) -> None:
    table = module.text_model.embeddings.token_embedding.weight
    embeddings = {"ofa": table[[539, 320]], "cat": table[2368]}

    features = encoder.encode(
        module, "a photo embedding:ofa (embedding:cat:1.3)", embeddings=embeddings
    )

    near(features.hidden, encoder.encode(module, "a photo of a (cat:1.3)").hidden)
    near(features.pooled, module(row(CAT)).pooled)
    assert features.warnings == ()


def test_a_long_embedding_reaches_into_the_next_chunk(
    encoder: TextEncoder, module: CLIPText
) -> None:
    table = module.text_model.embeddings.token_embedding.weight

    features = encoder.encode(module, "embedding:many", embeddings={"many": table[CAT * 20]})

    near(features.hidden, encoder.encode(module, LONG).hidden)


def test_an_unknown_embedding_is_left_out_and_told_once(
    encoder: TextEncoder, module: CLIPText
) -> None:
    features = encoder.encode(module, "a photo embedding:lost of a embedding:lost cat")

    near(features.hidden, module(row(CAT)).hidden)
    [warning] = features.warnings
    assert "'lost' was not found" in warning


@pytest.mark.parametrize("shape", [(2, 32), (), (1, 2, 64)])
def test_an_embedding_that_does_not_fit_is_refused(
    encoder: TextEncoder, module: CLIPText, shape: tuple[int, ...]
) -> None:
    embeddings = {"odd": torch.zeros(shape)}
    says = f"'odd' has shape {shape}, but this text encoder takes vectors of 64"

    with pytest.raises(ArchitectureError, match=re.escape(says)):
        encoder.encode(module, "a photo of a embedding:odd cat", embeddings=embeddings)


def test_an_embedding_of_no_vectors_is_no_token(encoder: TextEncoder, module: CLIPText) -> None:
    embeddings = {"none": torch.empty(0, 64)}

    features = encoder.encode(module, "a photo of a embedding:none cat", embeddings=embeddings)

    near(features.hidden, module(row(CAT)).hidden)
    assert features.warnings == ()


@pytest.mark.parametrize("skip", [-1, -2, -3])
def test_clip_skip_chooses_the_layer(encoder: TextEncoder, module: CLIPText, skip: int) -> None:
    features = encoder.encode(module, "a photo of a cat", skip=skip)

    near(features.hidden, module(row(CAT), skip=skip).hidden)
    assert features.warnings == ()


def test_a_skip_beyond_the_layers_uses_the_last_and_says_so(
    encoder: TextEncoder, module: CLIPText
) -> None:
    features = encoder.encode(module, "a photo of a cat", skip=-4)

    near(features.hidden, module(row(CAT), skip=-1).hidden)
    [warning] = features.warnings
    assert "clip skip -4" in warning
    assert "3 layers" in warning


def test_a_skip_that_is_not_negative_is_refused(encoder: TextEncoder, module: CLIPText) -> None:
    with pytest.raises(ArchitectureError, match="clip skip is 0; expected -1"):
        encoder.encode(module, "a", skip=0)


def test_one_network_gives_the_same_with_and_without_its_unused_layer(
    tokenizer: CLIPTokenizer,
) -> None:
    whole = seeded(SD2)
    config = replace(SD2, layers=2, default_skip=-1, dropped_layers=1)
    trimmed = CLIPText(config)
    kept = {k: v for k, v in whole.state_dict().items() if ".layers.2." not in k}
    trimmed.load_state_dict(kept, strict=True)
    encode, encode_trimmed = (
        TextEncoder(SD2, tokenizer).encode,
        TextEncoder(config, tokenizer).encode,
    )

    for skip in (None, -2, -3):
        theirs = encode_trimmed(trimmed, "a photo of a cat", skip=skip)

        near(theirs.hidden, encode(whole, "a photo of a cat", skip=skip).hidden)
        assert theirs.warnings == ()
    missing = encode_trimmed(trimmed, "a photo of a cat", skip=-1)
    near(missing.hidden, encode(whole, "a photo of a cat", skip=-2).hidden)
    assert len(missing.warnings) == 1


def test_features_are_float32_whatever_the_weights_are(encoder: TextEncoder) -> None:
    module = seeded(SD1)
    exact = encoder.encode(module, "a (cat:1.2)")

    embeddings = {"e": torch.zeros(64)}
    rounded = encoder.encode(module.bfloat16(), "a (cat:1.2)")
    with_vector = encoder.encode(module, "a embedding:e", embeddings=embeddings)

    assert {f.hidden.dtype for f in (rounded, with_vector)} == {torch.float32}
    assert {f.pooled.dtype for f in (rounded, with_vector)} == {torch.float32}
    torch.testing.assert_close(rounded.hidden, exact.hidden, atol=0.2, rtol=0)


def test_a_network_that_lacks_tokens_is_refused(tokenizer: CLIPTokenizer) -> None:
    with pytest.raises(ArchitectureError, match=r"knows 1000 tokens.* produces 49408"):
        TextEncoder(replace(SD1, vocab=1000), tokenizer)
