"""ControlNet: a copy of a UNet's way down that is shown a picture (the hint) beside x_t.

Zhang et al. 2023 (arXiv:2302.05543). With E the copied blocks, G the hint encoder and Z 1 x 1
convolutions that begin at zero, the network adds to the UNet's skip connections and middle

    y_0 = conv(x_t) + G(hint),  y_i = E_i(y_{i-1}, t, context),  skip_i += Z_i(y_i)

so before training it adds nothing. Modules are named as in the original files, below
`control_model.`.

B batch, C channels, h x w the latent grid, N context tokens of width D.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from .control import Control
from .errors import ArchitectureError
from .layers import zeroed
from .unet import TimestepSequential, UNet, block, middle_block, mlp, timestep_embedding
from .unet_config import UNetConfig, input_layout, skips_of

HINT_FACTOR = 8  # pixels of the hint per latent cell, whatever the VAE's factor
HINT_WIDTHS = (16, 32, 96, 256)
COPIED = ("time_embed", "input_blocks", "middle_block")


@dataclass(frozen=True)
class ControlNetConfig:
    """The architecture: that of the UNet whose way down it copies, and of the hint encoder.

    `unet.out_channels` says nothing here. `hint_widths` are the channels at 1, 1/2, 1/4 and 1/8 of
    the hint's size. `pooled` networks (shuffle) add one mean over the grid everywhere.
    Raises ArchitectureError for a UNet with classes, or other than four widths.
    """

    unet: UNetConfig
    hint_channels: int = 3
    hint_widths: tuple[int, ...] = HINT_WIDTHS
    pooled: bool = False

    def __post_init__(self) -> None:
        if self.unet.num_classes is not None or self.unet.adm_channels is not None:
            raise ArchitectureError(
                "a ControlNet for a UNet that also reads classes or a vector is not supported"
            )
        if len(self.hint_widths) != len(HINT_WIDTHS) or min(self.hint_widths) < 1:
            raise ArchitectureError(
                f"the hint encoder divides by {HINT_FACTOR} and so has {len(HINT_WIDTHS)} widths "
                f"from 1 up, got {self.hint_widths}"
            )


class ControlNet(nn.Module):
    """What is added to the features of a UNet of the same architecture."""

    def __init__(self, config: ControlNetConfig) -> None:
        super().__init__()
        self.config = config
        unet = config.unet
        self.time_embed = mlp(unet.model_channels, unet.time_channels)
        self.input_blocks = nn.ModuleList(block(unet, b) for b in input_layout(unet))
        self.zero_convs = nn.ModuleList(_zero(channels) for channels, _ in skips_of(unet))
        self.input_hint_block = _hint_encoder(config)
        self.middle_block = middle_block(unet)
        self.middle_block_out = _zero(unet.widths[-1])

    @classmethod
    def from_unet(cls, unet: UNet, *, hint_channels: int = 3) -> ControlNet:
        """Where training begins: the UNet's own weights on the way down, and zero convolutions.

        The hint encoder is drawn anew, by torch's generator. It adds nothing until it is trained.
        """
        made = cls(ControlNetConfig(unet.config, hint_channels))
        like = next(unet.parameters())
        made.to(device=like.device, dtype=like.dtype)
        for name in COPIED:
            made.get_submodule(name).load_state_dict(unet.get_submodule(name).state_dict())
        return made

    def encode(self, hint: Tensor) -> Tensor:
        """A hint's features, which no step changes: (B, hint_channels, 8 h, 8 w) -> (B, C, h, w).

        The hint is in [0, 1], in the parameters' dtype. Raises ValueError for other shapes.
        """
        wanted, whole = self.config.hint_channels, HINT_FACTOR
        if hint.ndim != 4 or hint.shape[1] != wanted or any(n % whole for n in hint.shape[2:]):
            raise ValueError(
                f"a hint is (B, {wanted}, 8 h, 8 w) for a latent of h x w, not {tuple(hint.shape)}"
            )
        return self.input_hint_block(hint)

    def forward(
        self, x: Tensor, t: Tensor, context: Tensor | None, hint_features: Tensor
    ) -> Control:
        """x (B, in, h, w), t (B,), context (B, N, D), features (B, C, h, w) of `encode`."""
        emb = self.time_embed(timestep_embedding(t, self.config.unet.model_channels).to(x.dtype))
        skips = []
        for i, (down, zero) in enumerate(zip(self.input_blocks, self.zero_convs, strict=True)):
            x = down(x, emb, context)
            if i == 0:
                x = x + hint_features
            skips.append(zero(x, emb, context))
        x = self.middle_block(x, emb, context)
        control = Control(tuple(skips), self.middle_block_out(x, emb, context))
        return control.each(_pool) if self.config.pooled else control


def _zero(channels: int) -> TimestepSequential:
    return TimestepSequential(zeroed(nn.Conv2d(channels, channels, 1)))


def _pool(feature: Tensor) -> Tensor:
    return feature.mean(dim=(2, 3), keepdim=True)


def _hint_encoder(config: ControlNetConfig) -> nn.Sequential:
    """Eight convolutions, of which three halve the size and the last begins at zero."""
    c = config.hint_widths[0]
    layers: list[nn.Module] = [nn.Conv2d(config.hint_channels, c, 3, padding=1), nn.SiLU()]
    for c, wider in zip(config.hint_widths, config.hint_widths[1:], strict=False):
        layers += [nn.Conv2d(c, c, 3, padding=1), nn.SiLU()]
        layers += [nn.Conv2d(c, wider, 3, padding=1, stride=2), nn.SiLU()]
    last = nn.Conv2d(config.hint_widths[-1], config.unet.model_channels, 3, padding=1)
    return nn.Sequential(*layers, zeroed(last))


def soft_weights(places: int, base: float = 0.825) -> tuple[float, ...]:
    """Guess mode's weights base^(n-i), i = 0 ... n for n + 1 places: 1 for the middle, less before.

    Source: ControlNet's repository, github.com/lllyasviel/ControlNet, "guess mode", where n is 12.
    """
    return tuple(base ** (places - 1 - i) for i in range(places))
