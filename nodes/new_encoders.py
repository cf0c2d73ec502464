"""The node that makes untrained condition encoders: files in the cache, like `new_models`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from nodegraph import OPTIONAL, Context, NodeGraphError, Number, Seed, Text, Tip, node
from nodes.encoding import encoder_at
from nodes.models.encoders import (
    CORE,
    ClassConfig,
    EncoderConfig,
    PatchConfig,
    SegmentationConfig,
    fresh,
    save_encoder,
)
from nodes.new_models import CATEGORY, or_say, untrained
from nodes.training.dataset import Dataset, DatasetError
from nodes.training.pixels import palette_of
from nodes.types import ConditionEncoder

Kind = Literal["class", "image", "segmentation", "depth"]
Colour = tuple[int, int, int]
FEED_FORWARD = 4  # width inside the MLPs over the transformer's


@node("NewConditionEncoder", category=CATEGORY, display_name="New Condition Encoder")
def new_condition_encoder(
    kind: Kind = "class",
    width: Annotated[int, Number(min=1, max=4096), Tip("the model's context_width")] = 192,
    classes: Annotated[
        str,
        Text(multiline=True),
        Tip("class: a name a line; segmentation: a colour and a name a line, as #ff0000 sky"),
    ] = "",
    resolution: Annotated[int, Number(min=1, max=4096), Tip("side of what is read, pixels")] = 64,
    patch: Annotated[int, Number(min=1, max=1024), Tip("side of a token's part, pixels")] = 8,
    inner: Annotated[int, Number(min=1, max=4096), Tip("width of its transformer")] = 128,
    layers: Annotated[int, Number(min=0, max=64)] = 2,
    heads: Annotated[int, Number(min=1, max=256)] = 4,
    seed: Annotated[int, Seed()] = 0,
    *,
    dataset: Annotated[
        Dataset | None, OPTIONAL, Tip("whose labels, or colours of segmentation, are the classes")
    ] = None,
    context: Context,
) -> ConditionEncoder:
    """An untrained encoder that gives tokens for a class, a picture, a segmentation or a depth map.

    TrainDiffusion teaches it together with a model that reads tokens of its width.
    """
    patches = {
        "width": width,
        "size": (resolution, resolution),
        "patch": patch,
        "inner": inner,
        "layers": layers,
        "heads": heads,
        "mlp": FEED_FORWARD * inner,
    }
    config = or_say(lambda: _config(kind, patches, classes, dataset))
    path = untrained(
        context,
        ("condition encoder", kind, config, seed),
        lambda path: save_encoder(path, kind, config, fresh(CORE[kind], config, seed=seed)),
    )
    return encoder_at(path, f"untrained {kind}", CORE, context)


def _config(
    kind: Kind, patches: dict[str, Any], classes: str, dataset: Dataset | None
) -> EncoderConfig:
    lines = [line.strip() for line in classes.splitlines() if line.strip()]
    match kind:
        case "class":
            names = tuple(lines) or (() if dataset is None else dataset.labels)
            _require(names, "class: connect a data set with labels, or write a name a line")
            return ClassConfig(width=patches["width"], classes=len(names), names=names)
        case "segmentation":
            palette, names = _palette(lines, dataset)
            return SegmentationConfig(**patches, classes=len(palette), palette=palette, names=names)
        case _:
            return PatchConfig(**patches)


def _palette(
    lines: list[str], dataset: Dataset | None
) -> tuple[tuple[Colour, ...], tuple[str, ...]]:
    """Colours and names as written, or the data set's colours without names."""
    if not lines and dataset is not None:
        try:
            return palette_of(dataset, "segmentation"), ()
        except DatasetError as fault:
            raise NodeGraphError(str(fault)) from fault
    _require(lines, "segmentation: connect a data set with such hints, or write a colour a line")
    parted = [line.partition(" ") for line in lines]
    names = tuple(name.strip() for _, _, name in parted)
    return tuple(_colour(first) for first, _, _ in parted), names if all(names) else ()


def _colour(text: str) -> Colour:
    """ "#ff8000" -> (255, 128, 0)."""
    try:
        if len(text) != 7 or text[0] != "#":
            raise ValueError(text)
        red, green, blue = bytes.fromhex(text[1:])
    except ValueError:
        raise NodeGraphError(
            f"classes: expected colours such as #ff8000 before the names, got {text!r}"
        ) from None
    return red, green, blue


def _require(given: object, complaint: str) -> None:
    if not given:
        raise NodeGraphError(f"classes: none are given. {complaint}")
