"""Effects that are handed by their name to queues that are not adapted, told from the project's source.

A worker finds the function by that name. Who hands it over calls no function of the effect, so nothing is decided
there.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from sideeffects._core.calls import registry
from sideeffects._core.calls.effect import SideEffect
from sideeffects.listing.audit.formats import where
from sideeffects.listing.audit.source import Body, Source
from sideeffects.project.discovery.module import Module, parse

#: Packages all of whose functions take another one, or its dotted path: django-q2.
_TAKING_FUNCTIONS: Final = ("django_q.",)
#: Methods that take the name of a function: of arq and SAQ, and of procrastinate and taskiq, for which a task's name is
#: the dotted path of its function.
_TAKING_NAMES: Final = frozenset(("enqueue_job", "enqueue"))
_TAKING_PATHS: Final = frozenset(("AsyncKicker", "configure_task"))
_WORDS: Final = tuple(word.encode() for word in ("django_q", *_TAKING_NAMES, *_TAKING_PATHS))


def problems(effects: Iterable[SideEffect], files: Mapping[str, Path]) -> Iterator[str]:
    """A sentence for each call that hands over one of the effects, unless the function that makes it is an effect.

    Args:
        effects: the effects.
        files: the project's files by the names of their modules.
    """
    named: dict[str, list[str]] = defaultdict(list)
    for effect in effects:
        path = effect.dotted_path
        for text in (path, path.replace(":", "."), path.rpartition(":")[2]):
            named[text].append(effect.name)
    declared = {effect.dotted_path.replace(":", ".") for effect in registry.registry.values()}
    for source in _sources(files):
        for body in source.bodies.values():
            if any(outer.path in declared for outer in body.around()):
                continue
            for node, _ in body.nodes:
                if isinstance(node, ast.Call) and not source.is_accepted((node.lineno, node.end_lineno or node.lineno)):
                    yield from _told(body, node, named)


def _sources(files: Mapping[str, Path]) -> Iterator[Source]:
    for name, path in files.items():
        try:
            text = path.read_bytes()
            if any(word in text for word in _WORDS):
                tree = parse(text)
                yield Source(Module(name, tree, path.name == "__init__.py"), tree, path)
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue  # discovery and the audit say so


def _told(body: Body, call: ast.Call, named: Mapping[str, list[str]]) -> Iterator[str]:
    for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
        for name in named.get(_handed(body.source.module, call, argument), ()):
            yield (
                f"{where(body.source.path, call.lineno)}: {ast.unparse(call.func)}() hands {name} to a queue that is "
                f"not adapted, without a decision, in a test run too: put @side_effect above the function that calls "
                f"this, or accept the call by a comment '# sideeffects: accepted' on its line"
            )


def _handed(module: Module, call: ast.Call, argument: ast.expr) -> str:
    """The name of what an argument hands over; empty for nothing."""
    text = argument.value if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else ""
    called = module.dotted(call.func) or ""
    if called.startswith(_TAKING_FUNCTIONS):
        return text or module.dotted(argument) or ""
    method = called.rpartition(".")[2] if called else getattr(call.func, "attr", "")
    if method in _TAKING_PATHS:
        return text
    # RQ takes dotted paths, and is adapted.
    return "" if method not in _TAKING_NAMES or "." in text else text
