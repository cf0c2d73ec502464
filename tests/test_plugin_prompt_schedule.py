"""Prompts that change over the steps: the grammar, the table, and what a network is shown."""

from __future__ import annotations

import dataclasses
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from example_plugins import module, registered
from hypothesis import given
from hypothesis import strategies as st
from node_support import Desk, Given, Painter, painted_model, worth
from torch import Tensor

from nodegraph import Context, NodeGraphError
from nodes.diffusion.condition import Condition as DiffusionCondition
from nodes.diffusion.driver import sample_together
from nodes.diffusion.job import Job
from nodes.diffusion.samplers import SAMPLERS, noise_for
from nodes.models.clip import CLIPText
from nodes.models.clip_config import CLIPConfig
from nodes.models.text import TextEncoder
from nodes.models.tokenizer import CLIPTokenizer
from nodes.sampling import ksampler
from nodes.text import clip_encode
from nodes.types import CONDITIONING, Attached, Clip, Condition, Conditioning, Latent

grammar = module("prompt_schedule", "grammar")
schedule = module("prompt_schedule", "schedule")
scheduling = module("prompt_schedule", "scheduling")


def texts(prompt: str, steps: int) -> list[str]:
    """What a prompt says at each step."""
    made, variants = schedule.compiled(prompt)
    return [variants[made.at(step, steps)] for step in range(steps)]


# Known answers


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a [cat:dog:0.4] b", ["a cat b"] * 4 + ["a dog b"] * 6),
        ("[cat:dog:4]", ["cat"] * 4 + ["dog"] * 6),
        ("x[ hat:0.3]", ["x"] * 3 + ["x hat"] * 7),
        ("x[ hat::0.3]", ["x hat"] * 3 + ["x"] * 7),
        ("[a|b|]", ["a", "b", ""] * 3 + ["a"]),
        ("[a:b:0]", ["b"] * 10),
        ("[a:b:1]", ["a"] * 10),
        ("[a:b:20]", ["a"] * 10),
        ("[a:b:.29]", ["a"] * 2 + ["b"] * 8),
        ("[a:[b:c:0.8]:0.5]", ["a"] * 5 + ["b"] * 3 + ["c"] * 2),
        ("[[a|b]:c:4]", ["a", "b", "a", "b"] + ["c"] * 6),
        ("[a|b] [c:d:5]", ["a c", "b c", "a c", "b c", "a c", "b d", "a d", "b d", "a d", "b d"]),
        ("[a|[b|c|d]]", ["a", "c", "a", "b", "a", "d", "a", "c", "a", "b"]),
        ("[a:b:0.5][c:d:3]", ["ac"] * 3 + ["ad"] * 2 + ["bd"] * 5),
        ("[(cat:1.2):(dog|(fox:2)):0.5]", ["(cat:1.2)"] * 5 + ["(dog|(fox:2))"] * 5),
        ("([cat:dog:0.5]:1.3)", ["(cat:1.3)"] * 5 + ["(dog:1.3)"] * 5),
        (r"[16\:9 \| \[x\]:b:0.5]", ["16:9 | [x]"] * 5 + ["b"] * 5),
        (r"[\(:\):0.5]", [r"\("] * 5 + [r"\)"] * 5),
        ("[embedding:old:embedding:new:0.5]", ["embedding:old"] * 5 + ["embedding:new"] * 5),
        ("[ (a [b|c]:1.1) : d : 5 ]", [" (a b:1.1) ", " (a c:1.1) "] * 2 + [" (a b:1.1) "]
         + [" d "] * 5),
    ],
)  # fmt: skip
def test_a_prompt_says_this_at_each_of_ten_steps(prompt: str, expected: list[str]) -> None:
    assert texts(prompt, 10) == expected


def test_a_share_counts_whole_steps_and_is_not_thrown_off_by_its_binary_form() -> None:
    assert texts("[a:b:0.29]", 100).count("a") == 29
    assert texts("[a:b:0.7]", 10).count("a") == 7
    assert texts("[a:b:0.25]", 7).count("a") == 1


def test_each_text_is_listed_once_that_of_the_beginning_first() -> None:
    _, variants = schedule.compiled("[b|a|b] [x:x:0.5]")

    assert variants == ("b x", "a x")


@pytest.mark.parametrize(
    ("prompt", "place", "fault"),
    [
        ("a ]", "line 1, column 3", "closes nothing"),
        ("one\ntwo [a:b:0.4", "line 2, column 5", "not closed"),
        ("[a", "line 1, column 1", "not closed"),
        ("[a [b|c]", "line 1, column 1", "not closed"),
        ("x [a]", "line 1, column 3", "expected [from:to:when]"),
        ("[]", "line 1, column 1", "expected [from:to:when]"),
        ("[a:b|c:0.4]", "line 1, column 1", "expected [from:to:when]"),
        ("[a:b:c:0.4]", "line 1, column 1", "expected [from:to:when]"),
        ("[a:b]", "line 1, column 4", "expected when to change"),
        ("[a:b:1.5]", "line 1, column 6", "expected when to change"),
        ("[a:b:-1]", "line 1, column 6", "expected when to change"),
        ("[a:b:nan]", "line 1, column 6", "expected when to change"),
        ("[a:b:]", "line 1, column 6", "expected when to change"),
        ("[a:b:[1|2]]", "line 1, column 6", "expected when to change"),
        ("[a:b:" + "9" * 400 + "]", "line 1, column 6", "expected when to change"),
        ("[(a:b:0.4]", "line 1, column 2", "is open when ] comes"),
        ("[" * 5000, "line 1, column 51", "more than 50 deep"),
    ],
)
def test_a_wrong_prompt_is_refused_with_the_place_of_the_fault(
    prompt: str, place: str, fault: str
) -> None:
    with pytest.raises(NodeGraphError) as told:
        schedule.compiled(prompt)

    assert str(told.value).startswith(f"prompt schedule, {place}: ")
    assert fault in str(told.value)


def test_a_prompt_of_too_many_texts_is_refused() -> None:
    words = ["|".join(f"{letter}{i}" for i in range(n)) for letter, n in (("a", 9), ("b", 16))]

    with pytest.raises(NodeGraphError, match="144 different texts"):
        schedule.compiled("".join(f"[{word}]" for word in words))
    with pytest.raises(NodeGraphError, match="combinations"):
        schedule.compiled("".join(f"[{'|' * (n - 1)}]" for n in (17, 19, 23, 29)))


# Properties

PLAIN = st.text("abc :|(),.4\n", max_size=8)
WORD = st.text("abc ,.4", max_size=5)
WHEN = st.one_of(
    st.integers(2, 12).map(str), st.sampled_from(["0", "1", ".5", "0.3", "0.25", "0.9", " 0.7 "])
)


def brackets(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    part = st.lists(inner, max_size=2).map("".join)
    return st.one_of(
        st.builds("[{}:{}:{}]".format, part, part, WHEN),
        st.builds("[{}:{}]".format, part, WHEN),
        st.lists(part, min_size=2, max_size=3).map(lambda parts: f"[{'|'.join(parts)}]"),
    )


PROMPTS = st.lists(st.recursive(WORD, brackets, max_leaves=8), max_size=3).map("".join)


def slowly(prompt: str, step: int, steps: int) -> str:
    """The meaning of a prompt by rewriting: the innermost brackets first, each by its text."""

    def shown(match: re.Match[str]) -> str:
        inside = match[1]
        if "|" in inside:
            choices = inside.split("|")
            return choices[step % len(choices)]
        *both, when = inside.split(":")
        before, after = both if len(both) == 2 else ("", both[0])
        number = float(when)
        first = number if number > 1 else int(round(number * steps, 6))
        return after if step >= first else before

    while "[" in prompt:
        prompt = re.sub(r"\[([^\[\]]*)\]", shown, prompt)
    return prompt


@given(PLAIN)
def test_a_text_without_brackets_is_unchanged(text: str) -> None:
    assert texts(text, 3) == [text] * 3


@given(st.text(r"a\:|()", max_size=8))
def test_backslashes_without_brackets_are_unchanged_as_well(text: str) -> None:
    assert texts(text, 2) == [text] * 2


@given(PROMPTS, st.integers(1, 30))
def test_every_step_says_what_a_slow_interpreter_says(prompt: str, steps: int) -> None:
    refused = scheduling.fault_in(prompt)

    if refused is not None:
        assert "are the most" in refused
    else:
        expected = [slowly(prompt, step, steps) for step in range(steps)]
        assert texts(prompt, steps) == expected


@given(st.text(r"ab[]:|\(.5 ", max_size=14))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    refused = scheduling.fault_in(text)

    assert refused is None or re.match(r"prompt schedule, line 1, column \d+: ", refused)


# Conditioning

CONFIG = CLIPConfig(vocab=49408, width=64, layers=1, heads=1, mlp=64)


class Counting(TextEncoder):
    """Remembers what it was asked to encode."""

    def __init__(self) -> None:
        super().__init__(CONFIG, CLIPTokenizer())
        self.prompts: list[str] = []

    def encode(self, module: CLIPText, prompt: str, **options: Any) -> Any:
        self.prompts.append(prompt)
        return super().encode(module, prompt, **options)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture(scope="module")
def clip() -> Clip:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        text = CLIPText(CONFIG).eval().requires_grad_(False)
    return Clip(Given(text), Counting())


def with_kinds(context: Context) -> Context:
    kinds = registered("prompt_schedule").extensions["conditioning_kinds"]
    return replace(context, extensions={**context.extensions, "conditioning_kinds": kinds})


def test_a_prompt_without_brackets_is_encoded_as_any_other(desk: Desk, clip: Clip) -> None:
    [ours] = scheduling.prompt_schedule(clip, "a (cat:1.2)", context=desk.context).entries
    [plain] = clip_encode("a (cat:1.2)", clip, context=desk.context).entries

    assert torch.equal(ours.context, plain.context)
    assert torch.equal(ours.pooled, plain.pooled)
    assert ours.attached == ()


def test_each_text_is_encoded_once(desk: Desk, clip: Clip) -> None:
    assert isinstance(clip.encoder, Counting)
    clip.encoder.prompts.clear()

    made = scheduling.prompt_schedule(clip, "[a|b|a] [cat:dog:0.5]", context=desk.context)

    assert sorted(clip.encoder.prompts) == ["a cat", "a dog", "b cat", "b dog"]
    [attached] = made.entries[0].attached
    assert len(attached.data["variants"]) == 4


def test_scheduled_conditioning_goes_to_disk_and_back(desk: Desk, clip: Clip) -> None:
    made = scheduling.prompt_schedule(clip, "[a|b] [cat:dog:4]", context=desk.context)
    assert CONDITIONING.codec is not None

    [back] = CONDITIONING.codec.decode(CONDITIONING.codec.encode(made)).entries

    [before], [after] = made.entries[0].attached, back.attached
    assert after.kind == "prompt_schedule"
    assert {**before.data, "variants": 0} == {**after.data, "variants": 0}
    assert all(map(torch.equal, before.data["variants"], after.data["variants"]))


def test_embeddings_are_found_in_every_text_of_a_schedule() -> None:
    assert scheduling.embeddings_of("[embedding:one|embedding:two], embedding:three") == (
        "one",
        "three",
        "two",
    )
    assert scheduling.embeddings_of("[broken") == ()


def test_a_wrong_prompt_is_found_before_anything_runs() -> None:
    assert "column 1" in scheduling.fault_in("[a")
    assert scheduling.fault_in("[a|b]") is None
    assert scheduling.fault_in(None) is None


# What the network is shown


class Reporter(Painter):
    """x0 = the mean of the tokens; keeps the tokens of every call, row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[float]] = []
        self.lengths: list[int] = []

    def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        assert context is not None
        self.seen.append(context.mean(dim=(1, 2)).tolist())
        self.lengths.append(context.shape[1])
        return super().forward(x, t, context)


def changing(prompt: str, values: dict[str, float], lengths: dict[str, int]) -> Conditioning:
    """The conditioning of a prompt whose texts are each worth a value, and so many tokens."""
    made, variants = schedule.compiled(prompt)
    tokens = tuple(torch.full((1, lengths.get(t, 2), 3), values[t]) for t in variants)
    data = {**dataclasses.asdict(made), "variants": tokens}
    return Conditioning((Condition(tokens[0], attached=(Attached("prompt_schedule", data),)),))


VALUES = {"a": 1.0, "b": 2.0, "c": 3.0}


def run(desk: Desk, network: Painter, positive: Conditioning, **options: Any) -> Latent:
    given = {
        "steps": 5,
        "cfg": 1.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "negative": worth(-1.0),
        "latent_image": Latent(torch.zeros(1, 4, 4, 4)),
        **options,
    }
    context = with_kinds(desk.context)
    return ksampler(painted_model(network), seed=1, positive=positive, context=context, **given)


def test_a_network_sees_the_tokens_of_each_step(desk: Desk) -> None:
    network = Reporter()

    latent = run(desk, network, changing("[a:b:0.4]", VALUES, {}))

    assert network.seen == [[1.0], [1.0], [2.0], [2.0], [2.0]]
    torch.testing.assert_close(latent.samples, torch.full((1, 4, 4, 4), 2.0))


def test_alternation_goes_on_step_by_step_with_a_batch_and_guidance(desk: Desk) -> None:
    network = Reporter()

    run(
        desk,
        network,
        changing("[a|b|c]", VALUES, {"b": 4, "c": 6}),
        cfg=3.0,
        latent_image=Latent(torch.zeros(2, 4, 4, 4)),
    )

    for step, rows in enumerate(network.seen):
        assert rows == [(1.0, 2.0, 3.0)[step % 3]] * 2 + [-1.0] * 2
    assert network.lengths == [2, 4, 6, 2, 4]  # two tokens of the negative side, repeated


def test_both_sides_may_change(desk: Desk) -> None:
    network = Reporter()
    negative = changing("[b|a]", VALUES, {})

    run(desk, network, changing("[a|b]", VALUES, {}), negative=negative, cfg=2.0)

    assert network.seen == [[1.0, 2.0], [2.0, 1.0], [1.0, 2.0], [2.0, 1.0], [1.0, 2.0]]


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        # a question at the level where a step begins is that step's, who ever asks it
        ("heun", [1.0, 2.0, 2.0, 3.0, 3.0, 1.0, 1.0, 2.0, 2.0]),
        ("dpm_2", [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 1.0, 1.0, 2.0]),
    ],
)
def test_samplers_that_ask_twice_a_step_are_shown_the_tokens_of_the_level(
    desk: Desk, sampler: str, expected: list[float]
) -> None:
    network = Reporter()

    run(desk, network, changing("[a|b|c]", VALUES, {}), sampler_name=sampler)

    assert [row for [row] in network.seen] == expected


def hook_of(conditioning: Conditioning, desk: Desk) -> Any:
    [attached] = conditioning.entries[0].attached
    binding = scheduling.Binding(
        painted_model(Painter()), torch.zeros(1, 4, 4, 4), torch.ones(2), desk.context, None
    )
    return scheduling.scheduled(attached.data, binding)


def test_runs_that_are_stepped_together_each_see_their_own_step(desk: Desk) -> None:
    network = Reporter()
    model = painted_model(network)

    def job(prompt: str, steps: int, lengths: dict[str, int]) -> Job:
        conditioning = changing(prompt, VALUES, lengths)
        sigmas = torch.linspace(10, 0, steps + 1)
        factory = SAMPLERS["euler"]
        x = torch.zeros(1, 4, 4, 4)
        entry = DiffusionCondition(
            conditioning.entries[0].context, hooks=(hook_of(conditioning, desk),)
        )
        sampler = factory(x, sigmas, noise_for(factory, sigmas, 0, x.device))
        return Job(sampler, sigmas, model.sampling, (entry,))

    jobs = [job("[a:b:2]", 4, {"b": 4}), job("[b|c]", 3, {}), job("[c:a:0.5]", 2, {"c": 3})]
    results = sample_together(jobs, network)

    # tokens of 2, 2 and 3 share a call, each repeated to 6; runs that ended have left
    assert network.seen == [[1.0, 2.0, 3.0], [1.0, 3.0, 1.0], [2.0, 2.0], [2.0]]
    assert network.lengths == [6, 2, 4, 4]
    for result, value in zip(results, (2.0, 2.0, 1.0), strict=True):
        torch.testing.assert_close(result, torch.full((1, 4, 4, 4), value))


def test_tokens_that_were_joined_behind_it_stay(desk: Desk) -> None:
    network = Reporter()
    conditioning = changing("[a|b]", VALUES, {})
    [entry] = conditioning.entries
    longer = torch.cat([entry.context, torch.full((1, 2, 3), 9.0)], dim=1)

    run(desk, network, Conditioning((replace(entry, context=longer),)), steps=2)

    assert network.seen == [[5.0], [5.5]]


@pytest.mark.parametrize("change", [lambda tokens: tokens * 0, lambda tokens: tokens[:, :1]])
def test_tokens_that_another_node_changed_are_an_error_and_not_overwritten(
    desk: Desk, change: Any
) -> None:
    [entry] = changing("[a|b]", VALUES, {}).entries

    with pytest.raises(NodeGraphError, match="changed the tokens of a prompt schedule"):
        run(desk, Reporter(), Conditioning((replace(entry, context=change(entry.context)),)))


def test_the_table_of_random_prompts_covers_every_state() -> None:
    chance = random.Random(5)
    for _ in range(50):
        count = chance.randint(1, 3)
        prompt = "".join(f"[a|b|c][d:e:{chance.randint(2, 9)}]" for _ in range(count))
        made, variants = schedule.compiled(prompt)
        assert set(made.table) == set(range(len(variants)))
