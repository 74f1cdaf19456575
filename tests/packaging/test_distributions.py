"""The files that go to PyPI: its checker, the page that it makes of README.md, and the sdist used by itself."""

import email
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.support.distributions import Built
from tests.support.projects import ROOT, clean_environment

pytestmark = pytest.mark.once
CLASSIFIERS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["classifiers"]
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def description(built: Built) -> str:
    """What PyPI shows of the package."""
    archive = zipfile.ZipFile(built.wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    return str(email.message_from_bytes(archive.read(name)).get_payload(decode=True), "utf-8")


@pytest.fixture(scope="module")
def unpacked(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the sdist unpacks to."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(built.sdist) as archive:
        archive.extractall(folder, filter="data")
    (tree,) = folder.iterdir()
    return tree


def test_pypi_takes_both(built: Built) -> None:
    """`twine check --strict` has nothing to say, warnings included."""
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", built.sdist, built.wheel],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=clean_environment() | {"NO_COLOR": "1"},
    )
    assert (checked.returncode, checked.stdout.count("PASSED")) == (0, 2), checked.stdout + checked.stderr


def test_the_page_on_pypi_leads_nowhere_that_is_not_there(description: str) -> None:
    """Links of README.md into the repository have become words, the others are absolute, and nothing else is lost."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [link for link in LINK.findall(description) if not link.startswith("https://")] == []
    headings = re.findall(r"^#+ .+$", readme, re.MULTILINE)
    assert re.findall(r"^#+ .+$", description, re.MULTILINE) == [
        heading for heading in headings if heading != "## What you see"
    ]
    assert "Fault sweeps |" in description
    assert description.count("```") == readme.count("```")


def test_links_of_the_readme_lead_to_files_that_the_sdist_has(unpacked: Path) -> None:
    """Pictures included. Only the badge of CI leads out of the repository, to where its host shows its runs."""
    readme = (unpacked / "README.md").read_text(encoding="utf-8")
    inside = {link for link in LINK.findall(readme) if not link.startswith(("https://", "../../actions/"))}
    assert len(inside) > 10
    assert [link for link in sorted(inside) if not (unpacked / link).is_file()] == []


@pytest.mark.parametrize(("badge", "prefix"), [("Python", "Programming Language :: Python :: 3."), ("Django", "")])
def test_badges_say_what_the_classifiers_say(badge: str, prefix: str) -> None:
    """The versions in the address, and in the words for those who do not see the picture."""
    prefix = prefix or f"Framework :: {badge} :: "
    versions = [name.rpartition(" ")[2] for name in CLASSIFIERS if name.startswith(prefix)]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"![{badge} {', '.join(versions)}]" in readme
    assert f"/{badge}-{'_%7C_'.join(versions)}-" in readme


def test_the_sdist_has_what_its_makefile_needs(unpacked: Path) -> None:
    """Every target knows what it would do, the files that it names are there, and a part of the suite runs."""
    makefile = (unpacked / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE)
    assert {"test", "demo", "lint", "docs", "matrix", "bench", "pictures"} <= set(targets)
    shown = subprocess.run(
        ["make", "--dry-run", *targets], cwd=unpacked, capture_output=True, text=True, timeout=60, check=False
    )
    assert shown.returncode == 0, shown.stderr
    named = set(re.findall(r"(?<![\w/.-])(?:\.ci|docs|tests)/[\w./]+", makefile))
    assert {".ci/run", ".ci/matrix", "docs/demo/run.py", "tests/bench/run.py"} <= named
    assert [name for name in sorted(named) if "_build" not in name and not (unpacked / name).exists()] == []

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/core/test_errors.py"],
        cwd=unpacked,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=clean_environment() | {"PYTHONPATH": str(unpacked)},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
