"""A node that gives each segment its own prompt."""

from __future__ import annotations

from typing import Annotated

from nodegraph import OPTIONAL, Context, FilesIn, NodeGraphError, Text, Tip, node
from nodes.embeddings import encoded
from nodes.models.prompt import embedding_names
from nodes.types import Clip, Condition, Conditioning

from .kinds import Segments


def written(text: str) -> list[tuple[str, str]]:
    """(segment, prompt) of each line "segment: prompt". Raises NodeGraphError for another line."""
    lines: list[tuple[str, str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        name, colon, prompt = line.partition(":")
        if colon and name.strip():
            lines.append((name.strip(), prompt.strip()))
        elif line.strip():
            raise NodeGraphError(
                f"line {number}: expected a segment's number or colour, a colon and its prompt "
                f"(red: a cat), got {line.strip()!r}"
            )
    return lines


def fault_in(text: str | None) -> str | None:
    """What is wrong with lines that stand in the graph."""
    try:
        written(text or "")
    except NodeGraphError as error:
        return str(error)
    return None


def embeddings_of(text: str) -> tuple[str, ...]:
    """The embeddings that any of the prompts names."""
    if fault_in(text) is not None:
        return ()
    return tuple(dict.fromkeys(n for _, prompt in written(text) for n in embedding_names(prompt)))


def assigned(text: str, segments: Segments, default: str) -> list[str]:
    """The prompt of each segment. Raises NodeGraphError where lines and segments do not match."""
    prompts: dict[int, str] = {}
    for name, prompt in written(text):
        number = segments.named(name)
        if number in prompts:
            raise NodeGraphError(
                f"{name!r} means segment {segments.describe(number)}, which has a prompt already: "
                "give each segment one line"
            )
        prompts[number] = prompt
    missing = [number for number in range(len(segments)) if number not in prompts]
    if missing and not default.strip():
        listed = ", ".join(segments.describe(number) for number in missing)
        raise NodeGraphError(
            f"no prompt for segment {listed}: add a line for each (0: a cat), or a default prompt"
        )
    return [prompts.get(number, default) for number in range(len(segments))]


LINES = Text(multiline=True, files=FilesIn("embeddings", embeddings_of))
DEFAULT = Text(multiline=True, files=FilesIn("embeddings", embedding_names))


@node("SegmentPrompts", category="conditioning", display_name="Prompts by Segment", check=fault_in)
def segment_prompts(
    segments: Segments,
    clip: Clip,
    text: Annotated[str, LINES, Tip("a line for each: `0: a cat`, `red: a dog`, `#00ff00: grass`")],
    default_prompt: Annotated[str, DEFAULT, OPTIONAL, Tip("of segments without a line")] = "",
    *,
    context: Context,
) -> Conditioning:
    """An entry for each segment that counts where the segment is. Each prompt is encoded once."""
    prompts = assigned(text, segments, default_prompt)
    features = {prompt: encoded(clip, prompt, context) for prompt in dict.fromkeys(prompts)}
    return Conditioning(
        tuple(
            Condition(features[prompt].hidden, features[prompt].pooled, mask=segments.mask(number))
            for number, prompt in enumerate(prompts)
        )
    )
