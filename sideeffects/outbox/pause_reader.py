"""What this process knows of pauses: a daemon thread reads them again and again, and calls look at what it has read.

So no call waits for a query, and whatever a call's own connection is in (an aborted transaction, REPEATABLE READ, an
event loop) does not matter. What was read last stays in force when the store does not answer. A process that has read
nothing yet executes nothing.
"""

from __future__ import annotations

import contextvars
import logging
import math
import os
import threading
from typing import Any, Final

from django.db import connections

from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.calls.registry import matches
from sideeffects._core.state import extension_points
from sideeffects._core.state.state import state
from sideeffects._core.values import clock, describe
from sideeffects.contrib.sentry.pauses import tell_sentry
from sideeffects.database.own_reads import is_own
from sideeffects.outbox import pauses
from sideeffects.outbox.models import Pause

logger: Final = logging.getLogger("sideeffects")

_TABLE: Final = Pause._meta.db_table  # noqa: SLF001 - Django documents it
_SETTING: Final = 'settings.SIDE_EFFECTS["OUTBOX"]'
#: How many refreshes may pass without an answer before the log says so.
_PATIENCE: Final = 5


class _Known:
    """What has been read, with what was already asked of it: which pauses mean an effect, by its name."""

    __slots__ = ("_by_name", "rows")

    def __init__(self, rows: tuple[pauses.Paused, ...]) -> None:
        self.rows = rows
        self._by_name: dict[str, tuple[pauses.Paused, ...]] = {}

    def of(self, name: str) -> tuple[pauses.Paused, ...]:
        found = self._by_name.get(name)
        if found is None:
            found = self._by_name[name] = tuple(row for row in self.rows if matches(row.pattern, name))
        return found


class PauseReader:
    """The pauses as this process knows them. There is one, `reader`."""

    def __init__(self) -> None:
        #: Connections of a parent's thread: closing them here would end what the parent still uses.
        self._inherited: list[Any] = []
        self._connection: Any = None
        self._said_missing = False
        #: Seconds between two looks, by settings that could be read: the thread outlives those that cannot.
        self._refresh = 2.0
        #: Whether the table has been read, in this process or before its fork.
        self._has_table = False
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._tried = threading.Event()
        self._wake = threading.Event()
        self._known: _Known | None = None
        self._trouble = ""
        self._started_at = 0.0
        #: When the log will say that no answer has come. Calls only compare the time with it.
        self._late_at = math.inf
        self._is_late = False

    def after_fork(self) -> None:
        """In the child, which has no thread and may have lived for long: it reads anew."""
        if self._connection is not None:
            self._inherited.append(self._connection)
            self._connection = None
        self._begin()

    # -- what calls ask

    def ask(self, effect: SideEffect, mode: Mode) -> Decision | None:
        """What holds for a call of an effect by a pause, if one does. Only the first calls of a process wait.

        Args:
            effect: the effect.
            mode: what was decided without. As long as nothing has been read, a call that would execute is refused.
        """
        known = self._known
        if known is None:
            known = self._first()
            if known is None:
                if mode is not Mode.EXECUTE:
                    return None
                return Decision(Mode.RAISE, f"whether it is paused is not known: {self._trouble}", _SETTING)
        elif not self._is_late and clock.monotonic() > self._late_at:
            self._is_late = True
            logger.error(
                "pauses have not been read for %g seconds; what was known last stays in force",
                _PATIENCE * self._refresh,
            )
        if not known.rows:
            return None
        return pauses.strictest(known.of(effect.name))

    def _first(self) -> _Known | None:
        self._start()
        left = self._started_at + pauses.refresh() - clock.monotonic()
        if left > 0 and not self._tried.wait(left):
            self._trouble = f"the database {pauses.alias()!r} has not answered within {pauses.refresh():g} s"
        elif not self._tried.is_set() and not self._trouble:
            self._trouble = f"the database {pauses.alias()!r} has not answered yet"
        return self._known

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._started_at = clock.monotonic()
                self._tried.clear()
                self._thread = threading.Thread(target=self._read_on, name="sideeffects-pauses", daemon=True)
                try:
                    # In a context of its own: it outlives the request, and the overrides, of the call that asks.
                    contextvars.Context().run(self._thread.start)
                except RuntimeError as error:  # while the interpreter ends, or where there are too many
                    self._thread = None
                    self._trouble = f"the thread that reads the pauses could not be started ({error})"
                    self._tried.set()

    def refresh(self) -> None:
        """Read again, and wait for that a moment: this process has just changed a pause, and is about to show it."""
        if self._thread is not None:
            self._tried.clear()
            self._wake.set()
            self._tried.wait(pauses.refresh())

    # -- what the thread does

    def _read_on(self) -> None:
        is_own.set(True)
        thread = self._thread
        while self._thread is thread:  # in a child of a fork it is another one, or none
            self._wake.clear()
            self._read_once()
            self._tried.set()
            self._wake.wait(self._refresh)

    def _read_once(self) -> None:
        try:
            using, self._refresh = pauses.alias(), pauses.refresh()
            connection = self._connection = connections[using]
            # The connection is asked for nothing before the first statement: in a dry run threads may only read.
            rows = _rows(using)
            if not connection.get_autocommit():
                connection.rollback()  # PostgreSQL's drivers refuse the next line inside a transaction
                connection.set_autocommit(True)  # or all that it reads is of one snapshot
            if connection.settings_dict["OPTIONS"].get("pool"):
                connection.close()  # the pool is for requests
            if rows is None and self._has_table:
                raise LookupError(f"the table {_TABLE} is gone")  # noqa: TRY301 - as if it could not be read
        except BaseException as error:  # noqa: BLE001 - the thread lives as long as the process
            self._failed(error)
            return
        self._has_table = rows is not None
        if rows is None:
            self._missing()
        self._answered(rows or ())

    def _answered(self, rows: tuple[pauses.Paused, ...]) -> None:
        before = () if self._known is None else self._known.rows
        if self._trouble and self._known is not None:
            logger.warning("pauses can be read again")
        self._trouble, self._is_late = "", False
        self._expect()
        if self._known is None or rows != before:
            self._known = _Known(rows)
            _say(before, rows)

    def _expect(self) -> None:
        self._late_at = clock.monotonic() + _PATIENCE * self._refresh

    def _missing(self) -> None:
        if not self._said_missing:
            self._said_missing = True
            logger.warning("there is no table %s: nothing is paused, and nothing can be. Run manage.py migrate", _TABLE)

    def _failed(self, error: BaseException) -> None:
        said = f"the pauses could not be read ({type(error).__name__}: {describe.text_of(error).strip()})"
        if not self._trouble:
            last = "no call executes" if self._known is None else "what was known last stays in force"
            logger.error("%s; until they can be, %s", said, last)
        self._trouble = said
        self._expect()
        if self._connection is not None:
            try:
                self._connection.close()
            except Exception:  # noqa: BLE001 - it is of no use any more
                self._connection.connection = None


def _rows(using: str) -> tuple[pauses.Paused, ...] | None:
    """The pauses; `None` where there is no table yet."""
    try:
        return pauses.read(using)
    except Exception:  # noqa: BLE001 - drivers raise whatever they like
        connection = connections[using]
        connection.close()  # a server that was restarted has closed it, and the next try opens another one
        with connection.cursor() as cursor:
            tables = connection.introspection.table_names(cursor)
        if _TABLE not in tables:
            return None
        return pauses.read(using)


def _say(before: tuple[pauses.Paused, ...], now: tuple[pauses.Paused, ...]) -> None:
    known = {row.number for row in before}
    for row in now:
        if row.number not in known:
            logger.warning("%s is %s: %s", row.pattern, row.decision.mode.name, row.decision.reason)
    still = {row.number for row in now}
    for row in before:
        if row.number not in still:
            logger.warning("%s is no longer paused (it was %s)", row.pattern, row.decision.reason)
    tell_sentry({row.pattern: str(row.decision) for row in now})


reader: Final = PauseReader()

if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=reader.after_fork)


def install() -> None:
    """Let calls ask. No effect is called past the runtime from then on, since a pause may come at any time."""
    extension_points.pauses.add(reader.ask)
    state.switches.keep_on(reader)
