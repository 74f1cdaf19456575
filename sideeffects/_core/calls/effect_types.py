"""What type checkers see of effects. At run time nobody imports it: the proxies are whatever they wrap."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.calls.handle import Handle

if TYPE_CHECKING:
    from typing import Protocol
else:

    class Protocol:
        """At run time a protocol may not inherit from other classes."""

        def __class_getitem__(cls, _parameters: Any) -> type[Protocol]:
            return cls


P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)
S_co = TypeVar("S_co", covariant=True)
# What `Self` fits, and no class that is spelled out.
Own = TypeVar("Own", bound=Any)

# A subclass may override a declared method by a plain one. So the types of effects are protocols with a call and
# nothing else: the rest is inherited from classes that are no protocols, which checkers do not compare.


class _Declared:
    """What effects of all kinds have."""

    __name__: str
    __qualname__: str
    __doc__: str | None

    @property
    def effect(self) -> SideEffect:
        """The declared effect."""
        raise NotImplementedError


class _Function(_Declared, Generic[P, R_co]):
    @property
    def __wrapped__(self) -> Callable[P, R_co]:
        """The function itself: the one way around a decision."""
        raise NotImplementedError

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Handle:
        """Run it in the background; needs `async_ok=True`."""
        raise NotImplementedError

    # A checker sees neither of `classmethod` and `staticmethod` here, whichever of the two lines is above: what is
    # bound is told from the first parameter. A class that takes a class is taken for a class method, an instance
    # that fits the first parameter for a method.
    @overload
    def __get__(self: Taking[type[S], Q, R_co], instance: S | None, owner: type[S], /) -> BoundEffect[Q, R_co]: ...
    @overload
    def __get__(self, instance: None, owner: type[Any], /) -> Effect[P, R_co]: ...
    @overload
    def __get__(self: Taking[S, Q, R_co], instance: S, owner: type[Any] | None = None, /) -> BoundEffect[Q, R_co]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None, /) -> Effect[P, R_co]: ...
    def __get__(self, instance: Any, owner: Any = None, /) -> Any:
        raise NotImplementedError


class Effect(_Function[P, R_co], Protocol[P, R_co]):  # type: ignore[misc] # pyright: ignore[reportGeneralTypeIssues]
    """A declared function: what `side_effect` makes of a function. It is called as before."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class _Bound(_Function[P, R_co]):
    @property
    def __self__(self) -> Any:
        """What it is bound to."""
        raise NotImplementedError

    @property
    def __func__(self) -> Callable[..., R_co]:
        """The method without what it is bound to: decided as well."""
        raise NotImplementedError


class BoundEffect(_Bound[P, R_co], Effect[P, R_co], Protocol[P, R_co]):  # type: ignore[misc] # pyright: ignore[reportGeneralTypeIssues]
    """A declared method, bound to its instance or class."""


class Taking(Protocol[S_contra, Q, R_co]):
    """What takes one argument more: a method that is not bound yet."""

    def __call__(self, first: S_contra, /, *args: Q.args, **kwargs: Q.kwargs) -> R_co: ...


class TakingSelf(Protocol[S_contra, Q, R_co]):
    """A method: its first parameter is named so."""

    def __call__(
        _,  # noqa: N805 # pyright: ignore[reportSelfClsParameterName]
        self: S_contra,
        *args: Q.args,
        **kwargs: Q.kwargs,
    ) -> R_co: ...


class TakingClass(Protocol[S_contra, Q, R_co]):
    """A class method: its first parameter is named so."""

    def __call__(self, cls: S_contra, *args: Q.args, **kwargs: Q.kwargs) -> R_co: ...


class _Nothing:
    """What no function returns: only `Any` fits it, and a type variable of the function's own.

    mypy takes such a variable for this class in the parameters too. So their parameters are not checked.
    """


class AnyTakingSelf(Protocol[S_contra]):
    """A method whose result has no known type."""

    def __call__(
        _,  # noqa: N805 # pyright: ignore[reportSelfClsParameterName]
        self: S_contra,
        *args: Any,
        **kwargs: Any,
    ) -> _Nothing: ...


class AnyTakingClass(Protocol[S_contra]):
    """A class method whose result has no known type."""

    def __call__(self, cls: S_contra, *args: Any, **kwargs: Any) -> _Nothing: ...


class LaterAnyTakingSelf(Protocol[S_contra]):
    """An asynchronous method whose result has no known type."""

    def __call__(
        _,  # noqa: N805 # pyright: ignore[reportSelfClsParameterName]
        self: S_contra,
        *args: Any,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, _Nothing]: ...


class LaterAnyTakingClass(Protocol[S_contra]):
    """An asynchronous class method whose result has no known type."""

    def __call__(self, cls: S_contra, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, _Nothing]: ...


class SelfTakingSelf(Protocol[Q]):
    """A method that returns `Self`."""

    def __call__(
        _,  # noqa: N805 # pyright: ignore[reportSelfClsParameterName]
        self: Own,
        *args: Q.args,
        **kwargs: Q.kwargs,
    ) -> Own: ...


class SelfTakingClass(Protocol[Q]):
    """A class method that returns `Self`."""

    def __call__(self, cls: type[Own], *args: Q.args, **kwargs: Q.kwargs) -> Own: ...


class LaterSelfTakingSelf(Protocol[Q]):
    """An asynchronous method that returns `Self`."""

    def __call__(
        _,  # noqa: N805 # pyright: ignore[reportSelfClsParameterName]
        self: Own,
        *args: Q.args,
        **kwargs: Q.kwargs,
    ) -> Coroutine[Any, Any, Own]: ...


class LaterSelfTakingClass(Protocol[Q]):
    """An asynchronous class method that returns `Self`."""

    def __call__(self, cls: type[Own], *args: Q.args, **kwargs: Q.kwargs) -> Coroutine[Any, Any, Own]: ...


class _Unbound(_Declared, Generic[Q, R_co]):
    # The first is how functions of a module are called that have such a parameter; the second how a checker that does
    # not bind compares it with the methods of a protocol.
    @overload
    def __call__(self, first: Any, /, *args: Q.args, **kwargs: Q.kwargs) -> R_co: ...
    @overload
    def __call__(self, *args: Q.args, **kwargs: Q.kwargs) -> R_co: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]
        raise NotImplementedError

    @property
    def __wrapped__(self) -> Callable[Concatenate[Any, Q], R_co]:
        """The function itself: the one way around a decision."""
        raise NotImplementedError

    def enqueue(self, first: Any, /, *args: Q.args, **kwargs: Q.kwargs) -> Handle:
        """Run it in the background; needs `async_ok=True`."""
        raise NotImplementedError


class _Anything(Protocol):
    # Pyright compares what a subclass overrides before it is bound. A protocol that asks for a call alone would be
    # compared by its call; this one is compared by what every object has.
    def __sizeof__(self) -> int: ...


class _Method(_Unbound[Q, R_co], Generic[S_co, Q, R_co]):
    @overload
    def __get__(self, instance: None, owner: type[Any], /) -> Effect[Concatenate[S_co, Q], R_co]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None, /) -> BoundEffect[Q, R_co]: ...
    def __get__(self, instance: Any, owner: Any = None, /) -> Any:
        raise NotImplementedError


class Method(_Method[S_co, Q, R_co], _Anything, Protocol[S_co, Q, R_co]):  # type: ignore[misc] # pyright: ignore[reportGeneralTypeIssues]
    """A declared method, in the body of its class."""


class _ClassMethod(_Unbound[Q, R_co]):
    def __get__(self, instance: object, owner: type[Any] | None = None, /) -> BoundEffect[Q, R_co]:
        raise NotImplementedError


class ClassMethod(_ClassMethod[Q, R_co], _Anything, Protocol[Q, R_co]):  # type: ignore[misc] # pyright: ignore[reportGeneralTypeIssues]
    """A declared class method, in the body of its class."""


class _SelfMethod(_Unbound[Q, Any]):
    @overload
    def __get__(self, instance: None, owner: type[S], /) -> Effect[Concatenate[S, Q], S]: ...
    @overload
    def __get__(self, instance: S, owner: type[Any] | None = None, /) -> BoundEffect[Q, S]: ...
    def __get__(self, instance: Any, owner: Any = None, /) -> Any:
        raise NotImplementedError


class SelfMethod(_SelfMethod[Q], _Anything, Protocol[Q]):  # type: ignore[misc] # pyright: ignore[reportGeneralTypeIssues]
    """A declared method that returns `Self`, in the body of its class."""


class _LaterSelfMethod(_Unbound[Q, Any]):
    @overload
    def __get__(self, instance: None, owner: type[S], /) -> Effect[Concatenate[S, Q], Coroutine[Any, Any, S]]: ...
    @overload
    def __get__(self, instance: S, owner: type[Any] | None = None, /) -> BoundEffect[Q, Coroutine[Any, Any, S]]: ...
    def __get__(self, instance: Any, owner: Any = None, /) -> Any:
        raise NotImplementedError


class LaterSelfMethod(_LaterSelfMethod[Q], _Anything, Protocol[Q]):  # type: ignore[misc] # pyright: ignore[reportGeneralTypeIssues]
    """A declared asynchronous method that returns `Self`, in the body of its class."""


class _SelfClassMethod(_Unbound[Q, Any]):
    def __get__(self, instance: object, owner: type[S], /) -> BoundEffect[Q, S]:
        raise NotImplementedError


class SelfClassMethod(_SelfClassMethod[Q], _Anything, Protocol[Q]):  # type: ignore[misc] # pyright: ignore[reportGeneralTypeIssues]
    """A declared class method that returns `Self`, in the body of its class."""


class _LaterSelfClassMethod(_Unbound[Q, Any]):
    def __get__(self, instance: object, owner: type[S], /) -> BoundEffect[Q, Coroutine[Any, Any, S]]:
        raise NotImplementedError


class LaterSelfClassMethod(_LaterSelfClassMethod[Q], _Anything, Protocol[Q]):  # type: ignore[misc] # pyright: ignore[reportGeneralTypeIssues]
    """A declared asynchronous class method that returns `Self`, in the body of its class."""


class StaticEffect(Protocol[P, R_co]):
    """A declared static method, or class method: its class is bound already."""

    @property
    def effect(self) -> SideEffect:
        """The declared effect."""
        raise NotImplementedError

    def __get__(self, instance: object, owner: type[Any] | None = None, /) -> Effect[P, R_co]: ...


class Queued(Protocol):
    """A Celery task: it stays what it is."""

    @property
    def delay(self) -> Any: ...
    @property
    def apply_async(self) -> Any: ...


class DjangoTask(Protocol):
    """A Django task: it stays what it is."""

    @property
    def enqueue(self) -> Any: ...
    @property
    def aenqueue(self) -> Any: ...
    @property
    def get_backend(self) -> Any: ...


QueuedTask = TypeVar("QueuedTask", bound=Queued | DjangoTask)


class SideEffectDecorator(Protocol):
    """What `side_effect(...)` returns."""

    @overload
    def __call__(self, function: QueuedTask, /) -> QueuedTask: ...
    @overload
    def __call__(  # type: ignore[overload-overlap] # pyright: ignore[reportOverlappingOverload]
        self,
        function: staticmethod[P, R],
        /,
    ) -> StaticEffect[P, R]: ...
    @overload
    def __call__(self, function: classmethod[Any, P, R], /) -> StaticEffect[P, R]: ...
    @overload
    def __call__(self, function: AnyTakingSelf[S], /) -> Method[S, ..., Any]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: AnyTakingClass[S], /) -> ClassMethod[..., Any]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: LaterAnyTakingSelf[S], /) -> Method[S, ..., Coroutine[Any, Any, Any]]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: LaterAnyTakingClass[S], /) -> ClassMethod[..., Coroutine[Any, Any, Any]]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: SelfTakingSelf[Q], /) -> SelfMethod[Q]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: SelfTakingClass[Q], /) -> SelfClassMethod[Q]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: LaterSelfTakingSelf[Q], /) -> LaterSelfMethod[Q]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: LaterSelfTakingClass[Q], /) -> LaterSelfClassMethod[Q]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: TakingSelf[S, Q, R], /) -> Method[S, Q, R]: ...
    @overload
    def __call__(self, function: TakingClass[S, Q, R], /) -> ClassMethod[Q, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Effect[P, R]: ...
