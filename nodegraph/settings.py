"""The settings: one frozen dataclass, from a YAML file, the environment and the command line.

The later of these wins:

    the defaults below
    nodegraph.yaml     in the working folder, or the file that is given or NODEGRAPH_CONFIG names;
                       relative paths in it start at its own folder
    NODEGRAPH_DEVICE   and so on: the name of the setting in capitals; an empty one counts as unset
    --device           and so on: what the command line passes as `overrides`
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, get_type_hints

import yaml

from . import setting_values as read
from .errors import SettingsError

FILE = Path("nodegraph.yaml")
PREFIX = "NODEGRAPH_"
GIB = 1 << 30


@dataclass(frozen=True)
class Setting:
    """How a setting's value is read, and what it is."""

    read: read.Reader
    help: str


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. Sizes in bytes."""

    models: Annotated[
        tuple[Path, ...],
        Setting(read.paths, "folders with checkpoints, loras, vae ...; the first wins"),
    ] = (Path("models"),)
    extra_model_paths: Annotated[
        Path | None,
        Setting(read.optional_path, "a file in ComfyUI's extra_model_paths.yaml format"),
    ] = None
    input: Annotated[Path, Setting(read.path, "the folder that inputs are read from")] = Path(
        "input"
    )
    output: Annotated[Path, Setting(read.path, "the folder that results are written to")] = Path(
        "output"
    )
    temp: Annotated[Path, Setting(read.path, "the folder for previews")] = Path("temp")
    cache: Annotated[Path, Setting(read.path, "the folder for what can be made again")] = Path(
        "cache"
    )
    precision: Annotated[
        str, Setting(read.one_of("auto", "fp32", "bf16", "fp16"), "what models compute in")
    ] = "auto"
    device: Annotated[str, Setting(read.device, "auto, cpu, cuda or cuda:N")] = "auto"
    strict: Annotated[bool, Setting(read.truth, "refuse graphs that are merely doubtful")] = False
    memory_cache_bytes: Annotated[int, Setting(read.size, "results kept in memory")] = 2 * GIB
    disk_cache_bytes: Annotated[int, Setting(read.size, "results kept on disk; 0: none")] = 10 * GIB
    host_budget: Annotated[
        int | None,
        Setting(read.optional_size, "models in host memory; auto: a share of what is free"),
    ] = None
    device_budget: Annotated[
        int | None,
        Setting(read.optional_size, "models in each GPU's memory; auto: what is free"),
    ] = None
    max_nodes: Annotated[int, Setting(read.whole(1, 10**9), "nodes a graph may have")] = 100_000
    max_document_bytes: Annotated[int, Setting(read.size, "size of a graph document")] = 64 << 20
    io_workers: Annotated[int, Setting(read.whole(1, 256), "threads that decode and save")] = 2
    plugins: Annotated[tuple[Path, ...], Setting(read.paths, "folders with plugins")] = ()
    disabled_plugins: Annotated[
        tuple[str, ...], Setting(read.names, "plugins to leave out, by name")
    ] = ()
    enabled_plugins: Annotated[
        tuple[str, ...],
        Setting(read.names, "plugins to load though their manifest says `enabled: false`"),
    ] = ()
    plugin_permissions: Annotated[
        tuple[str, ...],
        Setting(read.permissions, "what plugins may do that declare it: {name: [network]}"),
    ] = ()
    debug: Annotated[bool, Setting(read.truth, "tell clients tracebacks and paths")] = False
    host: Annotated[str, Setting(read.text, "the address the server listens on")] = "127.0.0.1"
    port: Annotated[int, Setting(read.whole(0, 65535), "its port; 0: any free one")] = 8188
    state: Annotated[
        Path, Setting(read.path, "the folder of the server's journal and of its users' files")
    ] = Path("state")
    jobs: Annotated[int, Setting(read.whole(1, 64), "jobs that run at the same time")] = 1
    allow_ckpt: Annotated[
        bool, Setting(read.truth, "let loaders read PyTorch checkpoints: the weights, never code")
    ] = False
    max_queue: Annotated[int, Setting(read.whole(1, 10**6), "jobs that may wait")] = 10_000
    max_upload_bytes: Annotated[int, Setting(read.size, "size of an uploaded file")] = 100 << 20
    node_timeout: Annotated[
        float | None,
        Setting(
            read.optional_seconds,
            "seconds a node may run without any progress before its job is ended; none: any time",
        ),
    ] = 3600.0
    stop_grace: Annotated[
        float, Setting(read.seconds, "seconds a cancelled node has to stop before it is given up")
    ] = 30.0
    shutdown_seconds: Annotated[
        float, Setting(read.seconds, "seconds that running jobs have to finish when it is ended")
    ] = 10.0
    history_jobs: Annotated[
        int, Setting(read.whole(0, 10**9), "finished jobs that are remembered")
    ] = 10_000
    history_days: Annotated[
        float | None, Setting(read.optional_days, "days that they are remembered; none: for ever")
    ] = None
    history_bytes: Annotated[
        int, Setting(read.size, "size of all that is remembered of finished jobs")
    ] = GIB
    previews: Annotated[
        str,
        Setting(
            read.one_of("auto", "latent2rgb", "none"),
            "what clients that want previews get: auto decodes with small VAEs, else as latent2rgb",
        ),
    ] = "auto"
    preview_size: Annotated[
        int, Setting(read.whole(16, 2048), "the longer side of previews, in pixels")
    ] = 512
    token: Annotated[
        str | None,
        Setting(
            read.token, "what clients must know; by default only beyond loopback, and a random one"
        ),
    ] = field(default=None, repr=False)
    allowed_hosts: Annotated[
        tuple[str, ...], Setting(read.names, "names that the server may be called by")
    ] = ()
    allowed_origins: Annotated[
        tuple[str, ...], Setting(read.names, "other pages that may use it, as https://example.org")
    ] = ()
    public_url: Annotated[
        str | None, Setting(read.url, "where browsers reach it, if a proxy stands before it")
    ] = None

    @classmethod
    def load(
        cls,
        config: Path | None = None,
        env: Mapping[str, str] | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> Settings:
        """The settings of a run.

        config:    the YAML file; None: the one NODEGRAPH_CONFIG names, else nodegraph.yaml, if any.
        env:       environment variables.
        overrides: values by setting, those that are None count as not given.

        Raises SettingsError, which names the line, variable or flag, and what was expected.
        """
        env = dict(env or {})
        named = env.pop(f"{PREFIX}CONFIG", "")
        file = config or (Path(named) if named else None)
        values: dict[str, Any] = {}
        if file is not None or FILE.is_file():
            values.update(_from_file(file or FILE))
        values.update(_from_environment(env))
        for name, given in (overrides or {}).items():
            if given is not None:
                flag = "--" + name.replace("_", "-")
                values[name] = _value(_known(name, flag), given, flag)
        return cls(**values)


def _declared() -> dict[str, Setting]:
    hints = get_type_hints(Settings, include_extras=True)
    return {each.name: hints[each.name].__metadata__[0] for each in fields(Settings)}


SETTINGS: Mapping[str, Setting] = MappingProxyType(_declared())


def _from_file(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, given, line in _entries(path):
        where = f"{path}:{line}"
        value = _value(_known(name, where), given, where)
        if name in values:
            raise SettingsError(f"{where}: {name} is set a second time")
        values[name] = _placed(value, path.parent)
    return values


def _entries(path: Path) -> Iterable[tuple[str, Any, int]]:
    """(name, value, line) of every setting in a file."""
    try:
        loader = yaml.SafeLoader(path.read_text("utf-8"))
        root = loader.get_single_node()
        if root is None:
            return []
        if not isinstance(root, yaml.MappingNode):
            raise SettingsError(f"{path}:1: expected settings as `name: value`, one a line")
        return [
            (str(key.value), loader.construct_document(value), key.start_mark.line + 1)
            for key, value in root.value
        ]
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not text in UTF-8") from error
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SettingsError(f"{path}{line}: this is not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: this is not YAML: {error}") from error


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable, given in sorted(env.items()):
        if variable.startswith(PREFIX) and given != "":
            name = _known(variable.removeprefix(PREFIX).lower(), variable)
            values[name] = _value(name, given, variable)
    return values


def _known(name: str, where: str) -> str:
    if name in SETTINGS:
        return name
    near = difflib.get_close_matches(name.lower().replace("-", "_"), SETTINGS, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(SETTINGS)}"
    raise SettingsError(f"{where}: there is no setting {name!r}{hint}")


def _value(name: str, given: Any, where: str) -> Any:
    try:
        return SETTINGS[name].read(given)
    except read.Unspeakable as error:
        raise SettingsError(f"{where}: {name} is {error}") from None
    except ValueError as error:
        raise SettingsError(f"{where}: {name} is {error}, not {given!r}") from None


def _placed(value: Any, folder: Path) -> Any:
    """Paths of a file, as they are meant: relative to it."""
    if isinstance(value, Path):
        return folder / value
    if isinstance(value, tuple):
        return tuple(_placed(part, folder) for part in value)
    return value
