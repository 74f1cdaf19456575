"""`side_effect`: from a function to an effect."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, overload

from sideeffects._core.calls import registry
from sideeffects._core.state.runtime_effect import Proxy
from sideeffects._core.verbs import registered
from sideeffects._core.verbs.description import DESCRIBED, describe_function
from sideeffects._core.verbs.proxies import wrap
from sideeffects._core.verbs.queue_tasks import refuse_queue_task
from sideeffects.errors import DeclarationError

__tracebackhide__ = True

if TYPE_CHECKING:
    from sideeffects._core.calls import effect_types as types

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


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
    below: Any = function.__func__ if isinstance(function, classmethod | staticmethod) else function
    if issubclass(type(below), Proxy):
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

    In a test run it executes only if the test names it. Elsewhere it does, unless a policy, dry run or probe says no.

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
        details: a function for effects whose arguments say little. It is called with the arguments (with `self`), and
            the mapping that it returns is kept as `Call.details`.

    Returns:
        the function, decorated; or a decorator.

    Raises:
        ValueError: the name is not valid, or a sensitive parameter does not exist.
        TypeError: a class, a property or something that cannot be called was decorated, or an option does not fit.
        DuplicateSideEffect: another function has the name.

    Example:
        >>> @side_effect(name="shop.ship", returns="parcel-1")
        ... def ship(order: int) -> str: ...
        >>> ship(4711)  # in a test run
        'parcel-1'
    """
    given = (async_ok, on_commit, in_transaction, raises, sensitive, tags, owner, reads, details)
    options: dict[str, Any] = dict(zip(DESCRIBED, given, strict=True))
    if name is not None and not isinstance(name, str):
        if given != _LEFT_OUT or returns is not None:
            raise TypeError("give the options in @side_effect(name=..., ...), above the function")
        return decorate(name, None, None, {})
    if name is not None:
        registry.check_name(name)

    def decorator(function: Any) -> Any:
        return decorate(function, name, returns, options)

    return decorator


#: What the options are that describe an effect, when they are left out.
_LEFT_OUT: Final = (False, False, None, (), (), (), "", False, None)
OPTIONS: Final = frozenset(("name", "returns", *DESCRIBED))


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
