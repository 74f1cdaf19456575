"""The import of `side_effect` in one file: one that is there is used, and a new one stands where isort wants it.

isort's default profile and ruff's rules `I` agree: the standard library, other people's packages, the project's own,
relative imports; among other people's packages `import x` before `from x import y`, by module.
"""

from __future__ import annotations

import ast
import enum
import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_PACKAGE: Final = "sideeffects"
NAME: Final = "side_effect"
#: What stands behind a name that has a line for itself.
_REST_OF_LINE: Final = re.compile(r"\s*(,?)\s*(#.*)?")

_Import = ast.Import | ast.ImportFrom


class _Section(enum.Enum):
    """Where a module comes from, as seen from ours, which is one of other people's packages."""

    ABOVE = "the standard library"
    OURS = "other people's packages"
    BELOW = "the project"


class Importing:
    """How a file comes by the decorator.

    Attributes:
        name: what the decorator is called in the file.
    """

    def __init__(self, before: bytes, *, module: str, path: Path, line: int) -> None:
        """Look at the imports.

        Args:
            before: the file, without the decorators that it is to get.
            module: the name of the file's module.
            path: the file.
            line: of the first function to declare, above which the import has to be.
        """
        body = ast.parse(before).body
        has_docstring = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
        self._end_of_docstring = body[0].end_lineno or 0 if has_docstring else 0
        self._body = body[has_docstring:]
        self._imports = [one for one in self._body if isinstance(one, _Import) and one.lineno < line]
        self._top_level = module.partition(".")[0]
        self._root = path.parents[module.count(".") + (path.name == "__init__.py")]
        imported = self._name_that_is_imported()
        self._is_imported = bool(imported)
        self.name = imported or NAME

    def written_into(self, text: str) -> str:
        """The file with the import.

        Args:
            text: the file, with its decorators.
        """
        if self._is_imported:
            return text
        lines = list(io.StringIO(text, newline=""))  # `splitlines` would see more ends of lines than Python does
        newline = "\r\n" if lines[0].endswith("\r\n") else "\n"
        extended = next(filter(_can_be_extended, self._imports), None)
        if extended is not None:
            _extend(lines, extended.names, newline)
        else:
            self._insert(lines, newline)
        return "".join(lines)

    def _name_that_is_imported(self) -> str:
        for statement in self._imports:
            for alias in statement.names:
                if isinstance(statement, ast.Import) and alias.name == _PACKAGE:
                    return f"{alias.asname or alias.name}.{NAME}"
                if _is_from_ours(statement) and alias.name in (NAME, "*"):
                    return alias.asname or NAME
        return ""

    def _insert(self, lines: list[str], newline: str) -> None:
        """A line of its own, and a section of its own unless there is one of other people's packages."""
        written = [f"from {_PACKAGE} import {NAME}{newline}"]
        block = self._top_block()
        if not block:
            self._insert_first(lines, written, newline)
            return
        count = self._count_above(block)
        previous = self._section(block[count - 1]) if count else None
        following = self._section(block[count]) if count < len(block) else None
        if following is _Section.OURS and previous is not _Section.OURS:
            at = block[count].lineno - 1  # below a comment, which heads the section
        else:
            at = (block[count - 1].end_lineno or 0) if count else self._above_comments(lines, block[0])
            written[:0] = [newline] if previous is _Section.ABOVE else []
            written += [newline] if following is _Section.BELOW and lines[at].strip() else []
        lines[at:at] = written

    def _insert_first(self, lines: list[str], written: list[str], newline: str) -> None:
        """Below the docstring or the comments at the top, with the empty lines that code wants below imports."""
        at = self._end_of_docstring or next(at for at, line in enumerate(lines) if not line.startswith("#"))
        wanted = 2 if isinstance(self._body[0], ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else 1
        there = next(count for count, line in enumerate(lines[at:]) if line.strip())
        lines[at:at] = [*([newline] if at else []), *written, *[newline] * (wanted - there)]

    def _count_above(self, block: Sequence[_Import]) -> int:
        """How many imports of the block stand above ours."""
        above = [one for one in block if self._stands_above(one)]
        if above == block[: len(above)]:
            return len(above)
        # The file has an order of its own: below the last of other people's packages, or else of the standard library.
        theirs = [one for one in block if self._section(one) is _Section.OURS]
        return 1 + block.index((theirs or above)[-1])

    def _top_block(self) -> list[_Import]:
        """The last imports before the file's code; names such as `__all__` are no code, and `if` and `try` are."""
        blocks: list[list[_Import]] = [[]]
        for statement in self._body:
            if isinstance(statement, _Import):
                blocks[-1].append(statement)
            elif isinstance(statement, ast.Assign) and re.match(r"__\w+__ = ", ast.unparse(statement)):
                blocks.append([])
            else:
                break
        return next(filter(None, reversed(blocks)), [])

    def _above_comments(self, lines: Sequence[str], first: _Import) -> int:
        """Above what is said of the first import. Comments at the top of the file are about the file."""
        at = first.lineno - 1
        while at > self._end_of_docstring and lines[at - 1].startswith("#"):
            at -= 1
        return at or first.lineno - 1

    def _stands_above(self, statement: _Import) -> bool:
        """Whether isort has it before ours."""
        section = self._section(statement)
        if section is not _Section.OURS or isinstance(statement, ast.Import):
            return section is not _Section.BELOW
        return ((statement.module or "").lower(), statement.names[0].name) < (_PACKAGE, NAME)

    def _section(self, statement: _Import) -> _Section:
        if isinstance(statement, ast.ImportFrom) and statement.level:
            return _Section.BELOW
        module = statement.module if isinstance(statement, ast.ImportFrom) else statement.names[0].name
        name = (module or "").partition(".")[0]
        if name in sys.stdlib_module_names:
            return _Section.ABOVE
        beside = self._root / name
        is_own = name == self._top_level or beside.is_dir() or beside.with_suffix(".py").is_file()
        return _Section.BELOW if is_own else _Section.OURS


def _is_from_ours(statement: _Import) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == _PACKAGE and not statement.level


def _can_be_extended(statement: _Import) -> bool:
    """Whether it imports names from ours; isort keeps those that are renamed apart."""
    return _is_from_ours(statement) and any(alias.asname is None for alias in statement.names)


def _extend(lines: list[str], names: Sequence[ast.alias], newline: str) -> None:
    """Put the name among those that are imported already: constants, classes and the others, each by the alphabet."""
    previous = [alias for alias in names if alias.name[0].isupper() or alias.name < NAME][-1:]
    alias = (previous or names)[0]
    at = alias.lineno - 1
    indent, name, rest = _cut(lines[at], alias.col_offset, alias.end_col_offset or 0)
    alone = _REST_OF_LINE.fullmatch(rest.rstrip("\r\n")) if indent.isspace() else None
    if not previous:
        lines[at] = f"{indent}{NAME},{newline + indent if alone else ' '}{name}{rest}"
    elif not alone:
        lines[at] = f"{indent}{name}, {NAME}{rest}"
    else:  # what is said of the name above stays on its line
        lines[at : at + 1] = [f"{indent}{name},{rest.removeprefix(',')}", f"{indent}{NAME}{alone[1]}{newline}"]


def _cut(line: str, start: int, end: int) -> tuple[str, str, str]:
    return line[:start], line[start:end], line[end:]
