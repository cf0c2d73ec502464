"""The command line: run, validate, nodes, plugins, serve.

    app.py       commands; options.py their options and how values are read
    core.py      what it is built around: the core nodes, and a home folder
    session.py   one command from its settings to its exit code
    opening.py   an engine for a command, Ctrl-C for a run
    request.py   what is asked for, and what is wrong with that
    runs.py      a graph checked, and run once; grid.py: for each cell; verify.py: compared
    plugins.py   the plugins: plugin_table.py listed, plugin_settings.py enabled and disabled
    bars.py      a run as it goes; report.py: what came of it; listing.py: the node types
    complain.py  errors as a compiler prints them; pointing.py, looking.py: where

Nothing here imports torch, nor rich, before a command needs it.
"""

from .app import main
from .core import Core

__all__ = ["Core", "main"]
