"""What a running node may use, also when nothing is attached."""

from typing import Any

import pytest

from nodegraph.context import CancelToken, Context
from nodegraph.errors import Cancelled, NodeGraphError


def test_a_context_with_nothing_attached_serves_a_node_s_test() -> None:
    context = Context()

    context.progress(1, 2, "half")
    context.preview(object())
    context.warn("careful")
    context.measure(1, 2, {"loss": 0.5})

    assert context.manifest() == {}
    assert (context.node, context.device, context.precision) == ("", "cpu", "auto")


def test_what_a_node_says_is_passed_on() -> None:
    heard: list[Any] = []
    context = Context(
        on_progress=lambda *all: heard.append(all),
        on_preview=heard.append,
        on_measure=lambda *all: heard.append(all),
        on_warning=heard.append,
        on_manifest=lambda: {"seeds": {}},
    )

    context.progress(1, 2)
    context.preview("picture")
    context.measure(1, 2, {"loss": 0.5})
    context.warn("careful")

    assert heard == [(1, 2, ""), "picture", (1, 2, {"loss": 0.5}, None), "careful"]
    assert context.manifest() == {"seeds": {}}


def test_progress_stops_a_node_that_was_cancelled_before_it_is_told() -> None:
    heard: list[Any] = []
    token = CancelToken()
    context = Context(cancel=token, on_progress=lambda *all: heard.append(all))
    token.cancel()

    with pytest.raises(Cancelled):
        context.progress(1, 2)

    assert heard == []


def test_extensions_are_found_by_name() -> None:
    context = Context(extensions={"samplers": {"euler": 1, "ddim": 2}})

    assert context.extension("samplers", "ddim") == 2
    with pytest.raises(NodeGraphError, match="samplers has no 'x'; it has euler, ddim"):
        context.extension("samplers", "x")
    with pytest.raises(NodeGraphError, match="schedules has no 'x'"):
        context.extension("schedules", "x")


def test_what_is_not_attached_is_missed_in_plain_words() -> None:
    with pytest.raises(NodeGraphError, match="the context has no folders"):
        Context().need_folders()
    with pytest.raises(NodeGraphError, match="the context has no model manager"):
        Context().need_models()
    folders, models = object(), object()
    context = Context(folders=folders, models=models)  # type: ignore[arg-type]
    assert context.need_folders() is folders
    assert context.need_models() is models
