"""Building expansions."""

from nodegraph.expansion import Builder, Expansion, Link


def test_a_builder_collects_nodes_in_the_document_s_format() -> None:
    build = Builder()

    first = build.add("Number", value=3, class_type="an input of this name")
    second = build.add("Add", a=first, b=Link("7", "mask").from_inside(), c=[1, 2])

    assert (first, second) == (Link("1"), Link("2"))
    assert build.result(second, 5) == Expansion(
        {
            "1": {
                "class_type": "Number",
                "inputs": {"value": 3, "class_type": "an input of this name"},
            },
            "2": {
                "class_type": "Add",
                "inputs": {"a": ["1", 0], "b": ["^7", "mask"], "c": {"__value__": [1, 2]}},
            },
        },
        (Link("2"), 5),
    )


def test_what_was_built_is_not_changed_by_what_is_added_later() -> None:
    build = Builder()
    result = build.result(build.add("Number"))

    build.add("Number")

    assert list(result.nodes) == ["1"]
