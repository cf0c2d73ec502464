"""Files in the editor's format, written cable by cable."""

from typing import Any


class EditorFile:
    """A level of an editor's file: `node` adds nodes, `link` cables, `data` is the JSON."""

    def __init__(self, **data: Any) -> None:
        self.data: dict[str, Any] = {"nodes": [], "links": [], "version": 0.4, **data}

    def node(self, id: int, type: str, values: Any = None, **more: Any) -> "EditorFile":
        outputs = [
            {"name": name, "type": name, "links": []} for name in more.pop("gives", "").split()
        ]
        entry = {"id": id, "type": type, "mode": 0, "inputs": [], "outputs": outputs, **more}
        if values is not None:
            entry["widgets_values"] = values
        self.data["nodes"].append(entry)
        return self

    def link(
        self,
        source: int,
        slot: int,
        target: int,
        name: str,
        type: str = "*",
        *,
        widget: bool = False,
        as_object: bool = False,
    ) -> "EditorFile":
        """A cable into the input `name` of `target`, which gets that input if it has none."""
        number = len(self.data["links"]) + 1
        into = next((n for n in self.data["nodes"] if n["id"] == target), {"inputs": []})
        entry = next((e for e in into["inputs"] if e["name"] == name), None)
        if entry is None:
            entry = {"name": name, "type": type}
            into["inputs"].append(entry)
        entry["link"] = number
        if widget:
            entry["widget"] = {"name": name}
        place = into["inputs"].index(entry)
        cable = [number, source, slot, target, place, type]
        keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        self.data["links"].append(dict(zip(keys, cable, strict=True)) if as_object else cable)
        return self

    def out(self, source: int, slot: int, place: int) -> "EditorFile":
        """A cable to output `place` of the subgraph that this level defines."""
        number = len(self.data["links"]) + 1
        self.data["links"].append([number, source, slot, -20, place, "*"])
        return self

    def defining(self, *subgraphs: "EditorFile") -> "EditorFile":
        self.data["definitions"] = {"subgraphs": [level.data for level in subgraphs]}
        return self


def subgraph(id: str, inputs: str = "", outputs: str = "", name: str = "") -> EditorFile:
    """The definition of a subgraph, with slots of these names."""
    return EditorFile(
        id=id,
        name=name or id,
        inputs=[{"id": f"in-{slot}", "name": slot, "type": "*"} for slot in inputs.split()],
        outputs=[{"id": f"out-{slot}", "name": slot, "type": "*"} for slot in outputs.split()],
        inputNode={"id": -10},
        outputNode={"id": -20},
    )
