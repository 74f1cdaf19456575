"""psycopg's own `transaction()` and `pipeline()` on a held connection: for the command they are its transactions.

Outside a transaction of Django's each would be one for real. So it is a savepoint here, as those of Django are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Any, Protocol


class OwnTransactions(Protocol):
    """What a command's own transactions are made by; see `Link`."""

    raw: Any
    is_wanted: bool
    has_base: bool

    def begin_own(self) -> None:
        """Begin one."""

    def commit(self) -> None:
        """Commit it."""

    def rollback(self) -> None:
        """Roll it back."""


class Blocks:
    """The blocks of one connection.

    Args:
        link: what holds it.

    Attributes:
        transactions: how many of `transaction()` are open.
        pipelines: how many of `pipeline()`.
    """

    def __init__(self, link: OwnTransactions) -> None:
        self._link = link
        self.transactions = 0
        self.pipelines = 0

    def methods(self) -> dict[str, Callable[..., Any]]:
        """What the driver's connection has instead of its own methods."""
        return {"transaction": self._transaction, "pipeline": self._pipeline}

    @contextlib.contextmanager
    def _transaction(self, *args: Any, **options: Any) -> Generator[Any]:
        raw = self._link.raw
        with self._own_one():
            self.transactions += 1
            try:
                with type(raw).transaction(raw, *args, **options) as block:
                    yield block
            finally:
                self.transactions -= 1

    @contextlib.contextmanager
    def _pipeline(self) -> Generator[Any]:
        raw = self._link.raw
        with self._own_one():
            self.pipelines += 1
            try:
                with type(raw).pipeline(raw) as pipeline:
                    yield pipeline
            finally:
                self.pipelines -= 1

    @contextlib.contextmanager
    def _own_one(self) -> Generator[None]:
        """A transaction of the command's own, unless one is open; that of Django begins if it has not yet."""
        link = self._link
        is_outermost = not (link.has_base or link.is_wanted)
        if not link.has_base:
            link.begin_own()
        try:
            yield
            if is_outermost:
                link.commit()
        except BaseException:
            if is_outermost:
                link.rollback()
            raise
