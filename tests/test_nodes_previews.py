"""A sampler's estimates as pictures: pixels, decodes, maps that are fitted once, and grey."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from linear_vae import B, LinearVAE, W
from node_support import Desk, Given, Painter, painted_model, worth
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

import nodes
from nodegraph import Engine, ModelManager, Picturable, Settings
from nodegraph.events import Event, Preview
from nodes.denoising import Guidance, denoise
from nodes.models.latent_rgb import LatentRGB
from nodes.previews import SMALL, LatentPreview, Maps, maps_in
from nodes.types import Latent, Model, Sampler, Vae
from nodes.vae import vae_decode

ROOT = Path(__file__).parents[1]
SECONDS = 60.0  # patience
SCALE = 0.25
Z = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def models() -> ModelManager:
    return ModelManager()


@pytest.fixture
def vae() -> LinearVAE:
    return LinearVAE()


def model_with(vae: nn.Module | None, *, nbytes: int | None = None, **options: Any) -> Model:
    """A model whose file also holds this VAE, of its true size or said to be larger."""
    companion = None if vae is None else Given(vae)
    if companion is not None and nbytes is not None:
        companion.nbytes = nbytes
    return replace(painted_model(Painter(), scale=SCALE, **options), companion=companion)


LARGE = int(SMALL / 1000)  # bytes of a VAE that is large for the pictures here


def preview(
    model: Model, models: ModelManager, maps: Maps | None = None, samples: Tensor | None = None
) -> LatentPreview:
    samples = Z * SCALE if samples is None else samples
    return LatentPreview(samples, model, models, maps or Maps(None))


def as_image(pixels: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> (B, H, W, 3) in [0, 1]."""
    return (pixels.movedim(1, -1) + 1).div(2).clamp(0, 1)


def mapped(z: Tensor) -> Tensor:
    return as_image(LatentRGB(W, B)(z))


def is_grey(image: Tensor) -> bool:
    return torch.equal(image[..., 0], image[..., 1]) and torch.equal(image[..., 0], image[..., 2])


# -- what is shown ---------------------------------------------------------------------------------


def test_a_model_on_pixels_shows_them(models: ModelManager) -> None:
    model = model_with(None, channels=3, factor=1)
    pixels = torch.rand(1, 3, 4, 6) * 2 - 1

    image = preview(model, models, samples=pixels * SCALE).picture(512, "auto")

    torch.testing.assert_close(image, as_image(pixels))


def test_a_small_vae_decodes_what_the_decoding_node_would(desk: Desk, vae: LinearVAE) -> None:
    model = model_with(vae)
    assert model.companion is not None

    image = preview(model, desk.models).picture(512, "auto")

    handle = Vae(model.companion, factor=8, channels=4)
    assert torch.equal(image, vae_decode(Latent(Z), handle, context=desk.context))
    assert image.shape == (2, 24, 40, 3)
    assert vae.fits == 0


def test_a_large_vae_is_shown_by_its_map_in_the_vae_s_own_scale(
    models: ModelManager, vae: LinearVAE
) -> None:
    image = preview(model_with(vae, nbytes=LARGE), models).picture(512, "auto")

    torch.testing.assert_close(image, mapped(Z), rtol=0, atol=1e-4)
    assert image.shape == (2, 3, 5, 3)


def test_a_vae_is_small_by_its_bytes_times_the_pixels(models: ModelManager, vae: LinearVAE) -> None:
    pixels = 3 * 5 * 8 * 8
    just = int(SMALL / pixels)
    samples = Z[:1] * SCALE

    small = preview(model_with(vae, nbytes=just), models, samples=samples)
    large = preview(model_with(vae, nbytes=just + 1), models, samples=samples)

    assert small.picture(512, "auto").shape == (1, 24, 40, 3)
    assert large.picture(512, "auto").shape == (1, 3, 5, 3)


def test_the_cheaper_mode_never_decodes(models: ModelManager, vae: LinearVAE) -> None:
    image = preview(model_with(vae), models).picture(512, "latent2rgb")

    torch.testing.assert_close(image, mapped(Z), rtol=0, atol=1e-4)


@pytest.mark.parametrize("mode", ["auto", "latent2rgb"])
def test_without_a_vae_the_picture_is_grey(models: ModelManager, mode: str) -> None:
    image = preview(model_with(None), models).picture(512, mode)

    assert image.shape == (2, 3, 5, 3)
    assert is_grey(image)
    assert float(image.std()) > 0.1


@pytest.mark.parametrize("nbytes", [None, LARGE], ids=["decoded", "mapped"])
def test_of_a_large_batch_the_first_four_are_computed(
    models: ModelManager, vae: LinearVAE, nbytes: int | None
) -> None:
    samples = torch.zeros(64, 4, 3, 5)

    image = preview(model_with(vae, nbytes=nbytes), models, samples=samples).picture(512, "auto")

    assert len(image) == 4


def test_samples_of_half_precision_are_no_trouble_and_none_are_changed(
    models: ModelManager, vae: LinearVAE
) -> None:
    samples = (Z * SCALE).half()
    before = samples.clone()

    image = preview(model_with(vae), models, samples=samples).picture(512, "auto")

    assert image.dtype == torch.float32
    assert torch.equal(samples, before)


def test_pixels_of_a_model_without_a_vae_are_not_changed(models: ModelManager) -> None:
    model = replace(model_with(None, channels=3, factor=1), scale=1.0)
    samples = torch.rand(1, 3, 4, 4)
    before = samples.clone()

    preview(model, models, samples=samples).picture(512, "auto")

    assert torch.equal(samples, before)


def test_a_preview_is_picturable(models: ModelManager) -> None:
    assert isinstance(preview(model_with(None), models), Picturable)


# -- fitted once, and stored -----------------------------------------------------------------------


def test_a_map_is_fitted_once_for_a_vae(models: ModelManager, vae: LinearVAE) -> None:
    model, maps = model_with(vae, nbytes=LARGE), Maps(None)

    for _ in range(3):
        preview(model, models, maps).picture(512, "auto")

    assert vae.fits == 1


def test_while_one_thread_fits_the_others_show_grey_and_fit_nothing(
    models: ModelManager,
) -> None:
    begun, gate = threading.Event(), threading.Event()

    class Slow(LinearVAE):
        def encode(self, pixels: Tensor) -> Any:
            begun.set()
            assert gate.wait(SECONDS)
            return super().encode(pixels)

    vae = Slow()
    shown = preview(model_with(vae, nbytes=LARGE), models)
    with ThreadPoolExecutor(1) as other:
        first = other.submit(shown.picture, 512, "auto")
        assert begun.wait(SECONDS)

        meanwhile = shown.picture(512, "auto")
        gate.set()
        image = first.result(SECONDS)

    assert is_grey(meanwhile)
    assert not is_grey(image)
    assert torch.equal(shown.picture(512, "auto"), image)
    assert vae.fits == 1


def unreadable() -> nn.Module:
    raise AssertionError("the stored map makes the VAE superfluous")


def test_a_stored_map_is_read_at_the_next_start_without_the_vae(
    tmp_path: Path, models: ModelManager, vae: LinearVAE, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_with(vae, nbytes=LARGE)
    first = preview(model, models, Maps(tmp_path / "previews")).picture(512, "auto")
    [file] = (tmp_path / "previews").iterdir()
    monkeypatch.setattr(model.companion, "load", unreadable)

    again = preview(model, ModelManager(), Maps(tmp_path / "previews")).picture(512, "auto")

    assert torch.equal(again, first)
    assert file.stat().st_size < 1000
    assert vae.fits == 1


def test_every_vae_has_a_file_of_its_own(tmp_path: Path, models: ModelManager) -> None:
    maps = Maps(tmp_path)

    for vae in (LinearVAE(), LinearVAE(4)):
        preview(model_with(vae, nbytes=LARGE), models, maps).picture(512, "auto")

    assert len(list(tmp_path.iterdir())) == 2


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def garbled(path: Path) -> None:
    path.write_bytes(bytes(range(256)))


@pytest.mark.parametrize("damage", [cut, emptied, garbled])
def test_a_damaged_file_is_fitted_anew_and_replaced(
    tmp_path: Path,
    models: ModelManager,
    vae: LinearVAE,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
) -> None:
    model = model_with(vae, nbytes=LARGE)
    first = preview(model, models, Maps(tmp_path)).picture(512, "auto")
    [file] = tmp_path.iterdir()
    whole = file.read_bytes()
    damage(file)

    with caplog.at_level(logging.WARNING):
        again = preview(model, models, Maps(tmp_path)).picture(512, "auto")

    assert torch.equal(again, first)
    assert file.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [file]
    assert "is fitted anew" in caplog.text


def test_where_nothing_can_be_stored_there_are_maps_all_the_same(
    tmp_path: Path, models: ModelManager, vae: LinearVAE, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "previews").write_text("not a folder")

    with caplog.at_level(logging.WARNING):
        image = preview(model_with(vae, nbytes=LARGE), models, Maps(tmp_path / "previews")).picture(
            512, "auto"
        )

    torch.testing.assert_close(image, mapped(Z), rtol=0, atol=1e-4)
    assert "cannot be written" in caplog.text


def test_a_vae_that_fails_is_said_once_and_shown_in_grey(
    models: ModelManager, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(LinearVAE):
        def encode(self, pixels: Tensor) -> Any:
            self.fits += 1
            raise RuntimeError("no such picture")

    vae, maps = Broken(), Maps(None)
    shown = preview(model_with(vae, nbytes=LARGE), models, maps)

    with caplog.at_level(logging.WARNING):
        images = [shown.picture(512, "auto") for _ in range(3)]

    assert all(is_grey(image) for image in images)
    assert vae.fits == 1
    assert len(caplog.records) == 1
    assert "no such picture" in caplog.text


def test_a_folder_s_maps_are_the_same_for_all_who_ask(tmp_path: Path) -> None:
    assert maps_in(tmp_path / "a") is maps_in(tmp_path / "a")
    assert maps_in(tmp_path / "a") is not maps_in(tmp_path / "b")


# -- while sampling --------------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_sampling_itself_looks_at_no_vae(desk: Desk) -> None:
    class Untouched(Given):
        nbytes = property(lambda _: unreadable())  # type: ignore[assignment]

        def __init__(self) -> None:
            self.key = "untouched"

        def load(self) -> nn.Module:
            return unreadable()

    model = replace(painted_model(Painter(), scale=SCALE), companion=Untouched())
    seen: list[Any] = []
    sigmas = model.sampling.schedule.sigmas_at([999, 500])

    denoise(
        model,
        Latent(torch.zeros(1, 4, 3, 5)),
        Guidance(worth(2.0), worth(0.5), 1.0),
        Sampler("euler"),
        sigmas,
        seed=1,
        context=replace(desk.context, on_preview=seen.append),
    )

    assert len(seen) == 2
    assert all(isinstance(value, LatentPreview) for value in seen)
    with pytest.raises(AssertionError, match="superfluous"):
        seen[0].picture(512, "auto")


# -- the embedded model ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("previews")
    settings = Settings(
        models=(ROOT / "models",),
        output=folder,
        temp=folder,
        cache=folder / "cache",
        disk_cache_bytes=0,
        device="cpu",
        precision="fp32",
    )
    with Engine(nodes.modules(), settings) as made:
        yield made


@pytest.fixture(scope="module")
def offered(engine: Engine) -> list[LatentPreview]:
    """What the sampler of the example offers, in a few steps."""
    seen: list[LatentPreview] = []

    def emit(event: Event) -> None:
        if isinstance(event, Preview):
            seen.append(cast(LatentPreview, event.value))

    graph = ROOT / "workflows" / "text_to_image.json"
    values = {"5.steps": 10, "4.batch_size": 3, "2.text": "christmas tree"}
    engine.run(graph, values, targets=["5"], emit=emit).require()
    return seen


def explained(found: Tensor, true: Tensor) -> Tensor:
    """The share of the variance of every channel that is explained; (B, H, W, 3)."""
    found, true = found.flatten(0, 2), true.flatten(0, 2)
    return 1 - (found - true).square().mean(0) / true.var(0, correction=0)


def cells(image: Tensor, factor: int) -> Tensor:
    return avg_pool2d(image.movedim(-1, 1), factor).movedim(1, -1)


@pytest.mark.parametrize("step", [3, -1])
def test_the_embedded_model_s_map_has_the_colours_of_its_decodes(
    offered: list[LatentPreview], step: int
) -> None:
    decoded = cells(offered[step].picture(512, "auto"), offered[step].model.factor)
    image = offered[step].picture(512, "latent2rgb")

    # With red and blue exchanged it is 0.63, with the scale forgotten 0.1, with latent channels
    # exchanged below 0.
    assert image.shape == decoded.shape
    assert float(explained(image, decoded).min()) > 0.66
    both = torch.stack([image.flatten(), decoded.flatten()])
    assert float(torch.corrcoef(both)[0, 1]) > 0.9


def test_the_embedded_model_s_map_is_stored_by_its_vae_s_hash(
    engine: Engine, offered: list[LatentPreview]
) -> None:
    offered[-1].picture(512, "latent2rgb")

    companion = offered[-1].model.companion
    assert companion is not None
    assert engine.hashes.sha256(ROOT / "models/checkpoints/emoji.safetensors") in (companion.key)
    [file] = (engine.settings.cache / "previews").iterdir()
    assert LatentRGB.from_json(file.read_bytes()).weight.shape == (3, 4)
    assert offered[0].maps is offered[-1].maps is maps_in(engine.settings.cache / "previews")


def test_the_last_estimate_decoded_is_the_picture_that_the_graph_makes(
    engine: Engine, offered: list[LatentPreview]
) -> None:
    graph = ROOT / "workflows" / "text_to_image.json"
    values = {"5.steps": 10, "4.batch_size": 3, "2.text": "christmas tree"}

    result = engine.run(graph, values, targets=["6"]).require()

    torch.testing.assert_close(offered[-1].picture(512, "auto"), result["6"][0], rtol=0, atol=1e-5)
