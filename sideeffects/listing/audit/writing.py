"""Writing `@side_effect` above functions that the audit has found: where it is certain, and into all files or none."""

from __future__ import annotations

import contextlib
import difflib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sideeffects.listing.audit.undeclared import UndeclaredFunction, digest_of

if TYPE_CHECKING:
    from sideeffects.listing.audit.decorating import Left


class WritingError(Exception):
    """Nothing was written, for the reason that it gives."""


class Edit(NamedTuple):
    """What a file is to become.

    Attributes:
        path: the file.
        before: what it holds.
        after: what it will hold.
        written: the functions that are declared in it.
    """

    path: Path
    before: bytes
    after: bytes
    written: tuple[UndeclaredFunction, ...]


def edits_of(found: Iterable[UndeclaredFunction], digests: Mapping[Path, bytes]) -> tuple[list[Edit], list[Left]]:
    """What would be written, and what is left to a human.

    Args:
        found: the functions.
        digests: what the files held when the functions were found.

    Raises:
        WritingError: libcst is not installed, or a file has changed since.
    """
    try:
        from sideeffects.listing.audit.decorating import edited
    except ImportError:
        raise WritingError('--apply needs libcst to write source: pip install "sideeffects[audit]"') from None
    by_path: dict[Path, list[UndeclaredFunction]] = {}
    for one in found:
        by_path.setdefault(one.path, []).append(one)
    edits: list[Edit] = []
    left: list[Left] = []
    for path, functions in by_path.items():
        before = _unchanged(path, digests[path])
        after, written, remaining = edited(before, functions)
        left += remaining
        if written:
            edits.append(Edit(path, before, after, tuple(written)))
    return edits, left


def diff_of(edits: Iterable[Edit]) -> str:
    """The edits as a patch."""
    lines: list[str] = []
    for edit in edits:
        name = os.path.relpath(edit.path).replace(os.sep, "/")
        before, after = (text.decode("utf-8", "replace").splitlines() for text in (edit.before, edit.after))
        lines += difflib.unified_diff(before, after, f"a/{name}", f"b/{name}", lineterm="")
    return "\n".join(lines)


def write(edits: Sequence[Edit]) -> None:
    """Write all files, or none.

    Raises:
        WritingError: a file has changed meanwhile, or cannot be written.
    """
    beside = [Path(f"{os.path.realpath(edit.path)}.{os.getpid()}.tmp") for edit in edits]
    replaced: list[Edit] = []
    try:
        for edit, temporary in zip(edits, beside, strict=True):
            temporary.write_bytes(edit.after)
            shutil.copymode(edit.path, temporary)
        for edit in edits:
            _unchanged(edit.path, digest_of(edit.before))
        for edit, temporary in zip(edits, beside, strict=True):
            temporary.replace(os.path.realpath(edit.path))
            replaced.append(edit)
    except OSError as error:
        for edit in replaced:
            edit.path.write_bytes(edit.before)
        raise WritingError(f"{error}; nothing was written") from error
    finally:
        for temporary in beside:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()


def _unchanged(path: Path, digest: bytes) -> bytes:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise WritingError(f"{error}; nothing was written") from error
    if digest_of(text) != digest:
        raise WritingError(f"{path} has changed since it was read; nothing was written. Run the command again")
    return text
