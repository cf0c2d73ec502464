"""The script that judges models told by condition encoders, on a handful of emoji."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from few_emoji import all_emoji, engine_on, needs_font

from benchmarks.condition_figures import (
    KINDS,
    Options,
    correlation,
    markdown,
    measured,
    parsed,
    prepared,
)
from nodegraph import Engine
from nodes.imaging.files import decode


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """On every 80th emoji."""
    with engine_on(all_emoji()[::80], tmp_path_factory.mktemp("conditions")) as made:
        yield made


@needs_font
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_learns_and_is_judged_on_emoji_it_has_not_seen(
    engine: Engine, tmp_path: Path, kind: str
) -> None:
    values = {"Recipe.steps": 2, "Recipe.batch": 2, "Split.validation": 0.2}
    options = Options(values=values, few=3, steps=2)

    reader = prepared(engine, kind, options)
    found = measured(reader, options, tmp_path)

    trained = {e.name for e in reader.everything.examples} - {
        e.name for e in reader.validation.examples
    }
    assert len(trained) > len(reader.validation) == 4
    assert found["pictures"] == 3
    for told in ("with", "without"):
        assert found[told]
        assert all(-1 <= value <= 1 for value in found[told].values())
    assert found["with"] != found["without"] or kind == "image"
    # two rows, one of what was shown and one of what was drawn
    assert decode(tmp_path / f"{kind}.png").image.shape == (1, 2 * 66 + 2, 3 * 66 + 2, 3)
    again = prepared(engine, kind, options)
    assert torch.equal(again.tokens(reader.validation)[0], reader.tokens(reader.validation)[0])


def test_correlation_is_pearson_s_and_0_for_a_flat_map() -> None:
    maps = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0))
    other = torch.stack([2 * maps[0] + 1, -maps[1], torch.ones(5, 7)])

    assert torch.allclose(correlation(maps, other), torch.tensor([1.0, -1.0, 0.0]), atol=1e-6)
    both = torch.stack([maps[0].flatten(), maps[1].flatten()])
    assert torch.allclose(correlation(maps[:1], maps[1:2]), torch.corrcoef(both)[0, 1], atol=1e-6)


def test_a_table_has_a_row_for_each_figure() -> None:
    table = markdown({"kinds": {"depth": {"with": {"overlap": 0.5}, "without": {"overlap": 0.25}}}})

    assert table.splitlines()[-1] == "| depth | overlap | 0.500 | 0.250 |"


def test_options_are_read() -> None:
    options, out = parsed(["--kinds", "depth", "--training", "7", "--few", "5", "--out", "x"])

    assert options == Options(kinds=("depth",), values={"Recipe.steps": 7}, few=5)
    assert out == Path("x")
