"""A process that runs nothing but a dry run: effects are held back everywhere in it.

The dry run itself holds for its own context. Threads that were there before it, and get their work by queues of their
own, are outside of that; in a process of which all is a dry run they execute nothing either, and use no database. Nor
does what runs while such a process ends: callbacks of `atexit`, and queues that are emptied only then.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from sideeffects._core.calls.decision import Mode
from sideeffects._core.policy.policy import Rules
from sideeffects._core.state.state import state
from sideeffects.dryrun.membership import Holder, everywhere, is_whole


class _Afterwards(Holder):
    """Stands for the dry runs that were, until the process is gone."""

    def holds(self, connection: Any) -> bool:  # noqa: ARG002 - none is rolled back any more
        """No connection: they may be read, and not written to."""
        return False


@contextmanager
def whole_process(*, until_its_end: bool) -> Generator[None]:
    """Inside the block no effect executes outside a test run, and dry runs hold for all contexts.

    Args:
        until_its_end: whether it stays so after the block.
    """
    source = state.rules_source
    known: list[tuple[Rules, Rules]] = []

    def held_back() -> Rules:
        rules = source()
        if not known or known[0][0] is not rules:
            recording = rules.replace(mode=Mode.RECORD, policy=(), settled=False)
            known[:] = [(rules, recording)]
        return known[0][1]

    with state.lock:
        state.switches.disturb()
        state.rules_source = held_back
    is_whole.append(source)
    try:
        yield
    finally:
        if until_its_end:
            everywhere.append(_Afterwards())
        else:
            is_whole.pop()
            with state.lock:
                state.rules_source = source
                state.switches.disturb()
