"""From prompt to picture: the nodes against diffusers' networks and schedulers, in float32.

The expected pictures come from loops over diffusers' and transformers' own modules with the
published update rules of their schedulers; only the noise of the seed is shared.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, EulerDiscreteScheduler
from node_support import Desk
from safetensors.torch import save_file as save_tensors
from tiny_pipelines import BETAS, FACTOR, Family, Tiny, save_file, save_folder, tiny
from torch import Tensor

from nodes.latent import empty_latent_image
from nodes.loaders import (
    Checkpoint,
    clip_loader,
    diffusers_loader,
    load_checkpoint,
    load_vae,
    unet_loader,
)
from nodes.models.checkpoint_metadata import BetaSchedule, Declared, write_metadata
from nodes.models.unet import UNet
from nodes.models.unet_config import UNetConfig
from nodes.sampling import ksampler, sampler_custom, sampler_ddpm
from nodes.text import clip_encode, conditioning_empty
from nodes.types import Latent, Model, Sigmas
from nodes.vae import vae_decode, vae_encode

pytestmark = pytest.mark.usefixtures("without_gradients")
SEED, CFG, STEPS = 77, 4.0, 10
SIZE = 32  # pixels a side
CAT = [320, 1125, 539, 320, 2368]  # "a photo of a cat"
PAD = {"sd1": 49407, "sd2": 0}
FAMILIES: tuple[Family, ...] = ("sd1", "sd2")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Both tiny models as folders, as files, and in parts."""
    made = Desk(tmp_path_factory.mktemp("desk"))
    for family in FAMILIES:
        folder = made.place("diffusers", family)
        save_folder(tiny(family), folder)
        name = f"{family}.safetensors"
        save_file(folder, made.place("checkpoints", name))
        save_file(folder, made.place("unet", name), parts=("unet",))
        save_file(folder, made.place("text_encoders", name), parts=("text",))
        save_file(folder, made.place("vae", name), parts=("vae",))
    return made


def in_parts(desk: Desk, name: str) -> Checkpoint:
    """A UNet's file alone does not say how many pixels a cell has."""
    return Checkpoint(
        unet_loader(name, "default", context=desk.context),
        clip_loader(name, "stable_diffusion", context=desk.context),
        load_vae(name, context=desk.context),
    )


def loaded(desk: Desk, family: Family, layout: str) -> Checkpoint:
    if layout == "folder":
        return diffusers_loader(family, context=desk.context)
    name = f"{family}.safetensors"
    return (
        in_parts(desk, name) if layout == "parts" else load_checkpoint(name, context=desk.context)
    )


def drawn(desk: Desk, parts: Checkpoint, sampler: str, scheduler: str, **more: Any) -> Tensor:
    """The nodes' picture (B, 3, H, W) in [-1, 1]."""
    positive = clip_encode("a photo of a cat", parts.clip, context=desk.context)
    negative = clip_encode("", parts.clip, context=desk.context)
    latent = ksampler(
        parts.model,
        seed=SEED,
        steps=STEPS,
        cfg=CFG,
        sampler_name=sampler,
        scheduler=scheduler,
        positive=positive,
        negative=negative,
        context=desk.context,
        **{"latent_image": Latent(torch.zeros(2, 4, SIZE // FACTOR, SIZE // FACTOR)), **more},
    )
    return pixels(vae_decode(latent, parts.vae, context=desk.context))


def pixels(image: Tensor) -> Tensor:
    return image.movedim(-1, 1) * 2 - 1


def noise(count: int = 2, channels: int = 4, side: int = SIZE // FACTOR) -> Tensor:
    shape = (count, channels, side, side)
    return torch.randn(shape, generator=torch.Generator().manual_seed(SEED))


# -- what diffusers makes of it --------------------------------------------------------------------


def prompts(models: Tiny) -> Tensor:
    """The hidden states of "" and of the cat, (2, 77, D)."""
    pad = PAD[models.family]
    rows = [[49406, *tokens, 49407] + [pad] * (75 - len(tokens)) for tokens in ([], CAT)]
    return models.text(torch.tensor(rows)).last_hidden_state


def guided(models: Tiny, x: Tensor, t: Tensor, tokens: Tensor) -> Tensor:
    both = tokens.repeat_interleave(len(x), dim=0)
    uncond, cond = models.unet(torch.cat([x, x]), t, both).sample.chunk(2)
    return uncond + CFG * (cond - uncond)


def decoded(models: Tiny, latents: Tensor) -> Tensor:
    return models.vae.decode(latents / models.vae.config.scaling_factor).sample.clamp(-1, 1)


def expected_ddim(
    models: Tiny, picture: Tensor | None = None, *, steps: int = STEPS, skip: int = 0
) -> Tensor:
    """DDIM over `steps` steps without the first `skip`, from the latents of a picture, or none."""
    scheduler = DDIMScheduler(
        **BETAS,
        prediction_type=models.prediction,
        timestep_spacing="leading",
        steps_offset=1,
        set_alpha_to_one=True,
        clip_sample=False,
    )
    scheduler.set_timesteps(steps)
    tokens, times = prompts(models), scheduler.timesteps[skip:]
    latents = torch.zeros_like(noise()) if picture is None else picture
    x = scheduler.add_noise(latents, noise(), times[:1])
    for t in times:
        x = scheduler.step(guided(models, x, t, tokens), t, x, eta=0.0).prev_sample
    return decoded(models, x)


def expected_euler(models: Tiny) -> Tensor:
    scheduler = EulerDiscreteScheduler(
        **BETAS, prediction_type=models.prediction, timestep_spacing="linspace"
    )
    scheduler.set_timesteps(STEPS)
    tokens = prompts(models)
    x = noise() * (scheduler.sigmas[0] ** 2 + 1) ** 0.5
    for t in scheduler.timesteps:
        seen = scheduler.scale_model_input(x, t)
        x = scheduler.step(guided(models, seen, t, tokens), t, x).prev_sample
    return decoded(models, x)


def assert_pictures_equal(found: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    assert expected.std() > 0.1  # a picture, not an even grey
    assert (found - expected).abs().max() <= tolerance


# -- the comparison --------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["folder", "file", "parts"])
@pytest.mark.parametrize("family", FAMILIES)
def test_ddim_draws_what_diffusers_draws(desk: Desk, family: Family, layout: str) -> None:
    parts = loaded(desk, family, layout)

    found = drawn(desk, parts, "ddim", "ddim_uniform")

    assert_pictures_equal(found, expected_ddim(tiny(family)))


# diffusers' scheduler hands a tensor to numpy in a way numpy 2 complains of.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("family", FAMILIES)
def test_euler_draws_what_diffusers_draws(desk: Desk, family: Family) -> None:
    parts = loaded(desk, family, "file")

    found = drawn(desk, parts, "euler", "normal")

    assert_pictures_equal(found, expected_euler(tiny(family)))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_picture_is_redrawn_as_diffusers_redraws_it(desk: Desk, family: Family) -> None:
    models, parts = tiny(family), loaded(desk, family, "folder")
    generator = torch.Generator().manual_seed(1)
    picture = torch.rand(2, SIZE, SIZE, 3, generator=generator)
    latents = models.vae.encode(pixels(picture)).latent_dist.mean * models.vae.config.scaling_factor

    latent = vae_encode(picture, parts.vae, context=desk.context)  # type: ignore[arg-type]
    found = drawn(desk, parts, "ddim", "ddim_uniform", latent_image=latent, denoise=0.5)

    # Half the denoising in 10 steps is the end of a walk of 20.
    assert_pictures_equal(found, expected_ddim(models, latents, steps=2 * STEPS, skip=STEPS))


def test_an_empty_latent_asks_for_the_same_picture_by_its_size_in_pixels(desk: Desk) -> None:
    parts = loaded(desk, "sd1", "file")

    by_size = drawn(desk, parts, "euler", "normal", latent_image=empty_latent_image(SIZE, SIZE, 2))

    assert torch.equal(by_size, drawn(desk, parts, "euler", "normal"))


def test_zero_terminal_snr_is_read_from_the_scheduler_and_drawn_as_diffusers_does(
    desk: Desk,
) -> None:
    models = tiny("sd2")
    save_folder(models, desk.place("diffusers", "zero"), rescale_betas_zero_snr=True)
    parts = diffusers_loader("zero", context=desk.context)

    found = drawn(desk, parts, "ddim", "normal")

    scheduler = DDIMScheduler(
        **BETAS,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        set_alpha_to_one=True,
        clip_sample=False,
    )
    alpha_bar = scheduler.alphas_cumprod.clone()
    assert alpha_bar[-1] == 0
    alpha_bar[-1] = 4.8973451890853435e-08  # the ecosystem's stand-in for none
    times = [999, 888, 777, 666, 555, 444, 333, 222, 111, 0]
    tokens, x = prompts(models), noise()
    for t, s in zip(times, [*times[1:], None], strict=True):  # DDIM, eq. 12, on v
        a, b = alpha_bar[t], torch.tensor(1.0) if s is None else alpha_bar[s]
        v = guided(models, x, torch.tensor(t), tokens)
        x_0, eps = a.sqrt() * x - (1 - a).sqrt() * v, a.sqrt() * v + (1 - a).sqrt() * x
        x = b.sqrt() * x_0 + (1 - b).sqrt() * eps
    assert_pictures_equal(found, decoded(models, x), tolerance=1e-4)


# -- a model on pixels -----------------------------------------------------------------------------

PIXELS = UNetConfig(3, 6, 32, (1, 2), (1, 1), (0, 1), 1, head_channels=32)
LINEAR = BetaSchedule("linear", 1e-4, 0.02, 1000)


@pytest.fixture(scope="module")
def ddpm(desk: Desk) -> tuple[Model, UNet]:
    """A network on 16 x 16 pixels that also gives a variance, without a text encoder."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = UNet(PIXELS).eval().requires_grad_(False)
        torch.nn.init.normal_(network.out[2].weight, std=0.02)  # zero until trained
    metadata = write_metadata(Declared(prediction="eps", schedule=LINEAR), PIXELS, None)
    save_tensors(network.state_dict(), desk.place("unet", "ddpm.safetensors"), metadata)
    return unet_loader("ddpm.safetensors", "default", context=desk.context), network


@pytest.mark.parametrize(
    ("variance", "theirs"),
    [("beta_tilde", "fixed_small"), ("beta", "fixed_large"), ("learned", "learned_range")],
)
def test_ddpm_on_pixels_draws_what_diffusers_draws(
    desk: Desk, ddpm: tuple[Model, UNet], variance: Any, theirs: str
) -> None:
    model, network = ddpm
    vae = load_vae("pixel_space", context=desk.context)
    nothing = conditioning_empty()

    made = sampler_custom(
        model,
        noise_seed=SEED,
        cfg=1.0,
        positive=nothing,
        negative=nothing,
        sampler=sampler_ddpm(variance, "clip"),
        sigmas=Sigmas(model.sampling.schedule.sigmas_at(range(900, -1, -100))),
        latent_image=empty_latent_image(16, 16, 2),
        context=desk.context,
    )
    found = pixels(vae_decode(made.output, vae, context=desk.context))

    scheduler = DDPMScheduler(
        beta_start=1e-4,
        beta_end=0.02,
        variance_type=theirs,
        clip_sample=True,
        timestep_spacing="leading",
    )
    scheduler.set_timesteps(STEPS)
    generator = torch.Generator().manual_seed(SEED + 1)
    z = noise(channels=3, side=16)
    x = scheduler.add_noise(torch.zeros_like(z), z, scheduler.timesteps[:1])
    for t in scheduler.timesteps:
        answer = network(x, t.float().expand(2))
        answer = answer if theirs == "learned_range" else answer[:, :3]
        x = scheduler.step(answer, t, x, generator=generator).prev_sample
    assert_pictures_equal(found, x.clamp(-1, 1), tolerance=1e-4)


def test_a_model_on_pixels_knows_that_its_cells_are_pixels(ddpm: tuple[Model, UNet]) -> None:
    model, _ = ddpm

    assert (model.channels, model.inputs, model.factor, model.scale) == (3, 3, 1, 1.0)
    assert model.context is None
