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


def _slots(*pairs: tuple[str, str, int | None]) -> list[dict[str, Any]]:
    return [{"name": name, "type": type, "link": link} for name, type, link in pairs]


def _gives(**links: list[int]) -> list[dict[str, Any]]:
    return [
        {"name": name, "type": name, "links": fed, "slot_index": slot}
        for slot, (name, fed) in enumerate(links.items())
    ]


def text_to_image() -> dict[str, Any]:
    """The ecosystem's first example, as its editor saves it."""
    sizes = {"flags": {}, "mode": 0, "pos": [26, 474], "size": {"0": 315, "1": 98}}
    nodes: list[dict[str, Any]] = [
        {
            "id": 7,
            "type": "CLIPTextEncode",
            "order": 3,
            "inputs": _slots(("clip", "CLIP", 5)),
            "outputs": _gives(CONDITIONING=[6]),
            "properties": {"Node name for S&R": "CLIPTextEncode"},
            "widgets_values": ["text, watermark"],
        },
        {
            "id": 6,
            "type": "CLIPTextEncode",
            "order": 2,
            "inputs": _slots(("clip", "CLIP", 3)),
            "outputs": _gives(CONDITIONING=[4]),
            "title": "Positive",
            "properties": {},
            "widgets_values": ["a glass bottle, galaxy inside"],
        },
        {
            "id": 5,
            "type": "EmptyLatentImage",
            "order": 1,
            "outputs": _gives(LATENT=[2]),
            "properties": {},
            "widgets_values": [512, 768, 1],
        },
        {
            "id": 3,
            "type": "KSampler",
            "order": 4,
            "inputs": _slots(
                ("model", "MODEL", 1),
                ("positive", "CONDITIONING", 4),
                ("negative", "CONDITIONING", 6),
                ("latent_image", "LATENT", 2),
            ),
            "outputs": _gives(LATENT=[7]),
            "properties": {},
            "widgets_values": [156680208700286, "randomize", 20, 8, "euler", "normal", 1],
        },
        {
            "id": 8,
            "type": "VAEDecode",
            "order": 5,
            "inputs": _slots(("samples", "LATENT", 7), ("vae", "VAE", 8)),
            "outputs": _gives(IMAGE=[9]),
            "properties": {},
        },
        {
            "id": 9,
            "type": "SaveImage",
            "order": 6,
            "inputs": _slots(("images", "IMAGE", 9)),
            "outputs": [],
            "properties": {},
            "widgets_values": ["ComfyUI"],
        },
        {
            "id": 4,
            "type": "CheckpointLoaderSimple",
            "order": 0,
            "outputs": _gives(MODEL=[1], CLIP=[3, 5], VAE=[8]),
            "properties": {},
            "widgets_values": ["v1-5-pruned-emaonly.safetensors"],
        },
    ]
    return {
        "last_node_id": 9,
        "last_link_id": 9,
        "nodes": [{**sizes, **entry} for entry in nodes],
        "links": [
            [1, 4, 0, 3, 0, "MODEL"],
            [2, 5, 0, 3, 3, "LATENT"],
            [3, 4, 1, 6, 0, "CLIP"],
            [4, 6, 0, 3, 1, "CONDITIONING"],
            [5, 4, 1, 7, 0, "CLIP"],
            [6, 7, 0, 3, 2, "CONDITIONING"],
            [7, 3, 0, 8, 0, "LATENT"],
            [8, 4, 2, 8, 1, "VAE"],
            [9, 8, 0, 9, 0, "IMAGE"],
        ],
        "groups": [{"title": "Step 1", "bounding": [0, 0, 10, 10], "color": "#3f789e"}],
        "config": {},
        "extra": {"ds": {"scale": 1, "offset": [0, 0]}},
        "version": 0.4,
    }


TEXT_TO_IMAGE: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 156680208700286,
            "steps": 20,
            "cfg": 8,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1,
            "model": ["4", 0],
            "positive": ["6", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
        "_meta": {"title": "KSampler"},
    },
    "4": {
        "class_type": "CheckpointLoaderSimple",
        "inputs": {"ckpt_name": "v1-5-pruned-emaonly.safetensors"},
        "_meta": {"title": "Load Checkpoint"},
    },
    "5": {
        "class_type": "EmptyLatentImage",
        "inputs": {"width": 512, "height": 768, "batch_size": 1},
        "_meta": {"title": "EmptyLatentImage"},
    },
    "6": {
        "class_type": "CLIPTextEncode",
        "inputs": {"text": "a glass bottle, galaxy inside", "clip": ["4", 1]},
        "_meta": {"title": "Positive"},
    },
    "7": {
        "class_type": "CLIPTextEncode",
        "inputs": {"text": "text, watermark", "clip": ["4", 1]},
        "_meta": {"title": "CLIP Text Encode (Prompt)"},
    },
    "8": {
        "class_type": "VAEDecode",
        "inputs": {"samples": ["3", 0], "vae": ["4", 2]},
        "_meta": {"title": "VAEDecode"},
    },
    "9": {
        "class_type": "SaveImage",
        "inputs": {"images": ["8", 0], "filename_prefix": "ComfyUI"},
        "_meta": {"title": "SaveImage"},
    },
}
