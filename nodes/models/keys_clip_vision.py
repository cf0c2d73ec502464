"""Names of CLIP image encoders in other layouts (see keys_clip.py, whose entries these are).

* OpenAI and OpenCLIP: `visual.conv1.weight`, `visual.transformer.resblocks.N.attn.in_proj_weight`
  ... (source: openai/CLIP, `VisionTransformer`). Queries, keys and values are one tensor; `proj` is
  applied as x @ P, so it is the transpose of a linear layer's weight.
* Hugging Face: our own names, with or without `vision_model.` (transformers 5 names the modules of
  a bare image model without it).
"""

from __future__ import annotations

from .keys_clip import OPENCLIP_LAYER, Entry

OURS = "vision_model."

OPENAI_ONCE = (
    Entry("class_embedding", (OURS + "embeddings.class_embedding",)),
    Entry("conv1.weight", (OURS + "embeddings.patch_embedding.weight",)),
    Entry("positional_embedding", (OURS + "embeddings.position_embedding.weight",)),
    Entry("ln_pre.weight", (OURS + "pre_layrnorm.weight",)),
    Entry("ln_pre.bias", (OURS + "pre_layrnorm.bias",)),
    Entry("ln_post.weight", (OURS + "post_layernorm.weight",)),
    Entry("ln_post.bias", (OURS + "post_layernorm.bias",)),
    Entry("proj", ("visual_projection.weight",), transposed=True),
)
OPENAI_LAYER = tuple(
    Entry(entry.theirs, tuple(name.replace("text_model.", OURS, 1) for name in entry.ours))
    for entry in OPENCLIP_LAYER
)


def openai_entries(layers: int) -> tuple[Entry, ...]:
    """The table of an encoder of so many layers, names without the file's prefix."""
    each = (entry.at(layer) for layer in range(layers) for entry in OPENAI_LAYER)
    return (*OPENAI_ONCE, *each)
