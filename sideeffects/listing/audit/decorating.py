# ruff: noqa: N802, ARG002 - libcst finds the methods of a visitor by such names, and gives them two nodes
"""Putting `@side_effect` right above functions of one file, and the import at its top."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import libcst
import libcst.matchers as m

from sideeffects.listing.audit.importing import NAME, Importing
from sideeffects.listing.audit.outside_apis import sends_mail
from sideeffects.listing.audit.undeclared import UndeclaredFunction

_PLAIN_DECORATORS: Final = frozenset(("staticmethod", "classmethod"))
_CAN_BE_SAID: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z")


class Left(NamedTuple):
    """A function that is left to a human.

    Attributes:
        found: the function.
        why: the reason.
        has_its_name: whether the effect has the function's name when that human declares it. Otherwise something else
            is to be declared.
    """

    found: UndeclaredFunction
    why: str
    has_its_name: bool = True


def edited(
    before: bytes, functions: Sequence[UndeclaredFunction]
) -> tuple[bytes, list[UndeclaredFunction], list[Left]]:
    """A file with the decorators, the functions that got one, and those that are left."""
    left = [Left(one, why, has_its_name=False) for one in functions if (why := _unfit(one))]
    wanted = {one.function: one for one in functions if not _unfit(one)}
    if not wanted:
        return before, [], left
    tree = libcst.parse_module(before)
    own = _own_name(tree)
    if own:
        return before, [], [*left, *(Left(one, own) for one in wanted.values())]
    first = min(wanted.values(), key=lambda one: one.line)
    importing = Importing(before, module=first.module, path=first.path, line=first.line)
    decorating = _Decorating(wanted, _doubles(before), importing.name)
    after = tree.visit(decorating)
    left += decorating.left
    if not decorating.written:
        return before, [], left
    return importing.written_into(after.code).encode(after.encoding), decorating.written, left


def _unfit(found: UndeclaredFunction) -> str:
    """Why a machine should not declare a function; empty where it may."""
    if not found.function:
        return "importing the module calls this: move it into a function, and declare that"
    if all(sends_mail(call.api) for call in found.calls):
        return "it sends mail by Django, all of which the settings declare at once (see --adopt)"
    last = found.function.rpartition(".")[2]
    if last.startswith("__") and last.endswith("__"):
        return f"{last} is called by Python itself: declare a method that it calls"
    if not _CAN_BE_SAID.match(found.effect_name):
        return "the function's name cannot be the name of an effect: give the effect another name"
    return ""


def _doubles(text: bytes) -> set[str]:
    """Functions that a module has more than once, such as in both halves of an `if`."""
    counted = Counter(_functions_in(ast.parse(text), ""))
    return {name for name, times in counted.items() if times > 1}


def _functions_in(node: ast.AST, prefix: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{child.name}"
        else:
            yield from _functions_in(child, f"{prefix}{child.name}." if isinstance(child, ast.ClassDef) else prefix)


def _own_name(tree: libcst.Module) -> str:
    """Why the decorator cannot be imported under its name; empty where it can."""
    is_other = m.OneOf(
        m.FunctionDef(name=m.Name(NAME)),
        m.ClassDef(name=m.Name(NAME)),
        m.AssignTarget(target=m.Name(NAME)),
        m.Param(name=m.Name(NAME)),
        m.AsName(name=m.Name(NAME)),
    )
    if m.findall(tree, is_other):
        return f"its module has a {NAME} of its own"
    for found in m.findall(tree, m.ImportFrom()):
        assert isinstance(found, libcst.ImportFrom)  # noqa: S101 - for the type checker
        is_ours = found.module is not None and libcst.Module([]).code_for_node(found.module) == "sideeffects"
        if not is_ours and m.matches(
            found, m.ImportFrom(names=[m.ZeroOrMore(), m.ImportAlias(m.Name(NAME)), m.ZeroOrMore()])
        ):
            return f"its module imports another {NAME}"
    return ""


class _Decorating(libcst.CSTTransformer):
    """Puts the decorators there.

    Attributes:
        written: the functions that got one.
        left: those that did not.
    """

    def __init__(self, wanted: Mapping[str, UndeclaredFunction], doubles: Collection[str], decorator: str) -> None:
        super().__init__()
        self._decorator = decorator
        self._wanted = wanted
        self._doubles = doubles
        self.written: list[UndeclaredFunction] = []
        self.left: list[Left] = []
        self._around: list[str] = []

    def visit_ClassDef(self, node: libcst.ClassDef) -> None:
        self._around.append(node.name.value)

    def leave_ClassDef(self, original_node: libcst.ClassDef, updated_node: libcst.ClassDef) -> libcst.ClassDef:
        self._around.pop()
        return updated_node

    def visit_FunctionDef(self, node: libcst.FunctionDef) -> None:
        self._around += [node.name.value, ""]

    def leave_FunctionDef(
        self, original_node: libcst.FunctionDef, updated_node: libcst.FunctionDef
    ) -> libcst.FunctionDef:
        self._around.pop()
        name = ".".join(filter(None, self._around))
        is_nested = "" in self._around
        self._around.pop()
        found = self._wanted.get(name)
        if found is None:
            return updated_node
        why = self._why_not(name, original_node, is_nested=is_nested)
        if why:
            self.left.append(Left(found, why, has_its_name=not is_nested))
            return updated_node
        self.written.append(found)
        written = libcst.parse_expression(self._decorator + found.decorator.removeprefix(NAME))
        return updated_node.with_changes(decorators=[*updated_node.decorators, libcst.Decorator(written)])

    def _why_not(self, name: str, node: libcst.FunctionDef, *, is_nested: bool) -> str:
        if is_nested:
            return "it is made anew at each call of the function around it: declare the outer one, or move this one out"
        if name in self._doubles:
            return "its module has two functions of that name"
        code = [libcst.Module([]).code_for_node(one.decorator) for one in node.decorators]
        others = [one for one in code if one not in _PLAIN_DECORATORS]
        if not others:
            return ""
        other = others[0].partition("(")[0]
        return (
            f"it is decorated by @{other}: if that decides who may call it, or registers it somewhere, put "
            f"@side_effect(...) right above def, below @{other}"
        )
