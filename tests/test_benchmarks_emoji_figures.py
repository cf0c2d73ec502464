"""The script of figures, on a handful of emoji and with ControlNets that know nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from few_emoji import all_emoji, engine_on, needs_font
from seeded_controlnet import save_seeded
from torch import Tensor

from benchmarks import emoji_subject
from benchmarks.emoji_figures import (
    SECTIONS,
    Emoji,
    Options,
    edge_agreement,
    markdown,
    measured,
    parsed,
    prepared,
    silhouette_agreement,
)
from benchmarks.emoji_subject import Subject
from nodes.training.likeness import Gallery

ROOT = Path(__file__).parents[1]
CHECKPOINT = ROOT / "models" / "checkpoints" / "emoji.safetensors"
KNOWN = ("cat face", "red apple", "crown")


@pytest.fixture(scope="module")
def prepared_few(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Subject, Emoji, dict[str, Any], Options]]:
    """On every 60th emoji and three that the model knows."""
    folder = tmp_path_factory.mktemp("figures")
    known = all_emoji()
    few = known[::60] + tuple(e for e in known if e.name in KNOWN)
    save_seeded(CHECKPOINT, folder / "models" / "controlnet" / "lines.safetensors", 0)
    models = (ROOT / "models", folder / "models")
    options = Options(
        edges="lines.safetensors", captions=KNOWN, few=2, steps=2, guidance=(1.0, 3.0)
    )
    with engine_on(few, folder, models=models) as engine:
        yield (*prepared(engine, options), options)


@needs_font
def test_the_model_s_own_captions_are_recalled_and_the_autoencoder_gives_pictures_back(
    prepared_few: tuple[Subject, Emoji, dict[str, Any], Options],
) -> None:
    subject, emoji, _, _ = prepared_few
    gallery = Gallery.of(
        emoji.pictures(emoji.everything), [e.caption for e in emoji.everything.examples]
    )

    drawn = subject.drawn(KNOWN, 3.0, 15)

    assert drawn.shape == (3, 3, 64, 64)
    assert gallery.recall(drawn, KNOWN) == 1
    assert gallery.recall(drawn, KNOWN[1:] + KNOWN[:1]) == 0
    own = emoji.pictures(emoji.everything)
    assert gallery.recall(own, [e.caption for e in emoji.everything.examples]) == 1
    assert gallery.recall(
        subject.through(own), [e.caption for e in emoji.everything.examples]
    ) == pytest.approx(1, abs=0.05)


@needs_font
def test_a_picture_is_a_function_of_the_seed_and_captions_come_in_parts(
    prepared_few: tuple[Subject, Emoji, dict[str, Any], Options], monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, *_ = prepared_few
    whole = subject.drawn(KNOWN, 1.0, 1)

    assert torch.equal(subject.drawn(KNOWN, 1.0, 1), whole)
    other = replace(subject, seed=1).drawn(KNOWN, 1.0, 1)
    assert not torch.allclose(other, whole, atol=0.05)
    monkeypatch.setattr(emoji_subject, "BATCH", 2)
    parts = subject.drawn(KNOWN, 1.0, 1)
    assert parts.shape == whole.shape
    assert torch.allclose(parts[:2], whole[:2], atol=1e-4)


@needs_font
def test_every_section_gives_its_figures(
    prepared_few: tuple[Subject, Emoji, dict[str, Any], Options],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject, emoji, networks, options = prepared_few
    steps: list[int] = []
    whole = Subject.drawn

    def fewer(
        self: Subject, captions: Any, guidance: float, n: int, *rest: Any, **more: Any
    ) -> Tensor:
        steps.append(n)
        return whole(self, captions, guidance, min(n, 3), *rest, **more)

    monkeypatch.setattr(Subject, "drawn", fewer)

    found = measured(subject, emoji, networks, options, tmp_path)

    assert found.keys() - set(SECTIONS) == {
        "checkpoint", "captions", "set", "unknown", "machine",
    }  # fmt: skip
    assert found["unknown"] == []
    assert set(SECTIONS) <= found.keys()
    assert found["autoencoder"]["pictures"] == len(emoji.validation)
    assert not {e.caption for e in emoji.validation.examples} & set(KNOWN)
    assert 20 < found["autoencoder"]["psnr"] < 40
    assert 0.7 < found["autoencoder"]["ssim"] < 1
    assert len(found["loss"]) == 10
    assert found["loss"][0] > found["loss"][-1]  # ε is hard to see where there is little of it
    assert found["recall"].keys() == {"1", "3"}
    assert found["sampling"].keys() == {"ddim 20", "ddim 50", "ddpm 1000"}
    assert {20, 50, 1000} <= set(steps)
    assert found["control"].keys() == {"edges"}
    assert found["control"]["edges"].keys() == {"with", "without"}
    assert {path.name for path in tmp_path.iterdir()} == {"known.png", "compositions.png"}
    json.dumps(found)
    table = markdown(found)
    assert table.count("\n") == 2 + 2 + 2 + 3 + 1
    assert "recall of 3 captions among" in table


@needs_font
def test_pictures_of_the_set_agree_with_their_own_hints_and_not_with_others(
    prepared_few: tuple[Subject, Emoji, dict[str, Any], Options],
) -> None:
    _, emoji, _, _ = prepared_few
    own = emoji.pictures(emoji.everything)
    lines, shapes = (emoji.hints(emoji.everything, kind) for kind in ("edges", "silhouette"))

    assert edge_agreement(own, lines) > 0.99
    assert edge_agreement(own, lines.roll(1, 0)) < 0.6
    assert silhouette_agreement(own, shapes) > 0.9
    assert silhouette_agreement(own, shapes.roll(1, 0)) < 0.8


def test_options_are_read(tmp_path: Path) -> None:
    names = tmp_path / "names.json"
    names.write_text('["a", "b"]')

    options, out = parsed(
        ["--captions", str(names), "--guidance", "2", "4", "--sections", "loss", "--out", "x"]
    )

    assert options == Options(captions=("a", "b"), guidance=(2.0, 4.0), sections=("loss",))
    assert out == Path("x")
