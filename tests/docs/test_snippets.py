"""The Python snippets of README.md and of every page under docs/ are run."""

import os
import subprocess
import sys
import types
from doctest import ELLIPSIS
from pathlib import Path

import pytest
from sybil import Document, Sybil
from sybil.parsers.myst import ClearNamespaceParser, PythonCodeBlockParser, SkipParser

from sideeffects.testing import isolated_registry

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
SNIPPETS = Sybil(
    parsers=[PythonCodeBlockParser(doctest_optionflags=ELLIPSIS), SkipParser(), ClearNamespaceParser()],
    path=str(ROOT),
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_snippets_of_a_page_run(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A page's snippets run in order, as one program; tests among them are run by pytest as well."""
    document = SNIPPETS.parse(page)
    program = types.ModuleType("snippets")
    document.namespace = program.__dict__
    monkeypatch.setitem(sys.modules, program.__name__, program)
    monkeypatch.chdir(tmp_path)

    with isolated_registry():
        for snippet in document:
            snippet.evaluate()

    if any(name.startswith(("test_", "Test")) for name in vars(program)):
        run_tests_shown_in(document, tmp_path / "test_page.py")


def run_tests_shown_in(document: Document, path: Path) -> None:
    """Write the page's snippets to `path`, each at the line where the page has it, and run pytest on them."""
    lines: list[str] = []
    skipped = ""
    for snippet in document:
        if isinstance(snippet.parsed, tuple):  # an instruction: skip the next one, or all from "start" to "end"
            skipped = snippet.parsed[0]
        elif skipped in ("next", "start"):
            skipped = "" if skipped == "next" else skipped
        elif isinstance(snippet.parsed, str):  # no doctest
            lines += [""] * (snippet.line - len(lines)) + snippet.parsed.splitlines()
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    kinds = (
        "pytest_asyncio.plugin",
        "pytest_django.plugin",
        "pytest_httpserver.pytest_plugin",
        "sideeffects.pytest_plugin",
    )
    plugins = [f"-p{name}" for name in kinds]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-pno:cacheprovider", *plugins, "-c", ROOT / "pyproject.toml", path],
        capture_output=True,
        text=True,
        check=False,
        cwd=path.parent,
        env={**os.environ, "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # the others cost 2 s a page
    )
    assert run.returncode == 0, f"The tests shown in {document.path} fail:\n{run.stdout}{run.stderr}"
