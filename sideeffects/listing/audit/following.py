"""What each expression of a project may stand for, as far as that leads to the outside world.

Facts say which values a name, an attribute or the result of a function may have. `learning.py` finds them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Final

from sideeffects.listing.audit.facts import Facts
from sideeffects.listing.audit.outside_apis import is_known_package, made_by
from sideeffects.listing.audit.project import Project
from sideeffects.listing.audit.source import Body
from sideeffects.listing.audit.values import LONGEST, NONE, Values, inside, taken_out

#: What gives back its first argument, or does with it what calling it does.
_PASSING: Final = frozenset(
    """
    asgiref.sync.async_to_sync asgiref.sync.sync_to_async channels.db.database_sync_to_async contextlib.aclosing
    contextlib.closing copy.copy copy.deepcopy functools.partial functools.partialmethod
    """.split()
)
#: The modules that they are in.
_PASSING_MODULES: Final = frozenset(
    path.rsplit(".", cut)[0] for path in _PASSING for cut in range(1, path.count(".") + 1)
)
_PASSING_METHODS: Final = frozenset(("enter_async_context", "enter_context"))
#: Methods of containers that give one of what is in them, and those that give all.
_GIVING_ONE: Final = frozenset(("get", "pop", "popleft", "setdefault", "__getitem__"))
_GIVING_ALL: Final = frozenset(("copy", "values"))
#: Annotations that stand for what is in their brackets.
_TRANSPARENT: Final = frozenset(
    "Annotated ClassVar Final Optional Required NotRequired Union Awaitable Self Type type".split()
)
_CONTAINERS: Final = frozenset(
    """
    AsyncGenerator AsyncIterable AsyncIterator Collection Coroutine Deque Dict FrozenSet Generator Iterable Iterator
    List Mapping MutableMapping MutableSequence Sequence Set Tuple deque defaultdict dict frozenset list set tuple
    """.split()
)


class Following:
    """Asks what expressions stand for.

    Attributes:
        project: whose.
        facts: what is known so far.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.facts = Facts(project)
        self._methods: dict[str, list[str]] = {}
        for path, body in project.functions.items():
            name = path.rpartition(".")[2]
            if body.is_method and "_" in name.strip("_"):
                self._methods.setdefault(name, []).append(path)

    def values(self, node: ast.AST | None, body: Body) -> Values:
        """What an expression may stand for, where a function says it."""
        if isinstance(node, ast.Name):
            return self._named(node.id, body)
        if isinstance(node, ast.Attribute):
            return self._read(node.value, node.attr, body)
        if isinstance(node, ast.Call):
            return self._called(node, body)
        if isinstance(node, ast.Subscript):
            held = self.values(node.value, body)
            # What is asked for by a key of a client, such as `client.collections["orders"]`, is a part of it.
            return taken_out(held) | {one for one in held if "()." in one and is_known_package(one)}
        if isinstance(node, ast.Await | ast.NamedExpr | ast.Starred):
            return self.values(node.value, body)
        if isinstance(node, ast.BoolOp):
            return self._all(node.values, body)
        if isinstance(node, ast.IfExp):
            return self._all((node.body, node.orelse), body)
        if isinstance(node, ast.Dict):
            return inside(self._all(node.values, body))
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return inside(self._all(node.elts, body))
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp):
            return inside(self.values(node.elt, body))
        if isinstance(node, ast.DictComp):
            return inside(self.values(node.value, body))
        return NONE

    def _read(self, holder: ast.expr, name: str, body: Body) -> Values:
        holders = self.values(holder, body)
        if holders:
            return self._attribute(holders, name)
        kept = frozenset().union(*(self.facts.at(f"{place}.{name}") for place in self.places(holder, body)))
        # Of an unknown object, methods of the project with names that are no everyday words are taken to be meant.
        return kept or frozenset(self._methods.get(name, ()))

    def places(self, node: ast.expr, body: Body) -> Iterator[str]:
        """Where an object stands of which nothing is known, such as a `threading.local()` in an attribute."""
        if isinstance(node, ast.Attribute):
            holders = self.values(node.value, body)
            kinds = (holder.removesuffix("()") for holder in holders)
            known = [one for kind in kinds if kind in self.project.classes for one in self.project.line(kind)]
            for place in known or ([] if holders else self.places(node.value, body)):
                yield f"{place}.{node.attr}"
        elif isinstance(node, ast.Name):
            yield next(
                (
                    f"{one.path}:{node.id}"
                    for one in body.around()
                    if node.id in one.names and node.id not in one.shared
                ),
                self.project.canonical(body.source.module.expand(node.id)),
            )

    def _all(self, nodes: Iterable[ast.AST], body: Body) -> Values:
        return frozenset().union(*(self.values(node, body) for node in nodes))

    def _named(self, name: str, body: Body) -> Values:
        for one in body.around():
            if name == one.own_first:
                own = f"{body.source.name}.{one.kind}"
                return frozenset((own if one.is_given_the_class else f"{own}()",))
            if name in one.names and name not in one.shared:
                path = f"{one.path}.{name}"
                if path in self.project.functions or path in self.project.classes:
                    return frozenset((path,))
                return frozenset(self.facts.at(f"{one.path}:{name}"))
        return self._at(body.source.module.expand(name))

    def _at(self, path: str) -> Values:
        """What stands at a dotted path."""
        path = self.project.canonical(path)
        facts = self.facts.at(path)
        if facts:
            return frozenset((*facts, path)) if self._is_kept(path) else frozenset(facts)
        return frozenset((path,)) if self._is_kept(path) else NONE

    def _is_kept(self, path: str) -> bool:
        return (
            is_known_package(path)
            or path in self.project.packages
            or path in self.project.functions
            or path in self.project.classes
            or path in _PASSING
            or path in _PASSING_MODULES
        )

    def _attribute(self, holders: Values, name: str) -> Values:
        return frozenset(value for holder in holders for value in self._member(holder, name))

    def _member(self, holder: str, name: str) -> Values:
        if holder.startswith("["):
            if name in _GIVING_ONE:
                return frozenset((f"{holder}.one",))
            return frozenset((f"{holder}.all",)) if name in _GIVING_ALL else NONE
        kind = holder.removesuffix("()")
        if kind.startswith("super:"):
            return self._of_class(list(self.project.above(kind.removeprefix("super:"))), name, is_made=True)
        if kind in self.project.classes:
            return self._of_class(self.project.line(kind), name, is_made=kind != holder)
        if holder.endswith("()"):
            return frozenset((f"{holder}.{name}",)) if len(holder) < LONGEST else NONE
        return self._at(f"{holder}.{name}")

    def _of_class(self, line: Iterable[str], name: str, *, is_made: bool) -> Values:
        found: set[str] = set()
        is_own = False
        for kind in line:
            path = f"{kind}.{name}"
            found |= self.facts.at(path)
            function = self.project.functions.get(path)
            if function is not None:
                is_own = True
                found |= self.results(path) if is_made and function.is_read else {path}
            elif path in self.project.classes:
                found.add(path)
            elif not is_own and kind not in self.project.classes and is_known_package(kind):
                found.add(f"{kind}().{name}" if is_made else path)
        return frozenset(found)

    def results(self, path: str) -> Values:
        """What a function of the project gives."""
        return frozenset(self.facts.at(f"{path}()"))

    def _called(self, node: ast.Call, body: Body) -> Values:
        if isinstance(node.func, ast.Name) and (built_in := self._built_in(node, node.func.id, body)) is not None:
            return built_in
        functions = self.values(node.func, body)
        if isinstance(node.func, ast.Attribute) and node.func.attr in _PASSING_METHODS and node.args:
            return self.entered(node.args[0], body)
        found: set[str] = set()
        for function in functions:
            if function.startswith("["):
                container, _, which = function.rpartition(".")
                found.add(container[1:] if which == "one" else container)
            elif function in _PASSING:
                found |= self.values(node.args[0], body) if node.args else NONE
            elif function in self.project.functions:
                found |= self.results(function)
            elif function in self.project.classes:
                found.add(f"{function}()")
            elif (made := made_by(function)) is not None:
                found.add(f"{made}()")
        return frozenset(found)

    def _built_in(self, node: ast.Call, name: str, body: Body) -> Values | None:
        """What a built-in function gives; `None` where it is another."""
        if body.source.module.expand(name) not in (f"{body.source.name}.{name}", "typing.cast"):
            return None
        arguments = node.args
        if name == "super":
            own = next((one.kind for one in body.around() if one.kind), "")
            path = f"{body.source.name}.{own}"
            return frozenset((f"super:{path}()",)) if own and path in self.project.classes else NONE
        if name == "getattr" and len(arguments) > 1:
            asked = arguments[1]
            said = asked.value if isinstance(asked, ast.Constant) and isinstance(asked.value, str) else "*"
            return self._read(arguments[0], said, body)
        if name == "cast" and len(arguments) > 1:
            return self.annotated(arguments[0], body) | self.values(arguments[1], body)
        if name in ("next", "anext") and arguments:
            return taken_out(self.values(arguments[0], body))
        if name in ("iter", "list", "tuple", "set", "sorted", "reversed", "dict") and arguments:
            return self.values(arguments[0], body)
        return None

    def entered(self, context: ast.expr, body: Body) -> Values:
        """What `with` gives: what a generator yields, what `__enter__` returns, or the object itself."""
        found: set[str] = set()
        for value in self.values(context, body):
            entered = [
                self.results(member)
                for name in ("__enter__", "__aenter__")
                for member in self._member(value, name)
                if member in self.project.functions
            ]
            given = frozenset().union(*entered)
            found |= given or {value.removeprefix("[")}
        return frozenset(found)

    def annotated(self, node: ast.AST, body: Body) -> Values:
        """What an object with that annotation may be."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                node = ast.parse(node.value, mode="eval").body
            except (SyntaxError, ValueError):
                return NONE
        if isinstance(node, ast.BinOp):
            return self.annotated(node.left, body) | self.annotated(node.right, body)
        if isinstance(node, ast.Subscript):
            chain = body.source.module.dotted(node.value) or ""
            last = chain.rpartition(".")[2]
            parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            inner = frozenset().union(*(self.annotated(one, body) for one in parts))
            if last in _CONTAINERS:
                return inside(inner)
            return inner if last in _TRANSPARENT else self.annotated(node.value, body)
        if not isinstance(node, ast.Name | ast.Attribute):
            return NONE
        found: set[str] = set()
        for path in self.values(node, body):
            made = f"{path}()" if path in self.project.classes else made_by(path)
            if made is not None:
                found.add(made if made.endswith("()") else f"{made}()")
        return frozenset(found)
