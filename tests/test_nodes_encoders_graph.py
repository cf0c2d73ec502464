"""Condition encoders in whole runs: joined with text, sampled, and kinds by plugins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from encoder_files import (
    SEGMENTED,
    SEGMENTS,
    WIDTH,
    furnished,
    in_context,
    loaded,
    network,
    tokens,
)
from node_support import Desk, Given, Painter, painted_model, settings_in, worth
from safetensors.torch import save_file
from tiny_models import UNETS, scrambled
from torch import Tensor
from vision_models import QUICK, huggingface, seen_by

import nodes
from nodegraph import (
    Context,
    DeclarationError,
    Engine,
    Extension,
    NodeGraphError,
    Registry,
    node,
)
from nodes.clip_vision import clip_vision_encode, clip_vision_loader
from nodes.conditioning import conditioning_concat
from nodes.encoders import (
    encode_class,
    encode_clip_image,
    encode_condition,
    encode_segmentation,
)
from nodes.models.clip import CLIPText
from nodes.models.clip_config import CLIPConfig
from nodes.models.clip_pixels import clip_pixels
from nodes.models.encoders import (
    CORE,
    ClassConfig,
    ClipImageConfig,
    EncoderKind,
    TokenEncoder,
    fresh,
    one_hot_map,
    save_encoder,
)
from nodes.models.text import TextEncoder
from nodes.models.tokenizer import CLIPTokenizer
from nodes.models.unet import UNet
from nodes.sampling import ksampler
from nodes.text import clip_encode
from nodes.types import Clip, Conditioning, Image, Latent, Model

pytestmark = pytest.mark.usefixtures("without_gradients")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return furnished(tmp_path_factory.mktemp("desk"))


@pytest.fixture
def context(desk: Desk) -> Context:
    return in_context(desk)


# -- sampling --------------------------------------------------------------------------------------

SEED, STEPS, CFG = 11, 4, 3.0


def sampled(
    model: Model, positive: Conditioning, negative: Conditioning, context: Context
) -> Tensor:
    return ksampler(
        model,
        seed=SEED,
        steps=STEPS,
        cfg=CFG,
        sampler_name="euler",
        scheduler="normal",
        positive=positive,
        negative=negative,
        latent_image=Latent(torch.zeros(2, 4, 8, 8)),
        context=context,
    ).samples


def test_no_class_is_what_guidance_pulls_away_from(desk: Desk, context: Context) -> None:
    """The painter's picture is the mean of its tokens: the table's rows are its pictures."""
    config = ClassConfig(width=3, classes=2)
    module = CORE["class"].build(config).requires_grad_(False)
    module.get_parameter("embedding.weight").copy_(torch.tensor([[1.0], [5], [2]]).expand(3, 3))
    path = desk.place("condition_encoders", "painted.safetensors")
    save_encoder(path, "class", config, module)

    found = encode_class(loaded("painted", context), "1", context=context)
    picture = sampled(painted_model(Painter()), found.conditioning, found.null, context)

    torch.testing.assert_close(picture, torch.full_like(picture, 2 + CFG * (5 - 2)))


TEXT = CLIPConfig(vocab=49408, width=WIDTH, layers=2, heads=1, mlp=128)


@pytest.fixture(scope="module")
def clip() -> Clip:
    torch.manual_seed(11)
    return Clip(Given(CLIPText(TEXT).eval()), TextEncoder(TEXT, CLIPTokenizer()))


@pytest.fixture(scope="module")
def unet() -> UNet:
    torch.manual_seed(12)
    module = UNet(UNETS["sd1"])
    scrambled(module)
    for name, parameter in module.named_parameters():
        if "attn2" in name:  # so that tokens count for much of the picture
            parameter.mul_(8)
    return module


def walked(unet: UNet, model: Model, positive: Tensor, negative: Tensor) -> Tensor:
    """Euler's method by hand (arXiv:2206.00364, algorithm 1 without churn), for eps."""
    schedule = model.sampling.schedule
    times = torch.linspace(999, 0, STEPS)
    sigmas = [*(float(schedule.t_to_sigma(float(t))) for t in times), 0.0]
    noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(SEED))
    x = noise * (1 + sigmas[0] ** 2) ** 0.5
    for sigma, following in pairwise(sigmas):
        t = torch.tensor([float(schedule.sigma_to_t(sigma))] * 2)
        eps, none = (unet(x / (sigma**2 + 1) ** 0.5, t, c) for c in (positive, negative))
        x = x + (none + CFG * (eps - none)) * (following - sigma)
    return x


def test_text_and_segments_guide_together(context: Context, clip: Clip, unet: UNet) -> None:
    model = painted_model(unet, kind="eps", context=WIDTH)
    encoder = loaded("segmentation", context)
    cat, nothing = (clip_encode(text, clip, context=context) for text in ("a cat", ""))
    segments = encode_segmentation(encoder, SEGMENTS, context=context)

    positive = conditioning_concat(cat, segments.conditioning, context=context)
    negative = conditioning_concat(nothing, segments.null, context=context)
    found = sampled(model, positive, negative, context)

    module, y = network("segmentation"), one_hot_map(SEGMENTS, SEGMENTED)
    both = torch.cat([tokens(cat).expand(2, -1, -1), module(y)], dim=1)
    neither = torch.cat([tokens(nothing).expand(2, -1, -1), module.null(y)], dim=1)
    assert tokens(positive).shape == (2, 77 + 16, WIDTH)
    expected = walked(unet, model, both, neither)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)
    assert (found - walked(unet, model, tokens(cat), tokens(nothing))).abs().max() > 0.02


def test_tokens_of_another_width_are_an_error_that_names_the_encoder_and_the_model(
    context: Context,
) -> None:
    model = replace(painted_model(Painter()), family="sd2")
    found = encode_class(loaded("class", context), "cat", context=context)

    with pytest.raises(
        NodeGraphError,
        match=r"'class.safetensors' \(class\) gives tokens 64 wide, but the model \(sd2\) reads 3",
    ):
        sampled(model, found.conditioning, found.null, context)


def test_tokens_joined_with_text_still_name_their_encoder(context: Context, clip: Clip) -> None:
    found = encode_class(loaded("class", context), "cat", context=context)
    text = clip_encode("a cat", clip, context=context)

    both = conditioning_concat(text, found.conditioning, context=context)

    with pytest.raises(NodeGraphError, match=r"'class.safetensors' \(class\) gives tokens 64 wide"):
        sampled(painted_model(Painter()), both, both, context)


def test_tokens_of_two_widths_are_not_joined(context: Context) -> None:
    found = encode_class(loaded("class", context), "cat", context=context)

    with pytest.raises(NodeGraphError, match=r"3 wide.* 64 wide.*'class.safetensors' \(class\)"):
        conditioning_concat(worth(1.0), found.conditioning, context=context)


def test_a_picture_guides_through_what_clip_sees_in_it(desk: Desk, context: Context) -> None:
    eyes = huggingface(QUICK)
    save_file(eyes.state_dict(), desk.place("clip_vision", "eyes.safetensors"))
    config = ClipImageConfig(width=3, embedding=48, tokens=2)
    module = fresh(CORE["clip_image"], config, seed=1)
    module.get_parameter("norm.bias").copy_(torch.tensor([1.0, 2, 6]))  # tokens' mean is 3
    path = desk.place("condition_encoders", "seen.safetensors")
    save_encoder(path, "clip_image", config, module)
    image = Image(torch.rand(2, 40, 40, 3, generator=torch.Generator().manual_seed(3)))

    vision = clip_vision_loader("eyes.safetensors", context=context)
    seen = clip_vision_encode(vision, image, "center", context=context)
    found = encode_clip_image(loaded("seen", context), seen, context=context)
    picture = sampled(painted_model(Painter()), found.conditioning, found.null, context)

    expected = module(seen_by(eyes, clip_pixels(image, 28, "center")).embedding[:, None])
    torch.testing.assert_close(tokens(found.conditioning), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(picture, torch.full_like(picture, 3.0), atol=1e-4, rtol=0)


# -- kinds of plugins ------------------------------------------------------------------------------


@dataclass(frozen=True)
class WordConfig:
    """A kind that counts letters."""

    width: int


class WordEncoder(TokenEncoder):
    """(B, L) of numbers -> (B, L, width), each number times a learned vector."""

    def __init__(self, config: WordConfig) -> None:
        super().__init__()
        self.direction = torch.nn.Parameter(torch.ones(config.width))

    def forward(self, y: Tensor) -> Tensor:
        return y[..., None] * self.direction

    def null(self, y: Tensor) -> Tensor:
        return self.forward(torch.zeros_like(y))


def lengths(config: WordConfig, text: Any) -> Tensor:
    return torch.tensor([[float(len(word)) for word in text.split()]])


WORDS = EncoderKind(WordConfig, WordEncoder, lengths, "a text")


@node("WordText", category="t")
def word_text(text: str) -> str:
    """A text, over a link."""
    return text


def plugin(kind: EncoderKind[Any] = WORDS, name: str = "words") -> ModuleType:
    module = ModuleType("tests.words")
    word_text.__module__ = module.__name__
    module.KINDS = Extension("condition_encoders", {name: kind})  # type: ignore[attr-defined]
    module.word_text = word_text  # type: ignore[attr-defined]
    return module


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine((*nodes.modules(), plugin()), settings_in(tmp_path)) as made:
        yield made


def save_words(engine: Engine, factor: float) -> None:
    config = WordConfig(width=2)
    module = fresh(WORDS, config, seed=0).requires_grad_(False)
    module.get_parameter("direction").mul_(factor)
    path = engine.folders.models[0] / "condition_encoders" / "words.safetensors"
    save_encoder(path, "words", config, module)


def test_a_plugins_kind_runs_in_a_graph_and_is_encoded_anew_when_its_file_changes(
    engine: Engine,
) -> None:
    document: dict[str, Any] = {
        "1": {
            "class_type": "LoadConditionEncoder",
            "inputs": {"encoder_name": "words.safetensors"},
        },
        "2": {"class_type": "WordText", "inputs": {"text": "a bright hill"}},
        "3": {"class_type": "EncodeCondition", "inputs": {"encoder": ["1", 0], "value": ["2", 0]}},
    }

    def run() -> tuple[list[Any], str]:
        result = engine.run(document, targets=["3"]).require()
        conditioning, null = result["3"]
        assert not tokens(null).any()
        statuses = {account.node: account.status for account in result.accounts}
        return tokens(conditioning).tolist(), statuses["3"]

    save_words(engine, 1.0)
    first, _ = run()
    again, status = run()
    save_words(engine, 2.0)
    changed, _ = run()

    assert first == again == [[[1, 1], [6, 6], [4, 4]]]
    assert status == "cached"
    assert changed == [[[2, 2], [12, 12], [8, 8]]]


def test_the_cores_kinds_are_registered_as_a_plugins_are_and_names_do_not_clash() -> None:
    registry = Registry()
    registry.register(*nodes.modules())

    assert dict(registry.extensions["condition_encoders"]) == dict(CORE)
    with pytest.raises(DeclarationError, match="condition_encoders already has an entry named dep"):
        registry.register(plugin(name="depth"))


def test_a_network_that_gives_no_tokens_is_an_error(desk: Desk) -> None:
    class Flat(WordEncoder):
        def forward(self, y: Tensor) -> Tensor:
            return y

    kinds = {"flat": EncoderKind(WordConfig, Flat, lengths, "a text")}
    context = in_context(desk, kinds)
    path = desk.place("condition_encoders", "flat.safetensors")
    save_encoder(path, "flat", WordConfig(2), Flat(WordConfig(2)))

    with pytest.raises(NodeGraphError, match=r"\(flat\) gave tokens of shape \(1, 2\): expected"):
        encode_condition(loaded("flat", context), "two words", context=context)


def test_a_kind_that_is_gone_is_an_error(desk: Desk, context: Context) -> None:
    encoder = loaded("class", context)

    with pytest.raises(NodeGraphError, match="condition_encoders has no 'class'"):
        encode_condition(encoder, "cat", context=in_context(desk, {}))
