"""`side_effects --audit --apply` and `--adopt`: what is written into source, what is left, and nothing half done."""

import textwrap
from pathlib import Path

import pytest

from sideeffects.listing.audit import Audit, writing
from tests.support.listed_project import listed_project, write_settings
from tests.support.projects import Project

SOURCE = '''
    """Calls of the shop."""
    from __future__ import annotations

    import contextlib
    import requests
    from django.core.mail import send_mail


    def notify(url):  # tells a partner
        requests.post(url)


    class Gateway:
        @staticmethod
        def ask(url):
            return requests.get(url)

        def __call__(self, url):
            return requests.get(url)

        @property
        def rate(self):
            return requests.get("https://example.com/rate")


    def made():
        def inner(url):
            requests.get(url)
        return inner


    def mail():
        send_mail("a", "b", "c", ["d"])


    if contextlib:
        def twice(): requests.get("a")
    else:
        def twice(): requests.get("b")
'''

#: Functions of which one is written, one is left with its name, and one is left for another.
HOOKS = """
    import functools

    import requests


    def notify(url):
        requests.post(url)


    @functools.cache
    def told(url):
        requests.post(url)


    class Hook:
        def __call__(self, url):
            requests.post(url)
"""


def edits(*files: Path) -> tuple[list[writing.Edit], dict[str, str]]:
    found = Audit({file.stem: file for file in files}, (), lambda number, count: None)
    made, left = writing.edits_of(found.found, found.digests)
    return made, {one.found.function: one.why for one in left}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    file = tmp_path / "shop.py"
    file.write_text(textwrap.dedent(SOURCE).lstrip().replace("\n", "\r\n"), newline="")
    return file


def test_only_what_is_certain_is_written(shop: Path) -> None:
    """Decorators and one import, each line's end as it was; the rest is left, with the reason."""
    [edit], left = edits(shop)
    added = [line[1:] for line in writing.diff_of([edit]).splitlines() if line.startswith("+") and line[1] != "+"]
    removed = [line for line in writing.diff_of([edit]).splitlines() if line.startswith("-") and line[1] != "-"]

    assert added == [
        "from sideeffects import side_effect",
        '@side_effect(name="shop.notify")',
        '    @side_effect(name="shop.Gateway.ask", reads=True)',
    ]
    assert removed == []
    assert left["Gateway.rate"] == (
        "it is decorated by @property: if that decides who may call it, or registers it somewhere, put "
        "@side_effect(...) right above def, below @property"
    )
    assert edit.after.count(b"\r\n") == edit.after.count(b"\n")
    assert {name: why.split()[0:4] for name, why in left.items()} == {
        "Gateway.__call__": ["__call__", "is", "called", "by"],
        "Gateway.rate": ["it", "is", "decorated", "by"],
        "made.inner": ["it", "is", "made", "anew"],
        "mail": ["it", "sends", "mail", "by"],
        "twice": ["its", "module", "has", "two"],
    }
    assert b"@staticmethod\r\n    @side_effect" in edit.after


def test_all_files_are_written_or_none(shop: Path) -> None:
    """One of them has changed since it was read: the other stays as it was."""
    other = shop.with_name("other.py")
    other.write_text("import requests\n\ndef get():\n    requests.get('x')\n")
    before = shop.read_bytes()
    both, _ = edits(shop, other)
    other.write_text("import requests\n")

    with pytest.raises(writing.WritingError, match=r"other\.py has changed since it was read; nothing was written"):
        writing.write(both)
    assert shop.read_bytes() == before
    assert sorted(path.name for path in shop.parent.iterdir()) == ["other.py", "shop.py"]

    both, _ = edits(shop, other)
    writing.write(both)
    assert b"@side_effect" in shop.read_bytes()
    assert edits(shop)[0] == []  # what is declared is not declared again


def test_a_name_that_is_taken_is_left(tmp_path: Path) -> None:
    """The import would change what the module means by it."""
    file = tmp_path / "own.py"
    file.write_text("import requests\nfrom unittest.mock import Mock as side_effect\n\ndef get(): requests.get('x')\n")
    made, left = edits(file)
    assert made == []
    assert left == {"get": "its module has a side_effect of its own"}


@pytest.mark.processes
def test_the_commands(tmp_path: Path) -> None:
    """A patch, the files, and the settings with which the tests go on as before."""
    project: Project = listed_project(tmp_path)
    project.write("shop/hooks.py", HOOKS)
    project.write("shop/mails.py", "from django.core.mail import send_mail\n\n\ndef thank():\n    send_mail()\n")
    command = ("manage.py", "side_effects", "--audit", "--apply")

    shown = project.run(*command)
    assert '+@side_effect(name="shop.hooks.notify")' in shown.stdout
    assert "1 to declare in 1 file, 3 left to you" in shown.stderr
    adopted = project.run("manage.py", "side_effects", "--adopt").stdout
    assert '"DECLARE": {"django.core.mail": "mail.send"},' in adopted
    assert '        "shop.hooks.notify",\n' in adopted
    assert '        # "shop.hooks.told",  # left to you: declare it and uncomment this line, or' in adopted
    assert "__call__" not in adopted
    assert "thank" not in adopted
    assert "1 declared in 1 file" in project.run(*command, "--write").stderr
    write_settings(project, adopted)
    project.run("manage.py", "check")  # it would refuse a name that nothing declares
    assert "side_effect(name=" in (project.root / "shop/hooks.py").read_text()
    assert "--write goes with --audit --apply" in project.run(*command[:3], "--write", code=2).stderr
    assert "--apply does not go with --check" in project.run(*command, "--check", code=2).stderr
