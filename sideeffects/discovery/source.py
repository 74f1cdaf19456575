"""Which modules declare effects when they are imported, told from their source alone.

A module declares when code that importing it runs mentions something that declares: `side_effect` or `declare`, under
whatever name and through whatever module it was imported, or a function or class of the project that uses one of them
inside (a decorator of the project's own, say). What stands in the body of a function runs later, and does not count.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

_DECORATORS: Final = frozenset(("sideeffects.side_effect", "sideeffects._decorator.side_effect"))
#: What declares, wherever it is imported from.
_DECLARERS: Final = _DECORATORS | {"sideeffects.declare", "sideeffects._declare.declare"}
_PACKAGE: Final = "sideeffects"
#: Names that stand for names: past this, it is a circle.
_LONGEST_CHAIN: Final = 50


class Survey:
    """The result of reading a project's source.

    Attributes:
        declaring: the modules that declare effects when imported, in the order in which they were given.
        unreadable: modules that speak of sideeffects and cannot be read or parsed, with the error.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._texts: dict[str, bytes] = {}
        self._files = files
        self._modules: dict[str, _Module | None] = {}
        self._answers: dict[str, bool] = {}
        self._asking: list[str] = []
        self.unreadable: dict[str, Exception] = {}
        for name, path in files.items():
            try:
                self._texts[name] = path.read_bytes()
            except OSError as error:
                self.unreadable[name] = error
        self._read_all()
        self.declaring: tuple[str, ...] = tuple(
            name for name in files if (module := self._modules.get(name)) is not None and self._declares(module)
        )
        self._texts.clear()

    def _read_all(self) -> None:
        """Parse the modules that speak of sideeffects, then those that speak of what these ones pass on."""
        wanted = {_PACKAGE}
        known: set[str] = set()
        while wanted:
            known |= wanted
            speaks = re.compile(rb"\b(?:" + b"|".join(re.escape(word.encode()) for word in sorted(wanted)) + rb")\b")
            found = [name for name, text in self._texts.items() if name not in self._modules and speaks.search(text)]
            # A question may have been answered "no" for want of a module that has been read since.
            self._answers.clear()
            wanted = {
                passed_on
                for name in found
                if (module := self._module(name)) is not None
                for passed_on in module.names
                if self._is_declarer(f"{name}.{passed_on}")
            } - known

    def _module(self, name: str) -> _Module | None:
        """The module of that name, parsed once; `None` when it is not the project's or cannot be parsed."""
        if name not in self._modules:
            text = self._texts.get(name)
            self._modules[name] = None
            if text is not None:
                try:
                    self._modules[name] = _Module(name, _parse(text), self._files[name].name == "__init__.py")
                except (SyntaxError, ValueError, RecursionError) as error:
                    self.unreadable[name] = error
        return self._modules[name]

    def _is_declarer(self, dotted: str) -> bool:
        """Whether calling, or decorating with, what stands at that dotted path declares an effect."""
        if dotted in _DECLARERS:
            return True
        known = self._answers.get(dotted)
        if known is not None:
            return known
        if dotted in self._asking or len(self._asking) > _LONGEST_CHAIN:
            return False
        self._asking.append(dotted)
        try:
            answer = self._look_up(dotted)
        finally:
            self._asking.pop()
        # A "no" from inside a circle of imports is none: whoever asked has not been answered yet.
        if answer or not self._asking:
            self._answers[dotted] = answer
        return answer

    def _look_up(self, dotted: str) -> bool:
        holder, _, rest = dotted.rpartition(".")
        while holder and self._module(holder) is None:
            holder, _, more = holder.rpartition(".")
            rest = f"{more}.{rest}"
        module = self._module(holder) if holder else None
        if module is None:
            return False
        name, _, attributes = rest.partition(".")
        target = module.bound.get(name)
        if target is not None:
            return self._is_declarer(f"{target}.{attributes}" if attributes else target)
        if any(self._is_declarer(mention) for mention in module.later.get(name, ())):
            return True
        return any(self._is_declarer(f"{star}.{rest}") for star in module.stars)

    def _declares(self, module: _Module) -> bool:
        return any(self._is_declarer(mention) for mention in module.now)


def _parse(text: bytes) -> ast.Module:
    with warnings.catch_warnings():
        # An invalid escape in a text is for the import to warn of, if there is one.
        warnings.simplefilter("ignore")
        return ast.parse(text)


class _Module:
    """What one module's source says, as dotted paths.

    Attributes:
        bound: names that stand for something else: imported, or assigned from another name.
        stars: modules of which everything was imported.
        later: top-level functions, classes and made decorators, each with what it mentions when it is used.
        now: what importing the module mentions.
        names: everything that others could import from it and that might declare.
    """

    def __init__(self, name: str, tree: ast.Module, is_package: bool) -> None:
        self._name = name
        self._package = name if is_package else name.rpartition(".")[0]
        self.bound: dict[str, str] = {}
        self.stars: list[str] = []
        self.later: dict[str, list[str]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                self._note_import(node)
            elif isinstance(node, ast.ImportFrom):
                self._note_import_from(node)
        passing: set[ast.AST] = set()
        for node in _run_by_import(tree):
            if isinstance(node, Definition):
                at_once = set(_run_by_import(node))
                self.later.setdefault(node.name, []).extend(
                    self._mentions(inner for inner in ast.walk(node) if inner not in at_once)
                )
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                passing.update(self._note_assignment(node))
        self.now = list(self._mentions(node for node in _run_by_import(tree) if node not in passing))
        self.names = [*self.bound, *self.later]

    def _note_import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.asname:
                self.bound[alias.asname] = alias.name
            else:
                top = alias.name.partition(".")[0]
                self.bound[top] = top

    def _note_import_from(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            above = self._package.split(".")
            above = above[: len(above) - node.level + 1]
            base = ".".join([*above, base] if base else above)
        for alias in node.names:
            if alias.name == "*":
                self.stars.append(base)
            else:
                self.bound[alias.asname or alias.name] = f"{base}.{alias.name}"

    def _note_assignment(self, node: ast.Assign | ast.AnnAssign) -> Iterator[ast.AST]:
        """`se = side_effect`, `sms = side_effect(tags=["sms"])`: these pass on; what they mention declares nothing."""
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        value = node.value
        if len(names) != len(targets) or value is None:
            return
        passed_on = self._dotted(value)
        if passed_on is not None:
            for name in names:
                if passed_on != f"{self._name}.{name}":
                    self.bound.setdefault(name, passed_on)
            yield from ast.walk(value)
        elif isinstance(value, ast.Call):
            function = self._dotted(value.func)
            is_plain = all(isinstance(argument, ast.Constant) for argument in value.args)
            makes_decorator = function == "functools.partial" or (function in _DECORATORS and is_plain)
            # What a function of the project makes may be a decorator, and may be an effect: then both is assumed.
            if makes_decorator or (function is not None and is_plain):
                for name in names:
                    self.later.setdefault(name, []).extend(self._mentions(ast.walk(value)))
            if makes_decorator:
                yield from ast.walk(value)

    def _mentions(self, nodes: Iterator[ast.AST]) -> Iterator[str]:
        for node in nodes:
            if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
                dotted = self._dotted(node)
                if dotted is not None:
                    yield dotted

    def _dotted(self, node: ast.AST) -> str | None:
        """The dotted path that a name or a chain of attributes stands for, if it is one."""
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        start = self.bound.get(node.id, f"{self._name}.{node.id}")
        return ".".join([start, *reversed(attributes)])


def _run_by_import(root: ast.AST) -> Iterator[ast.AST]:
    """The nodes that importing runs: everything but the bodies of functions, and of `if __name__ == "__main__"`."""
    waiting: list[ast.AST] = [root]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [*node.decorator_list, *_defaults(node.args)]
        elif isinstance(node, ast.Lambda):
            waiting += _defaults(node.args)
        elif isinstance(node, ast.If) and _asks_for_main(node.test):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def _defaults(arguments: ast.arguments) -> list[ast.expr]:
    return [default for default in [*arguments.defaults, *arguments.kw_defaults] if default is not None]


def _asks_for_main(test: ast.expr) -> bool:
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and test.left.id == "__name__"
        and any(isinstance(other, ast.Constant) and other.value == "__main__" for other in test.comparators)
    )
