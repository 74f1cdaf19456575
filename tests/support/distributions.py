"""What is published: the sdist of this tree, and the wheel that is built from it."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.support.projects import ROOT


class Built(NamedTuple):
    """Both files."""

    sdist: Path
    wheel: Path


def build(folder: Path) -> Built:
    """Build both into a folder, with the backend that is installed here."""
    finished = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return Built(sdist, wheel)
