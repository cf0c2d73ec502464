"""Changes of weights that learn: nothing at first, their equations, and back through a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from test_training_lessons import SMALL, lesson, seeded, small_unet
from torch import Tensor, nn

from nodes.models.adapters import change
from nodes.models.lora_file import read_lora
from nodes.models.lora_keys import part_of, targets_of, written_paths
from nodes.training.changes import CHANGES, Algorithm, Change, evenly, turning
from nodes.training.conditioning import Fixed
from nodes.training.loop import Trainer
from nodes.training.low_rank import AdapterMisfit, Adapters, as_kohya, modules_of
from nodes.training.recipe import Recipe
from nodes.training.state import RunFolder

ALGORITHMS: tuple[Algorithm, ...] = ("LoRA", "LoHa", "LoKr", "OFT")
SHAPES = [(12, 8), (12, 8, 3, 3), (12, 8, 1, 1), (4, 30)]


def made(algorithm: Algorithm, W: Tensor, rank: int = 2, alpha: float = 3.0) -> Change:
    return CHANGES[algorithm](W, rank, alpha, torch.Generator().manual_seed(0))


def stirred(change: Change) -> Change:
    """With every number random, as if it had learned."""
    with torch.no_grad():
        for i, parameter in enumerate(change.parameters()):
            parameter.copy_(0.5 * seeded(i, *parameter.shape))
    return change


def shown() -> tuple[Tensor, Tensor, Tensor]:
    return seeded(0, 2, 4, 8, 8), torch.tensor([3, 500]), seeded(1, 2, 3, 8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_change_is_nothing_at_first_and_learns_all_the_same(
    algorithm: Algorithm, shape: tuple[int, ...]
) -> None:
    W = seeded(0, *shape)
    change = made(algorithm, W)

    now = change(W)

    assert torch.equal(now, W)
    torch.autograd.backward((now * seeded(1, *shape)).sum())
    assert any(p.grad is not None and bool(p.grad.any()) for p in change.parameters())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_file_gives_back_what_was_learned(
    tmp_path: Path, algorithm: Algorithm, shape: tuple[int, ...]
) -> None:
    W = seeded(0, *shape)
    layer = nn.Conv2d(8, 12, shape[2:]) if len(shape) == 4 else nn.Linear(shape[1], shape[0])  # type: ignore[arg-type]
    layer.weight.data = W.clone()
    holder = nn.ModuleDict({"layer": layer})
    alpha = 0.1 if algorithm == "OFT" else 3.0  # of OFT a limit that is met
    adapters = Adapters(holder, ["layer"], 2, alpha, 0, algorithm)
    [(_, learned)] = adapters.by_name()
    stirred(learned)
    save_file(as_kohya(adapters, "lora_unet_", {"layer": "a.b"}), tmp_path / "l.safetensors")

    lora = read_lora(tmp_path / "l.safetensors")

    [(name, module)] = lora.modules.items()
    assert name == "lora_unet_a_b"
    rows, elements = lora.size(module)
    assert rows == len(W)
    assert elements in (W.numel(), None)
    with lora.file.reader() as read:
        delta = change(W, lora.adapter(module, read), None, 0, 1)
    weight = layer.weight.detach()
    assert delta.abs().max() > 0.01
    assert (W + delta - weight).abs().max() <= 1e-5


@pytest.mark.parametrize("shape", SHAPES[1:3])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_how_memory_is_laid_out_does_not_matter(
    algorithm: Algorithm, shape: tuple[int, ...]
) -> None:
    W = seeded(0, *shape)
    change = stirred(made(algorithm, W))
    expected = change(W)

    change.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    found = change(W.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(found, expected, atol=1e-6)


def test_lokr_is_the_kronecker_product_of_a_small_and_a_factored_matrix() -> None:
    W = torch.zeros(36, 49)
    change = stirred(made("LoKr", W, rank=2, alpha=3.0))

    a, b, first = (change.get_parameter(n) for n in ("lokr_w2_a", "lokr_w2_b", "lokr_w1"))

    assert (first.shape, a.shape, b.shape) == ((6, 7), (6, 2), (2, 7))
    expected = torch.kron(first, a @ b) * 3.0 / 2
    assert torch.allclose(change(W), expected, atol=1e-6)


def test_loha_is_the_product_of_two_low_rank_matrices_number_by_number() -> None:
    W = torch.zeros(5, 6)
    change = stirred(made("LoHa", W, rank=2, alpha=3.0))

    parts = [change.get_parameter(f"hada_w{i}_{p}") for i in (1, 2) for p in "ab"]

    expected = 1.5 * (parts[0] @ parts[1]) * (parts[2] @ parts[3])
    assert torch.allclose(change(W), expected, atol=1e-6)


def test_oft_keeps_the_angles_between_the_inputs_of_a_block() -> None:
    W = seeded(0, 12, 8)
    change = stirred(made("OFT", W, rank=4, alpha=0.0))

    now = change(W)

    assert change.get_parameter("oft_blocks").shape == (3, 4, 4)
    assert (now - W).abs().max() > 0.1
    for rows in (slice(0, 4), slice(4, 8), slice(8, 12)):
        assert torch.allclose(now[rows].T @ now[rows], W[rows].T @ W[rows], atol=1e-5)


@pytest.mark.parametrize(
    ("size", "factors"), [(1, (1, 1)), (12, (3, 4)), (7, (1, 7)), (64, (8, 8))]
)
def test_sides_are_factored_as_evenly_as_they_can_be(size: int, factors: tuple[int, int]) -> None:
    assert evenly(size) == factors


@pytest.mark.parametrize(
    ("rows", "rank", "size"), [(12, 8, 6), (12, 4, 4), (12, 1, 2), (7, 4, 7), (320, 8, 8)]
)
def test_oft_turns_as_many_rows_together_as_the_rank_and_their_number_allow(
    rows: int, rank: int, size: int
) -> None:
    assert turning(rows, rank) == size


def test_a_single_row_cannot_be_turned() -> None:
    with pytest.raises(ValueError, match="one row cannot be turned"):
        turning(1, 4)


# -- in a network ----------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_network_is_itself_at_first_and_alone_its_changes_learn(
    tmp_path: Path, algorithm: Algorithm
) -> None:
    unet = small_unet()
    with torch.no_grad():
        before = unet(*shown())
    kept = {name: p.detach().clone() for name, p in unet.named_parameters()}
    adapters = Adapters(unet, modules_of(unet, "all"), 2, 2.0, 0, algorithm)
    with torch.no_grad():
        assert torch.equal(unet(*shown()), before)
    taught = lesson(unet, condition=Fixed(seeded(6, 2, 3, 8).__getitem__, [0] * 6, 1))

    Trainer(taught, Recipe(steps=2, batch=2, rate=1e-2, warmup=0), RunFolder(tmp_path, "x")).run()

    with torch.no_grad():
        assert (unet(*shown()) - before).abs().max() > 1e-3
    now = dict(unet.named_parameters())
    for name, weight in kept.items():
        owner, _, leaf = name.rpartition(".")
        same = now.get(name, now.get(f"{owner}.parametrizations.{leaf}.original"))
        assert same is not None
        assert torch.equal(same, weight), name
    assert len(list(adapters.by_name())) == sum(
        isinstance(m, (nn.Linear, nn.Conv2d)) for m in small_unet().modules()
    )


def test_every_module_s_path_in_a_file_leads_back_to_it() -> None:
    unet = small_unet()
    paths, targets = written_paths(SMALL), targets_of(SMALL)

    for name in modules_of(unet, "all"):
        found = part_of("lora_unet_" + paths[name].replace(".", "_"))
        assert found is not None
        assert [target.module for target in targets[found[1]]] == [name]
    assert paths["input_blocks.0.0"] == "conv_in"


def test_more_modules_are_more() -> None:
    unet = small_unet()
    few, more, all_ = (
        modules_of(unet, which)
        for which in ("attention", "attention and feed-forward", "all")  # type: ignore[arg-type]
    )
    assert set(few) < set(more) < set(all_)
    assert {name.split(".transformer_blocks.0.")[1] for name in set(more) - set(few)} == {
        "ff.net.0.proj", "ff.net.2",
    }  # fmt: skip


# -- going on --------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_change_goes_on_from_an_earlier_one_with_its_rank_and_alpha(algorithm: Algorithm) -> None:
    W = seeded(0, 12, 30)
    earlier = stirred(made(algorithm, W, rank=2, alpha=0.5))
    tensors = {name: p.detach() for name, p in earlier.named_parameters()}
    layer = nn.ModuleDict({"layer": nn.Linear(30, 12)})

    begun = {"layer": {**tensors, "alpha": torch.tensor(0.5)}}
    adapters = Adapters(layer, ["layer"], 5, 7.0, 1, algorithm, begun)

    [(_, change)] = adapters.by_name()
    assert torch.allclose(change(W), earlier(W), atol=1e-6)
    assert change.alpha == 0.5


def test_without_an_alpha_the_scale_is_1() -> None:
    up, down = seeded(0, 12, 3), seeded(1, 3, 30)
    layer = nn.ModuleDict({"layer": nn.Linear(30, 12)})

    adapters = Adapters(layer, ["layer"], 5, 7.0, 1, begun={"layer": {"up": up, "down": down}})

    [(_, change)] = adapters.by_name()
    assert torch.allclose(change(torch.zeros(12, 30)), up @ down, atol=1e-6)


@pytest.mark.parametrize(
    ("algorithm", "begun"),
    [
        ("LoHa", {"up": seeded(0, 12, 3), "down": seeded(1, 3, 30)}),
        ("LoRA", {"up": seeded(0, 10, 3), "down": seeded(1, 3, 30)}),
        ("LoRA", {"up": seeded(0, 12, 3), "down": seeded(1, 3, 30), "mid": seeded(2, 3, 3)}),
    ],
)
def test_an_earlier_change_of_another_kind_or_size_is_named(
    algorithm: Algorithm, begun: dict[str, Tensor]
) -> None:
    layer = nn.ModuleDict({"layer": nn.Linear(30, 12)})

    with pytest.raises(AdapterMisfit, match=rf"layer: expected the tensors of {algorithm}"):
        Adapters(layer, ["layer"], 3, 1.0, 0, algorithm, {"layer": begun})
