"""One module's source, taken apart: its classes, its functions, and which statements each function runs."""

from __future__ import annotations

import ast
import functools
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

from sideeffects.project.discovery.module import Module

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

#: The comment that accepts a call or a function as it is.
ACCEPTED: Final = re.compile(r"#\s*sideeffects:\s*accepted\b")


#: Statements and expressions that may hand a value on.
_MOVES: Final = (
    ast.Assign,
    ast.AnnAssign,
    ast.NamedExpr,
    ast.withitem,
    ast.For,
    ast.AsyncFor,
    ast.comprehension,
    ast.Return,
    ast.Yield,
    ast.Call,
)


class Body:
    """What one function runs, or what importing a module does.

    Attributes:
        source: its module.
        name: the qualified name; empty for the module.
        definition: the function; `None` for the module.
        outer: the function that it stands in.
        kind: the class whose `self` it knows, qualified; empty for none.
        nodes: what it runs, each with the class in whose body that stands.
        names: the names that are its own.
        shared: the names that it says are another's, by `global` and `nonlocal`.
    """

    def __init__(self, source: Source, name: str, definition: Function | None, outer: Body | None, kind: str) -> None:
        self.source = source
        self.name = name
        self.definition = definition
        self.outer = outer
        self.kind = kind
        self.nodes: list[tuple[ast.AST, str]] = []
        self.names: set[str] = set()
        self.shared: set[str] = set()

    @functools.cached_property
    def path(self) -> str:
        """The dotted path."""
        return f"{self.source.name}.{self.name}" if self.name else self.source.name

    def around(self) -> Iterator[Body]:
        """Itself and the functions that it stands in, the innermost first."""
        body: Body | None = self
        while body is not None and body.name:
            yield body
            body = body.outer

    def parameters(self) -> list[ast.arg]:
        """Those that arguments by position go to."""
        if self.definition is None:
            return []
        return [*self.definition.args.posonlyargs, *self.definition.args.args]

    @functools.cached_property
    def moves(self) -> list[tuple[ast.AST, str]]:
        """The nodes that may hand a value on."""
        return [(node, kind) for node, kind in self.nodes if isinstance(node, _MOVES)]

    @functools.cached_property
    def decorators(self) -> list[str]:
        """The dotted paths of its decorators."""
        listed = self.definition.decorator_list if self.definition is not None else []
        nodes = [one.func if isinstance(one, ast.Call) else one for one in listed]
        return [path for one in nodes if (path := self.source.module.dotted(one)) is not None]

    @functools.cached_property
    def own_first(self) -> str:
        """`self` or `cls`, under whatever name; empty where there is none."""
        if self.definition is None or not self.is_method or "staticmethod" in self._plain_decorators:
            return ""
        listed = self.parameters()
        return listed[0].arg if listed else ""

    @property
    def is_method(self) -> bool:
        """Whether it stands in the body of a class."""
        return bool(self.kind) and self.name.rpartition(".")[0] == self.kind

    @functools.cached_property
    def is_given_the_class(self) -> bool:
        """Whether its first parameter is the class."""
        special = self.name.rpartition(".")[2] in ("__new__", "__init_subclass__", "__class_getitem__")
        return special or "classmethod" in self._plain_decorators

    @functools.cached_property
    def is_read(self) -> bool:
        """Whether it is a property of some kind, which is read and not called."""
        return any(name.endswith("property") for name in self._plain_decorators)

    @functools.cached_property
    def _plain_decorators(self) -> list[str]:
        return [path.rpartition(".")[2] for path in self.decorators]


class ClassSource:
    """A class.

    Attributes:
        source: its module.
        name: the qualified name.
        bases: what it extends, as it is written.
    """

    def __init__(self, source: Source, name: str, bases: list[ast.expr]) -> None:
        self.source = source
        self.name = name
        self.bases = bases


class Source:
    """One module.

    Attributes:
        name: its dotted path.
        path: its file.
        module: what it imports and binds.
        bodies: what it runs, by qualified name; its own top level by the empty one.
        classes: its classes, by qualified name.
    """

    def __init__(self, module: Module, tree: ast.Module, path: Path) -> None:
        self.name = module.name
        self.path = path
        self.module = module
        self._accepted: set[int] | None = None
        top = Body(self, "", None, None, "")
        self.bodies: dict[str, Body] = {"": top}
        self.classes: dict[str, ClassSource] = {}
        for child in tree.body:
            self._place(child, top, "")

    def _place(self, node: ast.AST, body: Body, kind: str) -> None:
        """Give a node, and what is in it, to the innermost function that it stands in.

        Args:
            node: the node.
            body: that function.
            kind: the class in whose body it stands, below that function.
        """
        prefix = kind or body.name
        if isinstance(node, ast.ClassDef):
            name = f"{prefix}.{node.name}" if prefix else node.name
            self.classes[name] = ClassSource(self, name, node.bases)
            if body.name and not kind:
                body.names.add(node.name)
            for outside in (*node.decorator_list, *node.bases, *node.keywords):
                self._place(outside, body, kind)
            for inner in node.body:
                self._place(inner, body, name)
        elif isinstance(node, Function):
            self._place_function(node, body, kind)
        else:
            body.nodes.append((node, kind))
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and not kind:
                body.names.add(node.id)
            elif isinstance(node, ast.Global | ast.Nonlocal):
                body.shared.update(node.names)
            for child in ast.iter_child_nodes(node):
                self._place(child, body, kind)

    def _place_function(self, node: Function, body: Body, kind: str) -> None:
        prefix = kind or body.name
        name = f"{prefix}.{node.name}" if prefix else node.name
        if body.name and not kind:
            body.names.add(node.name)
        inner = Body(self, name, node, body if body.name else None, kind or body.kind)
        self.bodies[name] = inner
        arguments = node.args
        for outside in (*node.decorator_list, *arguments.defaults, *filter(None, arguments.kw_defaults)):
            self._place(outside, body, kind)
        listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        listed += [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
        inner.names.update(one.arg for one in listed)
        for child in node.body:
            self._place(child, inner, "")

    def is_accepted(self, *spans: tuple[int, int]) -> bool:
        """Whether a comment on one of the lines says that what is called there need not be declared."""
        if self._accepted is None:
            with self.path.open("rb") as file:
                comments = (token for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT)
                self._accepted = {token.start[0] for token in comments if ACCEPTED.match(token.string)}
        return any(first <= line <= last for line in self._accepted for first, last in spans)


def signature_lines(definition: Function) -> tuple[int, int]:
    """The first and the last line of `def name(...):`, however many it takes."""
    last = definition.body[0].lineno - 1
    return definition.lineno, max(definition.lineno, last)
