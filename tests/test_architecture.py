"""Who may import whom: nodegraph knows no node, the maths knows no graph, torch comes late."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENGINE = ROOT / "nodegraph"

# Each layer may import itself and what stands after it. What a file of nodegraph is in no layer
# of is a mistake in this list.
LAYERS: list[tuple[str, ...]] = [
    ("cli", "__main__"),
    ("server",),
    ("jobs",),
    ("engine",),
    ("changes", "documents", "plugins"),
    ("workflow", "catalogue"),
    ("executor",),
    ("run",),
    ("worker",),
    ("blame", "caller", "report", "schedule"),
    ("calls", "tasks", "manifest", "lanes", "activity", "failures"),
    ("copies", "subgraph"),
    ("plan",),
    ("graph", "traversal"),
    ("inputs",),
    ("literals",),
    ("registry",),
    ("node",),
    ("signature",),
    ("context", "events", "expansion", "ports"),
    ("cache", "memory"),
    ("pictures",),
    ("outputs", "values", "computing"),
    ("types",),
    ("settings", "setting_values", "settings_file"),
    ("folders", "hashes", "saving", "names", "listing", "model_paths"),
    ("errors", "version"),
]
RUNNING = ("executor", "run", "worker", "blame", "caller", "report", "schedule", "calls", "tasks")


def only_for_types(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test)


def statements(body: list[ast.stmt], *, inside_functions: bool) -> Iterator[ast.stmt]:
    """Every statement that is executed: on import, and if asked for when functions are called."""
    for statement in body:
        if only_for_types(statement):
            continue
        yield statement
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and not inside_functions:
            continue
        for name in ("body", "orelse", "finalbody"):
            inner = getattr(statement, name, [])
            yield from statements(inner, inside_functions=inside_functions)
        for handler in getattr(statement, "handlers", []):
            yield from statements(handler.body, inside_functions=inside_functions)


@cache
def imports(path: Path, *, inside_functions: bool = True) -> frozenset[str]:
    """The modules a file imports, with full names: `nodegraph.graph`."""
    found: set[str] = set()
    package = path.relative_to(ROOT).parent.parts
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for statement in statements(body, inside_functions=inside_functions):
        if isinstance(statement, ast.Import):
            found.update(alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            base = package[: len(package) - statement.level + 1] if statement.level else ()
            module = ".".join([*base, *([statement.module] if statement.module else [])])
            found.add(module)
            if statement.level and not statement.module:
                found.update(f"{module}.{alias.name}" for alias in statement.names)
    return frozenset(found)


def files(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, f"{folder} has no Python files"
    return found


def top(module: str) -> str:
    return module.partition(".")[0]


def part_of(path: Path) -> str:
    """The module or package of nodegraph that a file belongs to."""
    return path.relative_to(ENGINE).parts[0].removesuffix(".py")


def test_the_engine_imports_no_nodes_and_no_plugins() -> None:
    for path in files("nodegraph"):
        assert not {"nodes", "plugins", "main"} & {top(name) for name in imports(path)}, path


@pytest.mark.parametrize(
    "folder", ["nodes/diffusion", "nodes/models", "nodes/imaging", "nodes/training"]
)
def test_the_maths_knows_no_graph(folder: str) -> None:
    for path in files(folder):
        names = {top(name) for name in imports(path)}
        assert not {"nodegraph", "plugins", "main"} & names, path


def test_nodes_import_no_plugins() -> None:
    for path in files("nodes"):
        assert not {"plugins", "main"} & {top(name) for name in imports(path)}, path


@pytest.mark.parametrize("folder", ["nodes", "plugins"])
def test_nodes_and_plugins_use_the_engine_s_public_names_alone(folder: str) -> None:
    for path in files(folder):
        if path.name == "__main__.py":  # puts the command line together, as main.py does
            continue
        names = {name for name in imports(path) if top(name) == "nodegraph"}
        assert names <= {"nodegraph", "nodegraph.registry"}, path


def test_in_the_engine_imports_point_one_way() -> None:
    rank = {name: place for place, layer in enumerate(LAYERS) for name in layer}
    for path in files("nodegraph"):
        own = part_of(path)
        if own == "__init__":
            continue
        assert own in rank, f"{path}: put it into its layer in this test"
        for name in imports(path):
            parts = name.split(".")
            if parts[0] != "nodegraph" or len(parts) == 1:
                continue
            other = parts[1]
            assert rank[other] >= rank[own], f"{path} imports {other}, which stands above it"


def test_what_runs_plans_is_given_caches_and_models_and_imports_neither() -> None:
    for path in files("nodegraph"):
        if part_of(path) in RUNNING:
            assert not {"nodegraph.cache", "nodegraph.memory"} & imports(path), path


def test_torch_is_never_imported_when_a_module_of_the_engine_is() -> None:
    for path in files("nodegraph"):
        at_import = {top(name) for name in imports(path, inside_functions=False)}
        assert not {"torch", "safetensors.torch", "numpy"} & at_import, path


def test_inside_functions_only_the_cache_and_the_memory_import_torch() -> None:
    importers = {part_of(path) for path in files("nodegraph") if "torch" in map(top, imports(path))}

    assert importers <= {"cache", "memory", "engine"}


@pytest.mark.parametrize(
    "module",
    ["nodegraph", "nodegraph.graph", "nodegraph.executor", "nodegraph.cache", "nodegraph.memory"],
)
def test_a_fresh_interpreter_does_not_load_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False)

    assert done.returncode == 0


def test_the_engine_can_be_used_without_torch() -> None:
    """A graph of plain nodes is validated, planned and run, and torch is not there in the end."""
    code = """
import sys
import types
from nodegraph import Registry, Shown, node
from nodegraph.cache import Cache
from nodegraph.executor import Executor
from nodegraph.graph import validate
from nodegraph.plan import make_plan

@node("Show", category="t")
def show(value: int) -> Shown:
    return Shown(values={"value": [value]})

module = types.ModuleType("__main__")
module.show = show
registry = Registry()
registry.register(module)
document = {"1": {"class_type": "Show", "inputs": {"value": 3}}}
with Executor(registry, cache=Cache(memory_bytes=1000)) as executor:
    result = executor.run(make_plan(validate(document, registry), executor.keys)).require()
assert result.shown["1"].values == {"value": [3]}
sys.exit("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False)

    assert done.returncode == 0


def test_the_public_names_are_all_there() -> None:
    import nodegraph

    assert all(hasattr(nodegraph, name) for name in nodegraph.__all__)
    assert len(set(nodegraph.__all__)) == len(nodegraph.__all__)
