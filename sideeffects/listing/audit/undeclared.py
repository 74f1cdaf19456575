"""Functions that call well-known outside APIs and are not declared, told from the project's source alone.

`source.py` takes modules apart, `project.py` finds what they import of each other, `following.py` what objects are made
by, and `outside_apis.py` knows the APIs. Nothing is imported, nothing is run.
"""

from __future__ import annotations

import ast
import hashlib
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from sideeffects.listing.audit.following import Following
from sideeffects.listing.audit.learning import Learning
from sideeffects.listing.audit.outside_apis import (
    connects,
    is_named_by_what_it_does,
    network_library,
    reaches_outside,
    said_by_name,
    sends_mail,
)
from sideeffects.listing.audit.project import Project
from sideeffects.listing.audit.reads import OutsideCall, Reading, call_reads
from sideeffects.listing.audit.source import Body, Source, signature_lines
from sideeffects.project.discovery.module import Module, parse
from sideeffects.project.discovery.survey import Survey

#: Words in the names of functions that call what they are handed.
_RUNNERS: Final = frozenset(
    """
    add apply async backoff call callback commit defer delay enqueue executor later map partial partialmethod process
    register retry run runner schedule soon spawn start starmap submit sync task thread timer try wrap
    """.split()
)
_DECLARE: Final = ("sideeffects.declare", "sideeffects._core.verbs.declare.declare")


class UndeclaredFunction(NamedTuple):
    """A function that calls outside APIs and is not declared.

    Attributes:
        module: its module.
        function: its qualified name; empty for what importing the module calls.
        path: its file.
        line: where it begins; of the first call, for what importing the module calls.
        calls: what it calls, in order.
        only_reads: whether it plainly does nothing but read.
    """

    module: str
    function: str
    path: Path
    line: int
    calls: tuple[OutsideCall, ...]
    only_reads: bool

    @property
    def effect_name(self) -> str:
        """The name that is proposed for the effect."""
        return f"{self.module}.{self.function}"

    @property
    def decorator(self) -> str:
        """The decorator that is proposed, without its `@`."""
        reads = ", reads=True" if self.only_reads else ""
        return f'side_effect(name="{self.effect_name}"{reads})'


class Unclear(NamedTuple):
    """A file that imports a library for the network, and of which no call is known.

    Attributes:
        module: its module.
        path: the file.
        line: of the import.
        library: what it imports.
    """

    module: str
    path: Path
    line: int
    library: str


class Audit:
    """The result of reading a project's source.

    Attributes:
        found: in the order of files and lines.
        unclear: files that import a library for the network without a call that is known.
        unreadable: modules that cannot be read or parsed, with the error.
        files: how many files were read.
        digests: of the files, as they were read.
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
        self.digests: dict[Path, bytes] = {}
        self._survey = Survey(files)
        sources = dict(self._read(files, progress))
        named = {*declared, *itertools.chain.from_iterable(map(_declared_in, sources.values()))}
        self._declared = {target.replace(":", ".") for target in named}
        self._is_mail_declared = any(target.startswith("django.core.mail") for target in self._declared)
        self._project = Project(sources)
        self._following = Following(self._project)
        Learning(self._following).run()
        below = self._below_declared()
        found: list[UndeclaredFunction] = []
        self.unclear: list[Unclear] = []
        calls = {body: list(self._calls(body)) for source in sources.values() for body in source.bodies.values()}
        reading = Reading(calls, self._used_by, self._is_declared)
        for source in sources.values():
            found += self._found(source, calls, below, reading)
            if not any(calls[body] for body in source.bodies.values()):
                self.unclear += _unclear(source)
        self.found: tuple[UndeclaredFunction, ...] = tuple(found)

    def _read(self, files: Mapping[str, Path], progress: Callable[[int, int], object]) -> Iterator[tuple[str, Source]]:
        for number, (name, path) in enumerate(files.items(), 1):
            try:
                text = path.read_bytes()
                self.digests[path] = digest_of(text)
                tree = parse(text)
                yield name, Source(Module(name, tree, path.name == "__init__.py"), tree, path)
            except (OSError, SyntaxError, ValueError, RecursionError) as error:
                self.unreadable[name] = error
            progress(number, len(files))

    def _found(
        self, source: Source, calls: Mapping[Body, list[OutsideCall]], below: Collection[str], reading: Reading
    ) -> list[UndeclaredFunction]:
        found = []
        for name, body in source.bodies.items():
            if not calls[body] or body.path in below or self._is_declared(body):
                continue
            own = [signature_lines(body.definition)] if body.definition is not None else []
            left = [
                call
                for call in calls[body]
                if not self._is_effect(call.api) and not source.is_accepted(*own, (call.line, call.last))
            ]
            if left:
                line = body.definition.lineno if body.definition is not None else left[0].line
                reads = reading.only_reads(body)
                found.append(UndeclaredFunction(source.name, name, source.path, line, tuple(left), reads))
        return sorted(found, key=lambda one: one.line)

    def _is_effect(self, api: str) -> bool:
        return api in self._declared or (self._is_mail_declared and sends_mail(api))

    def _calls(self, body: Body) -> Iterator[OutsideCall]:
        """What a function calls of the outside, each API once a line."""
        met: dict[tuple[str, int], OutsideCall] = {}
        for node, _ in body.nodes:
            if isinstance(node, ast.Call):
                for api, reads in self._apis(node, body):
                    new = OutsideCall(api, node.lineno, node.end_lineno or node.lineno, reads)
                    same = met.setdefault((api, node.lineno), new)
                    met[api, node.lineno] = same._replace(reads=same.reads and reads)
        used = {api.partition("().")[0] for api, _ in met if "()." in api}
        # What connects when it is made is only told of where nothing else is done with it.
        told = [call for call in met.values() if not connects(call.api) or call.api not in used]
        yield from sorted(told, key=lambda call: call.line)

    def _apis(self, node: ast.Call, body: Body) -> Iterator[tuple[str, bool]]:
        """The outside APIs that a call leads to, each with whether it only reads there."""
        called = self._of(node.func, body)
        apis = sorted(filter(reaches_outside, called))
        if not called and isinstance(node.func, ast.Attribute) and (api := said_by_name(node.func.attr)):
            apis.append(api)
        if node.args or node.keywords:
            apis += sorted(api for api in called if connects(api))
        yield from ((api, call_reads(api, node, body, is_handed=False)) for api in apis)
        if self._only_looks(node.func, called):
            return
        # What is handed on is called by somebody else: `asyncio.to_thread(requests.get, ...)`.
        for handed in (*node.args, *(keyword.value for keyword in node.keywords)):
            is_function = isinstance(handed, ast.Name | ast.Attribute)
            if is_function or (isinstance(handed, ast.Call) and "functools.partial" in self._of(handed.func, body)):
                handed_on = (api for api in self._of(handed, body) if reaches_outside(api))
                for api in sorted(api for api in handed_on if _is_called_by(node.func, api)):
                    yield api, call_reads(api, node, body, is_handed=True)

    def _of(self, node: ast.AST, body: Body) -> frozenset[str]:
        return self._following.values(node, body)

    @staticmethod
    def _only_looks(function: ast.expr, called: Collection[str]) -> bool:
        """Whether a function that is handed others does not have them called."""
        looks = ("isinstance", "issubclass", "getattr", "hasattr", "setattr", "callable", "type", "super")
        return "functools.partial" in called or (isinstance(function, ast.Name) and function.id in looks)

    def _is_declared(self, body: Body) -> bool:
        """Whether a function, or one that it stands in, is an effect."""
        return any(
            one.path in self._declared or any(self._survey.is_declarer(path) for path in one.decorators)
            for one in body.around()
        )

    def _below_declared(self) -> set[str]:
        """Functions that only declared ones use, by themselves or through each other."""
        users: dict[str, set[str]] = {}
        declared: set[str] = set()
        functions = self._project.functions
        for source in self._project.sources.values():
            for body in source.bodies.values():
                if body.name and self._is_declared(body):
                    declared.add(body.path)
        if not declared:
            return set()
        for source in self._project.sources.values():
            for body in source.bodies.values():
                for used in self._mentioned(body):
                    if used != body.path:
                        users.setdefault(used, set()).add(body.path)
        outer = {path: body.outer.path for path, body in functions.items() if body.outer is not None}
        below: set[str] = set()
        while True:
            more = {
                path
                for path in functions.keys() - below - declared
                if (path in users and users[path] <= below | declared) or outer.get(path) in below
            }
            if not more:
                return below
            below |= more

    def _used_by(self, body: Body) -> Iterator[Body]:
        functions = self._project.functions
        yield from (functions[path] for path in self._mentioned(body) if path in functions)

    def _mentioned(self, body: Body) -> Iterator[str]:
        """The project's functions that a function speaks of."""
        for node, _ in body.nodes:
            if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
                yield from (used for used in self._following.values(node, body) if used in self._project.functions)


def _is_called_by(function: ast.expr, handed: str) -> bool:
    """Whether a function that is handed such a path calls it. What an object holds may be data as well."""
    if handed.endswith("()"):
        return False
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return "()" not in handed or is_named_by_what_it_does(handed) or not _RUNNERS.isdisjoint(name.lower().split("_"))


def digest_of(text: bytes) -> bytes:
    """By which a file is known again."""
    return hashlib.sha256(text).digest()


def _declared_in(source: Source) -> Iterator[str]:
    """The targets of `declare("module:name")` in a module's text."""
    for body in source.bodies.values():
        for node, _ in body.nodes:
            if isinstance(node, ast.Call) and node.args and source.module.dotted(node.func) in _DECLARE:
                target = node.args[0]
                if isinstance(target, ast.Constant) and isinstance(target.value, str):
                    yield target.value


def _unclear(source: Source) -> Iterator[Unclear]:
    """The first import of a library for the network, if there is one that nobody has accepted."""
    for body in source.bodies.values():
        for node, _ in body.nodes:
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for name in filter(None, map(network_library, imported)):
                if not source.is_accepted((node.lineno, node.end_lineno or node.lineno)):
                    yield Unclear(source.name, source.path, node.lineno, name)
                    return
