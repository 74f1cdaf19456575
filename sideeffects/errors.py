"""What can go wrong. Each error keeps its fields, can be pickled, and says the way out in its message."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


class SideEffectError(Exception):
    """Base class of the errors that `sideeffects` raises itself.

    Example:
        >>> try:
        ...     charge.enqueue(cents=990, token="tok_visa")
        ... except SideEffectError as error:
        ...     type(error).__name__
        'AsyncNotAllowed'
    """


class RaceError(SideEffectError):
    """The race cannot run, or not as asked: nothing was called. The message names the fix."""


class SideEffectBlocked(SideEffectError):
    """An effect was called and refused; nothing was executed.

    Likely causes: a `forbid(...)` block or marker, a policy or mode that says `raise`, or a doubt (a policy that
    failed, settings that are still being imported). Doubt never executes.

    Args:
        name: the effect's name.
        reason: why it was refused.
        caller: where it was called, as `file:line`.
        origin: where the rule that refused it stands (a `file:line` or a settings key), if known.

    Example:
        >>> with forbid("sms.send"):
        ...     send_sms("+44", body="Hello")
        Traceback (most recent call last):
        sideeffects.errors.SideEffectBlocked: side effect 'sms.send' was refused ...
    """

    def __init__(self, name: str, reason: str, caller: str = "", origin: str = "") -> None:
        super().__init__(name, reason, caller, origin)
        self.name = name
        self.reason = reason
        self.caller = caller
        self.origin = origin

    def __str__(self) -> str:
        called = f" (called at {self.caller})" if self.caller else ""
        rule = f" [{self.origin}]" if self.origin and self.origin not in self.reason else ""
        return (
            f"side effect {self.name!r} was refused{called}: {self.reason}{rule}. Nothing was executed.\n"
            f'To let it run here: with force_run("{self.name}"): ...{self._in_tests()}\n'
            f'To write the call down instead: with record("{self.name}"): ...'
        )

    def _in_tests(self) -> str:
        if is_under_pytest():
            return f' or, in a test, @pytest.mark.side_effects(force_run=["{self.name}"]).'
        return f' or, in a class with SideEffectsMixin, force_run = ["{self.name}"].' if is_under_unittest() else ""


def is_under_pytest() -> bool:
    """Whether pytest runs, for messages that tell what to write."""
    return "PYTEST_VERSION" in os.environ


def is_under_unittest() -> bool:
    """Whether there are tests of unittest, for messages that tell what to write."""
    return "unittest.case" in sys.modules


class UndeclaredSideEffect(SideEffectError):
    """The guard refused a call to the outside world that no executing effect covers; nothing was sent or started.

    Args:
        what: what was reached for: a host, or a program.
        caller: where it was called, in the user's own code, as `file:line`.
        called: what was called there.
        advice: how to declare it, and how to allow it.

    Example:
        >>> with guard("raise"):
        ...     urllib.request.urlopen("https://rates.example/GBP")
        Traceback (most recent call last):
        sideeffects.errors.UndeclaredSideEffect: undeclared outside call: rates.example ...
    """

    def __init__(self, what: str, caller: str = "", called: str = "", advice: str = "") -> None:
        super().__init__(what, caller, called, advice)
        self.what = what
        self.caller = caller
        self.called = called
        self.advice = advice

    def __str__(self) -> str:
        by = f" by {self.called}" if self.called else ""
        at = f" at {self.caller}" if self.caller else ""
        return f"undeclared outside call: {self.what}{by}{at} was refused. Nothing was done.\n{self.advice}".rstrip()


class EffectInTransaction(SideEffectError):
    """An effect was called inside an open transaction, and a rollback cannot take the effect back.

    Args:
        name: the effect's name.
        caller: where it was called, as `file:line`.
        opened: where the transaction was opened.
        is_refused: whether it was refused, rather than only found.
    """

    def __init__(self, name: str, caller: str = "", opened: str = "", is_refused: bool = True) -> None:
        super().__init__(name, caller, opened, is_refused)
        self.name = name
        self.caller = caller
        self.opened = opened
        self.is_refused = is_refused

    def __str__(self) -> str:
        what = "was refused, and nothing was executed" if self.is_refused else "cannot be undone if that rolls back"
        return (
            f"side effect {self.name!r} was called at {self.caller} inside the transaction opened at {self.opened}: it "
            f"{what}.\nCall it after the commit: declare it with on_commit=True, or use transaction.on_commit(). If it "
            f"is meant to be inside, declare it with in_transaction=True."
        )


class StubMismatch(SideEffectError):
    """A stub, or `returns`, gives what the effect could not have given (`SIDE_EFFECTS["CHECK_STUBS"]`).

    Args:
        name: the effect's name.
        problem: which value has which other type, and where in the answer it is.
        declared: where the effect is declared.
    """

    def __init__(self, name: str, problem: str, declared: str = "") -> None:
        super().__init__(name, problem, declared)
        self.name = name
        self.problem = problem
        self.declared = declared

    def __str__(self) -> str:
        where = f" ({self.declared})" if self.declared else ""
        return (
            f"what stands in for side effect {self.name!r} does not fit its return annotation{where}: {self.problem}. "
            f"Correct the stub, the `returns` or the annotation"
        )


class PlanChanged(SideEffectError):
    """Under `dry_run --apply` a call came that is not the next one of the plan. The call was not executed.

    Args:
        name: the effect that was called.
        problem: what differs from the plan, in a sentence.
        caller: where it was called, as `file:line`.
        argument: the argument that differs; empty if the plan has another effect here, or no further call.
        planned: its value in the plan, as text, redacted.
        given: its value in the call, as text, redacted.
    """

    def __init__(
        self, name: str, problem: str, caller: str = "", argument: str = "", planned: str = "", given: str = ""
    ) -> None:
        super().__init__(name, problem, caller, argument, planned, given)
        self.name = name
        self.problem = problem
        self.caller = caller
        self.argument = argument
        self.planned = planned
        self.given = given

    def __str__(self) -> str:
        at = f" at {self.caller}" if self.caller else ""
        ignoring = f" If that argument is different each time, save with --ignore {self.name}.{self.argument}."
        return (
            f"side effect {self.name!r} was called{at}, and that differs from the plan: {self.problem}. "
            f"It was not executed.\n"
            f"Make a new plan with `manage.py dry_run --save` and look at it.{ignoring if self.argument else ''}"
        )


class StubExhausted(SideEffectError):
    """An effect was called more often than its stub has answers (`stub(effect, in_turn=[...])`).

    Args:
        name: the effect's name.
        answers: how many answers the stub has.
        number: which call of it this was, from 1 on.
        origin: where the stub was put into force.

    Example:
        >>> with stub("sms.send", in_turn=["sms-1"]):
        ...     _ = send_sms("+44", body="One")
        ...     send_sms("+44", body="Two")
        Traceback (most recent call last):
        sideeffects.errors.StubExhausted: ...
    """

    def __init__(self, name: str, answers: int, number: int, origin: str = "") -> None:
        super().__init__(name, answers, number, origin)
        self.name = name
        self.answers = answers
        self.number = number
        self.origin = origin

    def __str__(self) -> str:
        where = f" (entered at {self.origin})" if self.origin else ""
        has = "1 answer" if self.answers == 1 else f"{self.answers} answers"
        return (
            f"the stub of side effect {self.name!r} has {has}{where}, and this is call {self.number}. Nothing was "
            f"executed.\nGive `in_turn` one answer for each call, or let `returns` be a function that answers all"
        )


class UnknownSideEffect(SideEffectError, KeyError):
    """A name or glob that no declared effect has.

    Args:
        name: the name or glob as it was given.
        close: declared names that look like it.

    Example:
        >>> registry["sms.snd"]
        Traceback (most recent call last):
        sideeffects.errors.UnknownSideEffect: no side effect is named 'sms.snd'. Did you mean 'sms.send'?
    """

    def __init__(self, name: str, close: Sequence[str] = ()) -> None:
        super().__init__(name, tuple(close))
        self.name = name
        self.close = tuple(close)

    def __str__(self) -> str:
        if any(letter in self.name for letter in "*?["):
            what = f"no declared side effect matches {self.name!r}"
        else:
            what = f"no side effect is named {self.name!r}"
        if self.close:
            return f"{what}. Did you mean {' or '.join(repr(name) for name in self.close)}?"
        return f"{what}. `python manage.py side_effects` lists the declared ones; is its module imported?"


class DuplicateSideEffect(SideEffectError):
    """Two different functions were declared under one name.

    Args:
        name: the name in question.
        first: `file:line` of the function that has the name.
        second: `file:line` of the function that asked for it.
        inside: the function, with `file:line`, that was running when the second one was declared; empty while modules
            are imported.

    Example:
        >>> @side_effect(name="sms.send")
        ... def send_another(to): ...
        Traceback (most recent call last):
        sideeffects.errors.DuplicateSideEffect: ...
    """

    def __init__(self, name: str, first: str, second: str, inside: str = "") -> None:
        super().__init__(name, first, second, inside)
        self.name = name
        self.first = first
        self.second = second
        self.inside = inside

    def __str__(self) -> str:
        told = f"two functions are declared as side effect {self.name!r}: {self.first} and {self.second}. "
        if self.inside:
            return (
                f"{told}The second one was declared inside {self.inside}. What runs more than once, such as a "
                f"decorator's wrapper, must not declare: put @side_effect right above the function. If the two are "
                f"different effects, give one of them another name."
            )
        return f"{told}Give one of them another name."


class AsyncNotAllowed(SideEffectError):
    """An effect without `async_ok=True` was to run in the background.

    Args:
        name: the effect's name.

    Example:
        >>> charge.enqueue(cents=990, token="tok_visa")
        Traceback (most recent call last):
        sideeffects.errors.AsyncNotAllowed: ...
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return (
            f"side effect {self.name!r} may not run in the background. "
            f"Declare it with @side_effect(..., async_ok=True) if it may, or call it directly."
        )


class MalformedTask(SideEffectError, TypeError, ValueError):
    """An entry of a run list cannot be run. No task of the list was run.

    Args:
        run_id: the run list.
        index: the entry's place in it, from 0 on.
        reason: what is wrong with it.

    Example:
        >>> run_side_effects("order-4711", [(send_sms, {"to", "+44"})])
        Traceback (most recent call last):
        sideeffects.errors.MalformedTask: ...
    """

    def __init__(self, run_id: str, index: int, reason: str) -> None:
        super().__init__(run_id, index, reason)
        self.run_id = run_id
        self.index = index
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"tasks[{self.index}] of run list {self.run_id!r} {self.reason}. Nothing of the list was run. "
            f"An entry is (callable, kwargs) or (callable, kwargs, is_async)"
        )


class SideEffectFault(SideEffectError):
    """What an effect fails with in a fault sweep if it declares no exceptions in `raises`.

    Args:
        name: the effect's name.
        point: `"before"`: nothing was done; `"after"`: it was done, and the answer was lost.
    """

    def __init__(self, name: str, point: str) -> None:
        super().__init__(name, point)
        self.name = name
        self.point = point

    def __str__(self) -> str:
        what = "before anything was done" if self.point == "before" else "after it was done, so that its answer is lost"
        return (
            f"a fault sweep lets side effect {self.name!r} fail {what}. "
            f"Declare what it really raises: @side_effect(..., raises=(...,))"
        )


class DeclarationError(SideEffectError):
    """A `declare(...)` cannot take effect: no such target, or a module that already has the undeclared function.

    Example:
        >>> declare("smtplib:SMTP.sendmial")
        Traceback (most recent call last):
        sideeffects.errors.DeclarationError: ...
    """


class LedgerError(SideEffectError):
    """The ledger that several processes share (`SIDE_EFFECTS["LEDGER"]`) cannot be written or read.

    A call that cannot be written down is not executed, because you asked for its record. An outcome that cannot be
    written is logged instead, since by then the effect has run.

    Args:
        where: which ledger, as its settings name it.
        reason: what went wrong, and what to do about it.
    """

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where = where
        self.reason = reason

    def __str__(self) -> str:
        return f'SIDE_EFFECTS["LEDGER"] ({self.where}): {self.reason}'
