"""Which modules declare effects when they are imported, told from their source alone.

A module declares when code that importing it runs mentions something that declares: `side_effect` or `declare`, under
whatever name and through whatever module it was imported, or a function or class of the project that uses one of them
inside (a decorator of the project's own, say). What stands in the body of a function runs later, and does not count.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

_DECORATORS: Final = frozenset(("sideeffects.side_effect", "sideeffects._core.verbs.decorator.side_effect"))
#: What declares, wherever it is imported from.
_DECLARERS: Final = _DECORATORS | {"sideeffects.declare", "sideeffects._core.verbs.declare.declare"}
_PACKAGE: Final = "sideeffects"
#: In segments. Longer ones come of names that stand for parts of themselves.
_LONGEST_PATH: Final = 50


class Survey:
    """The result of reading a project's source.

    Attributes:
        declaring: the modules that declare effects when imported, in the order in which they were given.
        unreadable: modules that speak of sideeffects and cannot be read or parsed, with the error.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._texts: dict[str, bytes] = {}
        self._files = files
        self._modules: dict[str, Module | None] = {}
        self._answers: dict[str, bool] = {}
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
            for name in found:
                self._parsed(name)
            # A question may have been answered "no" for want of a module that has been read since.
            self._answers.clear()
            passed_on = {
                name
                for module in list(self._modules.values())
                if module is not None
                for name in module.names
                if self.is_declarer(f"{module.name}.{name}")
            }
            wanted = passed_on - known

    def _module(self, name: str) -> Module | None:
        """The module of that name, if it is the project's and may pass on what declares.

        One that speaks of nothing that declares can do so only by importing everything from another.
        """
        if name not in self._modules and b"import *" in self._texts.get(name, b""):
            return self._parsed(name)
        return self._modules.get(name)

    def _parsed(self, name: str) -> Module | None:
        """The module of that name, parsed once; `None` when it cannot be parsed."""
        if name not in self._modules:
            self._modules[name] = None
            try:
                self._modules[name] = Module(name, parse(self._texts[name]), self._files[name].name == "__init__.py")
            except (SyntaxError, ValueError, RecursionError) as error:
                self.unreadable[name] = error
        return self._modules[name]

    def is_declarer(self, dotted: str) -> bool:
        """Whether calling, or decorating with, what stands at that dotted path declares an effect.

        It does when it leads to what declares, by any way; each way station is looked at once.
        """
        met = {dotted}
        waiting = [dotted]
        while waiting:
            here = waiting.pop()
            if here in _DECLARERS or self._answers.get(here):
                self._answers[dotted] = True
                return True
            if here not in self._answers:
                further = [there for there in self._leads_to(here) if there not in met]
                met.update(further)
                waiting += further
        # None of them leads there, since all that they lead to has been met.
        self._answers.update(dict.fromkeys(met, False))
        return False

    def _leads_to(self, dotted: str) -> Iterable[str]:
        """What stands behind a dotted path: another name of it, or what it mentions when it is used."""
        if dotted.count(".") > _LONGEST_PATH:  # `a = a.b`, followed round and round
            return
        holder, _, rest = dotted.rpartition(".")
        while holder and self._module(holder) is None:
            holder, _, more = holder.rpartition(".")
            rest = f"{more}.{rest}"
        module = self._module(holder) if holder else None
        if module is None:
            return
        name, _, attributes = rest.partition(".")
        target = module.bound.get(name)
        if target is not None:
            yield f"{target}.{attributes}" if attributes else target
            return
        yield from module.later.get(name, ())
        for star in module.stars:
            yield f"{star}.{rest}"

    def _declares(self, module: Module) -> bool:
        return any(self.is_declarer(mention) for mention in module.now)


def parse(text: bytes) -> ast.Module:
    """The tree of a module's source.

    Raises:
        SyntaxError, ValueError, RecursionError: it is no source.
    """
    with warnings.catch_warnings():
        # An invalid escape in a text is for the import to warn of, if there is one.
        warnings.simplefilter("ignore")
        return ast.parse(text)


class Module:
    """What one module's source says, as dotted paths.

    Attributes:
        name: its own.
        bound: names that stand for something else: imported, or assigned from another name.
        stars: modules of which everything was imported.
        later: top-level functions, classes and made decorators, each with what it mentions when it is used.
        now: what importing the module mentions.
        names: everything that others could import from it and that might declare.
    """

    def __init__(self, name: str, tree: ast.Module, is_package: bool) -> None:
        self.name = name
        self._package = name if is_package else name.rpartition(".")[0]
        self.bound: dict[str, str] = {}
        self.stars: list[str] = []
        self.later: dict[str, set[str]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                self._note_import(node)
            elif isinstance(node, ast.ImportFrom):
                self._note_import_from(node)
        passing: set[ast.AST] = set()
        for node in _run_by_import(tree):
            if isinstance(node, Definition):
                at_once = set(_run_by_import(node))
                self.later.setdefault(node.name, set()).update(
                    self._mentions(inner for inner in ast.walk(node) if inner not in at_once)
                )
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                passing.update(self._note_assignment(node))
        self.now = set(self._mentions(node for node in _run_by_import(tree) if node not in passing))
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
        passed_on = self.dotted(value)
        if passed_on is not None:
            for name in names:
                if passed_on != f"{self.name}.{name}":
                    self.bound.setdefault(name, passed_on)
            yield from ast.walk(value)
        elif isinstance(value, ast.Call):
            function = self.dotted(value.func)
            is_plain = all(isinstance(argument, ast.Constant) for argument in value.args)
            makes_decorator = function == "functools.partial" or (function in _DECORATORS and is_plain)
            # What a function of the project makes may be a decorator, and may be an effect: then both is assumed.
            if makes_decorator or (function is not None and is_plain):
                for name in names:
                    self.later.setdefault(name, set()).update(self._mentions(ast.walk(value)))
            if makes_decorator:
                yield from ast.walk(value)

    def _mentions(self, nodes: Iterator[ast.AST]) -> Iterator[str]:
        for node in nodes:
            if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
                dotted = self.dotted(node)
                if dotted is not None:
                    yield dotted

    def dotted(self, node: ast.AST) -> str | None:
        """The dotted path that a name or a chain of attributes stands for, if it is one."""
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        start = self.bound.get(node.id, f"{self.name}.{node.id}")
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
