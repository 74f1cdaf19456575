"""The effects that a module declares, with their names, as far as its source shows them.

What declares an effect, at the level that importing runs: a decorator, a decorated function (`side_effect(...)(send)`),
`declare(...)`. Names are texts, constants of the module, texts with these in them, and what a one-line function of the
project makes of such. Everything else only importing can tell.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.calls.registry import check_name
from sideeffects.project.discovery.module import Function, Module, asks_for_main, chain_of, defaults
from sideeffects.project.discovery.survey import Survey

#: Through how many assignments and functions a name is followed.
_DEEPEST: Final = 10
_DECLARE: Final = "declare"
_SIDE_EFFECT: Final = "side_effect"
_LITERALS: Final = ("async_ok", "on_commit", "in_transaction", "sensitive", "tags", "owner", "reads")


class ReadNames(NamedTuple):
    """What the source of a module shows.

    Attributes:
        effects: the effects, without what only importing can tell (signatures, exceptions).
        is_complete: whether they are all.
    """

    effects: tuple[SideEffect, ...]
    is_complete: bool


class _Product(NamedTuple):
    """What an expression gives: `side_effect` or `declare`, or a decorator made by it, with the options so far."""

    kind: str
    options: Mapping[str, Any]


#: The value of an expression that only importing tells.
_UNCLEAR: Final = object()


def names_of(module: Module, path: Path, survey: Survey) -> ReadNames:
    """The effects that importing a module declares."""
    reader = _Reader(module, path, survey)
    reader.read(module.tree.body, "")
    return ReadNames(tuple(reader.effects), reader.is_complete)


class _Reader:
    def __init__(self, module: Module, path: Path, survey: Survey) -> None:
        self.effects: list[SideEffect] = []
        self.is_complete = True
        self._module = module
        self._path = path
        self._survey = survey

    def read(self, nodes: Iterable[ast.AST], prefix: str) -> None:
        """Read what importing runs of these; `prefix` is that of qualified names in them."""
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for decorator in node.decorator_list:
                    self._read_decorator(decorator, node, prefix)
                self.read(defaults(node.args), prefix)
            elif isinstance(node, ast.ClassDef):
                self.read([*node.decorator_list, *node.bases, *node.keywords], prefix)
                self.read(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.If) and asks_for_main(node.test):
                self.read(node.orelse, prefix)
            elif isinstance(node, ast.Assign | ast.AnnAssign) and self._passes_on(node):
                continue
            elif isinstance(node, ast.Call):
                self._read_call(node, prefix)
            elif isinstance(node, ast.Lambda):
                self.read(defaults(node.args), prefix)
            elif isinstance(node, ast.Name | ast.Attribute):
                self._read_mention(node)
            elif not isinstance(node, ast.Import | ast.ImportFrom):
                self.read(ast.iter_child_nodes(node), prefix)

    def _passes_on(self, node: ast.Assign | ast.AnnAssign) -> bool:
        """Whether it only gives what declares, or a decorator, another name."""
        if node.value is None:
            return True
        if not isinstance(node.value, ast.Name | ast.Attribute | ast.Call | ast.Lambda):
            return False
        product = self._product(node.value, self._module)
        return product is not None and product.kind != _DECLARE

    def _read_mention(self, node: ast.Name | ast.Attribute) -> None:
        chain = chain_of(node)
        if not chain:
            self.read([node.value] if isinstance(node, ast.Attribute) else [], "")
        elif self._leads(chain):
            self.is_complete = False  # it is handed to somebody: what comes of it, only importing tells

    def _leads(self, chain: str) -> bool:
        path = self._module.expand(chain)
        while path:
            if self._survey.is_declarer(path):
                return True
            path = path.rpartition(".")[0]
        return False

    def _read_decorator(self, decorator: ast.expr, node: Function, prefix: str) -> None:
        product = self._product(decorator, self._module)
        if product is None or product.kind != _SIDE_EFFECT:
            self.read([decorator], prefix)
            return
        qualname = f"{prefix}{node.name}"
        kind = "coroutine function" if isinstance(node, ast.AsyncFunctionDef) else "function"
        self._add(product, f"{self._module.name}:{qualname}", node.lineno, kind, ast.get_docstring(node) or "")

    def _read_call(self, node: ast.Call, prefix: str) -> None:
        product = self._product(node.func, self._module)
        if product is not None and product.kind == _DECLARE:
            self._read_declare(node)
        elif product is not None and node.args and not isinstance(node.args[0], ast.Constant):
            self._read_applied(product, node, prefix)
        elif product is not None:
            self.is_complete = False  # a decorator that is made, and handed to somebody
        else:
            self.read(ast.iter_child_nodes(node), prefix)
            return
        self.read([*node.args, *(keyword.value for keyword in node.keywords)], prefix)

    def _read_declare(self, node: ast.Call) -> None:
        options = self._options(node, {}, self._module, ("target", "name"))
        target = options.get("target")
        if options.get("**") or not isinstance(target, str) or target.count(":") != 1:
            self.is_complete = False
            return
        self._add(_Product(_DECLARE, options), target, node.lineno, "function", "")

    def _read_applied(self, product: _Product, node: ast.Call, prefix: str) -> None:
        """`side_effect(name="sms.send")(send)`, `side_effect(send)`."""
        chain = chain_of(node.args[0])
        definition = self._module.functions.get(chain)
        named = f"{prefix}{chain}" if chain and definition is None else chain
        if not isinstance(product.options.get("name"), str) and definition is None:
            self.is_complete = False  # its name is that of a function that stands elsewhere
            return
        doc = ast.get_docstring(definition) if definition is not None else ""
        line = definition.lineno if definition is not None else node.lineno
        self._add(product, f"{self._module.name}:{named or '<lambda>'}", line, "function", doc or "")

    def _add(self, product: _Product, dotted_path: str, line: int, kind: str, docstring: str) -> None:
        options = product.options
        name = options.get("name")
        if name is None:
            name = dotted_path.replace(":", ".")
        try:
            check_name(name)
        except ValueError:
            self.is_complete = False
            return
        doc = inspect.cleandoc(docstring)
        self.effects.append(
            SideEffect(
                name=name,
                dotted_path=dotted_path,
                kind=kind,
                file=str(self._path),
                line=line,
                signature=None,
                doc=doc.partition("\n")[0],
                docstring=doc,
                short_name=dotted_path.rpartition(":")[2].rpartition(".")[2],
                **{key: value for key, value in options.items() if key in _LITERALS and value is not _UNCLEAR},
            )
        )
        self.is_complete = self.is_complete and not options.get("**")

    # -- what an expression gives

    def _product(self, node: ast.AST, module: Module, depth: int = 0) -> _Product | None:
        """What an expression gives, if that is what declares, or a decorator made by it."""
        if depth > _DEEPEST:
            return None
        if isinstance(node, ast.Call):
            return self._made(node, module, depth)
        chain = chain_of(node)
        found = self._survey.origin(module.expand(chain)) if chain else None
        if found is None:
            return None
        holder, name = found
        if name in (_SIDE_EFFECT, _DECLARE) and holder.partition(".")[0] == "sideeffects":
            return _Product(name, {})
        owner = self._survey.module(holder)
        value = owner.values.get(name) if owner is not None else None
        return None if owner is None or value is None else self._product(value, owner, depth + 1)

    def _made(self, node: ast.Call, module: Module, depth: int) -> _Product | None:
        if module.dotted(node.func) == "functools.partial" and node.args:
            product = self._product(node.args[0], module, depth + 1)
            return product and _Product(product.kind, {**product.options, **self._options(node, {}, module, ("",))})
        product = self._product(node.func, module, depth + 1)
        if product is not None:
            is_decorator = product.kind == _SIDE_EFFECT and all(isinstance(one, ast.Constant) for one in node.args)
            given = self._options(node, {}, module, ("name",)) if is_decorator else {}
            return _Product(_SIDE_EFFECT, {**product.options, **given}) if is_decorator else None
        return self._made_by_function(node, module, depth)

    def _made_by_function(self, node: ast.Call, module: Module, depth: int) -> _Product | None:
        """`def sms(name): return side_effect(name=f"sms.{name}")`, called with a text."""
        chain = chain_of(node.func)
        found = self._survey.origin(module.expand(chain)) if chain else None
        owner = self._survey.module(found[0]) if found is not None else None
        definition = owner.functions.get(found[1]) if owner is not None and found is not None else None
        if owner is None or definition is None or definition.decorator_list:
            return None
        body = [
            one for one in definition.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
        ]
        returned = body[0].value if len(body) == 1 and isinstance(body[0], ast.Return) else None
        if not isinstance(returned, ast.Call):
            return None
        product = self._product(returned.func, owner, depth + 1)
        if product is None or product.kind != _SIDE_EFFECT:
            return None
        parameters = [one.arg for one in (*definition.args.posonlyargs, *definition.args.args)]
        given = self._options(node, {}, module, parameters)
        return _Product(_SIDE_EFFECT, {**product.options, **self._options(returned, given, owner, ("name",))})

    def _options(
        self, node: ast.Call, known: Mapping[str, Any], module: Module, positional: Iterable[str]
    ) -> dict[str, Any]:
        """The arguments of a call by name; `**` for what is unpacked."""
        found: dict[str, Any] = {}
        for parameter, argument in zip(positional, node.args, strict=False):
            if parameter:
                found[parameter] = _value(argument, known, module)
        for keyword in node.keywords:
            found[keyword.arg or "**"] = True if keyword.arg is None else _value(keyword.value, known, module)
        return found


def _value(node: ast.AST, known: Mapping[str, Any], module: Module, depth: int = 0) -> Any:
    """The value of a literal, of a constant of the module, or of a text with such in it."""
    if isinstance(node, ast.Name) and node.id in known:
        return known[node.id]
    if isinstance(node, ast.Name) and node.id in module.values and depth < _DEEPEST:
        return _value(module.values[node.id], {}, module, depth + 1)
    if isinstance(node, ast.JoinedStr | ast.BinOp):
        return _text(node, known, module, depth)
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _UNCLEAR
    return tuple(value) if isinstance(value, list | set) else value


def _text(node: ast.JoinedStr | ast.BinOp, known: Mapping[str, Any], module: Module, depth: int) -> Any:
    if isinstance(node, ast.BinOp):
        parts: list[ast.AST] = [node.left, node.right] if isinstance(node.op, ast.Add) else []
    else:
        parts = [
            one.value if isinstance(one, ast.FormattedValue) and not one.format_spec else one for one in node.values
        ]
    values = [_value(part, known, module, depth + 1) for part in parts]
    return "".join(values) if values and all(isinstance(value, str) for value in values) else _UNCLEAR
