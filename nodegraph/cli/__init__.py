"""The command line: run, validate, nodes.

    app.py      commands and options
    running.py  one run: bars, table, JSON
    grid.py     the product of values; verify.py a picture made again and compared
    complain.py errors as a compiler prints them, with the line of the file
"""

from .app import Core, main

__all__ = ["Core", "main"]
