"""A call that another process decided and wrote down, on its way to be run in this one."""

from __future__ import annotations

import contextvars
from typing import Final

from sideeffects._core.calls.call import Call


class Arrival:
    """What a worker knows of the call that it is about to run.

    Attributes:
        name: the effect's name.
        id: the call's `id`, under which its outcome is added where it was written down.
        run_id: the run list that it belongs to.
        is_taken: whether the call has begun here. What the effect calls after that are calls of their own.
        call: the call itself, where it was written down in this very process.
        origin: what set the code going that has enqueued it.
        is_redirected: whether its arguments are those of a redirect already.
    """

    __slots__ = ("call", "id", "is_redirected", "is_taken", "name", "origin", "run_id")

    def __init__(
        self,
        name: str,
        id: str,  # noqa: A002
        run_id: str | None = None,
        call: Call | None = None,
        origin: str = "",
        is_redirected: bool = False,
    ) -> None:
        self.name = name
        self.id = id
        self.run_id = run_id
        self.is_taken = False
        self.call = call
        self.origin = origin
        self.is_redirected = is_redirected or (call is not None and call.asked is not None)

    def claim(self, name: str, is_async: bool, run_id: str | None) -> tuple[Arrival | None, bool, str | None]:
        """For a call of `name` that begins now: this, if it is that call, and what the call says of itself then.

        It is so once.
        """
        if not self.means(name):
            return None, is_async, run_id
        self.is_taken = True
        return self, True, self.run_id

    def means(self, name: str) -> bool:
        """Whether a call of `name` that begins now is this."""
        return not self.is_taken and self.name == name

    def known(self, call: Call) -> Call:
        """`call` as it was written down where it was enqueued: its outcome is added there."""
        if self.call is not None:
            return self.call
        call.take_id(self.id)
        call.take_origin(self.origin)
        return call


arriving: Final[contextvars.ContextVar[Arrival | None]] = contextvars.ContextVar("sideeffects_arriving", default=None)
