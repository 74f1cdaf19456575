"""Files of SQLite's databases in a dry run: what goes past SQLite is refused, whichever function does it."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from sideeffects import dry_run
from sideeffects.dryrun import DryRunRefused
from tests.support.database import Database


@pytest.fixture
def file(database: Database) -> Path:
    """The database's file."""
    if database.is_postgres:
        pytest.skip("about SQLite")
    return Path(database.given["NAME"])


def _truncate_open(file: Path) -> None:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _remove_in_folder(file: Path) -> None:
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.unlink(file.name, dir_fd=folder)
    finally:
        os.close(folder)


def _by_link(file: Path) -> None:
    link = file.with_name("link")
    link.symlink_to(file)
    link.write_bytes(b"")


def _by_hard_link(file: Path) -> None:
    link = file.with_name("hard")
    os.link(file, link)
    link.write_bytes(b"")


def _from_elsewhere(file: Path) -> None:
    before = Path.cwd()
    os.chdir(file.parent)
    try:
        Path(file.name).unlink()
    finally:
        os.chdir(before)


def _copied_over(file: Path) -> None:
    shutil.copyfile(__file__, file)


def _moved_over(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(b"")
    shutil.move(other, file)


WAYS: dict[str, Callable[[Path], object]] = {
    "unlink": os.unlink,
    "remove": os.remove,
    "pathlib": Path.unlink,
    "open": lambda file: open(file, "w"),  # noqa: SIM115 - it is not opened
    "open for appending": lambda file: file.open("ab"),
    "open for updating": lambda file: open(str(file).encode(), "r+b"),  # noqa: SIM115 - as above
    "os.open": lambda file: os.open(file, os.O_RDWR),
    "write_bytes": lambda file: file.write_bytes(b""),
    "truncate": lambda file: os.truncate(file, 0),
    "ftruncate": _truncate_open,
    "rename": lambda file: file.rename(file.with_name("gone")),
    "replace": lambda file: os.replace(file, file.with_name("gone")),
    "shutil.move": lambda file: shutil.move(file, file.with_name("gone")),
    "moved over": _moved_over,
    "copied over": _copied_over,
    "rmtree of its folder": lambda file: shutil.rmtree(file.parent),
    "renamed folder": lambda file: file.parent.rename(file.parent.with_name("gone")),
    "dir_fd": _remove_in_folder,
    "a link": _by_link,
    "a hard link": _by_hard_link,
    "a relative path": _from_elsewhere,
    "chmod": lambda file: file.chmod(0),
    "the file beside it": lambda file: file.with_name(f"{file.name}-wal").write_bytes(b""),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_database_loses_nothing(database: Database, file: Path, way: str) -> None:
    """The function gets the refusal; who swallows it is told at the end."""
    with pytest.raises(DryRunRefused, match="the file of the database 'dry'"), dry_run() as plan:
        database.insert("gone")
        with contextlib.suppress(DryRunRefused):
            WAYS[way](file)
    assert len(plan.refusals) == 1
    assert f"({__file__}:" in plan.refusals[0]
    assert database.committed() == ["kept"]


def test_reading_and_other_files_are_fine(database: Database, file: Path) -> None:
    """A command that copies the database, or writes elsewhere beside it."""
    with dry_run() as plan:
        database.insert("gone")
        shutil.copyfile(file, file.with_name("copy"))
        file.with_name("report").write_text("written")
        file.with_name("report").unlink()
    assert plan.refusals == ()


def test_a_file_that_is_replaced_unseen_is_not_said_to_be_kept(database: Database, file: Path) -> None:
    """By an extension that is written in C, say: Python tells nothing of it."""
    import ctypes

    with pytest.raises(DryRunRefused, match="was replaced or deleted"), dry_run() as plan:
        database.names()
        ctypes.CDLL(None).unlink(os.fsencode(file))
    assert not plan.is_certain
    database.connection.close()
    with sqlite3.connect(file) as made:  # what the fixture looks at
        made.execute("CREATE TABLE rows (id integer PRIMARY KEY, name varchar(40))")
    made.close()
