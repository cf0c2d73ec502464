"""The registry: what modules offer, taken whole or not at all."""

from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any

import pytest
from executor_support import module_of, registry_of

from nodegraph.errors import DeclarationError, NameClash
from nodegraph.node import ChoiceOf, FileOf, Origin, Port, node
from nodegraph.registry import Alias, Extension, Registry
from nodegraph.types import PortType, structural


@dataclass(frozen=True)
class Image:
    width: int


class Mask: ...


IMAGE = PortType("IMAGE", Image, color="#123456", codec=structural(Image))


@node("Invert", category="image")
def invert(image: Image) -> Image:
    return image


@node("Sample", category="sampling")
def sample(sampler: Annotated[str, ChoiceOf("samplers")] = "euler") -> int:
    return 1


def test_a_module_offers_node_types_port_types_extensions_and_aliases() -> None:
    samplers = Extension("samplers", {"euler": 1, "ddim": 2})
    alias = Alias({"ImageInvert": ("Invert", "Invert Image")})

    registry = registry_of(invert, sample, IMAGE, samplers, alias)

    assert sorted(registry.nodes) == ["ImageInvert", "Invert", "Sample"]
    assert registry.nodes["ImageInvert"].display_name == "Invert Image"
    assert registry.port_types == {"IMAGE": IMAGE}
    assert registry.extensions == {"samplers": {"euler": 1, "ddim": 2}}
    assert registry.codec("IMAGE") is IMAGE.codec
    assert registry.codec("MASK") is None


def test_types_may_be_declared_in_another_module_than_their_nodes() -> None:
    registry = Registry()

    registry.register(module_of(invert), module_of(IMAGE))

    assert registry.nodes["Invert"].inputs == (Port("image", "IMAGE"),)


def test_nodes_that_a_module_only_imports_are_not_its_own() -> None:
    registry = Registry()
    module = ModuleType("importer")
    module.invert = invert  # type: ignore[attr-defined]

    registry.register(module)

    assert dict(registry.nodes) == {}


def test_a_module_may_hold_anything() -> None:
    class Odd:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("I answer nothing")

    assert list(registry_of(Odd(), 5, invert, IMAGE).nodes) == ["Invert"]


def test_nothing_of_a_wrong_module_is_registered() -> None:
    @node("Bad", category="t")
    def bad(mask: Mask) -> int:
        return 1

    registry = Registry()

    with pytest.raises(DeclarationError, match="node Bad: parameter mask"):
        registry.register(module_of(invert, IMAGE, Extension("samplers", {"a": 1}), bad))

    assert dict(registry.nodes) == {}
    assert dict(registry.port_types) == {}
    assert dict(registry.extensions) == {}


def test_registering_again_changes_nothing() -> None:
    registry = Registry()
    module = module_of(invert, IMAGE, Extension("samplers", {"a": invert}))

    registry.register(module)
    registry.register(module)

    assert list(registry.nodes) == ["Invert"]


def test_two_nodes_of_one_name_are_refused() -> None:
    @node("Invert", category="other")
    def other(image: Image) -> Image:
        return image

    with pytest.raises(DeclarationError, match="two nodes are named Invert"):
        registry_of(invert, other, IMAGE)


def test_an_alias_needs_a_node_and_a_free_name() -> None:
    with pytest.raises(DeclarationError, match="Turn is an alias of Inverse, which is no node"):
        registry_of(invert, IMAGE, Alias({"Turn": ("Inverse", "Turn")}))
    with pytest.raises(DeclarationError, match="two nodes are named Sample"):
        registry_of(invert, sample, IMAGE, Alias({"Sample": ("Invert", "Sample")}))


def test_an_extension_point_is_shared_but_its_names_are_taken_once() -> None:
    registry = registry_of(Extension("samplers", {"a": 1}), Extension("samplers", {"b": 2}))
    assert registry.extensions["samplers"] == {"a": 1, "b": 2}

    with pytest.raises(DeclarationError, match="samplers already has an entry named a"):
        registry.register(module_of(Extension("samplers", {"a": object()})))


@pytest.mark.parametrize("name", ["INT", "COMBO", "*", "A,B", ""])
def test_a_port_type_cannot_have_a_name_that_means_something_else(name: str) -> None:
    with pytest.raises(DeclarationError, match="a port type cannot be named"):
        registry_of(PortType(name, Mask))


def test_a_port_type_and_an_annotation_belong_together() -> None:
    with pytest.raises(DeclarationError, match="two port types are named IMAGE"):
        registry_of(IMAGE, PortType("IMAGE", Mask))
    with pytest.raises(DeclarationError, match="IMAGE and PICTURE have one annotation"):
        registry_of(IMAGE, PortType("PICTURE", Image))
    with pytest.raises(DeclarationError, match="INT and COUNT have one annotation"):
        registry_of(PortType("COUNT", int))
    with pytest.raises(DeclarationError, match="is no annotation"):
        registry_of(PortType("LIST", []))


def test_a_default_has_to_be_among_the_names_of_its_extension_point() -> None:
    with pytest.raises(
        DeclarationError, match="node Sample: parameter sampler: the default 'euler'"
    ):
        registry_of(sample, Extension("samplers", {"ddim": 1}))

    assert "Sample" in registry_of(sample).nodes, "the point may be filled by a plugin later"


def test_choices_come_from_where_the_port_says() -> None:
    class Folders:
        def list(self, kind: str) -> tuple[str, ...]:
            return (f"{kind}/a", f"{kind}/b")

    registry = registry_of(Extension("samplers", {"euler": 1}), folders=Folders())

    assert registry.options(Port("a", "COMBO", widget=("x", "y"))) == ("x", "y")
    assert registry.options(Port("a", "COMBO", widget=ChoiceOf("samplers"))) == ("euler",)
    assert registry.options(Port("a", "COMBO", widget=ChoiceOf("nothing"))) == ()
    files = registry.options(Port("a", "COMBO", widget=FileOf("vae", ("none",))))
    assert files == ("vae/a", "vae/b", "none")
    assert registry.options(Port("a", "INT")) is None
    assert Registry().options(Port("a", "COMBO", widget=FileOf("vae", ("none",)))) == ("none",)


def test_the_nearest_name_is_found_in_any_case() -> None:
    registry = registry_of(invert, sample, IMAGE)

    assert registry.nearest("invret") == "Invert"
    assert registry.nearest("SAMPLE") == "Sample"
    assert registry.nearest("Quite different") is None
    assert registry.nearest("Invert" * 1000) is None


# -- who brought what ------------------------------------------------------------------------------

ONE = Origin("one", "1", "code of one", "/one")
TWO = Origin("two", "2", "code of two", "/two")


def test_the_registry_knows_which_plugin_brought_a_node_and_an_entry() -> None:
    registry = registry_of(IMAGE, Extension("samplers", {"core": 1}))
    registry.register(module_of(invert, Extension("samplers", {"a": 1})), origin=ONE)
    registry.register(module_of(Extension("samplers", {"b": 1})), origin=TWO)

    assert registry.nodes["Invert"].origin == ONE
    assert registry.origins("samplers") == (ONE, TWO)
    assert registry.origins("samplers", "b") == (TWO,)
    assert registry.origins("samplers", "core") == registry.origins("nowhere") == ()


def test_an_entry_that_a_plugin_takes_over_unchanged_stays_the_core_s() -> None:
    samplers = Extension("samplers", {"core": object()})
    registry = registry_of(samplers)

    registry.register(module_of(samplers), origin=ONE)

    assert registry.origins("samplers") == ()


def test_who_registers_may_refuse_what_is_offered_and_nothing_is_added() -> None:
    registry = registry_of(IMAGE, invert)
    offered: list[str] = []

    def accept(nodes: Any) -> None:
        offered.extend(nodes)
        raise NameClash("not these")

    with pytest.raises(NameClash, match="not these"):
        registry.register(
            module_of(sample, Alias({"Turn": ("Invert", "Turn")})), origin=ONE, accept=accept
        )

    assert offered == ["Sample", "Turn"]
    assert list(registry.nodes) == ["Invert"]


def test_a_clash_names_both_sides() -> None:
    registry = registry_of(IMAGE, invert, Extension("samplers", {"a": 1}))

    @node("Invert", category="image")
    def other(image: Image) -> Image:
        return image

    with pytest.raises(NameClash, match=r"invert:Invert of the core, and .*other:Invert of plugin"):
        registry.register(module_of(other), origin=ONE)
    with pytest.raises(NameClash, match="named a: one of the core, and one of plugin two in /two;"):
        registry.register(module_of(Extension("samplers", {"a": object()})), origin=TWO)
    with pytest.raises(NameClash, match="IMAGE: one of the core, and one of plugin two in /two;"):
        registry.register(module_of(PortType("IMAGE", Mask)), origin=TWO)


@pytest.mark.parametrize(
    ("point", "doubts"),
    [
        ("sampler", ("nothing reads the extension point 'sampler'; did you mean 'samplers'?",)),
        ("brushs", ("nothing reads the extension point 'brushs'; did you mean 'brushes'?",)),
        ("samplers", ()),
        ("brushes", ()),
        ("dataset_readers", ()),
        ("s" * 10_000, ()),
    ],
)
def test_a_point_that_is_almost_a_known_one_is_doubtful(
    point: str, doubts: tuple[str, ...]
) -> None:
    @node("Paint", category="t", extensions=("brushes",))
    def paint() -> int:
        return 1

    registry = registry_of(sample, paint, Extension("samplers", {"euler": 1}))

    assert registry.register(module_of(Extension(point, {"x": 1})), origin=ONE) == doubts
    assert registry_of(Extension(point, {"x": 1})).extensions[point] == {"x": 1}
