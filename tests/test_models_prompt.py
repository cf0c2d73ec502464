"""Prompt syntax and chunks of tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.models.prompt import (
    Chunk,
    EmbeddingRef,
    Segment,
    WeightedToken,
    chunk,
    embedding_names,
    parse,
)

Pieces = list[tuple[str, float]]
Weighed = tuple[str, Pieces]  # a prompt, and what its characters should weigh


def weights(prompt: str) -> Pieces:
    pieces = parse(prompt)
    return [
        (p.text if isinstance(p, Segment) else f"<{p.name}>", round(p.weight, 9)) for p in pieces
    ]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("", []),
        ("a cat", [("a cat", 1.0)]),
        ("(a cat)", [("a cat", 1.1)]),
        ("((a)) ((((b))))", [("a", 1.21), (" ", 1.0), ("b", 1.4641)]),
        ("a (red:1.3) cat", [("a ", 1.0), ("red", 1.3), (" cat", 1.0)]),
        ("((a:1.5))", [("a", 1.5)]),
        ("((a):1.5)", [("a", 1.65)]),
        ("(a (b) (c:0.5):2) d", [("a ", 2.0), ("b", 2.2), (" ", 2.0), ("c", 0.5), (" d", 1.0)]),
        ("(a (b:1.2))", [("a ", 1.1), ("b", 1.2)]),
        ("(a:-1) (b:0) (c: 2 )", [("a", -1), (" ", 1), ("b", 0), (" ", 1), ("c", 2)]),
        ("(at 10:30:1.5)", [("at 10:30", 1.5)]),
        ("[a] {b}", [("[a] {b}", 1.0)]),
        ("()", []),
    ],
)
def test_parentheses_weigh_what_they_enclose(prompt: str, expected: Pieces) -> None:
    assert weights(prompt) == expected


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (r"smile \(emoji\)", [("smile (emoji)", 1.0)]),
        (r"(miku \(vocaloid\):1.4)", [("miku (vocaloid)", 1.4)]),
        (r"(a\))", [("a)", 1.1)]),
        (r"\((a)\)", [("(", 1.0), ("a", 1.1), (")", 1.0)]),
        (r"C:\folder \n", [(r"C:\folder \n", 1.0)]),
        ("\\", [("\\", 1.0)]),
    ],
)
def test_escaped_parentheses_are_text(prompt: str, expected: Pieces) -> None:
    assert weights(prompt) == expected


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a (b", [("a ", 1.0), ("(b", 1.0)]),
        ("a) b", [("a) b", 1.0)]),
        ("a (b (c) d", [("a ", 1.0), ("(b (c) d", 1.0)]),
        ("((a)", [("(a", 1.1)]),
        ("((a:1.5)", [("(a", 1.5)]),
        (r"((a\)", [(r"((a)", 1.0)]),
        ("(a))", [("a", 1.1), (")", 1.0)]),
        ("a) (b) (c", [("a) (b) (c", 1.0)]),
        ("a) ((b)) (c)", [("a) (", 1.0), ("b", 1.1), (") (c)", 1.0)]),
        (")(", [(")(", 1.0)]),
        ("(", [("(", 1.0)]),
        ("( (", [("( (", 1.0)]),
    ],
)
def test_parentheses_without_partner_are_text(prompt: str, expected: Pieces) -> None:
    assert weights(prompt) == expected


@pytest.mark.parametrize("weight", ["", "x", "1.2.3", "nan", "inf", "-inf", "1,5"])
def test_a_weight_that_is_no_finite_number_is_text(weight: str) -> None:
    assert weights(f"(a:{weight})") == [(f"a:{weight}", 1.1)]


def test_a_weight_needs_something_to_weigh() -> None:
    assert weights("(:1.5)") == [(":1.5", 1.1)]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("embedding:bad", [("<bad>", 1.0)]),
        ("a embedding:bad hands", [("a ", 1.0), ("<bad>", 1.0), (" hands", 1.0)]),
        ("embedding:bad, hands", [("<bad>", 1.0), (", hands", 1.0)]),
        ("embedding:a,embedding:b", [("<a,embedding:b>", 1.0)]),
        ("embedding:a embedding:b\nembedding:c", [("<a>", 1.0), ("<b>", 1.0), ("<c>", 1.0)]),
        ("embedding:a\nb", [("<a>", 1.0), (" b", 1.0)]),
        ("(embedding:folder/bad.pt:1.2)", [("<folder/bad.pt>", 1.2)]),
        ("(embedding:bad)", [("<bad>", 1.1)]),
        (r"embedding:bad\(v2\)", [("<bad(v2)>", 1.0)]),
        ("embedding: bad", [("<bad>", 1.0)]),
        ("myembedding:bad", [("myembedding:bad", 1.0)]),
        ("embedding:", [("embedding:", 1.0)]),
        ("embedding:, a", [("embedding:, a", 1.0)]),
    ],
)
def test_embeddings_are_referred_to_by_name(prompt: str, expected: Pieces) -> None:
    assert weights(prompt) == expected


def test_the_kinds_of_pieces_are_told_apart() -> None:
    assert parse("a (embedding:b:2)") == (Segment("a ", 1.0), EmbeddingRef("b", 2.0))


def test_the_names_of_embeddings_are_listed_once() -> None:
    assert embedding_names("embedding:b (embedding:a:2), embedding:b, c") == ("b", "a")


def test_deep_nesting_is_read() -> None:
    depth = 20_000

    assert parse("(" * depth + "(a:2)" + ")" * depth) == (Segment("a", 2.0),)


@given(st.text(max_size=80) | st.text("()\\: ,\nembding1.-", max_size=80))
def test_no_prompt_is_an_error(prompt: str) -> None:
    assert all(p.text if isinstance(p, Segment) else p.name for p in parse(prompt))


@given(st.text("()\\: xyz12.", max_size=60))
def test_words_survive_in_order(prompt: str) -> None:
    read = "".join(text for text, _ in weights(prompt))

    assert [c for c in read if c in "xyz"] == [c for c in prompt if c in "xyz"]


@given(st.text(max_size=60).filter(lambda text: not set("()\\:") & set(text)))
def test_text_without_syntax_is_one_segment(text: str) -> None:
    assert parse(text) == ((Segment(text, 1.0),) if text else ())


words = st.text("abc xyz,.", min_size=1, max_size=5)
explicit = st.floats(-2, 3).map(lambda w: round(w, 2))
Tree = str | tuple[float | None, list["Tree"]]
trees: st.SearchStrategy[Tree] = st.recursive(
    words | st.sampled_from(["(", ")"]),
    lambda inner: st.tuples(st.none() | explicit, st.lists(inner, min_size=1, max_size=4)),
    max_leaves=12,
)


def written(tree: Tree, weight: float) -> Weighed:
    """The tree as a prompt, and the weight each of its characters should get."""
    if isinstance(tree, str):
        return "".join(f"\\{c}" if c in "()" else c for c in tree), [(c, weight) for c in tree]
    own, inner = tree
    weight = weight * 1.1 if own is None else own
    parts = [written(part, weight) for part in inner]
    end = ")" if own is None else f":{own})"
    return "(" + "".join(p for p, _ in parts) + end, [c for _, cs in parts for c in cs]


@given(st.lists(trees, max_size=5))
def test_every_character_has_the_weight_of_the_groups_around_it(forest: list[Tree]) -> None:
    parts = [written(tree, 1.0) for tree in forest]

    pieces = parse("".join(prompt for prompt, _ in parts))

    read = [(c, p.weight) for p in pieces if isinstance(p, Segment) for c in p.text]
    expected = [character for _, characters in parts for character in characters]
    assert [c for c, _ in read] == [c for c, _ in expected]
    assert [w for _, w in read] == pytest.approx([w for _, w in expected])


def group(first: int, length: int, weight: float = 1.0) -> list[WeightedToken]:
    return [WeightedToken(first + i, weight) for i in range(length)]


def sd1(*groups: list[WeightedToken]) -> tuple[Chunk, ...]:
    return chunk(groups, start=49406, end=49407, pad=49407)


def numbers(row: Chunk) -> list[object]:
    return [token for token, _ in row]


def test_an_empty_prompt_is_one_chunk() -> None:
    assert [numbers(row) for row in sd1()] == [[49406] + [49407] * 76]
    assert [numbers(row) for row in chunk([[]], start=49406, end=49407, pad=0)] == [
        [49406, 49407] + [0] * 75
    ]


def test_tokens_carry_their_weight_and_the_frame_weighs_one() -> None:
    [row] = chunk([group(5, 2, 1.3)], start=1, end=2, pad=0, length=6)

    assert row == ((1, 1.0), (5, 1.3), (6, 1.3), (2, 1.0), (0, 1.0), (0, 1.0))


def test_seventy_five_tokens_fill_a_chunk() -> None:
    [row] = sd1(group(0, 75))

    assert numbers(row) == [49406, *range(75), 49407]


def test_a_long_group_is_broken_where_the_chunk_is_full() -> None:
    first, second = sd1(group(0, 70), group(100, 8))

    assert numbers(first) == [49406, *range(70), *range(100, 105), 49407]
    assert numbers(second) == [49406, *range(105, 108), *[49407] * 73]


def test_a_short_group_moves_to_the_next_chunk_whole() -> None:
    first, second = sd1(group(0, 70), group(100, 7))

    assert numbers(first) == [49406, *range(70), *[49407] * 6]
    assert numbers(second) == [49406, *range(100, 107), *[49407] * 69]


def test_a_short_group_that_fits_stays() -> None:
    [row] = sd1(group(0, 70), group(100, 5))

    assert numbers(row) == [49406, *range(70), *range(100, 105), 49407]


def test_a_group_after_a_full_chunk_starts_the_next() -> None:
    for length in (1, 8):
        first, second = sd1(group(0, 75), group(100, length))

        assert numbers(first) == [49406, *range(75), 49407]
        assert numbers(second)[: length + 2] == [49406, *range(100, 100 + length), 49407]


def test_a_short_group_is_broken_where_no_chunk_could_hold_it() -> None:
    rows = chunk([group(10, 7)], start=1, end=2, pad=0, length=5)

    assert [numbers(row) for row in rows] == [
        [1, 10, 11, 12, 2],
        [1, 13, 14, 15, 2],
        [1, 16, 2, 0, 0],
    ]


@given(st.lists(st.integers(0, 200), max_size=8))
def test_no_token_is_lost_and_short_groups_stay_whole(lengths: list[int]) -> None:
    groups = [group(1000 * i, length) for i, length in enumerate(lengths)]

    rows = sd1(*groups)

    inside = [[t for t in numbers(row) if t not in (49406, 49407)] for row in rows]
    assert [t for row in inside for t in row] == [token for g in groups for token, _ in g]
    assert all(len(row) == 77 for row in rows)
    for tokens in ({token for token, _ in g} for g in groups if len(g) < 8):
        assert sum(bool(tokens & set(row)) for row in inside) <= 1
