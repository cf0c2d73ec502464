"""Lessons: what each network learns from, and that it learns it."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nodes.diffusion.prediction import ModelSampling
from nodes.diffusion.schedule import NoiseSchedule, linear, scaled_linear
from nodes.models.unet import UNet, UNetConfig
from nodes.models.vae import VAE, Posterior, VAEConfig
from nodes.training.autoencoder import AutoencoderLesson, divergence, fold_scale, spread
from nodes.training.chance import Chance
from nodes.training.conditioning import Encoded, Fixed, Joined, dropped
from nodes.training.diffusion import DiffusionLesson, loss_by_time
from nodes.training.loop import Trainer
from nodes.training.low_rank import Adapters, as_kohya, attention_of
from nodes.training.order import Order
from nodes.training.recipe import Recipe
from nodes.training.recompute import blocks_of, recompute
from nodes.training.simple_loss import SimpleLoss
from nodes.training.state import RunFolder

SMALL = UNetConfig(
    in_channels=4,
    out_channels=4,
    model_channels=32,
    channel_mult=(1, 2),
    num_res_blocks=(1, 1),
    transformer_depth=(1, 1),
    middle_depth=1,
    context_dim=8,
    num_heads=4,
)
TINY_VAE = VAEConfig(channels=32, channel_mult=(1, 1), num_res_blocks=1)
EPS = ModelSampling(NoiseSchedule(scaled_linear()), "eps")


@dataclass(frozen=True, eq=False)
class Table:
    """Examples that are rows of a tensor."""

    rows: Tensor

    def batch(self, examples: tuple[int, ...], chance: Chance) -> Tensor:
        return self.rows[list(examples)]


def seeded(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def small_unet(seed: int = 0, *, alive: bool = True) -> UNet:
    torch.manual_seed(seed)
    unet = UNet(SMALL)
    for parameter in unet.parameters() if alive else ():
        if not parameter.any():  # zero-initialised ends would hide what happens inside
            nn.init.normal_(parameter, std=0.05)
    return unet


# -- autoencoder -----------------------------------------------------------------------------------


def test_an_autoencoder_learns_to_give_its_pictures_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    coarse = torch.rand(6, 3, 2, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1
    pictures = Table(nn.functional.interpolate(coarse, size=8, mode="bilinear"))
    lesson = AutoencoderLesson(VAE(TINY_VAE), pictures, Order.over(6, 6, 0))
    recipe = Recipe(steps=100, batch=6, rate=3e-3, warmup=5)
    run = Trainer(lesson, recipe, RunFolder(tmp_path, "vae"))
    run.run()
    errors = [line["squared"] for line in run.folder.history()]
    assert errors[-1] < errors[0] / 10
    with torch.no_grad():
        back = lesson.vae.decode(lesson.vae.encode(pictures.rows).mean)
    assert (back - pictures.rows).square().mean() < 0.03


def test_the_divergence_is_that_of_torch_s_normals() -> None:
    posterior = Posterior(seeded(0, 2, 4, 3, 3), seeded(1, 2, 4, 3, 3))
    p = torch.distributions.Normal(posterior.mean, (posterior.logvar / 2).exp())
    q = torch.distributions.Normal(0.0, 1.0)
    expected = torch.distributions.kl_divergence(p, q).mean()
    assert torch.allclose(divergence(posterior), expected, atol=1e-6)


def test_folding_the_scale_changes_latents_and_no_picture() -> None:
    torch.manual_seed(3)
    vae = VAE(TINY_VAE)
    x = seeded(2, 4, 3, 16, 16)
    with torch.no_grad():
        before, picture = vae.encode(x), vae.decode(vae.encode(x).mean)
        deviation = spread(vae, [x[:2], x[2:]])
        fold_scale(vae, deviation)
        after = vae.encode(x)
        assert torch.allclose(vae.decode(after.mean), picture, atol=1e-5)
    k = 1 / (deviation * 0.18215)
    assert torch.allclose(after.mean, before.mean * k, atol=1e-4)
    ratio = (after.logvar / 2).exp() / (before.logvar / 2).exp()
    assert torch.allclose(ratio, torch.full_like(ratio, k), rtol=1e-4)
    assert spread(vae, [x]) * 0.18215 == pytest.approx(1.0, rel=1e-4)


# -- conditions ------------------------------------------------------------------------------------


def test_a_share_of_the_examples_is_shown_without_its_condition() -> None:
    lost = torch.cat([dropped(100, 0.1, Chance(0, (i,))) for i in range(100)])
    assert lost.float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert not dropped(1000, 0.0, Chance(0)).any()
    assert dropped(1000, 1.0, Chance(0)).all()


def test_dropped_rows_get_the_empty_tokens_of_every_part() -> None:
    table = seeded(0, 4, 2, 8)
    fixed = Fixed(table.__getitem__, rows=(2, 0, 1, 0), empty=3)
    torch.manual_seed(0)
    classes = nn.Embedding(5, 8)
    learned = Encoded(
        "classes",
        classes,
        inputs=torch.tensor([0, 1, 2]),
        rows=(0, 1, 2, 2),
        empty=torch.tensor(4),
        encode=lambda module, labels: module(labels)[:, None],
    )
    both = Joined((fixed, learned))
    tokens = both.tokens((0, 3, 1), Chance(0), torch.tensor([False, True, False]))
    assert tokens.shape == (3, 3, 8)
    assert torch.equal(tokens[0, :2], table[2])
    assert torch.equal(tokens[1, :2], table[3])
    assert torch.equal(tokens[2, :2], table[0])
    assert torch.equal(tokens[:, 2], classes.weight[[0, 4, 1]])
    assert list(both.modules) == ["classes"]


# -- diffusion -------------------------------------------------------------------------------------


def lesson(unet: UNet, rows: int = 6, **changes: object) -> DiffusionLesson:
    options: dict[str, object] = {
        "unet": unet,
        "data": Table(seeded(5, rows, 4, 8, 8)),
        "order": Order.over(rows, 4, 0),
        "objective": SimpleLoss(EPS),
        "trained": {"unet": unet},
        "condition": Fixed(seeded(6, 3, 3, 8).__getitem__, [i % 2 for i in range(rows)], 2),
        **changes,
    }
    return DiffusionLesson(**options)  # type: ignore[arg-type]


def test_a_latent_diffusion_model_learns(tmp_path: Path) -> None:
    """One latent to learn by heart: the loss over all times falls well below that of the start."""
    unet = small_unet(alive=False)
    table = Table(seeded(5, 1, 4, 8, 8))
    small = lesson(
        unet,
        data=table,
        order=Order.over(1, 8, 0),
        condition=Fixed(seeded(6, 2, 3, 8).__getitem__, [0], 1),
    )
    before = loss_by_time(small, (0,) * 16, 4, Chance(9))
    run = Trainer(small, Recipe(steps=80, batch=8, rate=2e-3, warmup=5), RunFolder(tmp_path, "x"))
    run.run()
    after = loss_by_time(small, (0,) * 16, 4, Chance(9))
    assert before == pytest.approx([1.0] * 4, abs=0.1)  # an untrained UNet answers 0
    assert sum(after) < sum(before) / 2


def test_the_scale_is_applied_to_what_the_data_give() -> None:
    seen: list[Tensor] = []

    class Spy(nn.Module):
        def forward(self, x: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
            seen.append(x)
            return torch.zeros_like(x)

    nearly_clean = ModelSampling(NoiseSchedule(linear(2, 1e-9, 2e-9)), "eps")
    taught = lesson(
        Spy(),
        objective=SimpleLoss(nearly_clean),
        scale=0.5,
        condition=None,
        trained={},  # type: ignore[arg-type]
    )
    taught.loss((1, 2), Chance(0))
    assert torch.allclose(seen[0], seeded(5, 6, 4, 8, 8)[[1, 2]] * 0.5, atol=1e-3)


def test_gradient_checkpointing_changes_no_gradient() -> None:
    def gradients(again: bool) -> list[Tensor]:
        unet = small_unet()
        if again:
            blocks = blocks_of(unet)
            assert blocks == [*unet.input_blocks, unet.middle_block, *unet.output_blocks]
            recompute(blocks)
        total, _ = lesson(unet).loss((0, 1), Chance(1))
        torch.autograd.backward(total)
        return [p.grad for p in unet.parameters() if p.grad is not None]

    plain, saving = gradients(False), gradients(True)
    assert len(plain) == len(saving) > 50
    for a, b in zip(plain, saving, strict=True):
        assert torch.equal(a, b)


def test_an_encoder_learns_along_with_the_network() -> None:
    unet, classes = small_unet(), nn.Embedding(3, 8)
    condition = Encoded(
        "classes",
        classes,
        torch.arange(2),
        [0, 1, 0, 1, 0, 1],
        torch.tensor(2),
        lambda module, labels: module(labels)[:, None],
    )
    taught = lesson(unet, condition=condition, drop=0.0)
    assert set(taught.modules) == {"unet", "classes"}
    total, _ = taught.loss((0, 1), Chance(1))
    torch.autograd.backward(total)
    assert classes.weight.grad is not None
    assert classes.weight.grad.abs().sum(1).gt(0).tolist() == [True, True, False]


# -- LoRA ------------------------------------------------------------------------------------------


def test_low_rank_changes_start_from_the_network_itself_and_alone_learn(tmp_path: Path) -> None:
    unet = small_unet()
    x, t, context = seeded(0, 2, 4, 8, 8), torch.tensor([3, 500]), seeded(1, 2, 3, 8)
    with torch.no_grad():
        before = unet(x, t, context)
    weights = {name: p.detach().clone() for name, p in unet.named_parameters()}
    adapters = Adapters(unet, attention_of(unet), rank=2, alpha=4.0, seed=0)
    with torch.no_grad():
        assert torch.allclose(unet(x, t, context), before, atol=1e-6)
    small = lesson(unet, trained={"lora": adapters}, condition=None)
    object.__setattr__(small, "condition", Fixed(seeded(6, 2, 3, 8).__getitem__, [0] * 6, 1))
    Trainer(small, Recipe(steps=3, batch=4, rate=1e-2, warmup=0), RunFolder(tmp_path, "x")).run()
    assert all(bool(change.up.any()) for _, change in adapters.by_name())
    for name, parameter in unet.named_parameters():
        if ".parametrizations.weight.original" in name:
            name = name.replace("parametrizations.weight.original", "weight")
        if name in weights:
            assert torch.equal(parameter, weights[name]), name


def test_a_change_is_alpha_over_rank_times_up_times_down() -> None:
    unet = small_unet()
    [name] = [n for n in attention_of(unet) if n.startswith("middle_block") and "attn2.to_k" in n]
    weight = unet.get_submodule(name).weight.detach().clone()  # type: ignore[union-attr]
    adapters = Adapters(unet, [name], rank=2, alpha=3.0, seed=0)
    [(_, change)] = adapters.by_name()
    nn.init.normal_(change.up)
    expected = weight + 3.0 / 2 * change.up @ change.down
    assert torch.allclose(unet.get_submodule(name).weight, expected, atol=1e-6)  # type: ignore[arg-type]
    tensors = as_kohya(adapters, "lora_unet_", {name: "mid_block.attentions.0.x.to_k"})
    module = "lora_unet_mid_block_attentions_0_x_to_k"
    assert set(tensors) == {
        f"{module}.{r}" for r in ("lora_up.weight", "lora_down.weight", "alpha")
    }
    assert tensors[f"{module}.alpha"].item() == 3.0
