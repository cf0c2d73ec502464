"""The text transformer against transformers' CLIP and against OpenCLIP written with torch's own
multi-head attention, on the same seeded weights."""

import pytest
import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from nodes.models.clip import CLIPText, TextFeatures
from nodes.models.clip_config import CLIPConfig
from nodes.models.errors import ArchitectureError
from nodes.models.keys_clip import from_huggingface, from_openclip

pytestmark = pytest.mark.usefixtures("without_gradients")
START, END = 998, 999
SD1 = CLIPConfig(
    vocab=1000,
    width=128,
    layers=3,
    heads=2,
    mlp=512,
    start_token=START,
    end_token=END,
    pad_token=END,
)
SD2 = CLIPConfig(
    vocab=1000,
    width=192,
    layers=4,
    heads=3,
    mlp=768,
    activation="gelu",
    start_token=START,
    end_token=END,
    pad_token=0,
    default_skip=-2,
    projection=192,
)


def rows(pad: int) -> Tensor:
    """Three prompts of 5, 75 and no tokens: (3, 77)."""
    generator = torch.Generator().manual_seed(7)
    tokens = torch.full((3, 77), pad)
    for row, length in enumerate((5, 75, 0)):
        words = torch.randint(1, START, (length,), generator=generator)
        tokens[row, : length + 2] = torch.tensor([START, *words.tolist(), END])
    return tokens


def seeded(module: nn.Module) -> nn.Module:
    """Random weights and biases, all away from zero and one so that none can be left unused."""
    generator = torch.Generator().manual_seed(3)
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        norm = "norm" in name or "ln_" in name
        fan_in = parameter.shape[-1]
        scaled = 0.2 * noise if parameter.ndim < 2 else noise * fan_in**-0.5
        parameter.data = scaled + (1.0 if norm and name.endswith("weight") else 0.0)
    return module.eval()


def huggingface(config: CLIPConfig) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=config.vocab,
        hidden_size=config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.mlp,
        hidden_act=config.activation,
        projection_dim=config.projection or config.width,
        bos_token_id=START,
        eos_token_id=END,
        pad_token_id=config.pad_token,
    )


def ours(config: CLIPConfig, state: dict[str, Tensor]) -> CLIPText:
    module = CLIPText(config)
    module.load_state_dict(state, strict=True)
    return module.eval()


def assert_near(actual: Tensor, expected: Tensor) -> None:
    scale = expected.abs().max()
    assert actual.shape == expected.shape
    assert ((actual - expected).abs().max() / scale).item() <= 1e-5


def test_sd1_features_equal_those_of_transformers() -> None:
    theirs = seeded(CLIPTextModel(huggingface(SD1)))
    module = ours(SD1, from_huggingface(theirs.state_dict()))
    tokens = rows(SD1.pad_token)

    last = module(tokens)
    penultimate = module(tokens, skip=-2)

    expected = theirs(tokens, output_hidden_states=True)
    norm = next(m for name, m in theirs.named_modules() if name.endswith("final_layer_norm"))
    assert_near(last.hidden, expected.last_hidden_state)
    assert_near(penultimate.hidden, norm(expected.hidden_states[-2]))
    assert_near(last.pooled, expected.pooler_output)
    assert_near(penultimate.pooled, expected.pooler_output)
    assert (last.hidden - penultimate.hidden).abs().max() > 0.1


def test_a_projection_is_applied_to_the_pooled_state() -> None:
    theirs = seeded(CLIPTextModelWithProjection(huggingface(SD2)))
    module = ours(SD2, from_huggingface(theirs.state_dict()))
    tokens = rows(SD2.pad_token)

    features = module(tokens, skip=-1)

    expected = theirs(tokens)
    assert_near(features.hidden, expected.last_hidden_state)
    assert_near(features.pooled, expected.text_embeds)


class OpenCLIPBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width)})
        self.mlp["c_proj"] = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.full((x.shape[1], x.shape[1]), -torch.inf).triu(1)
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, attn_mask=mask, need_weights=False)[0]
        return x + self.mlp["c_proj"](nn.functional.gelu(self.mlp["c_fc"](self.ln_2(x))))


class OpenCLIP(nn.Module):
    """OpenCLIP's text tower, with its parameter names."""

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocab, config.width)
        self.positional_embedding = nn.Parameter(torch.empty(77, config.width))
        blocks = [OpenCLIPBlock(config.width, config.heads) for _ in range(config.layers)]
        self.transformer = nn.ModuleDict({"resblocks": nn.ModuleList(blocks)})
        self.ln_final = nn.LayerNorm(config.width)
        self.text_projection = nn.Parameter(torch.empty(config.width, config.width))
        self.register_buffer("logit_scale", torch.ones([]))

    def forward(self, tokens: Tensor) -> TextFeatures:
        states = [self.token_embedding(tokens) + self.positional_embedding]
        for block in self.transformer["resblocks"]:
            states.append(block(states[-1]))
        ends = (tokens == END).int().argmax(dim=1)
        pooled = self.ln_final(states[-1])[torch.arange(len(tokens)), ends] @ self.text_projection
        return TextFeatures(self.ln_final(states[-2]), pooled)


def test_sd2_features_equal_those_of_openclip() -> None:
    theirs = seeded(OpenCLIP(SD2))
    module = ours(SD2, from_openclip(theirs.state_dict()))
    tokens = rows(SD2.pad_token)

    features = module(tokens)

    expected = theirs(tokens)
    assert_near(features.hidden, expected.hidden)
    assert_near(features.pooled, expected.pooled)


def test_a_token_does_not_see_what_follows_it() -> None:
    module = seeded(CLIPText(SD1))
    tokens = rows(SD1.pad_token)[1:2]
    changed = tokens.clone()
    changed[0, 40] = 1 + changed[0, 40] % 900

    before, after = module(tokens).hidden[0], module(changed).hidden[0]

    torch.testing.assert_close(after[:40], before[:40], atol=1e-6, rtol=0)
    assert (after[40:] - before[40:]).abs().amax(dim=1).min() > 1e-4


def test_a_vector_stands_for_the_token_it_is_the_embedding_of() -> None:
    module = seeded(CLIPText(SD1))
    tokens = rows(SD1.pad_token)
    vector = module.get_parameter("text_model.embeddings.token_embedding.weight")[tokens[1, 3]]
    hidden_place = tokens.clone()
    hidden_place[1, 3] = START

    features = module(hidden_place, vectors={(1, 3): vector})

    torch.testing.assert_close(features.hidden, module(tokens).hidden, atol=0, rtol=0)
    assert (features.hidden - module(hidden_place).hidden)[1].abs().max() > 0.01


def test_a_gradient_reaches_a_vector() -> None:
    module = seeded(CLIPText(SD1)).requires_grad_(False)
    vector = torch.zeros(SD1.width, requires_grad=True)

    with torch.enable_grad():
        features = module(rows(SD1.pad_token), vectors={(0, 2): vector})
        features.hidden[0, 5].sum().backward()

    assert vector.grad is not None
    assert vector.grad.abs().max() > 0


def test_a_network_built_without_memory_takes_its_weights_later() -> None:
    weights = seeded(CLIPText(SD2)).state_dict()

    with torch.device("meta"):
        module = CLIPText(SD2)
    assert all(parameter.is_meta for parameter in module.parameters())
    module.load_state_dict(weights, strict=True, assign=True)

    tokens = rows(SD2.pad_token)
    torch.testing.assert_close(module(tokens).hidden, ours(SD2, weights)(tokens).hidden)


@pytest.mark.parametrize("skip", [0, 1, -4])
def test_a_skip_without_a_layer_is_refused(skip: int) -> None:
    with pytest.raises(ArchitectureError, match=r"clip skip is .* has 3 layers.* -1 .* to -3"):
        CLIPText(SD1)(rows(END), skip=skip)


def test_more_tokens_than_positions_are_refused() -> None:
    with pytest.raises(ArchitectureError, match=r"78 tokens a row.* 77 positions"):
        CLIPText(SD1)(torch.zeros(1, 78, dtype=torch.long))
