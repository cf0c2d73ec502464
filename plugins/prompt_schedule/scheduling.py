"""The node PromptSchedule, and the conditioning kind that acts while the sampler runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import torch
from torch import Tensor

from nodegraph import Context, Extension, FilesIn, NodeGraphError, Text, node
from nodes.diffusion.hooks import Asked, Hook
from nodes.embeddings import encoded
from nodes.kinds import Binding
from nodes.models.prompt import embedding_names
from nodes.types import Attached, Clip, Condition, Conditioning

from .schedule import Schedule, compiled

KIND = "prompt_schedule"


def fault_in(text: str | None) -> str | None:
    """What is wrong with a prompt that stands in the graph."""
    try:
        compiled(text or "")
    except NodeGraphError as error:
        return str(error)
    return None


def embeddings_of(text: str) -> tuple[str, ...]:
    """The embeddings that a prompt names at any step."""
    if fault_in(text) is not None:
        return ()
    return tuple(dict.fromkeys(name for one in compiled(text)[1] for name in embedding_names(one)))


PROMPT = Text(multiline=True, dynamic_prompts=True, files=FilesIn("embeddings", embeddings_of))


@node("PromptSchedule", category="conditioning", display_name="Prompt Schedule", check=fault_in)
def prompt_schedule(clip: Clip, text: Annotated[str, PROMPT], *, context: Context) -> Conditioning:
    """A prompt that changes over the steps: `[cat:dog:0.4]`, `[hat:0.4]`, `[hat::0.4]`, `[a|b]`."""
    schedule, texts = compiled(text)
    features = [encoded(clip, one, context) for one in texts]
    entry = Condition(features[0].hidden, features[0].pooled)
    if len(texts) > 1:
        data = {
            "variants": tuple(one.hidden for one in features),
            "shares": schedule.shares,
            "counts": schedule.counts,
            "period": schedule.period,
            "table": schedule.table,
        }
        entry = replace(entry, attached=(Attached(KIND, data),))
    return Conditioning((entry,))


class ScheduledTokens(Hook):
    """Shows the network the tokens of the present step in place of those of the first text.

    variants: (1, L_i, D), the first text's first. Tokens that stand behind the first text's stay.
    """

    def __init__(self, schedule: Schedule, variants: tuple[Tensor, ...]) -> None:
        self.schedule = schedule
        self.variants = variants

    def before(self, asked: Asked) -> Asked:
        if asked.context is None:
            return asked
        first = self.variants[0]
        replaced, rest = asked.context.split_with_sizes(_cut(asked.context, first), dim=1)
        if not torch.equal(replaced, first.expand_as(replaced)):
            raise NodeGraphError(_CHANGED)
        tokens = self.variants[self.schedule.at(asked.step, asked.steps)]
        shown = torch.cat([tokens.expand(len(rest), -1, -1), rest], dim=1)
        return replace(asked, context=shown)


def _cut(tokens: Tensor, first: Tensor) -> list[int]:
    length = first.shape[1]
    if tokens.shape[1] < length:
        raise NodeGraphError(_CHANGED)
    return [length, tokens.shape[1] - length]


_CHANGED = (
    "a node changed the tokens of a prompt schedule, which would be lost at the next step: connect "
    "PromptSchedule to the sampler without averaging its tokens or setting them to zero"
)


def scheduled(data: Any, binding: Binding) -> Hook:
    """The hook of an entry for one run."""
    schedule = Schedule(data["shares"], data["counts"], data["period"], data["table"])
    device = binding.latents.device
    return ScheduledTokens(schedule, tuple(tokens.to(device) for tokens in data["variants"]))


KINDS = Extension("conditioning_kinds", {KIND: scheduled})
