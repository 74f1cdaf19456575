"""The latch of a test run: a process once in a test run stays in one until it exits.

What tells a test run is found in `test_run.py`; here is only whether it has been found.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final

from sideeffects._core.policy.rules import Rules
from sideeffects._core.state.children import Children
from sideeffects._core.state.extension_points import test_run_began
from sideeffects._core.state.switches import FastSwitches

TEST_RUN_VARIABLE: Final = "SIDE_EFFECTS_TEST_RUN"


class Latch:
    """Whether this process is in a test run.

    Args:
        lock: the lock of the process's state.
        switches: kept on for good by a test run.
        children: told where to write their calls.
    """

    __slots__ = (
        "__weakref__",
        "_children",
        "_looked_at",
        "_switches",
        "is_latched",
        "lock",
        "signs",
        "why",
    )

    def __init__(self, lock: threading.RLock, switches: FastSwitches, children: Children) -> None:
        self.lock = lock
        self._switches = switches
        self._children = children
        #: Whether this is known to be a test run; see `is_on`.
        self.is_latched = False
        self.why = ""
        #: What looks for signs of a test run.
        self.signs: Callable[[], str] = str
        #: The generation in which they were last looked for, in vain.
        self._looked_at = -1

    def is_on(self, rules: Rules | None = None) -> bool:
        """Whether this process is in a test run; a setting among `rules` may say so as well."""
        if self.is_latched:
            return True
        generation = self._switches.generation
        why = ""
        # Looking costs more than recording a call. A sign that comes up later either latches or disturbs (`test_run.py`
        # sees to it), and the fast switches rely on that as well.
        if self._looked_at == generation:
            if rules is None or not rules.test_run:
                return False
        else:
            why = self.signs()
            if not why:
                self._looked_at = generation
        if not why and rules is not None and rules.test_run:
            why = 'SIDE_EFFECTS["TEST_RUN"] is true'
        if why:
            self.latch(why)
            return True
        return False

    def latch(self, why: str) -> None:
        """Note that this is a test run, for this process and for the children that it starts."""
        with self.lock:
            is_new = not self.is_latched
            if is_new:
                self.why = why
                self.is_latched = True
                self._switches.keep_on(self)
            os.environ[TEST_RUN_VARIABLE] = "1"
            self._children.open_journal()
        if is_new:
            for tell in test_run_began:
                tell()
