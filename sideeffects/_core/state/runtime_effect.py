"""An effect with what is needed to perform it: how its calls are bound, and what the rules say of it.

And which effect something is: a declared function, a bound one, or what other decorators made of them.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Sequence
from types import CodeType, FunctionType, GetSetDescriptorType, MethodType
from typing import Any, Final, NamedTuple

from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.calls.registry import function_of
from sideeffects._core.policy.override_entry import Stub
from sideeffects._core.policy.policy import EXECUTED, Standing, standing
from sideeffects._core.policy.rules import Rule, Rules
from sideeffects._core.state.state import state
from sideeffects._core.values.binding import Binder, arity, compile_binder

__tracebackhide__ = True

#: Kinds whose calls can be decided once and then executed directly.
_DIRECT: Final = frozenset(("function", "classmethod", "staticmethod", "callable object"))


class Ruled:
    """What the rules say of an effect, and which these were.

    Attributes:
        rules: the rules.
        is_test_run: whether this was a test run.
        option: what `--side-effects` said.
        standing: what they say of the effect.
        may_settle: whether they would say so of every later call.
        may_end: whether a recorded call has ended with its decision: it is answered with nothing, and that at once.
        verdict: on a call for which no override speaks.
        floored: the verdict, or the floor of that time where this is stricter.
    """

    __slots__ = ("floored", "is_test_run", "may_end", "may_settle", "option", "rules", "standing", "verdict")

    def __init__(self, rules: Rules, is_test_run: bool, option: Mode | None, standing: Standing) -> None:
        self.rules = rules
        self.is_test_run = is_test_run
        self.option = option
        self.standing = standing
        self.may_settle = self.may_end = False
        self.verdict = self.floored = Verdict(self, standing.decision, budgets=standing.budgets)
        floor = state.floor
        if floor is not None and floor.mode > standing.decision.mode:
            self.floored = Verdict(self, floor)


class Redirected(NamedTuple):
    """The arguments with which a call is made, where a redirect has changed them.

    Attributes:
        args: positional.
        kwargs: by keyword.
        asked: those that were given, by parameter.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    asked: dict[str, Any]


class Verdict:
    """What was decided of a call.

    Attributes:
        ruled: the rules under which it was decided.
        decision: what was decided.
        mode: that of the decision.
        stub: what a recorded call returns, if an override said so.
        arguments: the call's arguments by parameter, where a rule asked for them.
        redirected: the arguments that a redirect has put in place of those that were given.
        budgets: the rules that say how many such calls may execute.
    """

    __slots__ = ("arguments", "budgets", "decision", "mode", "redirected", "ruled", "stub")

    def __init__(
        self,
        ruled: Ruled,
        decision: Decision,
        stub: Stub | None = None,
        arguments: dict[str, Any] | None = None,
        redirected: Redirected | None = None,
        budgets: tuple[Rule, ...] = (),
    ) -> None:
        self.ruled = ruled
        self.decision = decision
        self.mode = decision.mode
        self.stub = stub
        self.arguments = arguments
        self.redirected = redirected
        self.budgets = budgets


_NOTHING_RULED: Final = Ruled(Rules(), False, None, Standing(EXECUTED))


class Declared:
    """An effect with what is needed to perform it.

    Args:
        effect: the effect.
        returns: what a recorded call returns: a value, or a callable that is given the call's arguments.
        qualname: the function's qualified name, for messages.
        shape: performs the calls of functions that do not simply return (`runtime/async_and_streams.py`); else `None`.
    """

    __slots__ = (
        "__weakref__",
        "_binder",
        "_binder_without_first",
        "_earlier",
        "caller",
        "effect",
        "fewest",
        "is_bound",
        "is_direct",
        "may_be_method",
        "most",
        "qualname",
        "returns",
        "ruled",
        "shape",
        "switch",
    )

    def __init__(
        self, effect: SideEffect, returns: Any, qualname: str, shape: Callable[..., Any] | None = None
    ) -> None:
        self.effect = effect
        self.returns = returns
        #: What this has replaced: earlier declarations of the same function, by modules that were loaded again.
        self._earlier: tuple[weakref.ref[Declared], ...] = ()
        self.qualname = qualname
        self.shape = shape
        self.switch: list[bool] = [True]
        #: Whether a call may be executed without entering Python here, once that is settled.
        self.is_direct = effect.kind in _DIRECT and effect.on_commit is False
        owner = qualname.rpartition(".")[0]
        #: Whether the first argument may be what a method is called on (see `placed`).
        self.may_be_method = bool(owner) and not owner.endswith("<locals>") and effect.kind != "staticmethod"
        #: Whether it was bound before it was decorated, so that its signature has no `self`.
        self.is_bound = False
        #: Binds the arguments of calls without an instance; compiled when first needed.
        self._binder: Binder | None = None
        self._binder_without_first: Binder | None = None
        #: How many positional arguments, `self` among them, are surely right, when there are no others; known once the
        #: first call has been bound.
        self.fewest, self.most = 1, 0
        #: What the rules said last, and which they were. One value: threads that change it one after the other never
        #: leave an answer with the question of another.
        self.ruled = _NOTHING_RULED
        #: The code that called last, and does not only call what it was handed. Most calls come from there again.
        self.caller: CodeType | None = None

    def replace(self, earlier: Declared) -> None:
        """Let what was imported by name before its module was loaded again answer as this does."""
        self._earlier = (weakref.ref(earlier), *earlier._earlier)
        for one in self._earlier:
            declared = one()
            if declared is not None:
                declared.returns, declared.ruled = self.returns, _NOTHING_RULED

    def bind(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """A call's arguments by name, defaults applied, without `self` or `cls`.

        Raises:
            TypeError: as the function itself would raise it.
        """
        if instance is None or self.is_bound:
            binder = self._binder
            if binder is None:
                binder = self._binder = self._compile(without_first=False)
            return binder(*args, **kwargs) if kwargs else binder(*args)
        binder = self._binder_without_first
        if binder is None:
            binder = self._binder_without_first = self._compile(without_first=True)
        return binder(instance, *args, **kwargs) if kwargs else binder(instance, *args)

    def _compile(self, *, without_first: bool) -> Binder:
        effect = self.effect
        if not self.is_bound:
            self.fewest, self.most = arity(effect.signature)
        return compile_binder(effect.signature, effect.short_name, self.qualname, without_first=without_first)

    def ruled_by(self, rules: Rules, is_test_run: bool) -> Ruled:
        """What the rules say of this effect, worked out once for as long as they stay the same."""
        option = state.option
        ruled = self.ruled
        if ruled.rules is not rules or ruled.is_test_run is not is_test_run or ruled.option is not option:
            said = standing(rules, self.effect, is_test_run, option)
            ruled = Ruled(rules, is_test_run, option, said)
            ruled.may_settle = (
                self.is_direct and rules.settled and not (said.conditions or said.budgets or rules.watches_transactions)
            )
            is_plain = self.shape is None and self.returns is None and self.effect.on_commit is False
            ruled.may_end = is_plain and rules.shared is None
            self.ruled = ruled
        return ruled


class Proxy:
    """What declared functions are seen through, bound or not: `EffectFunction` and `BoundEffectFunction`."""

    __slots__ = ()


class Reached(NamedTuple):
    """The effect that something is.

    Attributes:
        declared: the effect.
        function: the function below the decision, bound if what was asked about is bound.
        instance: what it is bound to.
        is_direct: whether no wrapper stands between, so that the arguments are the effect's.
    """

    declared: Declared
    function: Any
    instance: Any
    is_direct: bool


def effect_of(thing: Any) -> Reached | None:
    """Which effect this is: itself, bound, as a class holds it, or below wrappers that tell what they wrap.

    Returns:
        the effect; `None` for anything else.
    """
    instance: Any = None
    is_direct = True
    seen: set[int] = set()
    while id(thing) not in seen:
        seen.add(id(thing))
        kind = type(thing)
        if issubclass(kind, Proxy):
            function = thing.__wrapped__
            if instance is not None and isinstance(function, FunctionType):
                function = MethodType(function, instance)
            # wrapt keeps only names that begin so on the proxy itself.
            return Reached(thing._self_declared, function, getattr(function, "__self__", None), is_direct)  # noqa: SLF001
        if kind is MethodType:
            # Also since Python 3.13, where `classmethod` binds what it is above by itself.
            instance = thing.__self__ if instance is None else instance
            thing = thing.__func__
        elif kind is classmethod or kind is staticmethod:
            thing = thing.__func__
        else:
            thing = _below_wrapper(thing, kind)
            is_direct = False
    return None


def _below_wrapper(thing: Any, kind: type[Any]) -> Any:
    if kind is FunctionType:
        return vars(thing).get("__wrapped__")
    # Not what a lazy object would say: looking at a Celery task's proxy makes the application ready.
    held = inspect.getattr_static(thing, "__wrapped__", None)
    return held.__get__(thing, kind) if type(held) is GetSetDescriptorType else held


def declared_named(name: str) -> Declared:
    """The effect of that name.

    Raises:
        UnknownSideEffect: there is none.
    """
    declared: Declared = function_of(name)._self_declared  # noqa: SLF001 - as above
    return declared


_MISSING: Final = object()


def placed(declared: Declared, function: Any, args: tuple[Any, ...]) -> tuple[Any, Any, tuple[Any, ...]]:
    """What a method was called on, where its first argument is that.

    Something above `@side_effect` then calls the method as a plain function: a wrapper, or since Python 3.13
    `classmethod`.

    Returns:
        the function, bound; the instance or class, `None` where there is none; and the other arguments.
    """
    first = args[0]
    kind = type(first)
    is_class = issubclass(kind, type)
    if _holds(declared, kind.__mro__, False) or (is_class and _holds(declared, type.mro(first), True)):
        return MethodType(function, first), first, args[1:]
    return function, None, args


def _holds(declared: Declared, classes: Sequence[type[Any]], as_class_method: bool) -> bool:
    """Whether one of the classes has the effect as a method: of its instances, or of itself."""
    name = declared.effect.short_name
    is_private = name.startswith("__") and not name.endswith("__")
    for base in classes:
        held = vars(base).get(f"_{base.__name__.lstrip('_')}{name}" if is_private else name, _MISSING)
        # Below `@side_effect` as well as above it.
        kind = type(held.__wrapped__ if issubclass(type(held), Proxy) else held)
        if held is _MISSING or kind is staticmethod or (kind is classmethod) is not as_class_method:
            continue
        reached = effect_of(held)
        if reached is None:
            # A wrapper that does not say what it wraps, in the class in whose body the function was written.
            module = declared.effect.dotted_path.partition(":")[0]
            if f"{base.__qualname__}.{name}" == declared.qualname and base.__module__ == module:
                return True
        elif reached.declared is declared:
            return True
    return False
