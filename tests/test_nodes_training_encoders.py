"""Diffusion models learn together with the condition encoders that tell them what to draw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from node_support import Desk
from PIL import Image as Pictures
from safetensors.torch import load_file
from torch import Tensor
from training_desk import (
    COLOURS,
    GROUND,
    SIZE,
    SQUARE,
    assert_equal,
    context_of,
    small_clip,
    small_unet,
    small_vae,
    squares,
    weights,
)

from nodegraph import Cancelled, CancelToken, NodeGraphError
from nodes import training_sheet
from nodes.encoders import (
    encode_class,
    encode_condition,
    encode_depth,
    encode_image_condition,
    encode_segmentation,
    load_condition_encoder,
)
from nodes.encoding import Encoded
from nodes.models.encoders import CORE, ClassConfig, PatchConfig, SegmentationConfig, fresh
from nodes.new_encoders import new_condition_encoder
from nodes.sampling import ksampler
from nodes.train_diffusion import TrainedModel, train_diffusion
from nodes.training.chance import Chance
from nodes.training.conditioning import Sensed
from nodes.training.dataset import Dataset, DatasetError
from nodes.training.drawing import draw
from nodes.training.framing import Framing
from nodes.training.pixels import Pixels, palette_of
from nodes.training.reading import Reading
from nodes.training.recipe import Recipe
from nodes.types import ConditionEncoder, Image, Latent

RECIPE = Recipe(steps=4, batch=3, rate=1e-3, warmup=1, ema=0.5, save_every=2)
KINDS = ("class", "image", "segmentation", "depth")
SMALL: dict[str, Any] = {
    "width": 64,
    "resolution": SIZE,
    "patch": 8,
    "inner": 32,
    "layers": 1,
    "heads": 2,
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return squares(tmp_path_factory.mktemp("squares"))


def untrained(desk: Desk, dataset: Dataset, kind: str, **changes: Any) -> ConditionEncoder:
    return new_condition_encoder(
        kind,  # type: ignore[arg-type]
        **{**SMALL, **changes},
        dataset=dataset,
        context=context_of(desk, "new"),
    )


def train(desk: Desk, dataset: Dataset, key: str, kind: str = "class", **options: Any) -> Any:
    recipe = options.pop("recipe", RECIPE)
    changes = options.pop("context", {})
    encoder = options.pop("encoder") if "encoder" in options else untrained(desk, dataset, kind)
    context = context_of(desk, key, **changes)
    model = options.pop("model", None) or small_unet(desk)
    return train_diffusion(
        model, dataset, recipe, SIZE, **options, encoder=encoder, context=context
    )


def encoded(kind: str, encoder: ConditionEncoder, dataset: Dataset, desk: Desk) -> Encoded:
    """What the trained encoder makes of the first example, through the nodes of its kind."""
    context = context_of(desk, "encode")
    data = Pixels(dataset, Framing(SIZE, 8))
    match kind:
        case "class":
            return encode_class(encoder, str(dataset.examples[0].label), context=context)
        case "image":
            picture = (data.batch([0], Chance(0)) + 1) / 2
            image = Image(picture.movedim(1, -1))
            return encode_image_condition(encoder, image, context=context)
        case "segmentation":
            image = Image(data.hint("segmentation", [0], Chance(0)).movedim(1, -1))
            return encode_segmentation(encoder, image, context=context)
        case _:
            image = Image(data.hint("depth", [0], Chance(0)).movedim(1, -1))
            return encode_depth(encoder, image, context=context)


# -- nodes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_encoder_learns_along_and_its_file_works_with_the_model_in_a_sampler(
    desk: Desk, dataset: Dataset, kind: str
) -> None:
    encoder = untrained(desk, dataset, kind)
    made: TrainedModel = train(desk, dataset, f"sampled{kind}", kind, drop=0.3, stored="fp32")

    before, after = weights(encoder), weights(made.encoder)
    assert before.keys() == after.keys()
    assert sum(not torch.equal(before[n], after[n]) for n in before) > len(before) / 2
    assert made.encoder.kind == kind
    assert made.encoder.config == encoder.config
    positive, null = encoded(kind, made.encoder, dataset, desk)
    latent = ksampler(
        made.model,
        seed=1,
        steps=3,
        cfg=3.0,
        sampler_name="euler",
        scheduler="normal",
        positive=positive,
        negative=null,
        latent_image=Latent(torch.zeros(1, 3, SIZE, SIZE), factor=1),
        context=context_of(desk, "sample"),
    )
    assert latent.samples.shape == (1, 3, SIZE, SIZE)
    assert latent.samples.isfinite().all()


def test_the_result_is_a_file_that_load_condition_encoder_reads(
    desk: Desk, dataset: Dataset
) -> None:
    made = train(desk, dataset, "file", stored="fp32")
    run = desk.folders.output / "training" / "diffusion-file000000000000"
    average = {
        name.removeprefix("average/encoder."): tensor
        for name, tensor in load_file(run / "state-000004.safetensors").items()
        if name.startswith("average/encoder.")
    }
    assert_equal(load_file(run / "encoder.safetensors"), average)
    place = desk.place("condition_encoders", "colours.safetensors")
    place.write_bytes((run / "encoder.safetensors").read_bytes())

    loaded = load_condition_encoder("colours.safetensors", context=desk.context)

    assert_equal(weights(loaded), weights(made.encoder))
    assert loaded.config == ClassConfig(width=64, classes=3, names=("blue", "green", "red"))


def test_a_stopped_run_goes_on_and_ends_where_a_whole_one_ends(
    desk: Desk, dataset: Dataset
) -> None:
    def run(key: str, cancel: CancelToken, stop_at: int | None) -> TrainedModel:
        def progress(value: int, total: int, text: str) -> None:
            if text.startswith("loss") and value == stop_at:
                cancel.cancel()

        changes = {"cancel": cancel, "on_progress": progress}
        made: TrainedModel = train(
            desk, dataset, key, "depth", stored="fp32", flip=0.5, context=changes
        )
        return made

    whole = run("whole", CancelToken(), None)
    with pytest.raises(Cancelled):
        run("parts", CancelToken(), 2)
    resumed = run("parts", CancelToken(), None)

    assert_equal(weights(resumed.model), weights(whole.model))
    assert_equal(weights(resumed.encoder), weights(whole.encoder))


def test_a_finished_run_is_reused_without_reading_the_data(desk: Desk, dataset: Dataset) -> None:
    encoder = untrained(desk, dataset, "class")
    first = train(desk, dataset, "finished", encoder=encoder)

    again = train(desk, replace(dataset, examples=()), "finished", encoder=encoder)

    assert_equal(weights(again.encoder), weights(first.encoder))


def test_captions_and_an_encoder_are_told_together_on_latents(
    desk: Desk, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[Tensor, Tensor]] = []

    def drawn(*given: Any, tokens: Tensor, empty: Tensor, **options: Any) -> Tensor:
        shown.append((tokens, empty))
        return draw(*given, tokens=tokens, empty=empty, **options)

    monkeypatch.setattr(training_sheet, "draw", drawn)
    clip = small_clip(desk)
    made = train(
        desk, dataset, "joined", "segmentation", model=small_unet(desk, latent_channels=4),
        vae=small_vae(desk), clip=clip, train_text=True, stored="fp32",
    )  # fmt: skip

    changed = [n for n, w in weights(clip).items() if not torch.equal(w, weights(made.clip)[n])]
    assert changed
    before = weights(untrained(desk, dataset, "segmentation"))
    assert not torch.equal(before["embed.weight"], weights(made.encoder)["embed.weight"])
    ((tokens, empty),) = shown  # of the samples: 77 of each caption, 2 x 2 patches of each map
    assert (tokens.shape, empty.shape) == ((3, 77 + 4, 64), (1, 77 + 4, 64))
    first = encoded("segmentation", made.encoder, dataset, desk)
    expected, nothing = (told.entries[0].context for told in first)
    assert expected is not None
    assert nothing is not None
    assert torch.allclose(empty[:, 77:], nothing, atol=1e-5)
    assert torch.allclose(tokens[0, 77:], expected[0], atol=1e-5)
    assert not torch.allclose(tokens[0, 77:], tokens[1, 77:], atol=1e-3)


def test_samples_are_drawn_below_the_hints_that_asked_for_them(
    desk: Desk, dataset: Dataset
) -> None:
    train(desk, dataset, "sheet", "segmentation")
    train(desk, dataset, "nohints", "class")

    def sheet(key: str) -> Path:
        run = desk.folders.output / "training" / f"diffusion-{key.ljust(16, '0')}"
        return run / "samples" / "step-000004.png"

    with Pictures.open(sheet("sheet")) as picture:
        assert picture.size == (3 * (SIZE + 2) + 2, 2 * (SIZE + 2) + 2)
        data = Pixels(dataset, Framing(SIZE, 8)).hint("segmentation", [0], Chance(0))
        expected = (data[0].movedim(0, -1) * 255).round().to(torch.uint8)
        top = picture.convert("RGB").crop((2, 2, 2 + SIZE, 2 + SIZE))
        assert list(top.tobytes()) == expected.flatten().tolist()
    with Pictures.open(sheet("nohints")) as picture:
        assert picture.size == (8 * (SIZE + 2) + 2, SIZE + 4)


def test_an_encoder_may_read_what_another_kind_reads(desk: Desk, dataset: Dataset) -> None:
    one = train(desk, dataset, "reads", "image", stored="fp32")
    other = train(desk, dataset, "readsdepth", "image", stored="fp32", reads="depth")

    assert not torch.equal(
        weights(one.encoder)["embed.weight"], weights(other.encoder)["embed.weight"]
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "depth", "reads": "normals"}, r"no hint 'normals'.*label, image, depth, segm"),
        ({"kind": "class", "width": 32}, r"tokens 32 wide.*reads tokens 64"),
        ({"kind": "class", "classes": "red\ngreen"}, r"no class 'blue'"),
        ({"kind": "segmentation", "classes": "#000000\n#ffffff"}, "#ff8000"),
    ],
)
def test_what_does_not_fit_is_named(
    desk: Desk, dataset: Dataset, options: dict[str, Any], said: str
) -> None:
    reads = options.pop("reads", "")
    encoder = untrained(desk, dataset, **options)

    with pytest.raises(NodeGraphError, match=said):
        train(desk, dataset, "wrong", encoder=encoder, reads=reads)


def test_a_model_without_tokens_takes_no_encoder(desk: Desk, dataset: Dataset) -> None:
    with pytest.raises(NodeGraphError, match="reads no tokens: leave clip and encoder"):
        train(desk, dataset, "without", model=small_unet(desk, context_width=0))


def test_who_uses_an_encoder_that_was_not_trained_is_told(desk: Desk, dataset: Dataset) -> None:
    made = train(
        desk, dataset, "absent", encoder=None, model=small_unet(desk, context_width=0)
    )  # fmt: skip

    context = context_of(desk, "encode")
    for encode in (
        lambda: encode_class(made.encoder, "red", context=context),
        lambda: encode_condition(made.encoder, "red", context=context),
        lambda: train(desk, dataset, "again", encoder=made.encoder),
    ):
        with pytest.raises(NodeGraphError, match="trained without a condition encoder"):
            encode()


def test_pictures_without_a_label_are_named(desk: Desk, dataset: Dataset) -> None:
    first, *others = dataset.examples
    lacking = replace(dataset, examples=(replace(first, label=None), *others))

    with pytest.raises(NodeGraphError, match=r"1 pictures have no label.*blue/blue.png"):
        train(desk, lacking, "nolabel")


def test_an_untrained_encoder_is_a_function_of_its_settings_and_seed(
    desk: Desk, dataset: Dataset
) -> None:
    torch.manual_seed(1)
    first = weights(untrained(desk, dataset, "depth"))
    (desk.folder / "cache" / "untrained").rename(desk.folder / "cache" / "elsewhere")
    torch.manual_seed(2)
    assert_equal(weights(untrained(desk, dataset, "depth")), first)
    other = weights(untrained(desk, dataset, "depth", seed=1))
    assert not torch.equal(other["positions"], first["positions"])


def test_classes_are_taken_from_the_data_or_as_written(desk: Desk, dataset: Dataset) -> None:
    found = untrained(desk, dataset, "segmentation").config
    written = untrained(
        desk, dataset, "segmentation", classes="#0a0b0c sky\n#ff8000 a square"
    ).config

    assert isinstance(found, SegmentationConfig)
    assert (found.palette, found.names) == ((GROUND, SQUARE), ())
    assert isinstance(written, SegmentationConfig)
    assert written.palette == ((10, 11, 12), (255, 128, 0))
    assert written.names == ("sky", "a square")
    assert isinstance(untrained(desk, dataset, "image").config, PatchConfig)


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("class", {}, "a name a line"),
        ("segmentation", {}, "a colour a line"),
        ("segmentation", {"classes": "red sky"}, "expected colours such as #ff8000.*'red'"),
        ("segmentation", {"classes": "#gg0000 sky"}, "'#gg0000'"),
        ("image", {"resolution": 12}, "no multiple of a patch of 8"),
    ],
)
def test_settings_that_make_no_encoder_are_named(
    desk: Desk, kind: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(NodeGraphError, match=said):
        new_condition_encoder(
            kind,  # type: ignore[arg-type]
            **{**SMALL, **options},
            context=context_of(desk, "new"),
        )


# -- what is read, and what is dropped -------------------------------------------------------------

CLASSES = ClassConfig(width=4, classes=3, names=("blue", "green", "red"))


def reading(dataset: Dataset, source: str, flip: float = 0.0) -> Reading:
    data = Pixels(dataset, Framing(SIZE, 8, flip=flip))
    config = PatchConfig(width=4, size=(SIZE, SIZE), patch=8)
    return Reading(dataset, data, CORE["image"], config, source)


def test_dropped_rows_get_the_tokens_of_nothing_and_the_others_their_own(dataset: Dataset) -> None:
    data = Pixels(dataset, Framing(SIZE, 8))
    encoder = fresh(CORE["class"], CLASSES, seed=0)
    read = Reading(dataset, data, CORE["class"], CLASSES, "label")
    dropped = torch.tensor([False, True, False])

    tokens = Sensed("encoder", encoder, read).tokens((2, 0, 1), Chance(0), dropped)

    table = encoder.state_dict()["embedding.weight"]
    assert torch.equal(tokens[:, 0], table[[2, 3, 1]])


def test_what_is_read_is_cut_and_mirrored_as_the_picture_is(dataset: Dataset) -> None:
    read, examples = reading(dataset, "segmentation", flip=0.5), (0, 1, 2, 0, 1, 2, 0, 1)

    found = read(examples, Chance(3))

    pictures = read.data.pictures(examples, Chance(3))
    plain = Pixels(dataset, Framing(SIZE, 8)).batch(examples, Chance(3))
    mirrored = (pictures != plain).flatten(1).any(1)
    assert 0 < mirrored.sum() < len(examples)
    upright = reading(dataset, "segmentation")(examples, Chance(3))
    assert torch.equal(found, torch.where(mirrored.view(-1, 1, 1, 1), upright.flip(-1), upright))


def test_the_picture_itself_is_read_in_its_own_range(dataset: Dataset) -> None:
    read = reading(dataset, "image")
    found = read((0, 2), Chance(0))

    assert torch.allclose(found, read.data.pictures((0, 2), Chance(0)), atol=1e-6)


def test_a_palette_is_every_colour_there_is_and_no_photograph(
    dataset: Dataset, tmp_path: Path
) -> None:
    assert palette_of(dataset, "segmentation") == (GROUND, SQUARE)
    assert len(COLOURS) == len(dataset)
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for blue, file in enumerate(files):
        levels = bytes(level for i in range(SIZE**2) for level in (i, 0, blue))
        Pictures.frombytes("RGB", (SIZE, SIZE), levels).save(file)
    noisy = dataset.with_hint("noise", files, ["n"] * 3)
    with pytest.raises(DatasetError, match="more than 256 colours"):
        palette_of(noisy, "noise")


def test_gradients_reach_the_rows_that_were_shown_and_nothing_else(dataset: Dataset) -> None:
    encoder = fresh(CORE["class"], CLASSES, seed=0)
    read = Reading(dataset, Pixels(dataset, Framing(SIZE, 8)), CORE["class"], CLASSES, "label")
    tokens = Sensed("encoder", encoder, read).tokens((0, 1), Chance(0), torch.tensor([False, True]))

    tokens.sum().backward()  # type: ignore[no-untyped-call]

    gradient: Tensor = encoder.embedding.weight.grad  # type: ignore[assignment, union-attr]
    assert gradient.sum(1).tolist() == [4.0, 0.0, 0.0, 4.0]
