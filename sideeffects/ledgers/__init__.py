"""Ledgers that several processes share: `SIDE_EFFECTS["LEDGER"]` with the backend `"file"` or `"cache"`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sideeffects._core.calls.call import Call
from sideeffects._core.records.reading import Calls
from sideeffects._core.state.state import state
from sideeffects._core.values import clock
from sideeffects.errors import LedgerError
from sideeffects.ledgers.shared import Log, Reader, Shared

__all__ = ["shared_calls"]

#: Seconds for which records are kept: a day.
DEFAULT_TIMEOUT: Final = 24 * 60 * 60

#: What a test run has read so far of each ledger; settings that change and change back make it read nothing twice.
_readers: Final[dict[tuple[str, str], Reader]] = {}
#: Calls made before that are none of this process's test run.
_started: Final = clock.now()


def shared_ledger(given: Mapping[str, Any]) -> Shared:
    """The ledger that a checked `SIDE_EFFECTS["LEDGER"]` spells, with the backend `"file"` or `"cache"`."""
    timeout = float(given.get("TIMEOUT", DEFAULT_TIMEOUT))
    log: Log
    if given["BACKEND"] == "file":
        from sideeffects.ledgers.file import FileLog

        where = os.fsdecode(given["PATH"])
        log = FileLog(where, timeout)
    else:
        from sideeffects.ledgers.cache import CacheLog

        where = given.get("ALIAS", "default")
        log = CacheLog(where, timeout, is_trusted=given.get("ATOMIC_ADD", False))
    reader = _readers.setdefault((given["BACKEND"], where), Reader(_started))
    return Shared(log, reader)


def shared_calls(run_id: str | None = None) -> Calls:
    """The calls in the shared ledger, by all processes, in the order in which they were made; live.

    Args:
        run_id: only those of this run list.

    Returns:
        a `Calls`. Its values are JSON-safe stand-ins, and its assertions compare with stand-ins. What is missing of
        the ledger counts as dropped, so assertions fail rather than take it for calls that never were.

    Raises:
        LedgerError: the settings name no ledger that processes share; when read: it cannot be read.

    Example:
        >>> def texts_of(order):
        ...     return shared_calls(run_id=f"order-{order}").count("sms.send")
    """
    if state.rules_source().shared is None:
        raise LedgerError("memory", "only this process has it; name a BACKEND of 'file' or 'cache' to share calls")

    def source() -> tuple[Sequence[Call], int]:
        shared = state.rules_source().shared
        assert isinstance(shared, Shared)  # noqa: S101 - `shared_ledger` made it
        calls, lost = shared.all_calls(run_id)
        return calls, lost.records

    return Calls(source)
