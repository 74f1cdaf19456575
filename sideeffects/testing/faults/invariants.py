"""Invariants: what has to hold after each run, whichever call has failed."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, Final, TypeAlias

from sideeffects._core.values.binding import lazy_signature
from sideeffects.testing.faults.errors import FaultSweepError
from sideeffects.testing.faults.run import SweepRun

Invariant: TypeAlias = Callable[..., object]

#: What an invariant may ask for beside the arguments of the scenario.
_OFFERED: Final = ("calls", "fault")


def checked_invariants(invariants: Iterable[Invariant] | Invariant) -> tuple[Invariant, ...]:
    """The invariants as they were given.

    Raises:
        TypeError: one of them cannot be called.
    """
    listed = (invariants,) if callable(invariants) else tuple(invariants)
    for one in listed:
        if not callable(one):
            raise TypeError(f"invariants are functions, not {one!r}")
    return listed


def check_names(invariants: Iterable[Invariant], offered: Iterable[str]) -> None:
    """Refuse an invariant that asks for what nobody has.

    Args:
        invariants: functions.
        offered: the parameters of the scenario.

    Raises:
        FaultSweepError: the message names the parameter and those that there are.
    """
    known = [*offered, *(name for name in _OFFERED if name not in offered)]
    for invariant in invariants:
        unknown = [name for name, parameter in _parameters(invariant) if _is_needed(parameter) and name not in known]
        if unknown:
            raise FaultSweepError(
                f"the invariant {label_of(invariant)} asks for {unknown[0]!r}. It may ask for the scenario's "
                f"arguments, for the run's calls and for its fault: {', '.join(known)}"
            )


def questions(
    invariants: Iterable[Invariant], arguments: Mapping[str, Any], run: SweepRun
) -> Generator[tuple[Invariant, Callable[[], object]]]:
    """Each invariant with what asks it.

    Args:
        invariants: functions.
        arguments: those of the scenario.
        run: the run after which they are asked.
    """
    offered = {"calls": run.calls, "fault": run.name or None, **arguments}
    for invariant in invariants:
        given = {name: offered[name] for name, _ in _parameters(invariant) if name in offered}
        yield invariant, functools.partial(_ask, invariant, given)


def ask(invariants: Iterable[Invariant], arguments: Mapping[str, Any], run: SweepRun) -> None:
    """Check all of them, whatever the scenario has raised.

    Raises:
        AssertionError: one does not hold; or whatever it, or the scenario before it, has raised.
        TypeError: one is asynchronous, and nobody awaits it here.
    """
    __tracebackhide__ = True
    for invariant, question in questions(invariants, arguments, run):
        with run.noting():
            settle(invariant, question())
    run.raise_noted()


async def ask_async(invariants: Iterable[Invariant], arguments: Mapping[str, Any], run: SweepRun) -> None:
    """The same from asynchronous code. With Django those that are not asynchronous run where databases may be used."""
    __tracebackhide__ = True
    for invariant, question in questions(invariants, arguments, run):
        with run.noting():
            if "django.db" in sys.modules and not inspect.iscoroutinefunction(invariant):
                from asgiref.sync import sync_to_async

                answer = await sync_to_async(question)()
            else:
                answer = question()
            settle(invariant, await answer if inspect.isawaitable(answer) else answer)
    run.raise_noted()


def settle(invariant: Invariant, answer: object) -> None:
    """Take an invariant at its word.

    Raises:
        AssertionError: it returned `False`.
        TypeError: it is asynchronous, and nobody awaits it here.
    """
    __tracebackhide__ = True
    if answer is False:
        raise AssertionError(f"the invariant {label_of(invariant)} does not hold")
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError(f"the invariant {label_of(invariant)} is asynchronous, which the scenario must be as well")


def note_of(invariant: Invariant) -> str:
    """What is said of an exception that an invariant has raised."""
    return f"raised by the invariant {label_of(invariant)}"


def label_of(invariant: Invariant) -> str:
    """An invariant as messages name it."""
    name = getattr(invariant, "__qualname__", None) or type(invariant).__qualname__
    return str(name).rpartition("<locals>.")[2]


def _ask(invariant: Invariant, given: dict[str, Any]) -> object:
    __tracebackhide__ = True
    try:
        return invariant(**given)
    except Exception as error:
        error.add_note(note_of(invariant))
        raise


def _parameters(invariant: Invariant) -> list[tuple[str, inspect.Parameter]]:
    return list(lazy_signature(invariant).parameters.items())


def _is_needed(parameter: inspect.Parameter) -> bool:
    is_named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY, parameter.POSITIONAL_ONLY)
    return is_named and parameter.default is parameter.empty
