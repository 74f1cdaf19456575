"""An effect with what is needed to perform it: how its calls are bound, and what the rules say of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sideeffects._core.calls.decision import Mode
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.policy.policy import EXECUTED, Rules, Standing, standing
from sideeffects._core.state.state import state
from sideeffects._core.values.binding import Binder, arity, compile_binder

#: Kinds whose calls can be decided once and then executed directly.
_DIRECT: Final = frozenset(("function", "classmethod", "staticmethod", "callable object"))


class Declared:
    """An effect with what is needed to perform it.

    Args:
        effect: the effect.
        returns: what a recorded call returns: a value, or a callable that is given the call's arguments.
        qualname: the function's qualified name, for messages.
        shape: performs the calls of functions that do not simply return (see `_shapes`); `None` for those that do.
    """

    __slots__ = (
        "__weakref__",
        "_binder",
        "_binder_without_first",
        "effect",
        "fewest",
        "is_bound",
        "is_direct",
        "known",
        "may_take_class",
        "most",
        "qualname",
        "returns",
        "shape",
        "switch",
    )

    def __init__(
        self, effect: SideEffect, returns: Any, qualname: str, shape: Callable[..., Any] | None = None
    ) -> None:
        self.effect = effect
        self.returns = returns
        self.qualname = qualname
        self.shape = shape
        self.switch: list[bool] = [True]
        self.is_direct = effect.kind in _DIRECT and effect.on_commit is False
        owner = qualname.rpartition(".")[0]
        #: Whether a class may arrive as the first argument (see `_as_class_method` in `_runtime`).
        self.may_take_class = bool(owner) and not owner.endswith("<locals>") and effect.kind != "staticmethod"
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
        self.known: tuple[Rules | None, bool, Mode | None, Standing] = (None, False, None, Standing(EXECUTED))

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

    def standing(self, rules: Rules, is_test_run: bool) -> Standing:
        """What the rules say of this effect, worked out once for as long as they stay the same."""
        option = state.option
        known = self.known
        if known[0] is not rules or known[1] is not is_test_run or known[2] is not option:
            known = self.known = (rules, is_test_run, option, standing(rules, self.effect, is_test_run, option))
        return known[3]
