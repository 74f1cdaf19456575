"""The listing of `manage.py side_effects`: effects as rows."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from sideeffects._core.calls.decision import Decision
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.values import describe, kinds, redaction
from sideeffects._core.values.sensitive_names import is_sensitive
from sideeffects._core.verbs.explain import explain

PER_CALL: Final = "per call"
NOT_IMPORTED: Final = "not imported"
#: What Python 3.14 shows of a name in an annotation that nothing defines yet; it adds whose it is, with an address.
_DEFINED_LATER: Final = re.compile(r"ForwardRef\('([^']*)'[^()]*\)")
WHY_NOT: Final = "only its source was read: no installed app imports its module, or it is a script"


@dataclass(frozen=True, slots=True)
class Row:
    """One effect as it is listed.

    Attributes:
        effect: the effect.
        decision: what now holds for it; `None` where its module has not been imported, and only its source was read.
        app: the label of the installed app that declares it, empty when there is none.
        sensitive_names: further parameter names whose values are hidden (`SIDE_EFFECTS["SENSITIVE"]`).
    """

    effect: SideEffect
    decision: Decision | None
    app: str = ""
    sensitive_names: frozenset[str] = frozenset()

    @property
    def module(self) -> str:
        """The module of its function."""
        return self.effect.dotted_path.partition(":")[0]

    @property
    def mode(self) -> str:
        """The mode now in force; `per call` where a rule asks for the arguments; `not imported`."""
        if self.decision is None:
            return NOT_IMPORTED
        return PER_CALL if self.decision.conditional else self.decision.mode.name

    @property
    def file(self) -> str:
        """Its source file, relative to the current folder when it lies below; empty when there is none."""
        return self.effect.file.removeprefix(os.path.join(os.getcwd(), ""))

    @property
    def location(self) -> str:
        """`file:line`, else its dotted path."""
        return f"{self.file}:{self.effect.line}" if self.file else self.effect.dotted_path

    @property
    def where(self) -> str:
        """As `location`, files of other people's packages without the folder that these are installed in."""
        places = [place for entry in sys.path if self.file.startswith(place := os.path.join(entry, ""))]
        return self.location.removeprefix(max(places, key=len, default=""))

    @property
    def signature(self) -> str:
        """Its signature, defaults described without asking them, those of sensitive parameters hidden."""
        signature = self.effect.signature
        if signature is None:
            return "(...)"
        shown = signature.replace(
            parameters=[
                parameter
                if parameter.default is parameter.empty
                else parameter.replace(default=_Written(self._shown(parameter)))
                for parameter in signature.parameters.values()
            ]
        )
        return _DEFINED_LATER.sub(r"\1", str(shown))

    def _shown(self, parameter: inspect.Parameter) -> str:
        name = parameter.name
        hidden = name in self.effect.sensitive or is_sensitive(name, self.sensitive_names)
        if hidden and parameter.default is not None:
            return kinds.REDACTED
        return describe.describe(redaction.redact(parameter.default, self.sensitive_names))

    def as_data(self) -> dict[str, Any]:
        """All of it, JSON-safe; the keys are part of the contract."""
        effect, decision = self.effect, self.decision
        return {
            "name": effect.name,
            "mode": NOT_IMPORTED if decision is None else decision.mode.value,
            "per_call": decision is not None and decision.conditional,
            "reason": WHY_NOT if decision is None else decision.reason,
            "origin": "" if decision is None else decision.origin,
            "async_ok": effect.async_ok,
            "reads": effect.reads,
            "on_commit": effect.on_commit,
            "in_transaction": effect.in_transaction,
            "kind": effect.kind,
            "app": self.app,
            "module": self.module,
            "path": effect.dotted_path,
            "file": self.file,
            "line": effect.line,
            "signature": self.signature,
            "doc": effect.doc,
            "docstring": effect.docstring,
            "raises": [dotted(kind) for kind in effect.raises],
            "sensitive": list(effect.sensitive),
            "tags": list(effect.tags),
            "owner": effect.owner,
        }


class _Written:
    """Stands for a default in a signature, and is shown as the text that it was given."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def rows_of(
    effects: Iterable[SideEffect],
    not_imported: Iterable[SideEffect],
    app_of: Callable[[str], str],
    sensitive_names: frozenset[str],
) -> list[Row]:
    """The effects as rows, by name.

    Args:
        effects: those that are declared.
        not_imported: those of modules that have not been imported, as their source shows them.
        app_of: gives the label of the app that a module belongs to, empty when it belongs to none.
        sensitive_names: as of `Row`.
    """
    decided = [(effect, explain(effect)) for effect in effects]
    listed: list[tuple[SideEffect, Decision | None]] = [*decided, *((effect, None) for effect in not_imported)]
    rows = [
        Row(effect, decision, app_of(effect.dotted_path.partition(":")[0]), sensitive_names)
        for effect, decision in listed
    ]
    return sorted(rows, key=lambda row: row.effect.name)


def dotted(kind: type) -> str:
    """A class as code would name it."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
