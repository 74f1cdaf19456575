"""The messages of the package, read off its source, for the page on troubleshooting by message.

The page names modules, and functions or classes in them; the directive `messages` lists the sentences that stand there.
So the page shows each message as it is, and a test finds those that no part of the page is about.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parent.parent / "sideeffects"
#: What stands for a value in a message.
VALUE: Final = "…"
#: Modules and folders whose sentences are no errors and no findings, and what they are.
NOT_MESSAGES: Final = {
    "_core/policy/policy.py": "the reasons of decisions, which `explain` gives",
    "_core/state/test_run.py": "what has made a process a test run",
    "_core/state/latch.py": "the same",
    "_core/values/sensitive_names.py": "lists of names",
    "dryrun/formats.py": "the plan",
    "listing/audit/following.py": "lists of names",
    "listing/audit/known_apis.py": "lists of names",
    "management/adopting.py": "what the command has done",
    "outbox/models.py": "labels of the admin",
    "outbox/pages": "pages of the admin",
    "probes/reports": "reports",
    "project/discovery/module.py": "lists of names",
    "testing/exploring/statements.py": "words of SQL",
    "testing/exploring/timeline.py": "a report",
}
#: What is shorter is no sentence: words, and words with values.
_FEWEST_WORDS: Final = 3
_FEWEST_PARTS: Final = 5
#: What has more words and no punctuation is a list of words.
_MOST_WITHOUT_STOPS: Final = 25
_HELP: Final = {"help", "epilog", "description", "help_text", "verbose_name", "short_description"}
_NO_SENTENCE: Final = re.compile(
    r"\\[bsw]|\(\?|</|/>|\b(?:SELECT|UPDATE|INSERT|DELETE|CREATE|SAVEPOINT|ISOLATION)\b|^\s*--|default:|Content-Security"
    r"|^import "
)
_SMALL_WORDS: Final = frozenset(
    "a all and any are at be been by can cannot could did does for from had has have if in into is it its may must no "
    "none not of on only or so than that the them there they this to was were what which while who with would".split()
)


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence in the source.

    Attributes:
        file: its module, relative to the package.
        where: the class and function that it stands in, such as `StubMismatch.__str__`; empty at the top of a module.
        line: where it begins.
        text: the sentence, with an ellipsis for each value.
    """

    file: str
    where: str
    line: int
    text: str

    def is_named_by(self, named: str) -> bool:
        """Whether its folder (`guard/`), its module, or a class or function (`errors.py:StubMismatch`) is named."""
        file, _, inside = named.partition(":")
        if file.endswith("/"):
            return self.file.startswith(file)
        return file == self.file and (not inside or f"{self.where}.".startswith(f"{inside}."))


@cache
def collect() -> list[Message]:
    """All messages, in the order of modules and lines."""
    found: list[Message] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        file = path.relative_to(PACKAGE).as_posix()
        if not any(file == left_out or file.startswith(f"{left_out}/") for left_out in NOT_MESSAGES):
            found += _Reader(file).read(path)
    return found


def by_name(page: str) -> dict[str, list[Message]]:
    """The messages that each name in the directives of a page stands for.

    A message belongs to the longest name that names it.

    Args:
        page: the text of the page. What none of its names stand for is under the empty name.
    """
    names = [named for line in re.findall(r"^```\{messages\} (.+)$", page, re.MULTILINE) for named in line.split()]
    found: dict[str, list[Message]] = {named: [] for named in ["", *names]}
    for message in collect():
        found[max((named for named in names if message.is_named_by(named)), key=len, default="")].append(message)
    return found


class _Reader:
    """Reads the sentences of one module."""

    def __init__(self, file: str) -> None:
        self.file = file

    def read(self, path: Path) -> Iterator[Message]:
        yield from self._below(ast.parse(path.read_text(encoding="utf-8")), "")

    def _below(self, node: ast.AST, where: str) -> Iterator[Message]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue  # a docstring
            if isinstance(child, ast.keyword) and child.arg in _HELP:
                continue
            if isinstance(child, ast.Assign) and any(ast.unparse(to) in _HELP for to in child.targets):
                continue
            text = _text_of(child)
            if text is None:
                inside = getattr(child, "name", "") if isinstance(child, _SCOPES) else ""
                yield from self._below(child, ".".join(filter(None, (where, inside))))
            elif _is_sentence(text):
                yield Message(self.file, where, getattr(child, "lineno", 0), " ".join(text.split()))


_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _text_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else VALUE for part in node.values)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%[rsd]|\{![rs]\}|\{\}", VALUE, node.value)
    return None


def _is_sentence(text: str) -> bool:
    words = re.findall(r"[A-Za-z']+", text)
    if "examples:" in text or (len(words) > _MOST_WITHOUT_STOPS and not re.search(r"[.,:;]", text)):
        return False  # the help of a command; a list of words
    return (
        len(words) >= _FEWEST_WORDS
        and len(text.split()) >= _FEWEST_PARTS
        and not text.startswith(("<", VALUE + " object"))
        and not _NO_SENTENCE.search(text)
        and not _SMALL_WORDS.isdisjoint(words)
    )
