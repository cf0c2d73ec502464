"""Embeddings in prompts: their vectors as tokens, their files in the key, and what lacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from node_support import Desk, Given, settings_in
from safetensors.torch import save_file
from torch import Tensor

from nodegraph import Engine, node
from nodes.models.clip import CLIPText
from nodes.models.clip_config import CLIPConfig
from nodes.models.errors import CheckpointError
from nodes.models.text import TextEncoder
from nodes.models.tokenizer import CLIPTokenizer
from nodes.text import clip_encode
from nodes.types import Clip

CONFIG = CLIPConfig(vocab=49408, width=64, layers=2, heads=1, mlp=128)
CAT = 2368


@pytest.fixture(scope="module")
def module() -> CLIPText:
    with torch.random.fork_rng():
        torch.manual_seed(11)
        return CLIPText(CONFIG).eval().requires_grad_(False)


@pytest.fixture
def clip(module: CLIPText) -> Clip:
    return Clip(Given(module), TextEncoder(CONFIG, CLIPTokenizer()))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def words(desk: Desk, clip: Clip, text: str) -> Tensor:
    [entry] = clip_encode(text, clip, context=desk.context).entries
    assert entry.context is not None
    return entry.context


def token(module: CLIPText, *numbers: int) -> Tensor:
    return module.text_model.embeddings.token_embedding.weight[list(numbers)].clone()


def test_an_embedding_of_a_words_vectors_is_that_word(
    desk: Desk, clip: Clip, module: CLIPText
) -> None:
    save_file({"emb_params": token(module, CAT)}, desk.place("embeddings", "sd/kitty.safetensors"))

    for name in ("sd/kitty", "sd/kitty.safetensors", "sd\\kitty"):
        found = words(desk, clip, f"a embedding:{name}, on a hill")
        torch.testing.assert_close(found, words(desk, clip, "a cat, on a hill"))
    assert not desk.warnings


def test_several_vectors_each_have_the_segments_weight(
    desk: Desk, clip: Clip, module: CLIPText
) -> None:
    vectors = token(module, CAT, CAT)
    save_file({"emb_params": vectors}, desk.place("embeddings", "two.safetensors"))

    found = words(desk, clip, "a (embedding:two:1.4) hill")

    torch.testing.assert_close(found, words(desk, clip, "a (cat cat:1.4) hill"))


def test_a_missing_embedding_is_left_out_and_the_nearest_is_named(
    desk: Desk, clip: Clip, module: CLIPText
) -> None:
    save_file({"emb_params": token(module, CAT)}, desk.place("embeddings", "kitty.safetensors"))

    found = words(desk, clip, "a embedding:kity hill embedding:kity embedding:../x")

    assert torch.equal(found, words(desk, clip, "a hill"))
    assert len(desk.warnings) == 2
    assert "embedding 'kity' was not found and is left out" in desk.warnings[0]
    assert "nearest: 'kitty'" in desk.warnings[0]
    assert "'../x'" in desk.warnings[1]


def test_one_of_another_width_is_an_error(desk: Desk, clip: Clip) -> None:
    save_file({"emb_params": torch.zeros(1, 32)}, desk.place("embeddings", "sd2.safetensors"))

    with pytest.raises(CheckpointError, match="vectors of 32 numbers, but this text encoder takes"):
        words(desk, clip, "embedding:sd2")


def test_a_pickle_is_read_only_where_it_is_allowed(
    desk: Desk, clip: Clip, module: CLIPText
) -> None:
    content = {"string_to_token": {"*": 265}, "string_to_param": {"*": token(module, CAT)}}
    torch.save(content, desk.place("embeddings", "old.pt"))
    allowed = replace(desk.context, extra={"allow_ckpt": True})

    with pytest.raises(CheckpointError, match="allow-ckpt"):
        words(desk, clip, "embedding:old")
    [entry] = clip_encode("embedding:old", clip, context=allowed).entries

    torch.testing.assert_close(entry.context, words(desk, clip, "cat"))


# -- keys ------------------------------------------------------------------------------------------

ROOT = Path(__file__).parents[1]
CHECKPOINT = ROOT / "models" / "checkpoints" / "emoji.safetensors"


@node("TheText", category="t")
def the_text(text: str) -> str:
    """A text, over a link."""
    return text


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    import sys

    import nodes

    folder = tmp_path_factory.mktemp("engine")
    (folder / "models" / "embeddings").mkdir(parents=True)
    (folder / "models" / "checkpoints").mkdir()
    (folder / "models" / "checkpoints" / CHECKPOINT.name).symlink_to(CHECKPOINT)
    with Engine((*nodes.modules(), sys.modules[__name__]), settings_in(folder)) as made:
        yield made


def run(engine: Engine, text: Any) -> tuple[Tensor, bool]:
    """The tokens of a prompt, and whether they were known already."""
    document: dict[str, Any] = {
        "1": {"class_type": "LoadCheckpoint", "inputs": {"ckpt_name": CHECKPOINT.name}},
        "2": {"class_type": "CLIPEncode", "inputs": {"text": text, "clip": ["1", 1]}},
    }
    if isinstance(text, list):
        document["3"] = {"class_type": "TheText", "inputs": {"text": text.pop()}}
    result = engine.run(document, targets=["2"]).require()
    status = {account.node: account.status for account in result.accounts}
    return result["2"][0].entries[0].context, status["2"] == "cached"


def embedding(engine: Engine, name: str, value: float) -> None:
    path = engine.folders.models[0] / "embeddings" / f"{name}.safetensors"
    save_file({"emb_params": torch.full((1, 192), value)}, path)


@pytest.mark.parametrize("linked", [False, True])
def test_a_prompt_is_encoded_anew_when_its_embedding_changes(engine: Engine, linked: bool) -> None:
    name = f"changing{int(linked)}"

    def tokens() -> tuple[Tensor, bool]:
        text = f"a embedding:{name} hill"
        return run(engine, ["3", 0, text] if linked else text)

    missing, _ = tokens()
    embedding(engine, name, 0.5)
    first, known = tokens()
    assert not known
    assert not torch.equal(first[:, :6], missing[:, :6])

    again, known = tokens()
    assert known
    assert torch.equal(again, first)

    embedding(engine, name, -0.5)
    second, known = tokens()
    assert not known
    assert not torch.equal(second, first)


def test_a_prompt_without_embeddings_is_the_same_step_over_a_link(engine: Engine) -> None:
    run(engine, "a quiet hill")

    _, known = run(engine, ["3", 0, "a quiet hill"])

    assert known
