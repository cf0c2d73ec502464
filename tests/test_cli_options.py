import click
import pytest

from nodegraph.changes import Typed
from nodegraph.cli.options import MAX_RUNS, read_axes, read_targets, read_values


def typed(*texts: str) -> tuple[Typed, ...]:
    return tuple(Typed(text) for text in texts)


def test_values_are_kept_as_they_were_typed() -> None:
    assert read_values(["5.seed=7", " My.Node.text = a=b.c ", "2.text="]) == {
        "5.seed": Typed("7"),
        "My.Node.text": Typed(" a=b.c "),
        "2.text": Typed(""),
    }


def test_of_two_values_for_one_input_the_last_counts() -> None:
    assert read_values(["5.seed=7", "5.seed=8"]) == {"5.seed": Typed("8")}


@pytest.mark.parametrize("text", ["", "x", "5.seed", "5=7", ".seed=7", "5.=7", "=7", "a=b.c"])
def test_a_malformed_value_is_a_usage_error_that_shows_the_form(text: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        read_values([text])

    expected = f"--set {text}: expected NODE.INPUT=VALUE, as in --set 3.seed=7"
    assert caught.value.message == expected
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,2", typed("1", "2")),
        ("cat face, red apple", typed("cat face", "red apple")),
        ("1", typed("1")),
        ("a,", typed("a", "")),
        ('["a, b", 2]', ("a, b", 2)),
        ("[a, b]", typed("[a", "b]")),
    ],
)
def test_a_grid_takes_what_commas_separate_or_a_json_list(
    text: str, values: tuple[object, ...]
) -> None:
    assert read_axes([f"5.seed={text}", "4.cfg=3"]) == {"5.seed": values, "4.cfg": typed("3")}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["5.seed"], "expected NODE.INPUT=VALUE, as in --grid 3.seed=1,2,3"),
        (["5.seed="], "there are no values"),
        (["5.seed=[]"], "there are no values"),
        (["5.seed=1", "5.seed=2"], "--grid 5.seed is given twice"),
        ([f"{i}.x={','.join('1' * 22)}" for i in range(3)], f"10,648 .* limit is {MAX_RUNS:,}"),
    ],
)
def test_a_malformed_grid_is_a_usage_error(texts: list[str], message: str) -> None:
    with pytest.raises(click.UsageError, match=message):
        read_axes(texts)


def test_targets_may_be_repeated_or_separated_by_commas() -> None:
    assert read_targets(["6, Decode", "9,"]) == ["6", "Decode", "9"]
    assert read_targets([]) is None


def test_targets_that_name_nothing_are_refused_and_do_not_mean_all() -> None:
    with pytest.raises(click.UsageError, match="--targets names no node"):
        read_targets([" , "])
