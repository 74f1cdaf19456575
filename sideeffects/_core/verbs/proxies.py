"""What stands in the place of a declared function: wrapt's proxies, which hand each call to the runtime."""

from __future__ import annotations

import copy
import functools
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final

import wrapt

from sideeffects._core.calls import registry
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.runtime.perform import perform
from sideeffects._core.state.runtime_effect import Declared, Proxy
from sideeffects._core.values.callers import running_function
from sideeffects._core.values.frames import forget
from sideeffects.errors import DuplicateSideEffect

if TYPE_CHECKING:
    from sideeffects._core.calls.handle import Handle

__tracebackhide__ = True

# The proxies are whatever they wrap, so their own types say nothing; `effect_types` are what users see.
_BoundFunctionWrapper: Any = wrapt.BoundFunctionWrapper
_FunctionWrapper: Any = wrapt.FunctionWrapper


class _ProxyType(type(_FunctionWrapper)):  # type: ignore[misc]  # pyright: ignore[reportUntypedBaseClass]
    """Lets the proxies be made as `MethodType(function, object)` is: `weakref.WeakMethod` asks that of a method's type.

    Here and not by an `__init__`, which would run whenever a method is bound; see `_MAKE_BOUND`.
    """

    def __call__(cls, function: Any, *rest: Any) -> Any:  # pyright: ignore[reportSelfClsParameterName]
        if len(rest) == 1 and not isinstance(rest[0], Declared):
            return function.__get__(rest[0], type(rest[0]))
        return super().__call__(function, *rest)


class BoundEffectFunction(_BoundFunctionWrapper, Proxy, metaclass=_ProxyType):  # type: ignore[misc]
    """A declared method, bound to its instance or class."""

    @property
    def effect(self) -> SideEffect:
        """The declared effect."""
        declared: Declared = self._self_declared
        return declared.effect

    def enqueue(self, *args: Any, **kwargs: Any) -> Handle:
        """Run it in the background; needs `async_ok=True`."""
        from sideeffects._core.runtime.background import enqueue  # which most processes never need

        try:
            return enqueue(self._self_declared, self.__wrapped__, bound_to(self), args, kwargs)
        except BaseException as error:
            forget(error)
            del args, kwargs
            raise

    @property
    def __func__(self) -> Any:
        """The method without what it is bound to: decided as well."""
        if isinstance(self.__wrapped__, MethodType):
            return getattr(self._self_parent, "__func__", self._self_parent)
        raise AttributeError("__func__")

    def __repr__(self) -> str:
        return f"<side effect {self.effect.name}, bound: {self.__wrapped__!r}>"

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        owner = bound_to(self)
        return self if owner is None else getattr(copy.deepcopy(owner, memo), self.__name__)

    def __reduce__(self) -> Any:
        owner = bound_to(self)
        if owner is None:
            return _referred(self)
        return getattr, (owner, self.__name__)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__reduce__()


def bound_to(function: Any) -> Any:
    return getattr(function.__wrapped__, "__self__", None)


def _referred(function: Any) -> Any:
    from sideeffects._core.verbs.references import referred  # when one is pickled

    return referred(function)


#: wrapt makes a bound method by this. It passes by `_ProxyType.__call__`, which would take as long as half of the call.
_MAKE_BOUND: Any = type.__call__.__get__(BoundEffectFunction)


class EffectFunction(_FunctionWrapper, Proxy, metaclass=_ProxyType):  # type: ignore[misc]
    """A declared function. It is called as before; `__wrapped__` is the one way around a decision."""

    # wrapt looks this up whenever a method is bound. A slot is found sooner than an attribute of the class, for which
    # the look goes into the instance's dict first.
    __slots__ = ("__bound_function_wrapper__", "_self_declared", "_self_function")

    def __init__(self, wrapped: Any, declared: Declared) -> None:
        wrapper = functools.partial(perform, declared)
        if _stands_alone(wrapped):
            # Otherwise wrapt looks for a `__self__` at each call, in case that the function was bound before it was
            # decorated. A plain function has none, and the `AttributeError` inside costs a fifth of recording a call.
            above: Any = super(_FunctionWrapper, self)
            above.__init__(wrapped, None, wrapper, declared.switch, "staticmethod")
        else:
            super().__init__(wrapped, wrapper, declared.switch)
        # A static method is bound to nothing, and is one object: who refers to receivers weakly holds it by that.
        is_static = isinstance(wrapped, staticmethod)
        self.__bound_function_wrapper__ = self._function_itself if is_static else _MAKE_BOUND
        self._self_declared = declared
        self._self_function: Any = None

    def __set_name__(self, owner: type[Any], name: str) -> None:
        # It stands in a class after all.
        function = self.__wrapped__
        if name in _CLASS_METHODS and type(function) is FunctionType:
            function = classmethod(function)  # as Python does with plain functions of these names
        super().__init__(function, self._self_wrapper, self._self_enabled)
        super().__set_name__(owner, name)

    @property
    def __func__(self) -> Any:
        """The function below `classmethod` or `staticmethod`, or the method without its object: decided as well."""
        wrapped = self.__wrapped__
        if not isinstance(wrapped, classmethod | staticmethod | MethodType):
            raise AttributeError("__func__")  # noqa: TRY004 - it has none
        if self._self_function is None:  # kept, since who refers to methods weakly holds it by this alone
            is_bound = isinstance(wrapped, MethodType)
            self._self_function = _for_one(self) if is_bound else EffectFunction(wrapped.__func__, self._self_declared)
        return self._self_function

    def _function_itself(self, *_: Any) -> Any:
        return self.__func__

    @property
    def effect(self) -> SideEffect:
        """The declared effect."""
        declared: Declared = self._self_declared
        return declared.effect

    def enqueue(self, *args: Any, **kwargs: Any) -> Handle:
        """Run it in the background; needs `async_ok=True`."""
        from sideeffects._core.runtime.background import check_class_known, enqueue  # as above

        try:
            if self._self_declared.may_be_method:
                check_class_known(self)
            return enqueue(self._self_declared, self.__wrapped__, None, args, kwargs)
        except BaseException as error:
            forget(error)
            del args, kwargs
            raise

    def __repr__(self) -> str:
        return f"<side effect {self.effect.name}>"

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self

    def __reduce__(self) -> Any:
        return _referred(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__reduce__()


#: Methods that are class methods without saying so.
_CLASS_METHODS: Final = frozenset(("__init_subclass__", "__class_getitem__"))


def _for_one(effect: EffectFunction) -> Any:
    """What was bound before it was declared, as a function of what it is bound to."""

    def function(instance: Any, *args: Any, **kwargs: Any) -> Any:
        if instance is not effect.__wrapped__.__self__:
            raise TypeError(
                f"{effect.effect.name} is declared on the method of one object only, and was called on another object. "
                f"Declare the method in its class instead"
            )
        return effect(*args, **kwargs)

    return function


def _stands_alone(function: Any) -> bool:
    """Whether it is a plain function that was not written in the body of a class."""
    return type(function) is FunctionType and "." not in function.__qualname__.rpartition("<locals>.")[2]


def wrap(function: Any, effect: SideEffect, returns: Any) -> EffectFunction:
    """The decorated function, entered into the registry."""
    declared = declared_for(function, effect, returns)
    wrapper = EffectFunction(function, declared)
    before = registry.store.functions.get(effect.name)
    try:
        registry.store.add(effect, wrapper)
    except DuplicateSideEffect as error:
        raise DuplicateSideEffect(error.name, error.first, error.second, running_function()) from None
    if before is not None:
        declared.replace(before._self_declared)  # noqa: SLF001 - an effect's own
    return wrapper


def declared_for(function: Any, effect: SideEffect, returns: Any) -> Declared:
    subject = function.__func__ if isinstance(function, classmethod | staticmethod) else function
    qualname = getattr(subject, "__qualname__", None)
    if qualname is None:
        is_partial = isinstance(subject, functools.partial)
        qualname = effect.short_name if is_partial else f"{type(subject).__qualname__}.__call__"
    declared = Declared(effect, returns, qualname, _shape_of(effect.kind))
    declared.is_bound = isinstance(function, MethodType)
    return declared


def _shape_of(kind: str) -> Any:
    if kind == "function":
        return None
    from sideeffects._core.runtime.async_and_streams import SHAPES  # a module of plain functions needs none of it

    return SHAPES.get(kind)
