"""Functions that call well-known outside APIs and are not declared, told from the project's source alone.

A name is followed to what it was imported from; an object to what made it, when that is assigned to a name of the
function, of the module or of `self`, or is returned by a function of the project. Nothing is imported, nothing is run.
"""

from __future__ import annotations

import ast
import itertools
import re
import tokenize
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from sideeffects.listing.outside_apis import made_by, reaches_outside
from sideeffects.project.discovery.module import Module, parse
from sideeffects.project.discovery.survey import Survey

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

#: The comment that accepts a call or a function as it is.
_ACCEPTED: Final = re.compile(r"#\s*sideeffects:\s*accepted\b")
_DECLARE: Final = ("sideeffects.declare", "sideeffects._core.verbs.declare.declare")


class OutsideCall(NamedTuple):
    """A call of an outside API.

    Attributes:
        api: what is called, as a dotted path; `()` stands for what a call gave.
        line: the line.
    """

    api: str
    line: int


class UndeclaredFunction(NamedTuple):
    """A function that calls outside APIs and is not declared.

    Attributes:
        module: its module.
        function: its qualified name; empty for what importing the module calls.
        path: its file.
        line: where it begins; of the first call, for what importing the module calls.
        calls: what it calls, in order.
    """

    module: str
    function: str
    path: Path
    line: int
    calls: tuple[OutsideCall, ...]


class Audit:
    """The result of reading a project's source.

    Attributes:
        found: in the order of files and lines.
        unreadable: modules that cannot be read or parsed, with the error.
        files: how many files were read.
    """

    def __init__(
        self, files: Mapping[str, Path], declared: Collection[str], progress: Callable[[int, int], object]
    ) -> None:
        """Read.

        Args:
            files: the project's files by the names of their modules.
            declared: targets of `declare` that settings and imported modules name, as `module:qualname`.
            progress: told how many files of how many have been read.
        """
        self.unreadable: dict[str, Exception] = {}
        self.files = len(files)
        self._survey = Survey(files)
        self._sources: dict[str, _Source] = {}
        for number, (name, path) in enumerate(files.items(), 1):
            try:
                tree = parse(path.read_bytes())
                self._sources[name] = _Source(Module(name, tree, path.name == "__init__.py"), tree, path)
            except (OSError, SyntaxError, ValueError, RecursionError) as error:
                self.unreadable[name] = error
            progress(number, len(files))
        named = {*declared, *itertools.chain.from_iterable(map(_declared_in, self._sources.values()))}
        self._declared = {target.replace(":", ".") for target in named}
        self._made: dict[str, str] = {}
        self._follow_objects()
        self.found: tuple[UndeclaredFunction, ...] = tuple(itertools.chain.from_iterable(self._found()))

    def _follow_objects(self) -> None:
        """Learn what the names and functions of modules stand for, until nothing new is learnt."""
        while True:
            before = len(self._made)
            for source in self._sources.values():
                for name, path in source.objects(self._made):
                    self._made.setdefault(name, path)
            if len(self._made) == before:
                return

    def _found(self) -> Iterator[list[UndeclaredFunction]]:
        below = self._below_declared()
        for name, source in self._sources.items():
            found = []
            for owner, definition in source.owners.items():
                dotted = f"{name}.{owner}" if owner else name
                if owner and (dotted in below or self._is_declared(source, owner)):
                    continue
                line = definition.lineno if isinstance(definition, Function) else 0
                calls = [
                    OutsideCall(api, at)
                    for api, at in source.calls(owner, self._made)
                    if reaches_outside(api) and api not in self._declared and not source.is_accepted(line, at)
                ]
                if calls:
                    line = line or calls[0].line
                    found.append(UndeclaredFunction(name, owner, source.path, line, tuple(calls)))
            yield sorted(found, key=lambda one: one.line)

    def _is_declared(self, source: _Source, owner: str) -> bool:
        """Whether a function, or one that it stands in, is an effect."""
        return any(
            f"{source.name}.{one}" in self._declared
            or any(self._survey.is_declarer(path) for path in source.decorators(one))
            for one in source.around(owner)
        )

    def _below_declared(self) -> set[str]:
        """Functions that only declared ones use, by themselves or through each other."""
        users: dict[str, set[str]] = {}
        declared: set[str] = set()
        functions: set[str] = set()
        outer: dict[str, str] = {}
        for name, source in self._sources.items():
            for owner in source.owners:
                dotted = f"{name}.{owner}" if owner else f"{name}."
                if owner:
                    functions.add(dotted)
                    outer.update((dotted, f"{name}.{one}") for one in source.around(owner)[1:2])
                    if self._is_declared(source, owner):
                        declared.add(dotted)
                for used in source.mentions(owner):
                    if used != dotted:
                        users.setdefault(used, set()).add(dotted)
        below: set[str] = set()
        while True:
            more = {
                function
                for function in functions - below - declared
                if (function in users and users[function] <= below | declared) or outer.get(function) in below
            }
            if not more:
                return below
            below |= more


class _Source:
    """One module: its functions, and what each of them calls."""

    def __init__(self, module: Module, tree: ast.Module, path: Path) -> None:
        self.name = module.name
        self.path = path
        self._module = module
        self._tree = tree
        self._accepted: set[int] | None = None
        #: Functions and methods by qualified name, nested ones too; the module itself by the empty one.
        self.owners: dict[str, ast.AST] = {"": tree}
        #: The function that a nested one stands in, and the class whose `self` a function knows.
        self._outer: dict[str, str] = {}
        self._kinds: dict[str, str] = {"": ""}
        self._nodes: dict[str, list[ast.AST]] = {}
        #: The classes in whose bodies statements stand.
        self._classes: dict[ast.AST, str] = {}
        self._sort(tree, "", "")
        self._local: dict[str, dict[str, str]] = {}
        #: Built-in functions as this module would spell them, to which classes are handed to be looked at.
        self._looks = frozenset(f"{module.name}.{name}" for name in ("isinstance", "issubclass"))

    def _sort(self, node: ast.AST, owner: str, kind: str) -> None:
        """Give each node to the innermost function that it stands in."""
        for child in ast.iter_child_nodes(node):
            self._place(child, owner, kind)

    def _place(self, node: ast.AST, owner: str, kind: str) -> None:
        if isinstance(node, ast.ClassDef) and not owner:
            self._nodes.setdefault(owner, []).append(node)
            self._sort(node, owner, f"{kind}{node.name}.")
        elif isinstance(node, Function):
            name = f"{owner}.{node.name}" if owner else f"{kind}{node.name}"
            self.owners[name] = node
            self._kinds[name] = self._kinds[owner] if owner else kind.removesuffix(".")
            if owner:
                self._outer[name] = owner
            for decorator in node.decorator_list:
                self._place(decorator, owner, kind)
            self._nodes.setdefault(name, [])
            for inner in (node.args, *node.body):
                self._place(inner, name, kind)
        else:
            if kind and not owner:
                self._classes[node] = kind
            self._nodes.setdefault(owner, []).append(node)
            self._sort(node, owner, kind)

    def around(self, owner: str) -> list[str]:
        """A function and those that it stands in, the innermost first."""
        listed = []
        while owner:
            listed.append(owner)
            owner = self._outer.get(owner, "")
        return listed

    def is_accepted(self, *lines: int) -> bool:
        """Whether a comment on one of the lines says that what it calls need not be declared."""
        if self._accepted is None:
            with self.path.open("rb") as file:
                comments = (token for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT)
                self._accepted = {token.start[0] for token in comments if _ACCEPTED.match(token.string)}
        return not self._accepted.isdisjoint(lines)

    def decorators(self, owner: str) -> list[str]:
        """The dotted paths of a function's decorators."""
        definition = self.owners[owner]
        assert isinstance(definition, Function)  # noqa: S101 - the module has none, and is not asked
        listed = [one.func if isinstance(one, ast.Call) else one for one in definition.decorator_list]
        return [path for one in listed if (path := self._module.dotted(one)) is not None]

    def mentions(self, owner: str) -> Iterator[str]:
        """What a function uses, as dotted paths; what it uses of `self` as its class's."""
        for node in self._nodes.get(owner, ()):
            if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
                path = self._path(node, owner)
                if path is not None:
                    yield path

    def objects(self, made: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """What names of the module and of its classes, and what its functions, give: each with what makes that."""
        for owner, nodes in self._nodes.items():
            for node in nodes:
                for target, value in _assignments(node):
                    kind = self._made(value, owner, made)
                    path = self._path(target, owner) if kind is not None else None
                    if kind is None or path is None:
                        continue
                    if owner and isinstance(target, ast.Name):
                        self._local.setdefault(owner, {})[target.id] = kind
                    elif isinstance(target, ast.Name):
                        yield f"{self.name}.{self._classes.get(node, '')}{target.id}", kind
                    else:
                        yield path, kind
                if owner and isinstance(node, ast.Return) and node.value is not None:
                    kind = self._made(node.value, owner, made)
                    if kind is not None:
                        yield f"{self.name}.{owner}()", kind

    def calls(self, owner: str, made: Mapping[str, str]) -> Iterator[tuple[str, int]]:
        """The calls of a function: what, and at which line."""
        for node in self._nodes.get(owner, ()):
            if isinstance(node, ast.Call):
                path = self._resolved(node.func, owner, made)
                if path is not None:
                    yield path, node.lineno
                # What is handed on is called by somebody else: `asyncio.to_thread(requests.get, ...)`.
                for handed in node.args if path not in self._looks else ():
                    path = self._resolved(handed, owner, made) if isinstance(handed, ast.Name | ast.Attribute) else None
                    if path is not None:
                        yield path, handed.lineno

    def _made(self, value: ast.AST, owner: str, made: Mapping[str, str]) -> str | None:
        """What kind of object an expression gives, if it is one that may reach outside."""
        if isinstance(value, ast.Await):
            return self._made(value.value, owner, made)
        if not isinstance(value, ast.Call):
            if isinstance(value, _Annotation):
                path = self._module.dotted(value.node)
                return None if path is None else made_by(path)
            path = self._resolved(value, owner, made)
            return path.removesuffix("()") if path is not None and path.endswith("()") else None
        path = self._resolved(value.func, owner, made)
        return None if path is None else (made_by(path) or made.get(f"{path}()"))

    def _resolved(self, node: ast.AST, owner: str, made: Mapping[str, str]) -> str | None:
        """The dotted path of what is called, with `()` for what a call gave."""
        attributes: list[str] = []
        whole = self._path(node, owner)
        while True:
            if isinstance(node, ast.Call):
                kind = self._made(node, owner, made)
                return None if kind is None else ".".join([f"{kind}()", *reversed(attributes)])
            path = self._path(node, owner)
            kind = self._kind_of(node.id, owner) if isinstance(node, ast.Name) else None
            if kind is None and path is not None:
                kind = made.get(path)
            if kind is not None:
                return ".".join([f"{kind}()", *reversed(attributes)])
            if not isinstance(node, ast.Attribute):
                return whole
            attributes.append(node.attr)
            node = node.value

    def _path(self, node: ast.AST, owner: str) -> str | None:
        path = self._module.dotted(node)
        if path is None:
            return None
        kind = self._kinds.get(owner)
        for first in ("self", "cls"):
            own = f"{self.name}.{first}."
            if kind and path.startswith(own):
                return f"{self.name}.{kind}.{path.removeprefix(own)}"
        return path

    def _kind_of(self, name: str, owner: str) -> str | None:
        """What kind of object a local name is, of a function or of one that it stands in."""
        found = (self._local.get(one, {}).get(name) for one in self.around(owner))
        return next(filter(None, found), None)


class _Annotation(ast.AST):
    """An annotation, where a value would stand."""

    def __init__(self, node: ast.AST) -> None:
        super().__init__()
        self.node = node


def _assignments(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """The targets that a statement gives something, each with what."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield target, node.value
    elif isinstance(node, ast.AnnAssign):
        yield node.target, node.value if node.value is not None else _Annotation(node.annotation)
    elif isinstance(node, ast.NamedExpr):
        yield node.target, node.value
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        yield node.optional_vars, node.context_expr
    elif isinstance(node, ast.arg) and node.annotation is not None:
        yield ast.Name(node.arg, ast.Load()), _Annotation(node.annotation)


def _declared_in(source: _Source) -> Iterator[str]:
    """The targets of `declare("module:name")` in a module's text."""
    for owner in source.owners:
        for node in source._nodes.get(owner, ()):  # noqa: SLF001 - one module, two halves
            if isinstance(node, ast.Call) and node.args and source._module.dotted(node.func) in _DECLARE:  # noqa: SLF001
                target = node.args[0]
                if isinstance(target, ast.Constant) and isinstance(target.value, str):
                    yield target.value
