"""Takes the built page and the example workflows along: web/dist becomes nodegraph/_web, the graphs
of workflows/, their pictures and the README that lists them become nodegraph/_workflows. All else
is in pyproject.toml."""

from pathlib import Path
from shutil import copytree, ignore_patterns

from setuptools import setup
from setuptools.command.build_py import build_py

HOME = Path(__file__).parent


class WithPage(build_py):
    """Modules and the page; an editable install finds the page where it is."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            package = Path(self.build_lib) / "nodegraph"
            copytree(HOME / "web" / "dist", package / "_web", dirs_exist_ok=True)
            others = ignore_patterns("*.py", "__pycache__")
            copytree(HOME / "workflows", package / "_workflows", ignore=others, dirs_exist_ok=True)


setup(cmdclass={"build_py": WithPage})
