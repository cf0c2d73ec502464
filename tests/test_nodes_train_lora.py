"""Nodes that train LoRA: exact to go on with, of no effect on the model, and files like any."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from node_support import Desk, worth
from PIL import Image as Pictures
from safetensors.torch import load_file
from torch import Tensor
from training_desk import SIZE, context_of, latent_unet, plain_squares, small_clip, small_vae

import nodes.train_lora
import nodes.train_lora_latents
from nodegraph import Cancelled, CancelToken, NodeGraphError
from nodes.lora import load_lora, load_lora_model_only
from nodes.lora_model import LossMap, lora_model_loader, loss_graph, save_lora
from nodes.lora_training import FILE
from nodes.models.checkpoint_info import CheckpointInfo
from nodes.patching import weights_of
from nodes.train_diffusion import train_diffusion
from nodes.train_lora import TrainedLora, train_lora
from nodes.train_lora_latents import LoraOfLatents, train_lora_node
from nodes.training.changes import Algorithm
from nodes.training.dataset import Dataset
from nodes.training.diffusion import DiffusionLesson
from nodes.training.recipe import Recipe
from nodes.types import Area, Attached, Clip, Conditioning, Latent, Model

WIDTH = 64
RECIPE = Recipe(steps=6, batch=3, rate=1e-2, warmup=1, ema=0.5, save_every=2, seed=4)
ALGORITHMS: tuple[Algorithm, ...] = ("LoRA", "LoHa", "LoKr", "OFT")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return plain_squares(tmp_path_factory.mktemp("squares"))


@pytest.fixture(scope="module")
def model(desk: Desk, dataset: Dataset) -> Model:
    """Trained a little: through the zeros that a new UNet ends in, nothing would be learned."""
    recipe = replace(RECIPE, steps=3, ema=0.0)
    vae, clip = small_vae(desk), small_clip(desk)
    key = context_of(desk, "b" * 32)
    unet = latent_unet(desk)
    return train_diffusion(unet, dataset, recipe, SIZE, vae=vae, clip=clip, context=key).model


@pytest.fixture
def clip(desk: Desk) -> Clip:
    return small_clip(desk)


def trained(desk: Desk, dataset: Dataset, model: Model, key: str, **changes: object) -> TrainedLora:
    cancel = changes.pop("cancel", CancelToken())
    told = changes.pop("on_progress", lambda *_: None)
    options: dict[str, object] = {
        "recipe": RECIPE,
        "rank": 2,
        "alpha": 2.0,
        "resolution": SIZE,
        "stored": "fp32",
        "vae": small_vae(desk),
        "clip": small_clip(desk),
        **changes,
    }
    context = context_of(desk, key * 32, cancel=cancel, on_progress=told)
    return train_lora(model, dataset, context=context, **options)  # type: ignore[arg-type]


def folder_of(desk: Desk, key: str) -> Path:
    return desk.folders.output / "training" / f"lora-{key * 16}"


def shown() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 4, SIZE, SIZE, generator=generator)
    return x, torch.tensor([3, 700]), torch.randn(2, 7, WIDTH, generator=generator)


@torch.no_grad()
def answer(desk: Desk, model: Model) -> Tensor:
    with desk.models.lease(model.source, "cpu") as unet:
        return unet(*shown())


@torch.no_grad()
def words(desk: Desk, clip: Clip) -> Tensor:
    assert clip.encoder is not None
    with desk.models.lease(clip.source, "cpu") as module:
        return clip.encoder.encode(module, "a red square").hidden  # type: ignore[arg-type]


@pytest.fixture
def lessons(monkeypatch: pytest.MonkeyPatch) -> list[DiffusionLesson]:
    """The lessons that were taught, with their networks as they ended."""
    kept: list[DiffusionLesson] = []

    def keeping(train: Callable[..., object]) -> Callable[..., object]:
        def kept_train(what: str, lesson: DiffusionLesson, *rest: object) -> object:
            kept.append(lesson)
            return train(what, lesson, *rest)

        return kept_train

    for module in (nodes.train_lora, nodes.train_lora_latents):
        monkeypatch.setattr(module, "train", keeping(module.train))
    return kept


# -- TrainLora -------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_file_loaded_gives_what_the_trained_network_gives(
    desk: Desk,
    dataset: Dataset,
    model: Model,
    clip: Clip,
    lessons: list[DiffusionLesson],
    algorithm: Algorithm,
) -> None:
    key = algorithm.lower()[-2:] * 2
    made = trained(desk, dataset, model, key, algorithm=algorithm, modules="all")
    context = context_of(desk)
    path = desk.place("loras", f"{algorithm}.safetensors")
    path.write_bytes(made.lora.file.path.read_bytes())

    by_name, _ = load_lora(model, clip, path.name, context=context)
    handed = lora_model_loader(model, made.lora, context=context)

    with torch.no_grad():
        expected = lessons[0].unet.eval()(*shown())
    for loaded in (by_name, handed, made.model):
        assert (answer(desk, loaded) - expected).abs().max() <= 1e-5
    assert (answer(desk, model) - expected).abs().max() > 1e-3
    assert not desk.warnings


def test_neither_the_models_file_nor_the_shared_network_is_touched(
    desk: Desk, dataset: Dataset, model: Model, clip: Clip
) -> None:
    info: CheckpointInfo = weights_of(model.source).origin.info
    file = info.path.read_bytes()
    with desk.models.lease(model.source, "cpu") as unet:
        before = {name: p.clone() for name, p in unet.named_parameters()}

        trained(desk, dataset, model, "u", modules="all", train_text=True, clip=clip)

        assert dict(unet.named_parameters()).keys() == before.keys()
        assert all(torch.equal(p, before[name]) for name, p in unet.named_parameters())
    assert info.path.read_bytes() == file


def test_a_stopped_run_ends_as_one_that_never_stopped(
    desk: Desk, dataset: Dataset, model: Model
) -> None:
    cancel = CancelToken()

    def stop(value: int, _total: int, text: str) -> None:
        if text.startswith("loss") and value == 3:
            cancel.cancel()

    whole = trained(desk, dataset, model, "w", train_text=True)
    with pytest.raises(Cancelled):
        trained(desk, dataset, model, "x", train_text=True, cancel=cancel, on_progress=stop)
    assert not (folder_of(desk, "x") / FILE).exists()
    again = trained(desk, dataset, model, "x", train_text=True)

    one, other = load_file(whole.lora.file.path), load_file(again.lora.file.path)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert whole.loss.losses == again.loss.losses
    assert any(bool(tensor.any()) for name, tensor in one.items() if "lora_up" in name)


def test_a_finished_run_is_reused_without_reading_the_data(
    desk: Desk, dataset: Dataset, model: Model
) -> None:
    first = trained(desk, dataset, model, "f")

    again = trained(desk, replace(dataset, examples=()), model, "f")

    assert again.lora.identity == first.lora.identity
    assert again.loss == first.loss
    assert len(again.loss.losses) == RECIPE.steps


def test_the_text_encoder_learns_only_when_asked(
    desk: Desk, dataset: Dataset, model: Model, clip: Clip
) -> None:
    without = trained(desk, dataset, model, "n")
    with_text = trained(desk, dataset, model, "t", train_text=True)

    assert torch.equal(words(desk, without.clip), words(desk, clip))
    assert (words(desk, with_text.clip) - words(desk, clip)).abs().max() > 1e-3
    prefixes = [
        {name.split("_")[1] for name in load_file(made.lora.file.path)}
        for made in (without, with_text)
    ]
    assert prefixes == [{"unet"}, {"unet", "te"}]
    [name] = {n for n in load_file(with_text.lora.file.path) if "te_" in n and "q_proj.alpha" in n}
    assert name == "lora_te_text_model_encoder_layers_0_self_attn_q_proj.alpha"


def test_a_file_says_what_the_ecosystem_reads_and_is_kept_as_asked(
    desk: Desk, dataset: Dataset, model: Model
) -> None:
    made = trained(desk, dataset, model, "m", stored="bf16", rank=4, alpha=0.3)

    said = made.lora.file.file.metadata
    assert (said["ss_network_dim"], said["ss_network_alpha"]) == ("4", "0.3")
    assert (said["ss_network_module"], said["ss_steps"]) == ("networks.lora", "6")
    assert json.loads(said["ss_network_args"]) == {}
    tensors = load_file(made.lora.file.path)
    kinds = {name.rpartition("lora_")[2]: tensor.dtype for name, tensor in tensors.items()}
    assert set(kinds.values()) == {torch.bfloat16, torch.float32}
    assert {n.rpartition(".")[2] for n, t in tensors.items() if t.dtype == torch.float32} == {
        "alpha"
    }
    [alpha] = {float(t) for n, t in tensors.items() if n.endswith("alpha")}
    assert alpha == pytest.approx(0.3, rel=1e-6)


def test_a_lora_goes_on_from_an_earlier_one(desk: Desk, dataset: Dataset, model: Model) -> None:
    first = trained(desk, dataset, model, "g", train_text=True, modules="all")
    still = replace(RECIPE, rate=0.0)

    same = trained(
        desk, dataset, model, "h", lora=first.lora, recipe=still, rank=5, train_text=True
    )
    unet_alone = trained(desk, dataset, model, "i", lora=first.lora, recipe=still)

    assert torch.equal(answer(desk, same.model), answer(desk, first.model))
    assert torch.equal(words(desk, same.clip), words(desk, first.clip))
    assert torch.equal(answer(desk, unet_alone.model), answer(desk, first.model))
    assert same.lora.file.file.metadata["ss_steps"] == "12"
    assert any("changes the text encoder as well" in said for said in desk.warnings)
    desk.warnings.clear()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"alpha": 0.0}, "alpha is 0, so the change would be 0 times"),
        ({"train_text": True, "clip": None}, "train_text: there is no text encoder"),
        ({"clip": None}, "reads tokens 64 wide: connect a text encoder"),
        ({"resolution": 12}, "12"),
    ],
)
def test_what_does_not_belong_together_is_named(
    desk: Desk, dataset: Dataset, model: Model, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(NodeGraphError, match=said):
        trained(desk, dataset, model, "e", **changes)


def test_a_model_that_sees_more_than_the_latent_is_refused(
    desk: Desk, dataset: Dataset, model: Model
) -> None:
    with pytest.raises(NodeGraphError, match="reads 5 channels next to the latent"):
        trained(desk, dataset, replace(model, inputs=9), "e")


def test_oft_is_not_trained_on_top_of_another_lora(
    desk: Desk, dataset: Dataset, model: Model
) -> None:
    patched = trained(desk, dataset, model, "n").model

    with pytest.raises(NodeGraphError, match=r"OFT turns the weights of a file.*ModelSave"):
        trained(desk, dataset, patched, "o", algorithm="OFT")
    more = trained(desk, dataset, patched, "p")
    assert (answer(desk, more.model) - answer(desk, patched)).abs().max() > 1e-3


def test_an_earlier_lora_of_another_kind_is_named(
    desk: Desk, dataset: Dataset, model: Model
) -> None:
    first = trained(desk, dataset, model, "n")

    with pytest.raises(NodeGraphError, match=r"expected the tensors of LoHa .*got down, up"):
        trained(desk, dataset, model, "q", lora=first.lora, algorithm="LoHa")


# -- TrainLoraNode ---------------------------------------------------------------------------------


def latents(count: int = 1, **options: object) -> Latent:
    samples = torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    return Latent(3 * samples, **options)  # type: ignore[arg-type]


def prompts(*values: float) -> Conditioning:
    return Conditioning(tuple(e for v in values for e in worth(v, WIDTH).entries))


def of_latents(desk: Desk, model: Model, key: str, **changes: object) -> LoraOfLatents:
    options: dict[str, object] = {
        "latents": latents(),
        "positive": prompts(0.5),
        "steps": 3,
        "training_dtype": "fp32",
        "lora_dtype": "fp32",
        "learning_rate": 0.01,
        **changes,
    }
    return train_lora_node(model, context=context_of(desk, key * 32), **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def untaught(desk: Desk, model: Model) -> tuple[float, ...]:
    """The losses of the same times and noise where next to nothing is learned."""
    still = of_latents(desk, model, "L0", steps=24, batch_size=8, learning_rate=1e-7)
    return still.loss.losses


@pytest.mark.parametrize(
    ("algorithm", "rate", "share"),
    [("LoRA", 0.01, 0.85), ("LoHa", 0.01, 0.85), ("LoKr", 0.01, 0.85), ("OFT", 0.05, 0.95)],
)
def test_the_loss_on_one_latent_falls(
    desk: Desk,
    model: Model,
    lessons: list[DiffusionLesson],
    untaught: tuple[float, ...],
    algorithm: Algorithm,
    rate: float,
    share: float,
) -> None:
    """By less with OFT, which can only turn what is there."""
    key = f"L{algorithm[-2:]}"
    options = {"steps": 24, "batch_size": 8, "learning_rate": rate}
    made = of_latents(desk, model, key, algorithm=algorithm, **options)

    losses = made.loss.losses
    assert len(losses) == made.steps == 24
    assert sum(losses[-10:]) < share * sum(untaught[-10:])
    with torch.no_grad():
        expected = lessons[-1].unet.eval()(*shown())
    assert (answer(desk, made.model_with_lora) - expected).abs().max() <= 1e-5
    assert set(made.loss.rates) == {rate}


def test_as_it_comes_it_trains_in_bf16_and_saves_activations(desk: Desk, model: Model) -> None:
    made = train_lora_node(
        model, latents(2), prompts(0.1, 0.2), steps=2, context=context_of(desk, "d" * 32)
    )

    kinds = {t.dtype for n, t in load_file(made.lora.file.path).items() if "alpha" not in n}
    assert kinds == {torch.bfloat16}
    assert answer(desk, made.model_with_lora).isfinite().all()


@pytest.mark.parametrize(
    ("optimizer", "loss_function"),
    [("AdamW", "MSE"), ("Adam", "L1"), ("SGD", "Huber"), ("RMSprop", "SmoothL1")],
)
def test_every_optimizer_and_loss_trains(
    desk: Desk, model: Model, lessons: list[DiffusionLesson], optimizer: str, loss_function: str
) -> None:
    key = f"{optimizer}{loss_function}"
    made = of_latents(
        desk, model, key, optimizer=optimizer, loss_function=loss_function, steps=1, rank=1
    )

    assert lessons[0].objective.distance == {"MSE": "mse", "SmoothL1": "smooth_l1"}.get(
        loss_function, loss_function.lower()
    )
    assert not torch.equal(answer(desk, made.model_with_lora), answer(desk, model))


def test_each_latent_has_its_own_prompt_or_all_have_the_only_one(
    desk: Desk, model: Model, lessons: list[DiffusionLesson]
) -> None:
    of_latents(desk, model, "one", latents=latents(3), positive=prompts(0.5), steps=1)
    of_latents(desk, model, "own", latents=latents(3), positive=prompts(1.0, 2.0, 3.0), steps=1)

    seen = [
        lesson.condition.tokens((2, 0), None, torch.tensor([False, False]))[:, 0, 0].tolist()  # type: ignore[union-attr, arg-type]
        for lesson in lessons
    ]
    assert seen == [[0.5, 0.5], [3.0, 1.0]]
    assert [lesson.scale for lesson in lessons] == [model.scale] * 2
    assert torch.equal(lessons[0].data.batch((1,), None), latents(3).samples[1:2])  # type: ignore[arg-type]


def test_prompts_of_different_lengths_are_repeated_to_one(
    desk: Desk, model: Model, lessons: list[DiffusionLesson]
) -> None:
    long = replace(prompts(1.0).entries[0], context=torch.ones(1, 3, WIDTH))
    both = Conditioning((*prompts(2.0).entries, long))

    of_latents(desk, model, "len", latents=latents(2), positive=both, steps=1)

    assert lessons[0].condition is not None
    tokens = lessons[0].condition.tokens((0, 1), None, torch.tensor([False, False]))  # type: ignore[arg-type]
    assert tokens.shape == (2, 6, WIDTH)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"positive": prompts(1.0, 2.0)}, "2 texts for 1 examples: expected as many, or one"),
        ({"latents": Latent.empty(64, 64, 1)}, "the latent is empty: encode pictures"),
        ({"latents": Latent(torch.ones(1, 3, 8, 8))}, "the latent has 3 channels"),
        ({"positive": worth(1.0, 5)}, r"tokens 5 wide, but the model \(sd1\) reads 64"),
        ({"positive": worth(1.0, WIDTH, area=Area(8, 8))}, "a ControlNet, an area or a mask"),
        ({"positive": worth(1.0, WIDTH, attached=(Attached("x", ()),))}, "a ControlNet, an area"),
    ],
)
def test_latents_and_prompts_that_cannot_be_learned_are_named(
    desk: Desk, model: Model, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(NodeGraphError, match=said):
        of_latents(desk, model, "err", **changes)


def test_it_goes_on_from_a_saved_lora_and_counts_its_steps(desk: Desk, model: Model) -> None:
    first = of_latents(desk, model, "st1", rank=3)
    shown_file = save_lora(first.lora, "loras/mine", first.steps, context=context_of(desk))
    [file] = shown_file.files
    assert file.filename == "mine_3_steps_00001_.safetensors"
    loras = desk.place("loras", file.filename)
    loras.write_bytes(desk.path(file).read_bytes())

    more = of_latents(desk, model, "st2", existing_lora=file.filename, learning_rate=1e-7, steps=2)

    assert more.steps == 5
    apart = (answer(desk, more.model_with_lora) - answer(desk, first.model_with_lora)).abs().max()
    assert apart <= 1e-4 < (answer(desk, model) - answer(desk, first.model_with_lora)).abs().max()


# -- the LoRA's own nodes --------------------------------------------------------------------------


def test_a_saved_lora_is_the_trained_one_to_the_bit(desk: Desk, model: Model) -> None:
    made = of_latents(desk, model, "sav")

    [file] = save_lora(made.lora, "loras/kept", context=context_of(desk)).files

    assert file.filename == "kept_00001_.safetensors"
    kept, trained_file = load_file(desk.path(file)), load_file(made.lora.file.path)
    assert kept.keys() == trained_file.keys()
    assert all(torch.equal(kept[name], trained_file[name]) for name in kept)
    loras = desk.place("loras", file.filename)
    loras.write_bytes(desk.path(file).read_bytes())
    loaded = load_lora_model_only(model, file.filename, context=context_of(desk))
    assert torch.equal(answer(desk, loaded), answer(desk, made.model_with_lora))


def test_a_loras_strength_scales_it_and_0_gives_the_model_back(desk: Desk, model: Model) -> None:
    made = of_latents(desk, model, "str")
    context = context_of(desk)

    assert lora_model_loader(model, made.lora, 0.0, context=context) is model
    half = lora_model_loader(model, made.lora, 0.5, context=context)
    name = "middle_block.1.transformer_blocks.0.attn2.to_v.weight"
    base, full, between = (
        handle.source.tensor(name) for handle in (model, made.model_with_lora, half)
    )
    assert torch.allclose(between - base, (full - base) / 2, atol=1e-7)
    assert (full - base).abs().max() > 0


def test_a_loss_curve_is_a_picture(desk: Desk) -> None:
    loss = LossMap((0, 1, 2), (1.0, 0.5, 0.25), (0.1, 0.1, 0.1), "mine")

    [file] = loss_graph(loss, "curve", context=context_of(desk)).files

    assert (file.filename, file.type) == ("curve_00001_.png", "output")
    with Pictures.open(desk.path(file)) as picture:
        assert picture.size == (960, 480)
        assert len(picture.convert("RGB").getcolors(1 << 20) or ()) > 20


def test_without_matplotlib_a_loss_curve_says_what_to_install(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(NodeGraphError, match="pip install matplotlib"):
        loss_graph(LossMap((0,), (1.0,), (0.1,)), context=context_of(desk))
