"""The networks of condition encoders: known answers, parity, what they must not depend on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from transformers import ViTConfig, ViTModel

from nodes.models.clip import CLIPText
from nodes.models.clip_config import CLIPConfig
from nodes.models.encoders import (
    CORE,
    ClassConfig,
    ClassEncoder,
    ClipImageConfig,
    ClipImageEncoder,
    PatchConfig,
    PatchEncoder,
    class_numbers,
    clip_vectors,
    fresh,
    text_numbers,
)
from nodes.models.errors import ArchitectureError
from nodes.models.text import TextEncoder
from nodes.models.tokenizer import CLIPTokenizer

pytestmark = pytest.mark.usefixtures("without_gradients")
SMALL = PatchConfig(width=24, size=(16, 24), patch=4, inner=32, layers=3, heads=4, mlp=48)


def patches(config: PatchConfig = SMALL, channels: int = 3, seed: int = 1) -> PatchEncoder:
    """An encoder with numbers everywhere: biases and norms do not start at 0 and 1."""
    torch.manual_seed(seed)
    module = PatchEncoder(config, channels).eval()
    for parameter in module.parameters():
        parameter.add_(torch.randn(parameter.shape) * 0.05)
    return module


# -- texts -----------------------------------------------------------------------------------------

TEXT = CLIPConfig(vocab=49408, width=32, layers=2, heads=4, mlp=64)


def test_a_text_is_what_clip_s_own_text_encoder_makes_of_it() -> None:
    module, clip = fresh(CORE["text"], TEXT, seed=2), CLIPText(TEXT).eval()
    clip.load_state_dict(module.state_dict())

    tokens = module(text_numbers(TEXT, "a Cat, twice"))

    encoder = TextEncoder(TEXT, CLIPTokenizer())
    assert torch.allclose(tokens, encoder.encode(clip, "a cat, twice").hidden, atol=1e-6)
    nothing = encoder.encode(clip, "").hidden
    assert torch.allclose(module.null(torch.zeros(3, 77)), nothing.expand(3, -1, -1), atol=1e-6)


def test_a_text_that_is_too_long_or_none_is_refused() -> None:
    assert text_numbers(TEXT, "cat " * 75).shape == (1, 77)
    with pytest.raises(ValueError, match="the text has 76 tokens, but this encoder reads 75"):
        text_numbers(TEXT, "cat " * 76)
    with pytest.raises(ValueError, match="expected a text, got a value of type int"):
        text_numbers(TEXT, 3)


# -- classes ---------------------------------------------------------------------------------------


def test_a_class_is_a_row_of_the_table_and_no_class_is_the_last() -> None:
    module = ClassEncoder(ClassConfig(width=5, classes=3))
    module.embedding.weight.copy_(torch.arange(20.0).view(4, 5))

    y = torch.tensor([2, 0])

    assert module(y).tolist() == [[[10, 11, 12, 13, 14]], [[0, 1, 2, 3, 4]]]
    assert module.null(y).tolist() == [[[15, 16, 17, 18, 19]]] * 2


def test_classes_are_named_by_number_or_by_name_a_line_for_each_image() -> None:
    config = ClassConfig(width=4, classes=3, names=("tench, Tinca tinca", "2", "goldfish"))

    assert class_numbers(config, 2).tolist() == [2]
    assert class_numbers(config, " goldfish\n0\n\ntench, Tinca tinca ").tolist() == [2, 0, 0]
    assert class_numbers(config, "2").tolist() == [1]  # a name goes before a number


@pytest.mark.parametrize("label", ["3", "-1", "gold", "", "²", "1.0", True])
def test_a_class_that_is_not_there_is_an_error(label: object) -> None:
    config = ClassConfig(width=4, classes=3, names=("a", "b", "c"))

    with pytest.raises(ValueError, match="a number from 0 to 2 or a name: a, b, c"):
        class_numbers(config, label)


def test_the_null_class_cannot_be_asked_for_by_its_number() -> None:
    with pytest.raises(ValueError, match=r"no class '1000'.*from 0 to 999, which have no names"):
        class_numbers(ClassConfig(width=4, classes=1000), 1000)


# -- patches ---------------------------------------------------------------------------------------


def torch_transformer(module: PatchEncoder, config: PatchConfig) -> nn.TransformerEncoder:
    """torch's own transformer with the same weights."""
    layer = nn.TransformerEncoderLayer(
        config.inner,
        config.heads,
        config.mlp,
        dropout=0,
        activation="gelu",
        batch_first=True,
        norm_first=True,
    )
    norm = nn.LayerNorm(config.inner)
    theirs = nn.TransformerEncoder(layer, config.layers, norm, enable_nested_tensor=False).eval()
    for mine, other in zip(module.layers, theirs.layers, strict=True):
        state = {
            "self_attn.in_proj_weight": mine.attention.qkv.weight,  # type: ignore[union-attr]
            "self_attn.in_proj_bias": mine.attention.qkv.bias,  # type: ignore[union-attr]
        }
        for there, here in (
            ("self_attn.out_proj", "attention.out"),
            ("linear1", "mlp.0"),
            ("linear2", "mlp.2"),
            ("norm1", "norm1"),
            ("norm2", "norm2"),
        ):
            part = mine.get_submodule(here)
            state |= {f"{there}.weight": part.weight, f"{there}.bias": part.bias}  # type: ignore[dict-item]
        other.load_state_dict(state)
    norm.load_state_dict(module.norm.state_dict())
    return theirs


def test_the_encoder_is_torchs_transformer_over_patches() -> None:
    module = patches()
    y = torch.randn(2, 3, 16, 24)

    # patches cut by hand, row by row, each times the convolution's kernel
    cut = y.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).reshape(2, 24, 48)
    embedded = cut @ module.embed.weight.view(32, 48).T + module.embed.bias
    positions = module.positions.view(1, 32, 24).transpose(1, 2)
    expected = module.project(torch_transformer(module, SMALL)(embedded + positions))

    assert module(y).shape == (2, 24, 24)
    torch.testing.assert_close(module(y), expected, atol=1e-5, rtol=0)


def vision_transformer(module: PatchEncoder, config: PatchConfig) -> ViTModel:
    """transformers' ViT with the same weights. Its class token comes along as a further token."""
    theirs = ViTModel(
        ViTConfig(
            hidden_size=config.inner,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=config.mlp,
            image_size=config.size[0],
            patch_size=config.patch,
            layer_norm_eps=1e-5,
            attn_implementation="sdpa",
        ),
        add_pooling_layer=False,
    ).eval()
    embeddings = theirs.embeddings
    embeddings.patch_embeddings.projection.load_state_dict(module.embed.state_dict())
    positions = module.positions.flatten(2).transpose(1, 2)
    embeddings.position_embeddings[:, 1:].copy_(positions)
    return theirs


@pytest.mark.parametrize("side", [16, 24, 40])
def test_positions_at_another_resolution_are_those_of_a_vision_transformer(side: int) -> None:
    config = replace(SMALL, size=(16, 16), layers=0)
    module = patches(config)
    y = torch.randn(1, 3, side, side)

    theirs = vision_transformer(module, config)
    embedded = theirs.embeddings(y, interpolate_pos_encoding=True)[:, 1:]
    expected = module.project(module.norm(embedded))

    torch.testing.assert_close(module(y), expected, atol=1e-5, rtol=0)


def shuffled(y: Tensor, order: Tensor, p: int = 4) -> Tensor:
    """The same patches in another order."""
    folded = nn.functional.unfold(y, p, stride=p)[..., order]
    return nn.functional.fold(folded, tuple(y.shape[2:]), p, stride=p)


def test_without_positions_tokens_follow_their_patches() -> None:
    module = patches()
    module.positions.zero_()
    y, order = torch.randn(2, 3, 16, 24), torch.randperm(24)

    torch.testing.assert_close(module(shuffled(y, order)), module(y)[:, order])


def test_with_positions_they_do_not() -> None:
    module = patches()
    y, order = torch.randn(1, 3, 16, 24), torch.arange(24).flip(0)

    assert (module(shuffled(y, order)) - module(y)[:, order]).abs().max() > 1e-3


def test_every_token_sees_every_patch() -> None:
    module = patches()
    y = torch.randn(1, 3, 16, 24)
    other = y.clone()
    other[..., -4:, -4:] += 1

    assert ((module(other) - module(y)).abs().amax(dim=2) > 1e-6).all()


def test_images_of_a_batch_do_not_see_each_other() -> None:
    module = patches()
    y = torch.randn(3, 3, 16, 24)

    torch.testing.assert_close(module(y)[1:2], module(y[1:2]))


def test_renamed_classes_give_equal_tokens_where_the_first_layer_is_renamed_as_well() -> None:
    module, order = patches(channels=5), torch.tensor([3, 0, 4, 1, 2])
    renamed = patches(channels=5)
    renamed.embed.weight.copy_(module.embed.weight[:, order])
    y = torch.randn(1, 5, 16, 24)

    torch.testing.assert_close(renamed(y[:, order]), module(y))
    assert (module(y[:, order]) - module(y)).abs().max() > 1e-3


def test_no_input_is_one_vector_in_place_of_every_patch() -> None:
    module = patches()
    y = torch.randn(2, 3, 24, 16)

    module.embed.weight.zero_()
    module.embed.bias.copy_(module.nothing)

    torch.testing.assert_close(module.null(y), module(y))


def test_no_input_does_not_depend_on_the_input() -> None:
    module = patches()
    y = torch.randn(2, 3, 16, 24)

    assert torch.equal(module.null(y), module.null(torch.zeros_like(y)))
    assert torch.equal(module.null(y)[0], module.null(y)[1])
    assert (module.null(y) - module(torch.zeros_like(y))).abs().max() > 1e-3


def test_a_transformer_as_wide_as_the_tokens_has_no_projection() -> None:
    module = PatchEncoder(replace(SMALL, width=32), 3)

    assert not [name for name in module.state_dict() if name.startswith("project")]
    assert module(torch.zeros(1, 3, 16, 24)).shape == (1, 24, 32)


@pytest.mark.parametrize("shape", [(1, 3, 16, 23), (1, 3, 18, 24), (1, 1, 16, 24), (3, 16, 24)])
def test_what_has_no_whole_patches_is_refused(shape: tuple[int, ...]) -> None:
    module = patches()

    for function in (module, module.null):
        with pytest.raises(ValueError, match=r"expected \(B, 3, H, W\), H and W multiples of 4"):
            function(torch.zeros(shape))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": 5}, "32 is no multiple of 5 heads"),
        ({"patch": 5}, "no multiple of a patch of 5"),
        ({"width": 0}, "width: expected 1 to"),
        ({"layers": 10**9}, "layers: expected 0 to 256"),
        ({"size": (0, 16)}, "size: expected 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change: dict[str, int], message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        replace(SMALL, **change)  # type: ignore[arg-type]


# -- what CLIP sees --------------------------------------------------------------------------------


class Seen:
    def __init__(self, embeds: Tensor, last: Tensor, penultimate: Tensor) -> None:
        self.image_embeds = embeds
        self.last_hidden_state = last
        self.penultimate_hidden_states = penultimate


SEEN = Seen(torch.randn(2, 6), torch.randn(2, 5, 8), torch.randn(2, 5, 8))


def test_an_embedding_becomes_tokens_as_ip_adapter_projects_it() -> None:
    from diffusers.models.embeddings import ImageProjection

    config = ClipImageConfig(width=12, embedding=6, tokens=4)
    torch.manual_seed(3)
    theirs = ImageProjection(image_embed_dim=6, cross_attention_dim=12, num_image_text_embeds=4)
    module = ClipImageEncoder(config)
    module.proj.load_state_dict(theirs.image_embeds.state_dict())
    module.norm.load_state_dict(theirs.norm.state_dict())

    y = clip_vectors(config, SEEN)

    assert module(y).shape == (2, 4, 12)
    torch.testing.assert_close(module(y), theirs(SEEN.image_embeds), atol=1e-6, rtol=0)
    torch.testing.assert_close(module.null(y), theirs(torch.zeros(2, 6)), atol=1e-6, rtol=0)


@pytest.mark.parametrize("reads", ["last_hidden_state", "penultimate_hidden_states"])
def test_hidden_states_become_a_token_each(reads: str) -> None:
    config = ClipImageConfig(width=12, embedding=8, tokens=1, reads=reads)  # type: ignore[arg-type]
    module = ClipImageEncoder(config)
    states = getattr(SEEN, reads)

    found = module(clip_vectors(config, SEEN))

    torch.testing.assert_close(found, module.norm(module.proj(states)))
    assert found.shape == (2, 5, 12)


def test_another_clip_is_an_error() -> None:
    with pytest.raises(ValueError, match="image_embeds is 6 wide, but this encoder reads 7"):
        clip_vectors(ClipImageConfig(width=12, embedding=7), SEEN)
    with pytest.raises(ValueError, match="output of CLIP's image encoder, got a value of type str"):
        clip_vectors(ClipImageConfig(width=12, embedding=6), "a cat")


# -- first weights ---------------------------------------------------------------------------------


def test_a_seed_gives_the_same_first_weights_and_leaves_the_generator_alone() -> None:
    torch.manual_seed(4)
    before = torch.random.get_rng_state()
    first, again, other = (fresh(CORE["image"], SMALL, seed=seed) for seed in (7, 7, 8))

    assert torch.equal(torch.random.get_rng_state(), before)
    states = [module.state_dict() for module in (first, again, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    for name in ("positions", "nothing", "embed.weight", "layers.0.attention.qkv.weight"):
        assert not torch.equal(states[0][name], states[2][name])
    assert states[0]["positions"].std() == pytest.approx(0.02, rel=0.15)


def test_every_weight_has_a_gradient_when_inputs_are_dropped_now_and_then() -> None:
    module = fresh(CORE["image"], SMALL, seed=1)
    y, dropped = torch.randn(2, 3, 16, 24), torch.tensor([True, False])

    with torch.enable_grad():
        tokens = torch.where(dropped[:, None, None], module.null(y), module(y))
        (tokens * torch.randn(tokens.shape)).sum().backward()

    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
