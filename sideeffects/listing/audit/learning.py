"""Finding out which values a project keeps where: by assignments, arguments, results, loops and annotations."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from sideeffects.listing.audit.following import Following
from sideeffects.listing.audit.source import Body
from sideeffects.listing.audit.values import Values, inside, objects, taken_out

#: Methods of containers that put something in, as their last argument.
_TAKING: Final = frozenset(("add", "append", "appendleft", "insert"))


class Learning:
    """Fills the facts of what is followed."""

    def __init__(self, following: Following) -> None:
        self._following = following
        self._project = following.project
        self._facts = following.facts

    def run(self) -> None:
        """Follow until nothing is new. A function is looked at again when more is known of what it has asked for."""
        facts = self._facts
        facts.waiting = {body: None for source in self._project.sources.values() for body in source.bodies.values()}
        while facts.waiting:
            looked_at, facts.waiting = facts.waiting, {}
            for body in looked_at:
                facts.reader = body
                self._learn_from(body)
        facts.reader = None

    def _learn_from(self, body: Body) -> None:
        self._learn_parameters(body)
        for node, kind in body.moves:
            for target, values in self._assigned(node, body):
                self._assign(target, values, body, kind)
            if isinstance(node, ast.Return) and node.value is not None:
                self._facts.note(f"{body.path}()", self._following.values(node.value, body))
            elif isinstance(node, ast.Yield) and node.value is not None:
                self._facts.note(f"{body.path}()", inside(self._following.values(node.value, body)))
            elif isinstance(node, ast.Call):
                self._hand_over(node, body)
        if body.definition is not None and body.definition.returns is not None:
            self._facts.note(f"{body.path}()", self._following.annotated(body.definition.returns, body))

    def _learn_parameters(self, body: Body) -> None:
        if body.definition is None:
            return
        arguments = body.definition.args
        for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if one.annotation is not None:
                self._facts.note(f"{body.path}:{one.arg}", self._following.annotated(one.annotation, body))
        positional = body.parameters()
        defaults = [
            *zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True),
            *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
        ]
        for one, default in defaults:
            if default is not None:
                self._facts.note(
                    f"{body.path}:{one.arg}", self._following.values(default, body.outer or body.source.bodies[""])
                )

    def _assigned(self, node: ast.AST, body: Body) -> Iterator[tuple[ast.expr, Values]]:
        """The targets to which a statement gives something, each with what."""
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from self._unpacked(target, node.value, body)
        elif isinstance(node, ast.AnnAssign):
            yield node.target, self._following.annotated(node.annotation, body)
            if node.value is not None:
                yield node.target, self._following.values(node.value, body)
        elif isinstance(node, ast.NamedExpr):
            yield node.target, self._following.values(node.value, body)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            yield node.optional_vars, self._following.entered(node.context_expr, body)
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            yield node.target, taken_out(self._following.values(node.iter, body))

    def _unpacked(self, target: ast.expr, value: ast.expr, body: Body) -> Iterator[tuple[ast.expr, Values]]:
        targets, values = _listed(target), _listed(value)
        if targets is not None and values is not None and len(targets) == len(values):
            for one, given in zip(targets, values, strict=True):
                yield from self._unpacked(one, given, body)
        else:
            yield target, self._following.values(value, body)

    def _assign(self, target: ast.AST, values: Values, body: Body, kind: str) -> None:
        if not values:
            return
        if isinstance(target, ast.Name):
            if kind:
                self._facts.note(f"{body.source.name}.{kind}.{target.id}", values)
            elif body.name and target.id not in body.shared:
                self._facts.note(f"{body.path}:{target.id}", values)
            else:
                self._facts.note(f"{body.source.name}.{target.id}", values)
        elif isinstance(target, ast.Attribute):
            holders = self._following.values(target.value, body)
            places = [holder.removesuffix("()") for holder in holders] or self._following.places(target.value, body)
            for place in places:
                self._facts.note(f"{place}.{target.attr}", values)
        elif isinstance(target, ast.Subscript):
            self._assign(target.value, inside(values), body, kind)
        elif isinstance(target, ast.Tuple | ast.List):
            for one in target.elts:
                self._assign(one, taken_out(values), body, kind)
        elif isinstance(target, ast.Starred):
            self._assign(target.value, values, body, kind)

    def _hand_over(self, node: ast.Call, body: Body) -> None:
        """Objects that are handed to functions of the project are known there by the parameter."""
        if isinstance(node.func, ast.Attribute) and node.func.attr in _TAKING and node.args:
            self._assign(node.func.value, inside(self._following.values(node.args[-1], body)), body, "")
        if not node.args and not node.keywords:
            return
        for function in self._following.values(node.func, body):
            taking = self._function(function)
            if taking is None:
                continue
            parameters = [one.arg for one in taking.parameters()]
            if taking.own_first:
                parameters = parameters[1:]
            for name, given in zip(parameters, node.args, strict=False):
                if isinstance(given, ast.Starred):
                    break
                self._facts.note(f"{taking.path}:{name}", objects(self._following.values(given, body)))
            for keyword in node.keywords:
                if keyword.arg in taking.names:
                    self._facts.note(
                        f"{taking.path}:{keyword.arg}", objects(self._following.values(keyword.value, body))
                    )

    def _function(self, path: str) -> Body | None:
        """What calling this runs, if it is the project's."""
        if path in self._project.classes:
            for kind in self._project.line(path):
                made = self._project.functions.get(f"{kind}.__init__")
                if made is not None:
                    return made
        return self._project.functions.get(path)


def _listed(node: ast.expr) -> list[ast.expr] | None:
    """What a tuple or a list that is written out consists of."""
    return node.elts if isinstance(node, ast.Tuple | ast.List) else None
