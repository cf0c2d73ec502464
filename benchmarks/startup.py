"""Start-up: how long until each answer, as a user sees it, from a new process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from .measure import ROOT, in_turn, medians, python, table

ROUNDS = 5
GRAPH = "workflows/text_to_image.json"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        broken = Path(folder) / "broken.json"
        broken.write_text('{"1": {"class_type": "KSampler", "inputs": {}')
        out = ["--output", folder, "--cache"]
        fresh = (f"{folder}/cache{i}" for i in range(1000))
        works = {
            "python -c pass": lambda: python("-c", "pass"),
            "--help": lambda: python("main.py", "--help"),
            "validate, not JSON": lambda: _fails("main.py", "validate", str(broken)),
            "import torch": lambda: python("-c", "import torch"),
            "validate": lambda: python("main.py", "validate", GRAPH),
            "run, first picture (30 steps)": lambda: python(
                "main.py", "run", GRAPH, "--set", "4.batch_size=1", *out, next(fresh)
            ),
            "run again, from the disk cache": lambda: python(
                "main.py", "run", GRAPH, "--set", "4.batch_size=1", *out, f"{folder}/cache0"
            ),
        }
        found = medians(in_turn(works, ROUNDS))
    rows = [[name, f"{value:.2f}"] for name, value in found.items()]
    table("Start-up, seconds from the command to its end", ["command", "seconds"], rows)


def _fails(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=False, capture_output=True)


if __name__ == "__main__":
    main()
