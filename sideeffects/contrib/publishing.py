"""Publishing a task that is an effect: what the queues of all packages have in common.

Where a task is handed to its queue, the call is decided and written down. What executes goes on its way, with a header
that says what was decided; what does not is answered. What the worker does with the header is in `arriving.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

from sideeffects._core.calls import origins
from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Mode
from sideeffects._core.calls.outcome import Outcome
from sideeffects._core.policy.override_entry import Stub
from sideeffects._core.runtime.acting import alias_of
from sideeffects._core.runtime.background import answered
from sideeffects._core.runtime.finishing import finish
from sideeffects._core.runtime.perform import begin
from sideeffects._core.state.extension_points import deferral
from sideeffects._core.state.open_transactions import hands_over_at_once, innermost
from sideeffects._core.state.runtime_effect import Declared
from sideeffects._core.state.state import state
from sideeffects._core.values.callers import caller_outside
from sideeffects.contrib.carried_test_run import test_run_part

__tracebackhide__ = True

#: Calls that were published here and may be run in this very process, by their ids.
published: Final[WeakValueDictionary[str, Call]] = WeakValueDictionary()


#: Asked before a task is published that is no effect, with its name, its queue and its id: whether it is held back, as
#: a dry run does.
holders: Final[list[Callable[[str, str, str], bool]]] = []


def is_held_back(name: str, queue: str, task: str) -> bool:
    """Whether somebody holds back a task that is no effect, and has written it down."""
    held = [hold(name, queue, task) for hold in holders]  # each of them is asked
    return any(held)


class Publication(NamedTuple):
    """A call that has been decided and written down where its task was handed to a queue.

    Attributes:
        declared: the effect.
        args: what the effect is called with, and its task is published with; those of a redirect, where one holds.
        kwargs: the same, by keywords.
        call: the call; `None` where nobody wants an executing one written.
        mode: what was decided.
        stub: what answers it.
        is_redirected: whether the arguments are those of a redirect.
    """

    declared: Declared
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    call: Call | None
    mode: Mode
    stub: Stub | None
    is_redirected: bool = False

    @property
    def executes(self) -> bool:
        """Whether it is to go to the queue."""
        return self.mode is Mode.EXECUTE

    def answer(self) -> Any:
        """What a recorded call gives, or raises."""
        result = answered(self.declared, self.call, self.stub, self.args, self.kwargs)
        return None if self.declared.effect.on_commit is not False else result

    def header(self, **more: str) -> dict[str, Any]:
        """What travels with the task; `more` tells the message from others."""
        about: dict[str, Any] = {"name": self.declared.effect.name, "origin": origins.origin(), **more}
        if self.call is not None:
            about.update(id=self.call.id, run_id=self.call.run_id)
            if self.is_redirected:
                about["is_redirected"] = True
            published[self.call.id] = self.call
            state.expect(self.call)
        return {**test_run_part(), "call": about}

    def failed(self, error: Exception) -> None:
        """The queue has not taken it."""
        if self.call is not None and self.call.outcome is None:
            finish(self.call, Outcome(None, error, 0.0))

    def at_commit(self, publish: Callable[[], object]) -> None:
        """Publish when the surrounding transaction commits, at once when there is none, never when it rolls back."""
        deferral.last.run(alias_of(self.declared), self.call, lambda: self.tried(publish))

    def tried(self, publish: Callable[[], object]) -> object:
        """Publish; what the queue raises is the call's outcome, and goes on."""
        try:
            return publish()
        except Exception as error:
            self.failed(error)
            raise


#: What the publication of a task publishes in turn (a backend of one package may use the queue of another).
_publishing: Final[ContextVar[bool]] = ContextVar("sideeffects_publishing_task", default=False)


def decide(
    declared: Declared,
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    packages: frozenset[str],
    at_once: bool | None = None,
) -> Publication:
    """Decide a call where its task is handed over. A refusal is raised from here.

    Args:
        declared: the effect.
        instance: what the effect is bound to.
        args: its positional arguments.
        kwargs: its keyword arguments.
        packages: the packages that stand between the caller and here.
        at_once: whether the queue gets it before the transaction commits; worked out when left out, for
            `Publication.at_commit`.
    """
    site = caller_outside(
        lambda module: any(module == name or module.startswith(f"{name}.") for name in (*packages, *_BETWEEN))
    )
    if at_once is None:
        at_once = _waits_for_no_commit(declared)
    token = hands_over_at_once.set(at_once)
    try:
        call, mode, stub, given = begin(declared, instance, args, kwargs, site, True)
    finally:
        hands_over_at_once.reset(token)
    return Publication(declared, *(given or (args, kwargs)), call, mode, stub, given is not None)


def _waits_for_no_commit(declared: Declared) -> bool:
    """Whether the transactions that are open are all of other databases than the one that it waits for."""
    aliases = {getattr(one.connection, "alias", None) for one in innermost()}
    return bool(aliases) and (alias_of(declared) or "default") not in aliases


_BETWEEN: Final = frozenset(("contextlib", "functools"))


def fits(declared: Declared, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether an effect can be called with these. Where wrappers stand above it, a task's arguments may be others."""
    try:
        declared.bind(instance, args, kwargs)
    except TypeError:
        return False
    return True


def check_arguments(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], pack: Callable[[Any], object], serializer: str
) -> None:
    """Look, before anything is decided, whether the arguments can travel.

    Args:
        name: the effect's name.
        args: its positional arguments.
        kwargs: its keyword arguments.
        pack: serialises a value; what it raises, it cannot.
        serializer: what it is called.

    Raises:
        TypeError: one cannot; the message names it.
    """
    try:
        pack([list(args), kwargs])
    except Exception as whole:
        for label, value in (*((f"argument {n}", v) for n, v in enumerate(args, 1)), *kwargs.items()):
            try:
                pack(value)
            except Exception as error:  # noqa: BLE001 - serializers raise whatever they like
                raise TypeError(
                    f"side effect {name!r} cannot be enqueued: {label} ({type(value).__name__}) cannot be serialised "
                    f"as {serializer} ({error}). Pass an id or a plain value, and look the object up in the task"
                ) from None
        raise TypeError(f"side effect {name!r} cannot be enqueued: its arguments cannot be serialised") from whole
