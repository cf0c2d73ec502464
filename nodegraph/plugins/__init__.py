"""Plugins: found by manifest, imported only when loaded, registered whole or not at all.

A plugin is a folder with a plugin.yaml:

    name: film_grain
    version: "1.2"                        # quoted: YAML reads 1.10 as the number 1.1
    description: Grain and halation.
    modules: [grain, halation]            # files beside the manifest, without .py
    requires: ["scipy>=1.11,<2"]          # Python packages; nothing is installed for them
    nodegraph: ">=0.1"
    nodes: [FilmGrain, Halation]          # checked against what it registers
    touches: [network]                    # then it is loaded only if the settings permit it
    aliases: {OldGrain: FilmGrain}        # other names of nodes
    web: [grain.js]                       # scripts in its folder web that the page imports
    enabled: true

    manifest.py      what it says of itself; reading.py: read, each mistake named
    finding.py       folders, and installed packages
    requirements.py  versions, packages, permission
    code.py          all its files as one hash, part of the keys of its nodes
    importing.py     its modules in sys.modules
    loading.py       all of that, and what became of each
    template.py      a new one to start from; its texts are in start/

What a module may offer is the registry's business.
"""

from .finding import find
from .loading import Choice, Plugin, State, load, load_all, load_plugin, load_plugins
from .manifest import CAPABILITIES, MANIFEST, Listed, Manifest
from .reading import read_manifest

__all__ = [
    "CAPABILITIES",
    "MANIFEST",
    "Choice",
    "Listed",
    "Manifest",
    "Plugin",
    "State",
    "find",
    "load",
    "load_all",
    "load_plugin",
    "load_plugins",
    "read_manifest",
]
