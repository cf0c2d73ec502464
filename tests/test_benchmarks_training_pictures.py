"""The script behind docs/training.md, on the embedded model, in few steps."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from training_desk import squares

import nodes
from benchmarks import training_pictures
from benchmarks.emoji_figures import Emoji, Options
from benchmarks.emoji_subject import Subject
from benchmarks.training_pictures import Studio, ancestral, main
from nodegraph import Engine, Settings

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "images" / "training"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("studio")
    settings = Settings(
        models=(ROOT / "models",),
        plugins=(ROOT / "plugins",),
        output=folder,
        cache=folder / "cache",
        device="cpu",
        precision="fp32",
    )
    with Engine(nodes.modules(), settings) as engine:
        yield Studio(engine, Options().checkpoint)


def size(made: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(made)) as picture:
        return picture.size


@pytest.mark.parametrize("name", ["forward", "latents", "zero_convolutions"])
def test_a_picture_is_made_as_large_as_the_page_s(studio: Studio, name: str) -> None:
    made = getattr(studio, name)()

    assert len(made) < 40_000
    assert size(made) == size((FOLDER / f"{name}.png").read_bytes())


def test_the_loss_by_time_is_that_of_known_and_of_other_pictures(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dataset = squares(tmp_path)
    emoji = Emoji(dataset, dataset, dataset, studio.size)
    monkeypatch.setattr(training_pictures, "prepared", lambda *_: (studio.subject, emoji, {}))
    monkeypatch.setattr(training_pictures, "TENTHS", 2)
    monkeypatch.setattr(Studio, "_known", lambda *_: {dataset.captions[0]})
    asked: list[Sequence[str]] = []

    def losses(
        _self: Subject, pictures: torch.Tensor, told: Sequence[str], parts: int
    ) -> list[float]:
        assert pictures.shape == (len(told), 3, 64, 64)
        asked.append(told)
        return [0.5] * parts

    monkeypatch.setattr(Subject, "losses", losses)

    assert size(studio.loss_by_time()) == size((FOLDER / "loss_by_time.png").read_bytes())
    known, others = map(set, asked)
    assert known == {dataset.captions[0]}
    assert others == set(dataset.captions) - known


def test_the_estimates_end_where_the_walk_ends(studio: Studio) -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    drawn = studio.subject.drawn(
        ["cat face"], 3.0, 4, lambda x, s: training_pictures._watched(x, s, seen)
    )

    assert len(seen) == 4
    torch.testing.assert_close(studio.decoded(seen[-1][1]), drawn)
    torch.testing.assert_close(drawn, studio.subject.drawn(["cat face"], 3.0, 4))


def test_the_two_variances_differ_from_the_second_step_on(studio: Studio) -> None:
    small, large = (
        studio.subject.drawn(["cat face"], 1.0, 2, ancestral(variance))
        for variance in ("beta_tilde", "beta")
    )

    assert not torch.allclose(small, large, atol=0.01)


def test_at_first_only_zero_convolutions_have_gradients(studio: Studio) -> None:
    [first] = studio.gradients(1)

    assert [length > 0 for length in first.values()] == [True, False, False, False]


def test_pictures_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    main(["--only", "rates", "--out", str(tmp_path)])

    assert size((tmp_path / "rates.png").read_bytes()) == (900, 260)
