"""What a dry run refuses, as the error that the code gets, and as a list for those whose code swallows it."""

from __future__ import annotations

import sys
import threading
from typing import NoReturn

from sideeffects.database.places import place_of_use
from sideeffects.errors import SideEffectError
from sideeffects.guard import call_sites


class DryRunRefused(SideEffectError):
    """A dry run met something that it could not take back, and refused it; everything was rolled back.

    Args:
        *reasons: each with what was refused, where, and why.
    """

    def __init__(self, *reasons: str) -> None:
        super().__init__(*reasons)
        self.reasons = reasons

    def __str__(self) -> str:
        return "\n".join(self.reasons)


class Notes:
    """Remarks on one dry run, with the places in the user's code."""

    def __init__(self) -> None:
        self._reasons: list[str] = []
        self._lock = threading.Lock()

    @property
    def reasons(self) -> tuple[str, ...]:
        """All of them, in order, each once."""
        with self._lock:
            return tuple(self._reasons)

    def note(self, reason: str) -> str:
        """Write one down, with the place in the user's code.

        Returns:
            the same, with its place.
        """
        return self.note_at(reason, _place())

    def note_at(self, reason: str, place: str) -> str:
        """The same, for a place that is known."""
        text = f"{reason} ({place})"
        with self._lock:
            if text not in self._reasons:
                self._reasons.append(text)
        return text


class Refusals(Notes):
    """What one dry run has refused so far. Code may swallow the errors; they are written down all the same.

    Attributes:
        is_certain: whether it is known that nothing was kept.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_certain = True

    def doubt(self, reason: str) -> None:
        """Write down why something may have been kept."""
        self.is_certain = False
        self.note(reason)

    def refuse(self, reason: str) -> NoReturn:
        """Write one down and raise it."""
        __tracebackhide__ = True
        raise DryRunRefused(self.note(reason))


def _place() -> str:
    """`file:line` in the user's own code; in a package, where there is none."""
    site = call_sites.find(sys._getframe(1))  # noqa: SLF001 - who tried
    return f"{site.code.co_filename}:{site.line}" if site.is_own else place_of_use()
