"""What each expression of a project may stand for, as far as that leads to the outside world.

A value is written as a text: `requests.post` is what stands at that path, `requests.Session()` what calling it gives,
and `[` in front means that it stands in a container. Facts say which values a name, an attribute or the result of a
function may have; they only grow, and are followed until none is new.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from sideeffects.listing.audit.outside_apis import is_known_package, made_by
from sideeffects.listing.audit.project import Project
from sideeffects.listing.audit.source import Body

Values: TypeAlias = frozenset[str]

_NONE: Final[Values] = frozenset()
#: Longer ones come of objects that hold each other.
_LONGEST: Final = 120
_DEEPEST: Final = 3

#: What gives back its first argument, or does with it what calling it does.
_PASSING: Final = frozenset(
    """
    asgiref.sync.async_to_sync asgiref.sync.sync_to_async channels.db.database_sync_to_async contextlib.aclosing
    contextlib.closing copy.copy copy.deepcopy functools.partial functools.partialmethod
    """.split()
)
_PASSING_METHODS: Final = frozenset(("enter_async_context", "enter_context"))
#: Methods of containers that give one of what is in them, and those that give all.
_GIVING_ONE: Final = frozenset(("get", "pop", "popleft", "setdefault", "__getitem__"))
_GIVING_ALL: Final = frozenset(("copy", "values"))
_TAKING: Final = frozenset(("add", "append", "appendleft", "insert"))
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
    """The facts about one project.

    Attributes:
        facts: the values by where they are kept: `shop.api.session`, `shop.api.Gateway.client`, `shop.api.get()` for
            what a function gives, `shop.api.get:name` for a name of its own.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.facts: dict[str, set[str]] = {}
        self._new: set[str] = set()
        self._methods: dict[str, list[str]] = {}
        for path, body in project.functions.items():
            name = path.rpartition(".")[2]
            if body.is_method and "_" in name.strip("_"):
                self._methods.setdefault(name, []).append(path)
        self._learn()

    # -- learning

    def _learn(self) -> None:
        """Follow until nothing is new. A function is looked at again when it says a word of what has become known."""
        bodies = [body for source in self.project.sources.values() for body in source.bodies.values()]
        waiting = bodies
        while waiting:
            self._new = set()
            for body in waiting:
                self._learn_from(body)
            words = {_word_of(place) for place in self._new if ":" not in place}
            local = {place.partition(":")[0] for place in self._new if ":" in place}
            waiting = [
                body
                for body in bodies
                if not words.isdisjoint(body.words) or any(one.path in local for one in body.around())
            ]

    def _learn_from(self, body: Body) -> None:
        self._learn_parameters(body)
        for node, kind in body.moves:
            for target, values in self._assigned(node, body):
                self._assign(target, values, body, kind)
            if isinstance(node, ast.Return) and node.value is not None:
                self._note(f"{body.path}()", self.values(node.value, body))
            elif isinstance(node, ast.Yield) and node.value is not None:
                self._note(f"{body.path}()", _inside(self.values(node.value, body)))
            elif isinstance(node, ast.Call):
                self._hand_over(node, body)
        if body.definition is not None and body.definition.returns is not None:
            self._note(f"{body.path}()", self._annotated(body.definition.returns, body))

    def _learn_parameters(self, body: Body) -> None:
        if body.definition is None:
            return
        arguments = body.definition.args
        for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if one.annotation is not None:
                self._note(f"{body.path}:{one.arg}", self._annotated(one.annotation, body))
        positional = body.parameters()
        defaults = [
            *zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True),
            *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
        ]
        for one, default in defaults:
            if default is not None:
                self._note(f"{body.path}:{one.arg}", self.values(default, body.outer or body.source.bodies[""]))

    def _assigned(self, node: ast.AST, body: Body) -> Iterator[tuple[ast.expr, Values]]:
        """The targets to which a statement gives something, each with what."""
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from self._unpacked(target, node.value, body)
        elif isinstance(node, ast.AnnAssign):
            yield node.target, self._annotated(node.annotation, body)
            if node.value is not None:
                yield node.target, self.values(node.value, body)
        elif isinstance(node, ast.NamedExpr):
            yield node.target, self.values(node.value, body)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            yield node.optional_vars, self._entered(node.context_expr, body)
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            yield node.target, _taken_out(self.values(node.iter, body))

    def _unpacked(self, target: ast.expr, value: ast.expr, body: Body) -> Iterator[tuple[ast.expr, Values]]:
        targets, values = _listed(target), _listed(value)
        if targets is not None and values is not None and len(targets) == len(values):
            for one, given in zip(targets, values, strict=True):
                yield from self._unpacked(one, given, body)
        else:
            yield target, self.values(value, body)

    def _entered(self, context: ast.expr, body: Body) -> Values:
        """What `with` gives: what a generator yields, what `__enter__` returns, or the object itself."""
        found: set[str] = set()
        for value in self.values(context, body):
            entered = [
                self._results(member)
                for name in ("__enter__", "__aenter__")
                for member in self._member(value, name)
                if member in self.project.functions
            ]
            given = frozenset().union(*entered)
            found |= given or {value.removeprefix("[")}
        return frozenset(found)

    def _assign(self, target: ast.AST, values: Values, body: Body, kind: str) -> None:
        if not values:
            return
        if isinstance(target, ast.Name):
            if kind:
                self._note(f"{body.source.name}.{kind}.{target.id}", values)
            elif body.name and target.id not in body.shared:
                self._note(f"{body.path}:{target.id}", values)
            else:
                self._note(f"{body.source.name}.{target.id}", values)
        elif isinstance(target, ast.Attribute):
            for holder in self.values(target.value, body):
                self._note(f"{holder.removesuffix('()')}.{target.attr}", values)
        elif isinstance(target, ast.Subscript):
            self._assign(target.value, _inside(values), body, kind)
        elif isinstance(target, ast.Tuple | ast.List):
            for one in target.elts:
                self._assign(one, _taken_out(values), body, kind)
        elif isinstance(target, ast.Starred):
            self._assign(target.value, values, body, kind)

    def _hand_over(self, node: ast.Call, body: Body) -> None:
        """Objects that are handed to functions of the project are known there by the parameter."""
        if isinstance(node.func, ast.Attribute) and node.func.attr in _TAKING and node.args:
            self._assign(node.func.value, _inside(self.values(node.args[-1], body)), body, "")
        if not node.args and not node.keywords:
            return
        for function in self.values(node.func, body):
            taking = self._function(function)
            if taking is None:
                continue
            parameters = [one.arg for one in taking.parameters()]
            if taking.own_first:
                parameters = parameters[1:]
            for name, given in zip(parameters, node.args, strict=False):
                if isinstance(given, ast.Starred):
                    break
                self._note(f"{taking.path}:{name}", _objects(self.values(given, body)))
            for keyword in node.keywords:
                if keyword.arg in taking.names:
                    self._note(f"{taking.path}:{keyword.arg}", _objects(self.values(keyword.value, body)))

    def _function(self, path: str) -> Body | None:
        """What calling this runs, if it is the project's."""
        if path in self.project.classes:
            for kind in self.project.line(path):
                made = self.project.functions.get(f"{kind}.__init__")
                if made is not None:
                    return made
        return self.project.functions.get(path)

    def _note(self, place: str, values: Iterable[str]) -> None:
        known = self.facts.get(place)
        for value in values:
            if len(value) > _LONGEST or value.startswith("[" * (_DEEPEST + 1)):
                continue
            plain = value.lstrip("[").removesuffix("()")
            if plain in self.project.classes and plain not in self.project.leading:
                continue
            if known is None:
                known = self.facts.setdefault(place, set())
            if value not in known:
                known.add(value)
                self._new.add(place)

    # -- asking

    def values(self, node: ast.AST | None, body: Body) -> Values:
        """What an expression may stand for, where a function says it."""
        if isinstance(node, ast.Name):
            return self._named(node.id, body)
        if isinstance(node, ast.Attribute):
            holders = self.values(node.value, body)
            # Of an unknown object, methods of the project with names that are no everyday words are taken to be meant.
            return self._attribute(holders, node.attr) if holders else frozenset(self._methods.get(node.attr, ()))
        if isinstance(node, ast.Call):
            return self._called(node, body)
        if isinstance(node, ast.Subscript):
            return _taken_out(self.values(node.value, body))
        if isinstance(node, ast.Await | ast.NamedExpr | ast.Starred):
            return self.values(node.value, body)
        if isinstance(node, ast.BoolOp):
            return self._all(node.values, body)
        if isinstance(node, ast.IfExp):
            return self._all((node.body, node.orelse), body)
        if isinstance(node, ast.Dict):
            return _inside(self._all(node.values, body))
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return _inside(self._all(node.elts, body))
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp):
            return _inside(self.values(node.elt, body))
        if isinstance(node, ast.DictComp):
            return _inside(self.values(node.value, body))
        return _NONE

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
                return frozenset(self.facts.get(f"{one.path}:{name}", ()))
        return self._at(body.source.module.expand(name))

    def _at(self, path: str) -> Values:
        """What stands at a dotted path."""
        path = self.project.canonical(path)
        facts = self.facts.get(path)
        if facts:
            return frozenset((*facts, path)) if self._is_kept(path) else frozenset(facts)
        return frozenset((path,)) if self._is_kept(path) else _NONE

    def _is_kept(self, path: str) -> bool:
        return (
            is_known_package(path)
            or path in self.project.packages
            or path in self.project.functions
            or path in self.project.classes
            or path in _PASSING
        )

    def _attribute(self, holders: Values, name: str) -> Values:
        return frozenset(value for holder in holders for value in self._member(holder, name))

    def _member(self, holder: str, name: str) -> Values:
        if holder.startswith("["):
            if name in _GIVING_ONE:
                return frozenset((f"{holder}.one",))
            return frozenset((f"{holder}.all",)) if name in _GIVING_ALL else _NONE
        kind = holder.removesuffix("()")
        if kind.startswith("super:"):
            return self._of_class(list(self.project.above(kind.removeprefix("super:"))), name, is_made=True)
        if kind in self.project.classes:
            return self._of_class(self.project.line(kind), name, is_made=kind != holder)
        if holder.endswith("()"):
            return frozenset((f"{holder}.{name}",)) if len(holder) < _LONGEST else _NONE
        return self._at(f"{holder}.{name}")

    def _of_class(self, line: Iterable[str], name: str, *, is_made: bool) -> Values:
        found: set[str] = set()
        is_own = False
        for kind in line:
            path = f"{kind}.{name}"
            found |= self.facts.get(path, set())
            function = self.project.functions.get(path)
            if function is not None:
                is_own = True
                found |= self._results(path) if is_made and function.is_read else {path}
            elif path in self.project.classes:
                found.add(path)
            elif not is_own and kind not in self.project.classes and is_known_package(kind):
                found.add(f"{kind}().{name}" if is_made else path)
        return frozenset(found)

    def _results(self, path: str) -> Values:
        return frozenset(self.facts.get(f"{path}()", ()))

    def _called(self, node: ast.Call, body: Body) -> Values:
        if isinstance(node.func, ast.Name) and (built_in := self._built_in(node, node.func.id, body)) is not None:
            return built_in
        functions = self.values(node.func, body)
        if isinstance(node.func, ast.Attribute) and node.func.attr in _PASSING_METHODS and node.args:
            return self._entered(node.args[0], body)
        found: set[str] = set()
        for function in functions:
            if function.startswith("["):
                container, _, which = function.rpartition(".")
                found.add(container[1:] if which == "one" else container)
            elif function in _PASSING:
                found |= self.values(node.args[0], body) if node.args else _NONE
            elif function in self.project.functions:
                found |= self._results(function)
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
            return frozenset((f"super:{path}()",)) if own and path in self.project.classes else _NONE
        if name == "getattr" and len(arguments) > 1:
            asked = arguments[1]
            said = asked.value if isinstance(asked, ast.Constant) and isinstance(asked.value, str) else "*"
            return self._attribute(self.values(arguments[0], body), said)
        if name == "cast" and len(arguments) > 1:
            return self._annotated(arguments[0], body) | self.values(arguments[1], body)
        if name in ("next", "anext") and arguments:
            return _taken_out(self.values(arguments[0], body))
        if name in ("iter", "list", "tuple", "set", "sorted", "reversed", "dict") and arguments:
            return self.values(arguments[0], body)
        return None

    def _annotated(self, node: ast.AST, body: Body) -> Values:
        """What an object with that annotation may be."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                node = ast.parse(node.value, mode="eval").body
            except (SyntaxError, ValueError):
                return _NONE
        if isinstance(node, ast.BinOp):
            return self._annotated(node.left, body) | self._annotated(node.right, body)
        if isinstance(node, ast.Subscript):
            chain = body.source.module.dotted(node.value) or ""
            last = chain.rpartition(".")[2]
            parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            inner = frozenset().union(*(self._annotated(one, body) for one in parts))
            if last in _CONTAINERS:
                return _inside(inner)
            return inner if last in _TRANSPARENT else self._annotated(node.value, body)
        if not isinstance(node, ast.Name | ast.Attribute):
            return _NONE
        found: set[str] = set()
        for path in self.values(node, body):
            made = f"{path}()" if path in self.project.classes else made_by(path)
            if made is not None:
                found.add(made if made.endswith("()") else f"{made}()")
        return frozenset(found)


def _inside(values: Values) -> Values:
    return frozenset(f"[{value}" for value in values)


def _taken_out(values: Values) -> Values:
    return frozenset(value[1:] for value in values if value.startswith("["))


def _objects(values: Values) -> Values:
    """Without functions: who is handed one calls it on behalf of who hands it on, which is listed."""
    return frozenset(value for value in values if value.endswith("()"))


def _word_of(place: str) -> str:
    """The name by which code speaks of a fact; of what classes do by themselves, the class's."""
    holder, _, name = place.partition(":")[0].removesuffix("()").rpartition(".")
    return holder.rpartition(".")[2] if name.startswith("__") else name


def _listed(node: ast.expr) -> list[ast.expr] | None:
    """What a tuple or a list that is written out consists of."""
    return node.elts if isinstance(node, ast.Tuple | ast.List) else None
