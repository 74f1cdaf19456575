"""A process that runs nothing but a dry run: effects are held back everywhere in it.

The dry run itself holds for its own context. Threads that were there before it, and get their work by queues of their
own, are outside of that; in a process of which all is a dry run they execute nothing either, and use no database.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from sideeffects._calls import Mode
from sideeffects._policy import Rules
from sideeffects._state import state
from sideeffects.dryrun.belonging import is_whole


@contextmanager
def whole_process() -> Generator[None]:
    """Inside the block no effect executes outside a test run, and dry runs hold for all contexts."""
    source = state.rules_source
    known: list[tuple[Rules, Rules]] = []

    def held_back() -> Rules:
        rules = source()
        if not known or known[0][0] is not rules:
            recording = rules.replace(mode=Mode.RECORD, policy=(), settled=False)
            known[:] = [(rules, recording)]
        return known[0][1]

    with state.lock:
        state.disturb()
        state.rules_source = held_back
    is_whole.append(source)
    try:
        yield
    finally:
        is_whole.pop()
        with state.lock:
            state.rules_source = source
            state.disturb()
