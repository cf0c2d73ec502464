"""Takes the built page along: web/dist becomes nodegraph/_web. All else is in pyproject.toml."""

from pathlib import Path
from shutil import copytree

from setuptools import setup
from setuptools.command.build_py import build_py

PAGE = Path(__file__).parent / "web" / "dist"


class WithPage(build_py):
    """Modules and the page; an editable install finds the page where it is."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            copytree(PAGE, Path(self.build_lib) / "nodegraph" / "_web", dirs_exist_ok=True)


setup(cmdclass={"build_py": WithPage})
