"""Keeping a held call: as a row, in the caller's transaction."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.db import connections

from sideeffects._core.calls.call import Call
from sideeffects._core.state.runtime_effect import Declared
from sideeffects._core.state.state import state
from sideeffects.database import waiting_rows
from sideeffects.errors import SideEffectBlocked, SideEffectError
from sideeffects.outbox.models import HeldCall
from sideeffects.outbox.rows import row_of

__tracebackhide__ = True


class DatabaseKeeper:
    """Keeps held calls in the database that the settings name."""

    def keep(
        self, call: Call, declared: Declared, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Write the call down, in the transaction that is open on that database; at once when there is none.

        Raises:
            SideEffectBlocked: a row cannot keep this call; nothing was written.
        """
        row = _row(call, declared, instance, args, kwargs)
        if _is_in_loop():
            # No transaction is open that the row could be part of: in a loop Django lets nobody have one.
            _in_thread(row)
        else:
            _write(row)

    async def keep_async(
        self, call: Call, declared: Declared, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """The same from a coroutine."""
        await sync_to_async(_write)(_row(call, declared, instance, args, kwargs))


def alias() -> str:
    """The database that has the outbox."""
    return state.rules_source().outbox.database


def _row(call: Call, declared: Declared, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> HeldCall:
    try:
        return row_of(call, declared, instance, args, kwargs)
    except SideEffectError as error:
        reason = f"it would have been held ({call.reason}), and cannot be: {error}"
        raise SideEffectBlocked(call.name, reason, call.caller, call.decision.origin) from None


def _write(row: HeldCall) -> None:
    using = alias()
    connection = connections[using]
    # Where autocommit was off before the block, one that is written in at its end would end it: Django turns autocommit
    # on, and so may commit.
    if connection.in_atomic_block and connection.commit_on_exit:
        waiting_rows.add(connection, row, _TABLE, lambda rows: _write_all(rows, using))
    else:
        row.save(using=using, force_insert=True)


_TABLE = HeldCall._meta.db_table  # noqa: SLF001 - Django documents `_meta`


def _write_all(rows: Sequence[HeldCall], using: str) -> None:
    HeldCall._base_manager.using(using).bulk_create(rows, batch_size=waiting_rows.BATCH)  # noqa: SLF001 - documented


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _in_thread(row: HeldCall) -> None:
    """Write a row in a thread of its own, and wait for it."""
    errors: list[BaseException] = []

    def write() -> None:
        try:
            _write(row)
        except BaseException as error:  # noqa: BLE001 - it is raised where the call was made
            errors.append(error)
        finally:
            connections[alias()].close()

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


keeper: Final = DatabaseKeeper()
