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
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CLASSIFIERS = PROJECT["classifiers"]
URLS = PROJECT["urls"]
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


def test_links_of_the_page_on_pypi_hold_anywhere(description: str) -> None:
    """PyPI shows README.md as it is, and has none of the repository's files: each link and picture is absolute."""
    assert description.strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()
    assert [link for link in LINK.findall(description) if not link.startswith("https://")] == []


def test_links_of_the_readme_lead_to_what_there_is(unpacked: Path) -> None:
    """To pages that the docs have, to pictures of the repository, and to its one workflow; badges apart."""
    readme = (unpacked / "README.md").read_text(encoding="utf-8")
    docs, source = URLS["Documentation"], URLS["Source"]
    files = source.replace("//github.com/", "//raw.githubusercontent.com/") + "/main/"
    pages = {link.removeprefix(docs) for link in LINK.findall(readme) if link.startswith(docs)}
    pictures = {link.removeprefix(files) for link in LINK.findall(readme) if link.startswith(files)}
    assert len(pages) > 10
    assert len(pictures) > 5
    named = [f"docs/{page.removesuffix('.html') or 'index'}.md" for page in pages] + [*pictures]
    assert [name for name in sorted(named) if not (unpacked / name).is_file()] == []
    others = {link for link in LINK.findall(readme) if not link.startswith((docs, files, "https://img.shields.io/"))}
    workflow = f"{source}/actions/workflows/ci.yml"
    assert others == {workflow, f"{workflow}/badge.svg"}
    assert (ROOT / ".github" / "workflows" / "ci.yml").is_file()


def test_the_addresses_of_the_project_are_one_name() -> None:
    """The pages of a repository on GitHub stand under its owner's name, which contributing.md tells to check."""
    owner, name = URLS["Source"].removeprefix("https://github.com/").split("/")
    assert URLS["Documentation"] == f"https://{owner}.github.io/{name}/"
    assert URLS["Changelog"] == f"{URLS['Documentation']}changelog.html"
    assert URLS["Issues"] == f"{URLS['Source']}/issues"
    assert f"`github.com/{owner}/{name}`" in (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")


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
