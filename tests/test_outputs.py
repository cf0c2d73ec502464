"""What output nodes show, as clients see it."""

from pathlib import Path

from nodegraph.outputs import SavedFile, Shown


def test_files_stand_under_their_key_beside_other_values() -> None:
    files = (SavedFile("a.png", "sub", "output"), SavedFile("b.png", "", "temp"))

    assert Shown(files, values={"text": ("x",)}).as_json() == {
        "text": ["x"],
        "images": [
            {"filename": "a.png", "subfolder": "sub", "type": "output"},
            {"filename": "b.png", "subfolder": "", "type": "temp"},
        ],
    }
    assert Shown(files[:1], key="latents").as_json() == {
        "latents": [{"filename": "a.png", "subfolder": "sub", "type": "output"}]
    }
    assert Shown().as_json() == {}


def test_a_file_is_under_the_folder_of_its_kind() -> None:
    assert SavedFile("a.png", "x/y", "output").under(Path("/o")) == Path("/o/x/y/a.png")
