"""What a test carries that is decorated with `@fault_sweep(...)`: it makes the run that it is told to."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from sideeffects._core.state.state import state
from sideeffects.testing.faults.errors import FaultSweepError
from sideeffects.testing.faults.run import Run
from sideeffects.testing.faults.sweep import Options
from sideeffects.testing.faults.words import words

#: The attribute by which whoever runs tests finds it.
ATTRIBUTE: Final = "_side_effects_fault_sweep"

_NOTE: Final = "fault_sweep: this happens although no effect fails, so that no fault was tried"


class Swept:
    """What a decorated test carries: what was asked for, and the run that it is to make next.

    Args:
        options: what was asked for.
        name: the test's qualified name.
    """

    def __init__(self, options: Options, name: str) -> None:
        self.options = options
        self.name = name
        self.run: Run | None = None

    @contextmanager
    def making(self, run: Run) -> Generator[None]:
        """Inside, whoever calls the test makes this run."""
        state.test_run.latch("a fault sweep is run")
        self.run = run
        try:
            yield
        finally:
            self.run = None

    @contextmanager
    def scenario(self) -> Generator[Run]:
        """Around the test's own body and its invariants."""
        run = self.run
        if run is None:
            raise FaultSweepError(
                f"{self.name} is a fault sweep, and whoever runs it knows nothing of them: run it by pytest with the "
                f"sideeffects plugin, or decorate it in the body of a unittest TestCase. To sweep a function, call "
                f"fault_sweep(function)"
            )
        try:
            yield run
        except Exception as error:
            if run.cell:
                run.fail(words(error), error)
            else:
                error.add_note(_NOTE)
            raise
