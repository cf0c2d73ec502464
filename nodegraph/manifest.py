"""What a result was made with, so that it can be made again and compared.

{"nodegraph": version, "python": ..., "torch": ..., "device": ..., "precision": ...,
 "node": id, "content": key, "files": [{"node", "input", "kind", "name", "sha256"}],
 "nodes": {class_type: version}, "seeds": {"id.input": value},
 "plugins": {name: {"version", "code"}}}  the plugins behind its nodes, code by hash
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .ports import Seed
from .traversal import natural
from .version import VERSION

if TYPE_CHECKING:
    from .plan import Keys
    from .tasks import Task


def describe(task: Task, keys: Keys, tasks: Mapping[str, Task]) -> dict[str, Any]:
    """The manifest of a task's result: of it, and of everything it was made from."""
    steps = [tasks[id].step for id in _made_from(task, tasks)]
    files = [
        {
            "node": step.id,
            "input": use.input,
            "kind": use.kind,
            "name": use.name,
            "sha256": use.sha256,
        }
        for step in steps
        for use in step.files
    ]
    seeds = {
        f"{step.id}.{port.name}": step.node.inputs[port.name]
        for step in steps
        for port in step.node.type.inputs
        if isinstance(port.widget, Seed) and isinstance(step.node.inputs.get(port.name), int)
    }
    return {
        "nodegraph": VERSION,
        "python": platform.python_version(),
        "torch": _torch_version(),
        "device": _device_name(keys.device),
        "precision": keys.precision,
        "node": task.id,
        "content": task.step.content,
        "files": files,
        "nodes": {step.node.type.name: step.node.type.version for step in steps},
        "seeds": seeds,
        "plugins": {
            origin.plugin: {"version": origin.version, "code": origin.code}
            for step in steps
            for origin in keys.plugins(step.node.type, step.node.inputs)
        },
    }


def _made_from(task: Task, tasks: Mapping[str, Task]) -> list[str]:
    """The task, what it reads from, and what ran in the place of any of these, by id."""
    found = {task.id}
    todo = [task]
    while todo:
        one = todo.pop()
        for id in [*(link.node for _, link in one.node.links()), *one.children]:
            if id in tasks and id not in found:
                found.add(id)
                todo.append(tasks[id])
    return sorted(found, key=natural)


def _torch_version() -> str | None:
    torch = sys.modules.get("torch")
    return None if torch is None else str(torch.__version__)


def _device_name(device: str) -> str:
    torch = sys.modules.get("torch")
    if torch is not None and device.startswith("cuda") and torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name()}"
    return f"{device}: {platform.machine()}"
