"""The command line as processes of their own: start-up, exit codes, Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_line import GRAPH, CommandLine

HOME = Path(__file__).parent.parent
QUICK = {
    "1": {"class_type": "Count", "inputs": {"value": 3}},
    "2": {"class_type": "Save", "inputs": {"value": ["1", 0], "prefix": "quick"}},
}
SLOW = {
    "3": {"class_type": "Slow", "inputs": {"steps": 100000}},
    "4": {"class_type": "Save", "inputs": {"value": ["3", 0]}},
}


@pytest.fixture
def call(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


@contextmanager
def started(
    call: CommandLine, *arguments: str, command: Sequence[str] = ()
) -> Iterator["subprocess.Popen[str]"]:
    """A process of the command line (or of `command`), which is gone at the end."""
    process = subprocess.Popen(
        command or call.process(*arguments),
        env={**os.environ, **call.environment()},
        cwd=call.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def until(process: "subprocess.Popen[str]", beginning: str) -> None:
    """Read lines of standard error up to one that begins so."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(beginning):
            return
    raise AssertionError(f"it never said {beginning!r}")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["validate", "gone.json"],
        ["validate", "broken.json"],
        ["validate", "list.json"],
        ["run", "broken.json"],
        ["run", "list.json", "--set", "x"],
    ],
)
def test_help_and_plain_mistakes_are_answered_without_torch(
    tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "broken.json").write_text('{"1": ')
    (tmp_path / "list.json").write_text("[1]")
    code = (
        "import atexit, runpy, sys\n"
        f"sys.argv = ['main.py', *{arguments!r}]\n"
        f"sys.path.insert(0, {str(HOME)!r})\n"
        "heavy = ('torch', 'numpy', 'PIL', 'tokenizers', 'aiohttp')\n"
        "atexit.register(lambda: print([m for m in heavy if m in sys.modules]))\n"
        f"runpy.run_path({str(HOME / 'main.py')!r}, run_name='__main__')\n"
    )

    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert found.stdout.splitlines()[-1] == "[]"
    assert "Traceback" not in found.stderr


def test_on_a_bare_python_the_missing_package_and_the_way_out_are_told(tmp_path: Path) -> None:
    command = [sys.executable, "-S", str(HOME / "main.py"), "--help"]

    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert found.returncode == 5
    assert found.stderr.startswith("error: Python packages are not installed: click, rich, ")
    assert found.stderr.count("\n") == 1


def test_exit_codes_reach_the_shell(call: CommandLine) -> None:
    graph = call.file()
    codes = {
        (graph,): 0,
        (graph, "--set", "x"): 2,
        (graph, "--set", "1.value=x"): 3,
        (graph, "--device", "gpu"): 5,
    }

    for arguments, code in codes.items():
        with started(call, "run", *arguments) as process:
            process.communicate(timeout=60)
        assert process.returncode == code, arguments


def test_ctrl_c_ends_the_run_at_its_next_step_and_keeps_what_is_finished(
    call: CommandLine,
) -> None:
    with started(call, "run", call.file({**QUICK, **SLOW}), "--json") as process:
        until(process, "2 Save")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "cancelling after the step under way; Ctrl-C again to end at once\n" in err
    assert "Traceback" not in err
    answer = json.loads(out)
    assert answer["status"] == "cancelled"
    assert answer["files"] == ["output/quick_00001_.txt"]
    assert [path.name for path in (call.folder / "output").iterdir()] == ["quick_00001_.txt"]


def test_ctrl_c_ends_a_grid_and_lists_the_cells_that_are_finished(call: CommandLine) -> None:
    with started(call, "run", call.file(SLOW), "--grid", "3.steps=1,100000,2") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("3.steps=1: done in")
        assert process.stdout.readline() == "  output/saved_00001_.txt\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)

    assert process.returncode == 130
    assert out.splitlines()[0].startswith("3.steps=100000: cancelled in ")
    assert out.splitlines()[1].startswith("1 of 3 cells in ")
    assert len(list((call.folder / "output").iterdir())) == 1


def test_a_second_ctrl_c_ends_a_step_that_notices_none(call: CommandLine) -> None:
    graph = {
        "1": {"class_type": "Stubborn", "inputs": {"seconds": 600.0}},
        "2": {"class_type": "Save", "inputs": {"value": ["1", 0]}},
    }
    with started(call, "run", call.file(graph)) as process:
        until(process, "warning: node 1 Stubborn: here it comes")
        process.send_signal(signal.SIGINT)
        until(process, "cancelling after the step under way")
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)

    assert process.returncode == 130
    assert not (call.folder / "output").exists()


def test_main_runs_a_graph_from_any_folder_and_ctrl_c_cancels_its_sampling(
    call: CommandLine,
) -> None:
    graph = str(HOME / "workflows" / "text_to_image.json")
    values = ["--set", "5.steps=5000", "--set", "4.batch_size=1"]
    command = [sys.executable, str(HOME / "main.py"), "run", graph, *values]
    with started(call, command=command) as process:
        until(process, "4 EmptyLatentImage")
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert out.splitlines()[-1].startswith("cancelled in ")
    assert "Traceback" not in err
    assert not (call.folder / "output").exists()


def test_a_reader_that_stops_reading_is_no_defect(call: CommandLine) -> None:
    with started(call, "run", call.file(GRAPH), "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()

    assert "defect" not in err
    assert "Traceback" not in err
