"""The loop: a run that was stopped ends where one that never stopped ends."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nodes.training.chance import Chance
from nodes.training.ema import Ema
from nodes.training.loop import Diverged, Step, Trainer, Watch
from nodes.training.order import Order
from nodes.training.rate import warmed_cosine
from nodes.training.recipe import OPTIMIZERS, Recipe
from nodes.training.state import RunError, RunFolder

RECIPE = Recipe(steps=12, batch=4, rate=1e-2, warmup=3, ema=0.9, save_every=5, seed=3)


class Regression:
    """y = tanh(net(x)) against fixed targets, with dropout and noise that depend on chance."""

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.net = nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.GroupNorm(2, 8), nn.Linear(8, 2))
        self.x = torch.randn(10, 3)
        self.y = torch.randn(10, 2)

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"net": self.net}

    @property
    def order(self) -> Order:
        return Order.over(10, 4, seed=3)

    def loss(self, examples: tuple[int, ...], chance: Chance) -> tuple[Tensor, dict[str, float]]:
        rows = list(examples)
        noise = torch.randn(len(rows), 3, generator=chance.generator("noise"))
        loss = (self.net(self.x[rows] + 0.1 * noise) - self.y[rows]).square().mean()
        return loss, {"rows": float(len(rows))}


class Killed(BaseException):
    pass


def trainer(path: Path, recipe: Recipe = RECIPE, identity: str = "a") -> Trainer:
    return Trainer(Regression(), recipe, RunFolder(path, identity))


def killed_at(step: int) -> Watch:
    def stop(done: Step, _recipe: Recipe) -> None:
        if done.step == step:
            raise Killed

    return Watch(on_step=stop)


def weights(run: Trainer) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in run.named.items()}


def assert_equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


@pytest.fixture
def whole(tmp_path: Path) -> Trainer:
    run = trainer(tmp_path / "whole")
    run.run()
    return run


@pytest.mark.parametrize("step", [0, 1, 4, 5, 7, 10])
@pytest.mark.parametrize("saves", [True, False], ids=["cancelled", "killed"])
def test_a_run_that_is_stopped_anywhere_ends_where_a_whole_one_ends(
    tmp_path: Path, whole: Trainer, step: int, saves: bool
) -> None:
    first = trainer(tmp_path / "b")
    if not saves:
        first.save = lambda: None if first.step % 5 else Trainer.save(first)  # type: ignore[method-assign]
    with pytest.raises(Killed):
        first.run(killed_at(step))
    second = trainer(tmp_path / "b")
    second.run()
    assert_equal(weights(second), weights(whole))
    assert second.folder.history() == whole.folder.history()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_on_where_it_stopped(tmp_path: Path, name: str) -> None:
    recipe = replace(RECIPE, optimizer=name, ema=0.0)
    whole, first = trainer(tmp_path / "a", recipe), trainer(tmp_path / "b", recipe)
    whole.run()
    with pytest.raises(Killed):
        first.run(killed_at(6))
    second = trainer(tmp_path / "b", recipe)
    second.run()
    assert_equal(weights(second), weights(whole))
    assert not torch.equal(weights(whole)["net.0.weight"], Regression().net[0].weight)  # it learned


@pytest.mark.parametrize("arithmetic", ["bf16", "fp16"])
def test_narrow_arithmetic_goes_on_where_it_stopped(tmp_path: Path, arithmetic: str) -> None:
    recipe = replace(RECIPE, arithmetic=arithmetic)
    whole, first = trainer(tmp_path / "a", recipe), trainer(tmp_path / "b", recipe)
    whole.run()
    with pytest.raises(Killed):
        first.run(killed_at(6))
    second = trainer(tmp_path / "b", recipe)
    second.run()
    assert_equal(weights(second), weights(whole))


class Convolution(Regression):
    """The same with a kernel of 3 x 3, which lies in memory in the order of its own."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.net = nn.Sequential(
            nn.Unflatten(1, (3, 1, 1)),
            nn.Conv2d(3, 8, 3, padding=1),
            nn.Conv2d(8, 2, 1),
            nn.Flatten(),
        )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_convolution_goes_on_where_it_stopped(tmp_path: Path, name: str) -> None:
    recipe = replace(RECIPE, optimizer=name)

    def made(folder: str) -> Trainer:
        return Trainer(Convolution(), recipe, RunFolder(tmp_path / folder, "a"))

    whole = made("whole")
    whole.run()
    with pytest.raises(Killed):
        made("stopped").run(killed_at(6))
    again = made("stopped")
    again.run()

    kernel = again.named["net.1.weight"]
    assert kernel.is_contiguous(memory_format=torch.channels_last)
    assert_equal(weights(again), weights(whole))


def test_figures_may_stay_tensors_and_are_told_as_numbers(tmp_path: Path) -> None:
    class Figured(Regression):
        def loss(  # type: ignore[override]
            self, examples: tuple[int, ...], chance: Chance
        ) -> tuple[Tensor, dict[str, Tensor]]:
            value, _ = super().loss(examples, chance)
            return value, {"twice": 2 * value.detach()}

    folder = RunFolder(tmp_path, "a")
    Trainer(Figured(), replace(RECIPE, steps=2), folder).run()

    for line in folder.history():
        assert line["twice"] == pytest.approx(2 * line["loss"], rel=1e-6)


def test_a_finished_run_is_not_run_again(tmp_path: Path, whole: Trainer) -> None:
    again = trainer(tmp_path / "whole")
    again.lesson.loss = None  # type: ignore[method-assign, assignment]
    again.run()
    assert_equal(weights(again), weights(whole))


def test_at_the_end_the_averaged_weights_are_in_place(whole: Trainer) -> None:
    assert whole.ema is not None
    for parameter, average in zip(whole.parameters, whole.ema.averages, strict=True):
        assert torch.equal(parameter, average)


def test_accumulated_batches_are_one_large_batch(tmp_path: Path) -> None:
    """Equal up to rounding: the mean of the means of halves is the mean of the whole."""
    parts = trainer(tmp_path / "a", replace(RECIPE, steps=1, accumulate=3, ema=0.0, clip=0.0))
    seen: list[tuple[tuple[int, ...], Chance]] = []
    inner = parts.lesson.loss

    def loss(examples: tuple[int, ...], chance: Chance) -> tuple[Tensor, dict[str, float]]:
        seen.append((examples, chance))
        return inner(examples, chance)

    parts.lesson.loss = loss  # type: ignore[method-assign]
    other = Regression()
    parts.run()
    total = sum(other.loss(*asked)[0] / 3 for asked in seen)
    assert isinstance(total, Tensor)
    optimizer = torch.optim.AdamW(other.net.parameters(), lr=RECIPE.rate / 3, weight_decay=0.01)
    for group in optimizer.param_groups:
        group["params"] = [p for p in group["params"] if p.ndim > 1]
    total.backward()
    optimizer.step()
    assert torch.allclose(other.net[0].weight, parts.named["net.0.weight"], atol=1e-6)
    assert [len(examples) for examples, _ in seen] == [4, 4, 4]
    assert len({chance for _, chance in seen}) == 3


def test_the_gradient_is_clipped_to_its_norm(tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=1, warmup=0, optimizer="sgd", decay=0.0, clip=1e-3, ema=0.0)
    run = trainer(tmp_path, replace(recipe, betas=(0.0, 0.0), rate=1.0))
    before = weights(run)
    run.run()
    moved = torch.cat([(weights(run)[name] - before[name]).flatten() for name in before])
    assert float(moved.norm()) == pytest.approx(1e-3, rel=1e-3)
    assert run.folder.history()[0]["norm"] > 1e-3


def test_a_run_that_diverges_says_so_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    inner = run.lesson.loss

    def loss(examples: tuple[int, ...], chance: Chance) -> tuple[Tensor, dict[str, float]]:
        value, figures = inner(examples, chance)
        return (value * float("nan") if run.step == 8 else value), figures

    run.lesson.loss = loss  # type: ignore[method-assign]
    with pytest.raises(Diverged, match=r"step 8.*loss is nan.*lower rate.*after step 5 is kept"):
        run.run()
    kept = RunFolder(tmp_path, "a").newest()
    assert kept is not None
    assert kept.step == 5
    assert all(bool(t.isfinite().all()) for t in kept.tensors.values())


def test_weights_that_are_no_numbers_are_not_saved(tmp_path: Path) -> None:
    run = trainer(tmp_path)

    def spoil(done: Step, _recipe: Recipe) -> None:
        if done.step == 9:
            with torch.no_grad():
                run.parameters[0].fill_(float("nan"))

    with pytest.raises(Diverged, match="weights are no numbers"):
        run.run(Watch(on_step=spoil))
    kept = RunFolder(tmp_path, "a").newest()
    assert kept is not None
    assert kept.step == 5


def test_another_run_s_folder_is_refused(tmp_path: Path, whole: Trainer) -> None:
    with pytest.raises(RunError, match="holds another run"):
        trainer(tmp_path / "whole", identity="b").run()


def test_a_damaged_state_is_refused_with_what_to_do(tmp_path: Path, whole: Trainer) -> None:
    [file] = (tmp_path / "whole").glob("state-*.safetensors")
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(RunError, match=r"cannot be read.*delete"):
        trainer(tmp_path / "whole").run()


def test_only_the_newest_state_stays_and_the_history_has_every_step(
    tmp_path: Path, whole: Trainer
) -> None:
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert names == ["history.jsonl", "run.json", "state-000012.safetensors"]
    history = whole.folder.history()
    assert [line["step"] for line in history] == list(range(12))
    said = json.loads((tmp_path / "whole" / "run.json").read_text())
    assert (said["identity"], said["step"]) == ("a", 12)


def test_grids_are_shown_with_the_averaged_weights_and_training_goes_on_with_its_own(
    tmp_path: Path,
) -> None:
    shown: list[tuple[int, bool]] = []
    run = trainer(tmp_path / "a", replace(RECIPE, show_every=4))

    def look(step: int) -> None:
        assert run.ema is not None
        pairs = zip(run.parameters, run.ema.averages, strict=True)
        shown.append((step, all(torch.equal(p, a) for p, a in pairs)))

    run.run(Watch(on_show=look))
    assert shown == [(4, True), (8, True), (12, True)]
    plain = trainer(tmp_path / "b")
    plain.run()
    assert_equal(weights(run), weights(plain))


def test_the_rate_rises_in_a_line_and_falls_in_a_cosine() -> None:
    rates = [warmed_cosine(step, 10, 4, final=0.1) for step in range(10)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1.0
    assert rates[7] == pytest.approx(0.1 + 0.9 / 2)
    assert warmed_cosine(10, 10, 4, final=0.1) == pytest.approx(0.1)
    assert warmed_cosine(0, 10, 0) == 1.0


def test_the_average_follows_its_formula() -> None:
    theta = torch.tensor([1.0])
    ema = Ema([theta], 0.5)
    expected = 1.0
    for k, value in enumerate([2.0, -1.0, 4.0, 0.5]):
        d = min(0.5, (1 + k) / (10 + k))
        expected = d * expected + (1 - d) * value
        ema.update([torch.tensor([value])], k)
        assert float(ema.averages[0]) == pytest.approx(expected, rel=1e-6)
    assert theta.item() == 1.0


def test_a_pass_visits_every_example_once_and_no_two_passes_are_alike() -> None:
    order = Order.over(12, 4, seed=1)
    passes = [[order.examples(3 * turn + i) for i in range(3)] for turn in range(2)]
    for batches in passes:
        assert sorted(number for batch in batches for number in batch) == list(range(12))
    assert passes[0] != passes[1]
    assert Order.over(12, 4, seed=1).examples(4) == order.examples(4)
    assert Order.over(12, 4, seed=2).examples(4) != order.examples(4)


def test_batches_come_from_one_bucket_each() -> None:
    order = Order(((0, 1, 2), (3, 4, 5, 6, 7)), 2, seed=0)
    assert order.per_pass == 5
    batches = [set(order.examples(i)) for i in range(5)]
    assert all(batch <= {0, 1, 2} or batch <= {3, 4, 5, 6, 7} for batch in batches)
    assert set.union(*batches) == set(range(8))


def test_chance_depends_on_seed_place_and_purpose_alone() -> None:
    def draw(seed: int, place: int, purpose: str) -> float:
        return torch.rand(1, generator=Chance(seed).at(place).generator(purpose)).item()

    assert draw(1, 2, "noise") == draw(1, 2, "noise")
    assert (
        len({draw(1, 2, "noise"), draw(1, 3, "noise"), draw(2, 2, "noise"), draw(1, 2, "t")}) == 4
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 0}, "steps"),
        ({"rate": -1.0}, "rate"),
        ({"optimizer": "adm"}, "optimizer 'adm'"),
        ({"rate": float("nan")}, "rate"),
    ],
)
def test_a_recipe_with_a_wrong_entry_names_it(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(RECIPE, **change)  # type: ignore[arg-type]
