"""Cursors of psycopg 3 whose statements a dry run sees, by whichever of their methods they come."""

from __future__ import annotations

import contextlib
from typing import Any


def guarded(factory: Any, link: Any) -> type:
    """A class of cursors whose statements a link sees.

    Args:
        factory: the class of cursors that there would be without.
        link: a `PostgresLink`.
    """
    from psycopg import ClientCursor, ServerCursor

    is_open = issubclass(factory, ServerCursor)
    takes_more = issubclass(factory, ClientCursor)  # several statements at once

    class Guarded(factory):  # type: ignore[misc]
        unguarded = factory

        def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            query = link.instead_of(query)
            seen = link.before(query)
            tail = link.tail_of(seen, query) if takes_more and not kwargs else ""
            try:
                result = super().execute(query + tail if tail else query, *args, **kwargs)
            except Exception as error:
                if tail:
                    self._forget(tail)
                link.failed(seen, error)
                raise
            if tail:
                del self._results[1:]
                self._forget(tail)
            link.after(seen, self.rowcount, is_open=is_open, is_marked=bool(tail))
            return result

        def _forget(self, tail: str) -> None:
            # Django shows it as the last query.
            if self._query is not None:
                self._query.query = self._query.query.removesuffix(tail.encode())

        def executemany(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            seen = link.before(query)
            try:
                result = super().executemany(query, *args, **kwargs)
            except Exception as error:
                link.failed(seen, error)
                raise
            link.after(seen, self.rowcount)
            return result

        def stream(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            seen = link.before(query)
            try:
                yield from super().stream(query, *args, **kwargs)
            except Exception as error:
                link.failed(seen, error)
                raise

        @contextlib.contextmanager
        def copy(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            seen = link.before(query)
            try:
                with super().copy(query, *args, **kwargs) as copy:
                    yield copy
            except Exception as error:
                link.failed(seen, error)
                raise

    Guarded.__name__ = factory.__name__
    Guarded.__qualname__ = factory.__qualname__
    return Guarded
