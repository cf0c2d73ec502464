"""Loading the UNet of SD 1.5's full shape (fp16 file, 1.7 GB) against the raw read and diffusers.

All read the same bytes from the page cache. diffusers loads its own folder layout; we load that,
and the original single file. A load counts until one word of every page of the weights has been
read: diffusers maps fp16 files and reads them when they are used, we copy them and keep no mapping.
`peak` is the most resident memory a fresh process had, beyond what it had before loading; for a
mapping that counts the file's pages it touched.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from nodes.models.checkpoint_metadata import Declared
from nodes.models.save import save_original

from .measure import in_turn, medians, python, table
from .shapes import as_diffusers, file_size, random_unet

ROUNDS = 3
CHUNK = 16 * 2**20
PAGE = 4096


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, file = Path(name) / "diffusers" / "unet", Path(name) / "unet.safetensors"
        _write(folder, file)
        size = file_size(file)
        works: dict[str, Callable[[], object]] = {
            "raw read of the file": lambda: raw_read(file),
            "nodegraph, single file to fp16": lambda: ours(file, torch.float16),
            "nodegraph, single file to fp32": lambda: ours(file, torch.float32),
            "nodegraph, diffusers folder to fp16": lambda: ours(folder, torch.float16),
            "diffusers, folder to fp16": lambda: theirs(folder, torch.float16),
            "diffusers, folder to fp32": lambda: theirs(folder, torch.float32),
        }
        found = medians(in_turn(works, ROUNDS))
        peaks = {
            "nodegraph, single file to fp16": _peak("ours", file, "float16"),
            "nodegraph, single file to fp32": _peak("ours", file, "float32"),
            "nodegraph, diffusers folder to fp16": _peak("ours", folder, "float16"),
            "diffusers, folder to fp16": _peak("theirs", folder, "float16"),
            "diffusers, folder to fp32": _peak("theirs", folder, "float32"),
        }
    rows = [
        [key, f"{value:.2f}", f"{size / value / 2**30:.2f}", peaks.get(key, "")]
        for key, value in found.items()
    ]
    header = ["", "seconds", "GiB of file a second", "peak, GiB"]
    table(f"Loading SD 1.5's UNet ({size / 2**30:.2f} GiB in fp16)", header, rows)


def raw_read(path: Path) -> Tensor:
    """Read a file into fresh memory of its size."""
    buffer = torch.empty(file_size(path), dtype=torch.uint8)
    view, place = memoryview(buffer.numpy()), 0
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(view[place : place + CHUNK]):
            place += count
    return buffer


def touched(module: nn.Module) -> nn.Module:
    """The module, after one word of every page of its weights has been read."""
    for tensor in module.state_dict().values():
        tensor.flatten()[:: PAGE // tensor.element_size()].sum()
    return module


def ours(path: Path, dtype: torch.dtype) -> object:
    from nodes.models.checkpoint import inspect, load

    return touched(load(inspect(path), "unet", dtype=dtype))


def theirs(folder: Path, dtype: torch.dtype) -> object:
    from diffusers import UNet2DConditionModel

    return touched(UNet2DConditionModel.from_pretrained(folder, torch_dtype=dtype))


def high_water() -> int:
    """The most memory this process had at once, in KiB (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def _write(folder: Path, file: Path) -> None:
    module = random_unet().half()
    save_original(file, Declared(family="sd1"), unet=module)
    folder.parent.mkdir()
    as_diffusers(module).save_pretrained(folder)  # type: ignore[operator]


def _peak(which: str, path: Path, dtype: str) -> str:
    code = (
        "import gc, torch\n"
        "import benchmarks.loading as b\n"
        "import diffusers, nodes.models.checkpoint\n"
        "from diffusers import UNet2DConditionModel\n"
        "gc.collect()\n"
        "before = b.high_water()\n"
        f"kept = b.{which}(b.Path({str(path)!r}), torch.{dtype})\n"
        "print((b.high_water() - before) / 2**20)"
    )
    return f"{float(python('-c', code).stdout):.2f}"


if __name__ == "__main__":
    sys.exit(main())
