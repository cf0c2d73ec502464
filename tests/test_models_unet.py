"""The UNet against diffusers' own implementation on the same seeded weights."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from diffusers import UNet2DConditionModel, UNet2DModel
from hypothesis import given, settings
from hypothesis import strategies as st
from published_sizes import SD1_UNET, SD2_UNET, SDXL_UNET
from torch import Tensor, nn

from nodes.models.errors import ArchitectureError, ModelError
from nodes.models.keys_unet import module_names, to_diffusers
from nodes.models.renaming import rename
from nodes.models.shapes import shapes_of
from nodes.models.unet import (
    CPU_ROWS,
    Control,
    UNet,
    UNetConfig,
    config_from_shapes,
    timestep_embedding,
)

SD1 = replace(SD1_UNET, model_channels=64, context_dim=48)
SD2 = replace(SD2_UNET, model_channels=64, context_dim=48)
EMOJI = UNetConfig(4, 4, 64, (1, 2, 2), (1, 1, 1), (1, 1, 1), 1, context_dim=192, num_heads=8)
SMALL = UNetConfig(4, 4, 64, (1, 2), (1, 1), (1, 0), 1, context_dim=24, num_heads=8)
UNCONDITIONAL = UNetConfig(3, 3, 64, (1, 2), (1, 1), (0, 1), 1, head_channels=32)
PIXEL_SPACE = UNetConfig(
    3,
    6,
    64,
    (1, 2),
    (1, 1),
    (1, 1),
    1,
    head_channels=64,
    scale_shift_norm=True,
    resblock_updown=True,
)


def randomise(module: nn.Module, seed: int = 0) -> None:
    """Seeded weights that keep activations near unit size and leave no parameter without effect."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim == 1:
                parameter.copy_(0.1 * noise + (1.0 if name.endswith("weight") else 0.0))
            else:
                parameter.copy_(noise / math.sqrt(parameter[0].numel()))


def random_unet(config: UNetConfig, seed: int = 0) -> UNet:
    with torch.device("meta"):
        unet = UNet(config)
    unet = unet.to_empty(device="cpu").eval()
    randomise(unet, seed)
    return unet


def reference(config: UNetConfig, **options: object) -> UNet2DConditionModel:
    """diffusers' model of the same architecture, described in diffusers' own words."""
    kinds = ["CrossAttn" if depth else "" for depth in config.transformer_depth]
    heads = [config.num_heads or width // 64 for width in config.widths]
    with torch.device("meta"):
        model = UNet2DConditionModel(
            in_channels=config.in_channels,
            out_channels=config.out_channels,
            block_out_channels=config.widths,
            layers_per_block=config.num_res_blocks[0],
            down_block_types=[f"{kind}DownBlock2D" for kind in kinds],
            up_block_types=[f"{kind}UpBlock2D" for kind in reversed(kinds)],
            transformer_layers_per_block=[max(depth, 1) for depth in config.transformer_depth],
            cross_attention_dim=config.context_dim,
            attention_head_dim=heads,
            use_linear_projection=config.use_linear_projection,
            **options,
        )
    return model.to_empty(device="cpu").eval()


def load(model: nn.Module, names: dict[str, str], unet: UNet) -> None:
    """Copy our weights into diffusers' model."""
    model.load_state_dict({names[name]: tensor for name, tensor in unet.state_dict().items()})


def inputs(config: UNetConfig, size: tuple[int, int], batch: int = 2) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, config.in_channels, *size, generator=generator)
    t = torch.tensor([731.0, 3.0, 0.0])[:batch]
    return x, t, torch.randn(batch, 7, config.context_dim or 1, generator=generator)


def assert_same(found: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    scale = expected.abs().max()
    assert scale > 0.1
    assert (found - expected).abs().max() <= tolerance * scale


@pytest.mark.parametrize("config", [SD1, SD2], ids=["sd1", "sd2"])
@torch.no_grad()
def test_the_network_computes_what_diffusers_does_at_any_size(config: UNetConfig) -> None:
    unet, model = random_unet(config), reference(config)
    load(model, to_diffusers(config), unet)

    for size in [(16, 16), (13, 10), (1, 3)]:
        x, t, context = inputs(config, size)
        assert_same(unet(x, t, context), model(x, t, context).sample)


@pytest.mark.parametrize(
    "config",
    [
        replace(SMALL, in_channels=9),
        replace(SMALL, out_channels=8),
        replace(
            SMALL, channel_mult=(1, 2, 3), num_res_blocks=(2, 2, 2), transformer_depth=(0, 1, 3)
        ),
        EMOJI,
    ],
    ids=["inpainting", "learned variance", "deeper transformers", "emoji"],
)
@torch.no_grad()
def test_variants_of_the_network_compute_what_diffusers_does(config: UNetConfig) -> None:
    config = replace(config, middle_depth=config.transformer_depth[-1] or 1)
    unet, model = random_unet(config), reference(config)
    load(model, to_diffusers(config), unet)
    x, t, context = inputs(config, (8, 12))

    output = unet(x, t, context)

    assert output.shape == (2, config.out_channels, 8, 12)
    assert_same(output, model(x, t, context).sample)


@torch.no_grad()
def test_more_tokens_than_are_worked_on_at_once_change_nothing() -> None:
    unet, model = random_unet(SMALL), reference(SMALL)
    load(model, to_diffusers(SMALL), unet)
    x, t, context = inputs(SMALL, (33, 32))
    assert CPU_ROWS < 33 * 32

    output = unet(x, t, context)

    assert_same(output, model(x, t, context).sample)


def test_the_gradient_of_every_weight_is_that_of_diffusers() -> None:
    unet, model = random_unet(SMALL), reference(SMALL)
    names = to_diffusers(SMALL)
    load(model, names, unet)
    x, t, context = inputs(SMALL, (8, 8))

    unet(x, t, context).square().mean().backward()
    model(x, t, context).sample.square().mean().backward()

    theirs = dict(model.named_parameters())
    for name, parameter in unet.named_parameters():
        assert parameter.grad is not None
        expected = theirs[names[name]].grad
        assert (parameter.grad - expected).abs().max() <= 1e-3 * expected.abs().max() + 1e-6, name


@torch.no_grad()
def test_class_numbers_and_vectors_enter_as_in_diffusers() -> None:
    classes = replace(SMALL, num_classes=10)
    vectors = replace(SMALL, adm_channels=40)
    models = [
        reference(classes, num_class_embeds=10),
        reference(vectors, class_embed_type="projection", projection_class_embeddings_input_dim=40),
    ]
    ys = [torch.tensor([2, 9]), torch.randn(2, 40)]

    for config, model, y in zip([classes, vectors], models, ys, strict=True):
        unet = random_unet(config)
        load(model, to_diffusers(config), unet)
        x, t, context = inputs(config, (8, 8))
        expected = model(x, t, context, class_labels=y).sample
        assert_same(unet(x, t, context, y), expected)
        assert (unet(x, t, context, y.flip(0)) - expected).abs().max() > 0.01


def unconditional_names(config: UNetConfig) -> dict[str, str]:
    """UNet2DModel's names; query, key and value of its attention are three tensors."""
    modules = module_names(config)
    names = {name: rename(name, modules) for name in shapes_of(lambda: UNet(config))}
    inner = {".norm.": ".group_norm.", ".proj_out.": ".to_out.0."}
    for name, theirs in names.items():
        for old, new in inner.items():
            if ".attentions." in theirs:
                names[name] = names[name].replace(old, new)
    return names


def split_attention(unet: UNet, names: dict[str, str]) -> dict[str, Tensor]:
    """Our weights as UNet2DModel stores them: (H, 3, C/H) rows of qkv become q, k and v."""
    state = {}
    for name, tensor in unet.state_dict().items():
        if ".qkv." in name:
            size = unet.config.head_channels
            rows = (
                tensor.flatten(1).unflatten(0, (-1, 3, size))
                if tensor.ndim > 1
                else (tensor.unflatten(0, (-1, 3, size)))
            )
            for part, letter in enumerate("qkv"):
                state[names[name].replace("qkv", f"to_{letter}")] = rows[:, part].flatten(0, 1)
        else:
            state[names[name]] = tensor.flatten(1) if tensor.ndim == 3 else tensor
    return state


@pytest.mark.parametrize("classes", [None, 11], ids=["no classes", "classes"])
@pytest.mark.parametrize("config", [UNCONDITIONAL, PIXEL_SPACE], ids=["latent", "pixel space"])
@torch.no_grad()
def test_networks_without_context_compute_what_diffusers_does(
    config: UNetConfig, classes: int | None
) -> None:
    config = replace(config, num_classes=classes)
    kinds = ["Attn" if depth else "" for depth in config.transformer_depth]
    resample = "resnet" if config.resblock_updown else "conv"
    model = UNet2DModel(
        in_channels=config.in_channels,
        out_channels=config.out_channels,
        block_out_channels=config.widths,
        layers_per_block=1,
        down_block_types=[f"{kind}DownBlock2D" for kind in kinds],
        up_block_types=[f"{kind}UpBlock2D" for kind in reversed(kinds)],
        attention_head_dim=config.head_channels,
        flip_sin_to_cos=True,
        freq_shift=0,
        downsample_padding=1,
        downsample_type=resample,
        upsample_type=resample,
        resnet_time_scale_shift="scale_shift" if config.scale_shift_norm else "default",
        attn_norm_num_groups=32,
        num_class_embeds=classes,
    ).eval()
    unet = random_unet(config)
    model.load_state_dict(split_attention(unet, unconditional_names(config)))
    x, t, _ = inputs(config, (8, 12))
    y = None if classes is None else torch.tensor([10, 4])  # 10: the row of an eleventh, null class

    output = unet(x, t, y=y)

    assert_same(output, model(x, t, class_labels=y).sample)
    if y is not None:
        assert (unet(x, t, y=y.flip(0)) - output).abs().max() > 0.01


@torch.no_grad()
def test_control_enters_skips_and_middle_as_in_diffusers() -> None:
    unet, model = random_unet(SMALL), reference(SMALL)
    load(model, to_diffusers(SMALL), unet)
    x, t, context = inputs(SMALL, (8, 8))
    shapes = [(2, 64, 8, 8), (2, 64, 8, 8), (2, 64, 4, 4), (2, 128, 4, 4)]
    skips = tuple(torch.randn(shape) for shape in shapes)
    middle = torch.randn(2, 128, 4, 4)

    output = unet(x, t, context, control=Control(skips, middle))

    expected = model(
        x,
        t,
        context,
        down_block_additional_residuals=skips,
        mid_block_additional_residual=middle,
    ).sample
    assert_same(output, expected)
    assert (output - unet(x, t, context, control=Control(skips))).abs().max() > 0.01


@torch.no_grad()
def test_control_of_another_architecture_is_refused() -> None:
    unet = random_unet(SMALL)
    x, t, context = inputs(SMALL, (8, 8))

    with pytest.raises(ValueError, match=r"4 skip connections, but the control has 1"):
        unet(x, t, context, control=Control((torch.zeros(2, 64, 8, 8),)))


@torch.no_grad()
def test_missing_conditions_are_named() -> None:
    x, t, context = inputs(SMALL, (8, 8))
    with torch.device("meta"):
        plain, classes, vectors = (
            UNet(SMALL),
            UNet(replace(SMALL, num_classes=3)),
            UNet(replace(SMALL, adm_channels=5)),
        )

    with pytest.raises(ValueError, match=r"context: give one of shape \(B, N, 24\)"):
        plain(x, t)
    with pytest.raises(ValueError, match="no classes"):
        plain(x, t, context, torch.tensor([1, 2]))
    with pytest.raises(ValueError, match="3 classes"):
        classes(x, t, context)
    with pytest.raises(ValueError, match=r"y of shape \(B, 5\)"):
        vectors(x, t, context)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_half_precision_stays_near_single_precision(dtype: torch.dtype) -> None:
    unet = random_unet(SMALL)
    x, t, context = inputs(SMALL, (8, 8))
    exact = unet(x, t, context)

    output = unet.to(dtype)(x.to(dtype), t, context.to(dtype))

    assert output.dtype == dtype
    assert_same(output.float(), exact, tolerance=0.05)


@torch.no_grad()
def test_channels_last_changes_no_value() -> None:
    unet = random_unet(SMALL)
    x, t, context = inputs(SMALL, (8, 9))
    expected = unet(x, t, context)

    output = unet.to(memory_format=torch.channels_last)(x, t, context)

    assert_same(output, expected, tolerance=1e-5)


@torch.no_grad()
def test_each_row_has_its_own_time() -> None:
    unet = random_unet(SMALL)
    x, t, context = inputs(SMALL, (8, 8))

    together = unet(x, t, context)

    alone = [unet(x[i : i + 1], t[i : i + 1], context[i : i + 1]) for i in range(2)]
    assert_same(together, torch.cat(alone), tolerance=1e-5)
    assert (unet(x, t.flip(0), context) - together).abs().max() > 0.01


@torch.no_grad()
def test_an_untrained_network_predicts_nothing() -> None:
    unet = UNet(SMALL)
    x, t, context = inputs(SMALL, (8, 8))

    assert not unet(x, t, context).any()
    assert not unet.input_blocks[1][1].proj_out.weight.any()
    assert not unet.input_blocks[1][0].out_layers[3].weight.any()


def test_times_are_embedded_cosines_first() -> None:
    t = torch.tensor([0, 2, 999])

    embedding = timestep_embedding(t, 4)

    angle = torch.tensor([[0, 0], [2, 0.02], [999, 9.99]], dtype=torch.float64)
    expected = torch.cat([angle.cos(), angle.sin()], dim=1).float()
    torch.testing.assert_close(embedding, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("config", "tensors", "parameters"),
    [
        (SD1_UNET, 686, 859_520_964),
        (SD2_UNET, 686, 865_910_724),
        (SDXL_UNET, 1680, 2_567_463_684),
    ],
    ids=["Stable Diffusion 1", "Stable Diffusion 2", "SDXL"],
)
def test_the_published_networks_have_their_known_sizes(
    config: UNetConfig, tensors: int, parameters: int
) -> None:
    shapes = shapes_of(lambda: UNet(config))

    assert len(shapes) == tensors
    assert sum(math.prod(shape) for shape in shapes.values()) == parameters
    assert config_from_shapes(shapes) == config


def test_tensors_are_named_as_in_the_original_files() -> None:
    shapes = shapes_of(lambda: UNet(SD1_UNET))

    block = "input_blocks.1.1.transformer_blocks.0"
    assert shapes["time_embed.0.weight"] == (1280, 320)
    assert shapes["input_blocks.0.0.weight"] == (320, 4, 3, 3)
    assert shapes["input_blocks.3.0.op.weight"] == (320, 320, 3, 3)
    assert shapes[f"{block}.attn1.to_q.weight"] == (320, 320)
    assert shapes[f"{block}.attn2.to_k.weight"] == (320, 768)
    assert shapes[f"{block}.ff.net.0.proj.weight"] == (2560, 320)
    assert shapes["middle_block.0.in_layers.0.weight"] == (1280,)
    assert shapes["output_blocks.2.1.conv.weight"] == (1280, 1280, 3, 3)
    assert shapes["output_blocks.5.2.conv.weight"] == (1280, 1280, 3, 3)
    assert shapes["output_blocks.8.0.skip_connection.weight"] == (640, 960, 1, 1)
    assert shapes["out.2.weight"] == (4, 320, 3, 3)


@pytest.mark.parametrize(
    "config",
    [
        EMOJI,
        UNCONDITIONAL,
        PIXEL_SPACE,
        replace(SMALL, in_channels=9, out_channels=8),
        replace(SMALL, num_classes=7),
        replace(SMALL, adm_channels=11),
        replace(SMALL, num_res_blocks=(3, 1), transformer_depth=(2, 1), middle_depth=4),
        replace(SMALL, middle_depth=0),
        replace(SMALL, num_heads=None, head_channels=64, use_linear_projection=True),
    ],
)
def test_an_architecture_is_read_back_from_its_shapes(config: UNetConfig) -> None:
    assert config_from_shapes(shapes_of(lambda: UNet(config))) == config


@st.composite
def configs(draw: st.DrawFn) -> UNetConfig:
    levels = draw(st.integers(1, 4))

    def per_level(low: int, high: int) -> st.SearchStrategy[tuple[int, ...]]:
        return st.tuples(*[st.integers(low, high)] * levels)

    return UNetConfig(
        in_channels=draw(st.integers(1, 9)),
        out_channels=draw(st.integers(1, 8)),
        model_channels=32 * draw(st.integers(1, 3)),
        channel_mult=draw(per_level(1, 4)),
        num_res_blocks=draw(per_level(1, 2)),
        transformer_depth=draw(per_level(0, 2)),
        middle_depth=draw(st.integers(1, 2)),
        context_dim=draw(st.integers(1, 99)),
        num_heads=8,
    )


@settings(max_examples=15, deadline=None)
@given(configs())
def test_any_architecture_is_read_back_from_its_shapes(config: UNetConfig) -> None:
    assert config_from_shapes(shapes_of(lambda: UNet(config))) == config


def test_the_number_of_heads_can_be_given() -> None:
    shapes = shapes_of(lambda: UNet(SMALL))

    assert config_from_shapes(shapes, num_heads=4) == replace(SMALL, num_heads=4)
    expected = replace(SMALL, num_heads=None, head_channels=16)
    assert config_from_shapes(shapes, head_channels=16) == expected


@pytest.mark.parametrize(
    "config",
    [SMALL, replace(PIXEL_SPACE, transformer_depth=(0, 1)), replace(SMALL, adm_channels=5)],
)
def test_a_single_missing_tensor_is_named(config: UNetConfig) -> None:
    shapes = shapes_of(lambda: UNet(config))
    structural = [name for name in shapes if name.startswith(("label_emb", "output_blocks.1."))]

    for name in [*list(shapes)[::11], *structural[::3]]:
        rest = {other: shape for other, shape in shapes.items() if other != name}
        with pytest.raises(ArchitectureError) as error:
            config_from_shapes(rest)
        assert name in str(error.value)


def test_tensors_that_do_not_belong_are_named() -> None:
    shapes = shapes_of(lambda: UNet(SMALL))

    with pytest.raises(ArchitectureError, match=r"sequence_layers\.0\.weight is not part"):
        config_from_shapes({**shapes, "sequence_layers.0.weight": (3,)})
    with pytest.raises(ArchitectureError, match=r"out\.0\.bias has shape \(5,\).*call for \(64,\)"):
        config_from_shapes({**shapes, "out.0.bias": (5,)})
    with pytest.raises(ArchitectureError, match="dimension 1 is missing or empty"):
        config_from_shapes({**shapes, "input_blocks.0.0.weight": (64,)})
    with pytest.raises(ArchitectureError, match="no tensor is named output_blocks"):
        config_from_shapes({"time_embed.0.weight": (256, 64)})
    with pytest.raises(ArchitectureError, match="level of 64 channels is no multiple"):
        config_from_shapes({**shapes, "time_embed.0.weight": (256, 96)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_channels": 48}, "multiple of 32, got 48"),
        ({"num_res_blocks": (1,)}, "one entry a level"),
        ({"channel_mult": (1, 0)}, "count from 1 up"),
        ({"num_heads": None}, "either num_heads or head_channels"),
        ({"head_channels": 8}, "either num_heads or head_channels"),
        ({"num_heads": 7}, "7 heads do not divide 64 channels"),
        ({"num_heads": None, "head_channels": 48}, "heads of 48 channels do not divide 64"),
        ({"num_classes": 2, "adm_channels": 3}, "not both"),
        ({"context_dim": None, "middle_depth": 2}, "is 0 or 1"),
    ],
)
def test_numbers_that_do_not_fit_together_are_refused(
    change: dict[str, object], message: str
) -> None:
    with pytest.raises(ArchitectureError, match=message):
        replace(SMALL, **change)


def test_architecture_errors_are_model_errors_and_value_errors() -> None:
    assert issubclass(ArchitectureError, ModelError)
    assert issubclass(ArchitectureError, ValueError)
