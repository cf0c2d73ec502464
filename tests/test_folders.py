from pathlib import Path

import pytest

from nodegraph.errors import FileMissing, SettingsError
from nodegraph.folders import Folders
from nodegraph.listing import files_under
from nodegraph.model_paths import ExtraFolder, read_model_paths
from nodegraph.names import UnsafeName
from nodegraph.settings import Settings


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(
        models=(tmp_path / "models", tmp_path / "more"),
        input=tmp_path / "input",
        output=tmp_path / "output",
        temp=tmp_path / "temp",
    )


def put(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_models_are_listed_by_kind_with_subfolders_and_in_order(
    folders: Folders, tmp_path: Path
) -> None:
    for name in ("b.safetensors", "sd/a.CKPT", "notes.txt", ".hidden.safetensors", ".git/c.pt"):
        put(tmp_path / "models/checkpoints" / name)
    put(tmp_path / "more/checkpoints/c.pth")
    put(tmp_path / "more/checkpoints/b.safetensors")
    put(tmp_path / "models/vae/v.pt")

    assert folders.list("checkpoints") == ("b.safetensors", "c.pth", "sd/a.CKPT")
    assert folders.list("vae") == ("v.pt",)
    assert folders.list("loras") == ()


@pytest.mark.parametrize(
    ("kind", "folder"),
    [
        ("clip", "text_encoders"),
        ("text_encoders", "clip"),
        ("unet", "diffusion_models"),
        ("diffusion_models", "unet"),
        ("unet", "unet"),
    ],
)
def test_the_old_and_the_new_name_of_a_kind_are_one_kind(
    folders: Folders, tmp_path: Path, kind: str, folder: str
) -> None:
    path = put(tmp_path / "more" / folder / "m.safetensors")

    assert folders.list(kind) == ("m.safetensors",)
    assert folders.resolve(kind, "m.safetensors") == path


def test_of_two_files_of_one_name_the_first_models_folder_wins(
    folders: Folders, tmp_path: Path
) -> None:
    put(tmp_path / "more/vae/v.pt")
    first = put(tmp_path / "models/vae/v.pt")

    assert folders.resolve("vae", "v.pt") == first


def test_a_backslash_is_a_slash(folders: Folders, tmp_path: Path) -> None:
    path = put(tmp_path / "models/loras/a/b/c.safetensors")

    assert folders.resolve("loras", "a\\b\\c.safetensors") == path
    assert folders.resolve("loras", "a/b/c.safetensors") == path


def test_links_inside_models_are_followed_and_a_loop_ends(folders: Folders, tmp_path: Path) -> None:
    elsewhere = put(tmp_path / "disk/x.safetensors")
    root = tmp_path / "models/checkpoints"
    root.mkdir(parents=True)
    (root / "far").symlink_to(elsewhere.parent)
    (root / "one.safetensors").symlink_to(elsewhere)
    (root / "loop").symlink_to(root)
    (root / "gone.safetensors").symlink_to(tmp_path / "nowhere")

    assert folders.list("checkpoints") == ("far/x.safetensors", "one.safetensors")
    assert folders.resolve("checkpoints", "far/x.safetensors").samefile(elsewhere)
    assert folders.resolve("checkpoints", "one.safetensors").samefile(elsewhere)


def test_a_diffusers_model_is_a_folder_with_an_index(folders: Folders, tmp_path: Path) -> None:
    put(tmp_path / "models/diffusers/org/sd/model_index.json")
    put(tmp_path / "models/diffusers/org/sd/unet/config.json")
    put(tmp_path / "models/diffusers/half/unet/config.json")

    assert folders.list("diffusers") == ("org/sd",)
    assert folders.resolve("diffusers", "org/sd") == tmp_path / "models/diffusers/org/sd"
    with pytest.raises(FileMissing, match="nearest: 'org/sd'"):
        folders.resolve("diffusers", "org/sb")


def test_an_embedding_may_be_named_without_its_suffix(folders: Folders, tmp_path: Path) -> None:
    path = put(tmp_path / "more/embeddings/bad-hands.pt")

    assert folders.resolve("embeddings", "bad-hands") == path
    put(tmp_path / "models/checkpoints/a.pt")
    with pytest.raises(FileMissing):
        folders.resolve("checkpoints", "a")


def test_pictures_and_latents_of_the_input_folder_are_listed(
    folders: Folders, tmp_path: Path
) -> None:
    for name in ("a.png", "sub/b.JPEG", "c.txt", "d.latent", "e.avif"):
        put(tmp_path / "input" / name)

    assert folders.list("input") == ("a.png", "e.avif", "sub/b.JPEG")
    assert folders.list("latents") == ("d.latent",)
    assert folders.resolve("latents", "d.latent") == tmp_path / "input/d.latent"


def test_an_annotated_input_is_looked_for_in_the_folder_it_names(
    folders: Folders, tmp_path: Path
) -> None:
    for place in ("input", "output", "temp"):
        put(tmp_path / place / "x.png", place)

    found = [
        folders.resolve("input", name).read_text()
        for name in ("x.png", "x.png [output]", "x.png[temp]", "x.png [input]")
    ]

    assert found == ["input", "output", "temp", "input"]
    assert folders.resolve("latents", "x.png [output]") == tmp_path / "output/x.png"


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../secret.png",
        "a/../../secret.png",
        "..\\secret.png",
        "\\\\host\\share",
        "C:\\secret.png",
        "c:secret.png",
        "a\0.png",
        "\ud800.png",
        "",
        ".",
        "../secret.png [output]",
    ],
)
@pytest.mark.parametrize("kind", ["input", "output", "checkpoints"])
def test_a_name_that_leaves_its_folder_is_refused(
    folders: Folders, tmp_path: Path, kind: str, name: str
) -> None:
    put(tmp_path / "secret.png")

    with pytest.raises(UnsafeName):
        folders.resolve(kind, name)


@pytest.mark.parametrize("kind", ["input", "output", "temp"])
def test_a_link_out_of_an_open_folder_is_refused(
    folders: Folders, tmp_path: Path, kind: str
) -> None:
    secret = put(tmp_path / "secret/s.png")
    root = tmp_path / kind
    inside = put(root / "inside.png")
    (root / "folder").symlink_to(secret.parent)
    (root / "file.png").symlink_to(secret)
    (root / "fine.png").symlink_to(inside)
    (root / "loop.png").symlink_to(root / "loop.png")

    for name in ("folder/s.png", "file.png"):
        with pytest.raises(UnsafeName, match=f"leads out of the {kind} folder"):
            folders.resolve(kind, name)
    assert folders.resolve(kind, "fine.png").samefile(inside)
    with pytest.raises(FileMissing):
        folders.resolve(kind, "loop.png")


def test_hidden_files_of_open_folders_are_not_there(folders: Folders, tmp_path: Path) -> None:
    put(tmp_path / "output/.git/config")
    put(tmp_path / "output/.a.png.reserved")

    for name in (".git/config", ".a.png.reserved"):
        with pytest.raises(FileMissing):
            folders.resolve("output", name)


def test_a_missing_file_is_reported_with_the_nearest_names_and_where_it_was_looked_for(
    folders: Folders, tmp_path: Path
) -> None:
    put(tmp_path / "models/checkpoints/sd15/v1-5-pruned.safetensors")
    put(tmp_path / "models/checkpoints/other.ckpt")

    with pytest.raises(FileMissing) as error:
        folders.resolve("checkpoints", "v1-5-pruned.ckpt")

    assert str(error.value) == (
        "'v1-5-pruned.ckpt' is not in checkpoints (looked in models/checkpoints, more/checkpoints)"
        "; nearest: 'sd15/v1-5-pruned.safetensors'"
    )
    assert str(tmp_path) not in str(error.value)
    assert str(tmp_path / "more/checkpoints") in error.value.__notes__[0]


def test_an_empty_kind_says_so(folders: Folders) -> None:
    with pytest.raises(FileMissing, match="there is none: put files there"):
        folders.resolve("loras", "a.safetensors")


def test_a_name_too_long_for_the_system_is_missing(folders: Folders) -> None:
    for kind in ("input", "checkpoints"):
        with pytest.raises(FileMissing):
            folders.resolve(kind, "a" * 5000 + ".png")


def test_an_unknown_kind_or_folder_is_named(folders: Folders) -> None:
    with pytest.raises(FileMissing, match="no kind of model 'checkpoint'; nearest: 'checkpoints'"):
        folders.list("checkpoint")
    with pytest.raises(FileMissing, match="expected input, output or temp"):
        folders.folder("models")


def test_the_kinds_are_named_once_each(folders: Folders) -> None:
    kinds = folders.model_kinds()

    assert {"checkpoints", "text_encoders", "diffusion_models", "embeddings"} <= set(kinds)
    assert "clip" not in kinds
    assert "unet" not in kinds
    assert list(kinds) == sorted(set(kinds))


def test_extra_folders_join_the_kinds_before_or_behind_the_others(tmp_path: Path) -> None:
    extra = (
        ExtraFolder("checkpoints", tmp_path / "late"),
        ExtraFolder("checkpoints", tmp_path / "early", first=True),
        ExtraFolder("clip", tmp_path / "texts"),
        ExtraFolder("ipadapter", tmp_path / "adapters"),
    )
    models = tmp_path / "models"
    folders = Folders((models,), tmp_path, tmp_path, tmp_path, extra=extra)
    put(tmp_path / "adapters/a.bin")
    put(tmp_path / "texts/t.bin")

    assert folders.roots("checkpoints") == (
        tmp_path / "early",
        models / "checkpoints",
        tmp_path / "late",
    )
    assert folders.list("text_encoders") == folders.list("clip") == ("t.bin",)
    assert folders.list("ipadapter") == ("a.bin",)
    assert "ipadapter" in folders.model_kinds()


def test_extra_model_paths_are_read_as_comfyui_writes_them(tmp_path: Path) -> None:
    file = put(
        tmp_path / "extra_model_paths.yaml",
        "comfyui:\n"
        "  base_path: /data/\n"
        "  is_default: true\n"
        "  checkpoints: models/checkpoints/\n"
        "  text_encoders: |\n"
        "    models/text_encoders/\n"
        "    models/clip/\n"
        "other:\n"
        "  loras: my/loras\n"
        "  vae: [a, /b]\n"
        "empty:\n",
    )

    assert read_model_paths(file) == (
        ExtraFolder("checkpoints", Path("/data/models/checkpoints"), first=True),
        ExtraFolder("text_encoders", Path("/data/models/text_encoders"), first=True),
        ExtraFolder("text_encoders", Path("/data/models/clip"), first=True),
        ExtraFolder("loras", tmp_path / "my/loras"),
        ExtraFolder("vae", tmp_path / "a"),
        ExtraFolder("vae", Path("/b")),
    )
    settings = Settings(extra_model_paths=file)
    assert Folders.of(settings).roots("loras") == (Path("models/loras"), tmp_path / "my/loras")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "expected a mapping"),
        ("a: b", "a is a mapping of kinds to folders, not 'b'"),
        ("a: {vae: 3}", "a.vae is a folder or a list, not 3"),
        ("a: [", "is not YAML"),
    ],
)
def test_extra_model_paths_of_another_form_are_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    file = put(tmp_path / "paths.yaml", text)

    with pytest.raises(SettingsError, match=message) as error:
        read_model_paths(file)
    assert str(file) in str(error.value)


def test_missing_extra_model_paths_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"paths.yaml cannot be read: No such file"):
        read_model_paths(tmp_path / "paths.yaml")


def test_no_extra_model_paths_are_none(tmp_path: Path) -> None:
    assert read_model_paths(put(tmp_path / "paths.yaml")) == ()


def test_settings_name_the_folders() -> None:
    settings = Settings(input=Path("in"), models=(Path("a"), Path("b")))

    folders = Folders.of(settings)

    assert (folders.models, folders.input) == ((Path("a"), Path("b")), Path("in"))
    assert (folders.folder("output"), folders.cache) == (Path("output"), Path("cache"))


def test_a_folder_that_does_not_exist_has_no_files(tmp_path: Path) -> None:
    assert files_under(tmp_path / "nowhere") == []
