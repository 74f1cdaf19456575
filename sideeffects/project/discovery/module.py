"""What the source of one module says: what it imports, what it mentions while it is imported, and what later.

Reading is one walk over the tree. It is written for speed: a project has thousands of modules, and somebody waits.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias, cast

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

#: Fields of nodes that hold no nodes, or only such as say nothing here.
_IDLE_FIELDS: Final = frozenset(
    "arg asname attr conversion ctx id is_async kind kwd_attrs level lineno module name op ops rest simple tag "
    "type_comment type_ignores".split()
)
_IDLE_NODES: Final = frozenset((ast.Constant, ast.Global, ast.Nonlocal, ast.Pass, ast.MatchSingleton))
_FIELDS: Final[dict[type[ast.AST], tuple[str, ...]]] = {
    kind: tuple(field for field in kind._fields if field not in _IDLE_FIELDS)
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST) and kind not in _IDLE_NODES
}


def parse(text: bytes) -> ast.Module:
    """The tree of a module's source.

    Raises:
        SyntaxError, ValueError, RecursionError: it is no source.
    """
    with warnings.catch_warnings():
        # An invalid escape in a text is for the import to warn of, if there is one.
        warnings.simplefilter("ignore")
        return ast.parse(text)


def chain_of(node: ast.AST) -> str:
    """A name, or a chain of attributes, as it is written (`a.b.c`); empty for anything else."""
    attributes: list[str] = []
    while type(node) is ast.Attribute:
        attributes.append(node.attr)
        node = node.value
    if type(node) is not ast.Name:
        return ""
    if not attributes:
        return node.id
    attributes.append(node.id)
    return ".".join(reversed(attributes))


def above(package: str, level: int, module: str) -> str:
    """The absolute name of what `from ..module import` means in a package."""
    if not level:
        return module
    parts = package.split(".")
    base = ".".join(parts[: len(parts) - level + 1])
    return f"{base}.{module}" if base and module else base or module


class Module:
    """What one module's source says.

    Attributes:
        name: its own.
        tree: what it was read from.
        bound: names that stand for something else, as dotted paths: imported, or assigned from another name.
        imported: the dotted paths of all that it imports, in functions too.
        stars: modules that it imports `*` from.
        later: functions, classes and made decorators, each with the chains that it mentions when it is used.
        now: the chains that importing the module mentions.
        functions: its top-level functions.
        values: what its names were assigned.
        words: all parts of what it mentions and imports.
    """

    def __init__(self, name: str, tree: ast.Module, is_package: bool) -> None:
        self.name = name
        self.tree = tree
        self.package = name if is_package else name.rpartition(".")[0]
        self.bound: dict[str, str] = {}
        self.imported: set[str] = set()
        self.stars: list[str] = []
        self.later: dict[str, set[str]] = {}
        self.now: set[str] = set()
        self.functions: dict[str, Function] = {}
        self.values: dict[str, ast.expr] = {}
        self._passing: list[tuple[list[str], ast.expr]] = []
        self._read_now(tree.body, "")
        for names, value in self._passing:
            self._note_assignment(names, value)
        del self._passing
        chains = [*self.now, *self.bound.values(), *(chain for mentioned in self.later.values() for chain in mentioned)]
        self.words = {word for chain in chains for word in chain.split(".")}

    def dotted(self, node: ast.AST) -> str | None:
        """The dotted path that a name or a chain of attributes stands for, if it is one."""
        chain = chain_of(node)
        return self.expand(chain) if chain else None

    def expand(self, chain: str) -> str:
        """The dotted path that a chain stands for in this module."""
        first, dot, rest = chain.partition(".")
        return f"{self.bound.get(first) or f'{self.name}.{first}'}{dot}{rest}"

    # -- the walk

    def _read_now(self, nodes: Iterable[ast.AST], owner: str) -> None:
        """Read what importing runs: everything but the bodies of functions, and of `if __name__ == "__main__"`.

        Args:
            nodes: what to read.
            owner: the class in whose body they stand.
        """
        waiting: list[Any] = list(nodes)
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if not owner:
                    self.functions[node.name] = node
                waiting += [*node.decorator_list, *defaults(node.args)]
                self._read_later(node.body, self.later.setdefault(owner or node.name, set()))
            elif isinstance(node, ast.Lambda):
                waiting += defaults(node.args)
            elif isinstance(node, ast.ClassDef):
                waiting += [*node.decorator_list, *node.bases, *node.keywords]
                self.later.setdefault(owner or node.name, set())
                self._read_now(node.body, owner or node.name)
            elif isinstance(node, ast.If) and asks_for_main(node.test):
                waiting += node.orelse
            elif isinstance(node, ast.Assign | ast.AnnAssign) and not owner and (names := _plain_targets(node)):
                self._passing.append((names, cast("ast.expr", node.value)))
            else:
                self._read_one(node, waiting, self.now)

    def _read_later(self, nodes: Iterable[ast.AST], into: set[str]) -> None:
        waiting: list[Any] = list(nodes)
        while waiting:
            self._read_one(waiting.pop(), waiting, into)

    def _read_one(self, node: Any, waiting: list[Any], into: set[str]) -> None:
        kind = type(node)
        if kind is ast.Name:
            if type(node.ctx) is ast.Load:
                into.add(node.id)
            return
        if kind is ast.Attribute:
            chain = chain_of(node)
            if chain:
                into.add(chain)
                return
        elif kind is ast.ImportFrom:
            self._note_import_from(node)
            return
        elif kind is ast.Import:
            self._note_import(node)
            return
        for field in _FIELDS.get(kind, ()):
            value: Any = getattr(node, field, None)
            if type(value) is list:
                waiting.extend(value)
            elif value is not None:
                waiting.append(value)

    def _note_import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.imported.add(alias.name)
            if alias.asname:
                self.bound[alias.asname] = alias.name
            else:
                top = alias.name.partition(".")[0]
                self.bound[top] = top

    def _note_import_from(self, node: ast.ImportFrom) -> None:
        base = above(self.package, node.level, node.module or "")
        for alias in node.names:
            if alias.name == "*":
                self.stars.append(base)
            else:
                self.imported.add(f"{base}.{alias.name}")
                self.bound[alias.asname or alias.name] = f"{base}.{alias.name}"

    def _note_assignment(self, names: list[str], value: ast.expr) -> None:
        """`se = side_effect`, `sms = side_effect(tags=["sms"])`: these pass on; what they mention declares nothing."""
        for name in names:
            self.values[name] = value
        chain = chain_of(value)
        if chain:
            path = self.expand(chain)
            for name in names:
                if path != f"{self.name}.{name}":
                    self.bound.setdefault(name, path)
            return
        into = self.now
        if isinstance(value, ast.Lambda):
            self._read_now([value], "")
            into, value = set(), value.body
            for name in names:
                self.later.setdefault(name, into)
        elif isinstance(value, ast.Call) and (function := chain_of(value.func)):
            is_plain = all(isinstance(argument, ast.Constant) for argument in value.args)
            path = self.expand(function)
            makes_decorator = path == "functools.partial" or (path in DECORATORS and is_plain)
            # What a function of the project makes may be a decorator, and may be an effect: then both is assumed.
            if makes_decorator or is_plain:
                mentioned: set[str] = set()
                self._read_later([value], mentioned)
                for name in names:
                    self.later.setdefault(name, set()).update(mentioned)
            if makes_decorator:
                return
        if into is self.now:
            self._read_now([value], "")
        else:
            self._read_later([value], into)


#: The decorator, wherever it is imported from.
DECORATORS: Final = frozenset(("sideeffects.side_effect", "sideeffects._core.verbs.decorator.side_effect"))


def defaults(arguments: ast.arguments) -> Iterator[ast.expr]:
    """What importing runs of a function's arguments."""
    yield from arguments.defaults
    yield from (default for default in arguments.kw_defaults if default is not None)


def asks_for_main(test: ast.expr) -> bool:
    """Whether it is `__name__ == "__main__"`."""
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and test.left.id == "__name__"
        and any(isinstance(other, ast.Constant) and other.value == "__main__" for other in test.comparators)
    )


def _plain_targets(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    return names if len(names) == len(targets) and node.value is not None else []
