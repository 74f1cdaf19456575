"""`side_effect`: from a function to an effect, on wrapt's proxies."""

from __future__ import annotations

import copy
import functools
import importlib
from collections.abc import Callable, Coroutine, Iterable, Mapping
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, overload

import wrapt

from sideeffects._core.calls import registry
from sideeffects._core.calls.decision import Decision
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.calls.handle import Handle
from sideeffects._core.records.reading import check_known, pattern_of
from sideeffects._core.runtime.async_and_streams import SHAPES
from sideeffects._core.runtime.background import check_class_known, enqueue
from sideeffects._core.runtime.deciding import explain_declared
from sideeffects._core.runtime.perform import perform
from sideeffects._core.state.runtime_effect import Declared, Proxy, declared_named
from sideeffects._core.values.callers import running_function
from sideeffects._core.values.frames import forget
from sideeffects._core.verbs import by_value, registered
from sideeffects._core.verbs.description import describe_function
from sideeffects._core.verbs.queue_tasks import refuse_queue_task
from sideeffects.errors import DeclarationError, DuplicateSideEffect

__tracebackhide__ = True

if TYPE_CHECKING:
    from sideeffects._core.calls import effect_types as types

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

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
        try:
            return enqueue(self._self_declared, self.__wrapped__, _bound_to(self), args, kwargs)
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
        owner = _bound_to(self)
        return self if owner is None else getattr(copy.deepcopy(owner, memo), self.__name__)

    def __reduce__(self) -> Any:
        owner = _bound_to(self)
        if owner is None:
            return _referred(self)
        return getattr, (owner, self.__name__)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__reduce__()


def _bound_to(function: Any) -> Any:
    return getattr(function.__wrapped__, "__self__", None)


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
        self.__bound_function_wrapper__ = _MAKE_BOUND
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

    @property
    def effect(self) -> SideEffect:
        """The declared effect."""
        declared: Declared = self._self_declared
        return declared.effect

    def enqueue(self, *args: Any, **kwargs: Any) -> Handle:
        """Run it in the background; needs `async_ok=True`."""
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
            raise TypeError(f"{effect.effect.name} is declared as the method of one object, and of no other")
        return effect(*args, **kwargs)

    return function


def _stands_alone(function: Any) -> bool:
    """Whether it is a plain function that was not written in the body of a class."""
    return type(function) is FunctionType and "." not in function.__qualname__.rpartition("<locals>.")[2]


def _referred(function: Any) -> Any:
    effect: SideEffect = function.effect
    module, _, qualname = effect.dotted_path.partition(":")
    if "<locals>" in qualname:
        import pickle  # whoever asks has imported it

        raise pickle.PicklingError(f"cannot pickle the local side effect {qualname!r}: define it in its module")
    return _refer, (module, qualname, effect.name)


def _shipped(function: Any) -> Any:
    """A reduction that takes an effect along by value: its function, and what it was declared with."""
    if isinstance(function, BoundEffectFunction):
        if _bound_to(function) is not None:
            return function.__reduce__()
        function = function._self_parent  # noqa: SLF001 - wrapt has no other name for it
    effect: SideEffect = function.effect
    options = {option: getattr(effect, option) for option in _DESCRIBED}
    state = (effect.name, function.__wrapped__, function._self_declared.returns, options)  # noqa: SLF001
    # In two steps, since a function that calls itself holds the effect that holds it.
    return _blank, (), state, None, None, _declare_again


def _blank() -> Any:
    return EffectFunction.__new__(EffectFunction)


def _declare_again(blank: Any, state: tuple[Any, ...]) -> None:
    """Unpickling what `_shipped` made. The registry keeps what it has: the decisions go by the name."""
    name, function, returns, options = state
    effect = describe_function(function, name, **options)
    EffectFunction.__init__(blank, function, _declared(function, effect, returns))
    if name not in registry.registry:
        registry.store.add(effect, blank)


def _refer(module: str, qualname: str, name: str) -> Any:
    """Unpickling: effects travel by reference, as functions do.

    What stands at the reference may be the bare function, when the decorated one has another name: it is never given.
    """
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if issubclass(type(found), EffectFunction | BoundEffectFunction) and found.effect.name == name:
        return found
    return registry.function_of(name)


def _refuse(function: Any) -> None:
    """Say what to decorate instead of what cannot be."""
    if isinstance(function, type):
        raise TypeError(
            f"@side_effect cannot decorate the class {function.__qualname__}: decorate the method that reaches the "
            f"outside world"
        )
    if isinstance(function, property | functools.cached_property):
        getter = function.fget if isinstance(function, property) else function.func
        name = getattr(getter, "__qualname__", "?")
        raise TypeError(
            f"@side_effect cannot decorate the property {name}: move what reaches the outside world into a method, "
            f"decorate that, and call it from the property"
        )
    below = function.__func__ if isinstance(function, classmethod | staticmethod) else function
    if isinstance(below, EffectFunction | BoundEffectFunction):
        raise TypeError(f"{below.__qualname__} is a side effect already, named {below.effect.name!r}")
    if getattr(function, "__qualname__", "") == _OF_METHOD_DECORATOR:
        raise DeclarationError(
            "method_decorator(side_effect(...)) would declare a new function at each call: put @side_effect(...) right "
            "above the method itself, below other decorators"
        )
    if not callable(function) and not isinstance(function, classmethod | staticmethod):
        raise TypeError(f"@side_effect decorates functions and methods, not {function!r}")


#: What Django's `method_decorator` tries its decorators on, when it is applied.
_OF_METHOD_DECORATOR: Final = "_update_method_wrapper.<locals>.dummy"


def wrap(function: Any, effect: SideEffect, returns: Any) -> EffectFunction:
    """The decorated function, entered into the registry."""
    declared = _declared(function, effect, returns)
    wrapper = EffectFunction(function, declared)
    before = registry.store.functions.get(effect.name)
    try:
        registry.store.add(effect, wrapper)
    except DuplicateSideEffect as error:
        raise DuplicateSideEffect(error.name, error.first, error.second, running_function()) from None
    if before is not None:
        declared.replace(before._self_declared)  # noqa: SLF001 - an effect's own
    return wrapper


def _declared(function: Any, effect: SideEffect, returns: Any) -> Declared:
    subject = function.__func__ if isinstance(function, classmethod | staticmethod) else function
    qualname = getattr(subject, "__qualname__", None)
    if qualname is None:
        is_partial = isinstance(subject, functools.partial)
        qualname = effect.short_name if is_partial else f"{type(subject).__qualname__}.__call__"
    declared = Declared(effect, returns, qualname, SHAPES.get(effect.kind))
    declared.is_bound = isinstance(function, MethodType)
    return declared


@overload
def side_effect(  # type: ignore[overload-overlap] # pyright: ignore[reportOverlappingOverload]
    name: staticmethod[P, R],
    /,
) -> types.StaticEffect[P, R]: ...
@overload
def side_effect(name: classmethod[Any, P, R], /) -> types.StaticEffect[P, R]: ...
@overload
def side_effect(name: types.AnyTakingSelf[S], /) -> types.Method[S, ..., Any]: ...  # type: ignore[overload-overlap]
@overload
def side_effect(name: types.AnyTakingClass[S], /) -> types.ClassMethod[..., Any]: ...  # type: ignore[overload-overlap]
@overload
def side_effect(name: types.LaterAnyTakingSelf[S], /) -> types.Method[S, ..., Coroutine[Any, Any, Any]]: ...  # type: ignore[overload-overlap]
@overload
def side_effect(name: types.LaterAnyTakingClass[S], /) -> types.ClassMethod[..., Coroutine[Any, Any, Any]]: ...  # type: ignore[overload-overlap]
@overload
def side_effect(name: types.SelfTakingSelf[P], /) -> types.SelfMethod[P]: ...  # type: ignore[overload-overlap]
@overload
def side_effect(name: types.SelfTakingClass[P], /) -> types.SelfClassMethod[P]: ...  # type: ignore[overload-overlap]
@overload
def side_effect(name: types.LaterSelfTakingSelf[P], /) -> types.LaterSelfMethod[P]: ...  # type: ignore[overload-overlap]
@overload
def side_effect(name: types.LaterSelfTakingClass[P], /) -> types.LaterSelfClassMethod[P]: ...  # type: ignore[overload-overlap]
@overload
def side_effect(name: types.TakingSelf[S, P, R], /) -> types.Method[S, P, R]: ...
@overload
def side_effect(name: types.TakingClass[S, P, R], /) -> types.ClassMethod[P, R]: ...
@overload
def side_effect(name: Callable[P, R], /) -> types.Effect[P, R]: ...
@overload
def side_effect(
    name: str | None = None,
    *,
    async_ok: bool = False,
    on_commit: bool | str = False,
    in_transaction: bool | None = None,
    returns: Any = None,
    raises: Iterable[type[BaseException]] = (),
    sensitive: Iterable[str] = (),
    tags: Iterable[str] = (),
    owner: str = "",
    reads: bool = False,
    details: Callable[..., Mapping[str, Any]] | None = None,
) -> types.SideEffectDecorator: ...
def side_effect(
    name: Any = None,
    *,
    async_ok: bool = False,
    on_commit: bool | str = False,
    in_transaction: bool | None = None,
    returns: Any = None,
    raises: Iterable[type[BaseException]] = (),
    sensitive: Iterable[str] = (),
    tags: Iterable[str] = (),
    owner: str = "",
    reads: bool = False,
    details: Callable[..., Mapping[str, Any]] | None = None,
) -> Any:
    """Declare that a function reaches the outside world. It goes on being called as before.

    In a test run nothing executes that the test does not name; otherwise everything does, unless a policy, a dry run
    or a probe says otherwise.

    Args:
        name: unique dotted name (letters, digits, `_`, `-`); `module.qualname` when left out.
        async_ok: whether `.enqueue(...)` may run it in the background.
        on_commit: run an executing call when the outermost transaction commits: `True`, or a database alias.
        in_transaction: `True` when it is meant to run inside a transaction.
        returns: what a recorded call returns: a value (containers are copied for each call), or a callable that is
            given the call's arguments.
        raises: exceptions that it is known to raise.
        sensitive: parameters whose values are redacted wherever they would show.
        tags: free labels.
        owner: who answers for it.
        reads: whether it only reads from the outside: dry runs and probes then execute it, and use its answer.
        details: called with the call's arguments (with `self`), where these say little; the mapping that it gives is
            kept as `Call.details`.

    Returns:
        the function, decorated; or a decorator.

    Raises:
        ValueError: the name is not valid, or a sensitive parameter does not exist.
        TypeError: a class, a property or something that cannot be called was decorated, or an option does not fit.
        DuplicateSideEffect: another function has the name.
    """
    given = (async_ok, on_commit, in_transaction, raises, sensitive, tags, owner, reads, details)
    options: dict[str, Any] = dict(zip(_DESCRIBED, given, strict=True))
    if name is not None and not isinstance(name, str):
        if given != _LEFT_OUT or returns is not None:
            raise TypeError("give the options in @side_effect(name=..., ...), above the function")
        return decorate(name, None, None, {})
    if name is not None:
        registry.check_name(name)

    def decorator(function: Any) -> Any:
        return decorate(function, name, returns, options)

    return decorator


#: What describes an effect, and what it is when it is left out.
_DESCRIBED: Final = (
    "async_ok",
    "on_commit",
    "in_transaction",
    "raises",
    "sensitive",
    "tags",
    "owner",
    "reads",
    "details",
)
_LEFT_OUT: Final = (False, False, None, (), (), (), "", False, None)
OPTIONS: Final = frozenset(("name", "returns", *_DESCRIBED))


def decorate(function: Any, name: str | None, returns: Any, options: dict[str, Any]) -> Any:
    """Make an effect of a function; see `side_effect`."""
    adapter = adapter_for(function)
    if adapter is not None:
        return adapter(function, name, returns, options)
    _refuse(function)
    refuse_queue_task(function)
    holder = registered.holder_of(function)
    if holder:
        raise DeclarationError(
            f"{function.__qualname__} has been handed to {holder} already, which would go on calling it undecided: "
            f"put @side_effect right above the function, below the decorator that hands it on"
        )
    return wrap(function, describe_function(function, name, **options), returns)


#: What makes an effect of something that is no function, by the names of its types: none of them is imported for this.
_adapters: Final[dict[str, Callable[..., Any]]] = {}


def adapt(kind: str, adapter: Callable[..., Any]) -> None:
    """Let `adapter(thing, name, returns, options)` make effects of things of a type, given as `module.name`.

    Or of functions to which the module of that name has given a function `delay`.

    It returns what stands in the thing's place.
    """
    _adapters[kind] = adapter


def adapter_for(thing: Any) -> Callable[..., Any] | None:
    """What makes an effect of this, if it is no function.

    Told by its type, because looking at a Celery task's proxy any closer makes the application ready.
    """
    for base in type(thing).__mro__:
        adapter = _adapters.get(f"{base.__module__}.{base.__name__}")
        if adapter is not None:
            return adapter
    if _adapters and type(thing) is FunctionType:
        # RQ gives the function back, with a function of its own as an attribute.
        given = vars(thing).get("delay")
        return _adapters.get(str(given.__globals__.get("__name__"))) if type(given) is FunctionType else None
    return None


def explain(name: object) -> Decision:
    """The decision now in force for an effect, in this context, and why.

    Args:
        name: the effect's name, or the effect itself.

    Returns:
        the decision. Where a rule asks for the call's arguments it is `conditional`, with the strictest mode.

    Raises:
        UnknownSideEffect: no effect has that name.
    """
    pattern = pattern_of(name)
    if pattern not in registry.registry:
        for effect in check_known(pattern):
            if effect.name == pattern:  # its module has not been imported
                return explain_declared(Declared(effect, None, effect.short_name))
    return explain_declared(declared_named(pattern))


by_value.teach(_shipped)
