"""Which dry runs a context belongs to.

A dry run belongs to a context. Where a whole process is one (`manage.py dry_run`), code that its contexts do not reach
belongs to it as well: older threads that get their work by queues of their own, and threads that were started past
`threading`. They only execute what reads, and write to no database. The same holds for what runs while such a process
ends: callbacks of `atexit`, and queues that are emptied only then.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, NoReturn

from sideeffects._core.policy.rules import Rules
from sideeffects._core.state.extension_points import rules_source
from sideeffects._core.state.scope import EMPTY, Scope, scope
from sideeffects._core.state.state import state
from sideeffects.dryrun.publishing import Messages
from sideeffects.dryrun.refusals import Notes, Refusals


class Holder:
    """A dry run, as it stands in the contexts that belong to it."""

    def __init__(self) -> None:
        self.refusals = Refusals()
        self.remarks = Notes()
        self.messages = Messages()

    def refuse(self, reason: str) -> NoReturn:
        """Write down what is refused, and raise it."""
        __tracebackhide__ = True
        self.refusals.refuse(reason)

    def holds(self, connection: Any) -> bool:
        """Whether what is done on this connection is rolled back."""
        raise NotImplementedError


#: The dry runs that are all that their process does.
everywhere: Final[list[Holder]] = []
#: Where those that begin now are, what the settings said before all effects were held back.
is_whole: Final[list[Callable[[], Rules]]] = []


def rules_for_real() -> Rules:
    """What the settings say of runs that are not dry."""
    return (is_whole[0] if is_whole else state.rules_source)()


def belong() -> Sequence[Holder]:
    """The dry runs to which this context belongs, innermost first."""
    own = scope.get()
    if own is EMPTY:
        return everywhere
    return _owners(own) or everywhere


def is_reached() -> bool:
    """Whether this context itself belongs to a dry run, other than as a part of the process."""
    return bool(_owners(scope.get()))


def _owners(own: Scope) -> list[Holder]:
    return [entry.owner for entry in reversed(own.entries) if isinstance(entry.owner, Holder)]


# -- all of a process


class _Afterwards(Holder):
    """Stands for the dry runs that were, until the process is gone."""

    def holds(self, connection: Any) -> bool:  # noqa: ARG002 - none is rolled back any more
        """No connection: they may be read, and not written to."""
        return False


@contextmanager
def whole_process(*, until_its_end: bool) -> Generator[None]:
    """Inside the block no effect executes outside a test run that does more than read; dry runs hold for all contexts.

    Args:
        until_its_end: whether it stays so after the block.
    """
    source = state.rules_source
    known: list[tuple[Rules, Rules]] = []

    def held_back() -> Rules:
        rules = source()
        if not known or known[0][0] is not rules:
            recording = replace(rules, holds_back=True, settled=False)
            known[:] = [(rules, recording)]
        return known[0][1]

    with state.lock:
        state.switches.disturb()
        put_back = rules_source.add(held_back)
    is_whole.append(source)
    try:
        yield
    finally:
        if until_its_end:
            everywhere.append(_Afterwards())
        else:
            is_whole.pop()
            with state.lock:
                put_back()
                state.switches.disturb()
