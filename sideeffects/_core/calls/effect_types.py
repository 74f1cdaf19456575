"""What type checkers see of effects. At run time nobody imports it: the proxies are whatever they wrap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.calls.handle import Handle

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)
T = TypeVar("T")


class Effect(Protocol[P, R_co]):
    """A declared function: what `side_effect` makes of a function. It is called as before."""

    __name__: str
    __qualname__: str
    __doc__: str | None

    @property
    def __wrapped__(self) -> Callable[P, R_co]:
        """The function itself: the one way around a decision."""
        ...

    @property
    def effect(self) -> SideEffect:
        """The declared effect."""
        ...

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Handle:
        """Run it in the background; needs `async_ok=True`."""
        ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    # A checker sees neither of `classmethod` and `staticmethod` here, whichever of the two lines is above: what is
    # bound is told from the first parameter. A class that takes a class is taken for a class method, an instance
    # that fits the first parameter for a method.
    @overload
    def __get__(self: Taking[type[S], Q, R_co], instance: S | None, owner: type[S], /) -> Effect[Q, R_co]: ...
    @overload
    def __get__(self, instance: None, owner: type[Any], /) -> Effect[P, R_co]: ...
    @overload
    def __get__(self: Taking[S, Q, R_co], instance: S, owner: type[Any] | None = None, /) -> Effect[Q, R_co]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None, /) -> Effect[P, R_co]: ...


class Taking(Protocol[S_contra, Q, R_co]):
    """What takes one argument more: a method that is not bound yet."""

    def __call__(self, first: S_contra, /, *args: Q.args, **kwargs: Q.kwargs) -> R_co: ...


class StaticEffect(Protocol[P, R_co]):
    """A declared static method, or class method: its class is bound already."""

    @property
    def effect(self) -> SideEffect:
        """The declared effect."""
        ...

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
    def __call__(self, function: QueuedTask) -> QueuedTask: ...
    @overload
    def __call__(  # type: ignore[overload-overlap] # pyright: ignore[reportOverlappingOverload]
        self,
        function: staticmethod[P, R],
    ) -> StaticEffect[P, R]: ...
    @overload
    def __call__(self, function: classmethod[T, P, R]) -> StaticEffect[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R]) -> Effect[P, R]: ...
