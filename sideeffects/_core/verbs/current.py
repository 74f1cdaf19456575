"""`current_call`: which call a running effect is.

Importing this has every executing call of the process written down, so that there is one to be told; a call that nobody
wants is none otherwise.
"""

from __future__ import annotations

from sideeffects._core.calls.call import Call
from sideeffects._core.state.state import state
from sideeffects._core.state.work_origin import executing
from sideeffects.errors import SideEffectError

state.show_current()


def current_call() -> Call:
    """The call of an effect that is being executed in this context, the innermost one.

    Its `id` stays the same when a held call is retried: hand it to an API that takes idempotency keys. Import this at
    the top of a module: it does not know calls that began before the import.

    Returns:
        the call, without an outcome as yet.

    Raises:
        SideEffectError: no effect is being executed here.

    Example:
        >>> @side_effect(name="card.refund")
        ... def refund(cents):
        ...     return api.refund(cents, idempotency_key=current_call().id)
    """
    call = executing.get()
    if call is None or call.outcome is not None:  # what an effect has started may outlive it
        raise SideEffectError(
            "current_call() was called where no side effect is being executed. Call it in an effect's own function, "
            "and import it at the top of the module: it knows no call that has begun before it was imported"
        )
    return call
