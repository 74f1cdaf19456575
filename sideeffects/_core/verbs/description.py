"""From a function to the frozen description of an effect: its kind, place, signature and options, each checked."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any, Final

from sideeffects._core.calls import registry
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.values.binding import signature_of

#: The options that describe an effect.
DESCRIBED: Final = (
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


def _kind_of(function: Any) -> str:
    """The kind of a function; see `SideEffect.kind`."""
    if isinstance(function, classmethod | staticmethod):
        below = _kind_of(function.__func__)
        return type(function).__name__ if below == "function" else below
    manager = _MANAGERS.get(getattr(function, "__code__", None))
    if manager is not None:
        return manager
    subject = function
    if not isinstance(function, FunctionType | MethodType) and not inspect.isbuiltin(function):
        subject = function.func if isinstance(function, functools.partial) else type(function).__call__
    if inspect.iscoroutinefunction(subject):
        return "coroutine function"
    if inspect.isasyncgenfunction(subject):
        return "async generator"
    if inspect.isgeneratorfunction(subject):
        return "generator"
    # A partial counts as a routine from Python 3.14 on, where it is a method descriptor.
    is_object = isinstance(function, functools.partial) or not inspect.isroutine(function)
    return "callable object" if is_object else "function"


def _code_made_by(decorator: Any) -> CodeType:
    """The code that all functions made by one of `contextlib`'s decorators share."""
    code: CodeType = decorator(iter).__code__
    return code


_MANAGERS: Final[dict[CodeType | None, str]] = {
    _code_made_by(contextlib.contextmanager): "context manager",
    _code_made_by(contextlib.asynccontextmanager): "async context manager",
}

_STREAMS: Final = frozenset(("generator", "async generator", "context manager", "async context manager"))


def _innermost(function: Any) -> Any:
    """The plain function below class methods, partials, bound methods and wrappers, where its code is."""
    seen = function
    while True:
        if isinstance(seen, classmethod | staticmethod | MethodType):
            seen = seen.__func__
        elif isinstance(seen, functools.partial):
            seen = seen.func
        elif "__wrapped__" in getattr(seen, "__dict__", ()):
            seen = vars(seen)["__wrapped__"]
        elif not isinstance(seen, FunctionType) and isinstance(getattr(type(seen), "__call__", None), FunctionType):  # noqa: B004
            seen = type(seen).__call__
        else:
            return seen


def describe_function(
    function: Any,
    name: str | None,
    *,
    async_ok: bool = False,
    on_commit: bool | str = False,
    in_transaction: bool | None = None,
    raises: Iterable[type[BaseException]] = (),
    sensitive: Iterable[str] = (),
    tags: Iterable[str] = (),
    owner: str = "",
    reads: bool = False,
    details: Callable[..., Mapping[str, Any]] | None = None,
) -> SideEffect:
    """The frozen description of a function as an effect.

    Raises:
        TypeError, ValueError: an option does not fit, named with its rule.
    """
    subject = function.__func__ if isinstance(function, classmethod | staticmethod) else function
    plain = _innermost(function)
    short_name: str | None = getattr(subject, "__name__", None)
    qualname = getattr(subject, "__qualname__", None)
    # A partial says nothing of itself but what it calls.
    told = plain if isinstance(subject, functools.partial) else subject
    module = getattr(told, "__module__", None) or type(told).__module__
    if name is None:
        if qualname is None:
            raise ValueError(f"{function!r} has no name of its own: give one, as in @side_effect(name='sms.send')")
        readable = qualname.replace("<locals>.", "").replace("<lambda>", "lambda")
        name = f"{module}.{readable}"
    registry.check_name(name)
    kind = _kind_of(function)
    _check_options(name, kind, async_ok, on_commit, in_transaction, owner)
    if details is not None and not callable(details):
        raise TypeError(f"{name}: details is a function of the call's arguments, not {details!r}")
    signature = signature_of(subject)
    code = getattr(plain, "__code__", None)
    docstring = inspect.getdoc(told) or ""
    return SideEffect(
        name=name,
        dotted_path=f"{module}:{getattr(told, '__qualname__', type(told).__qualname__)}",
        kind=kind,
        file=os.path.abspath(code.co_filename) if isinstance(code, CodeType) else "",
        line=code.co_firstlineno if isinstance(code, CodeType) else 0,
        signature=signature,
        doc=docstring.partition("\n")[0],
        docstring=docstring,
        async_ok=_flag("async_ok", async_ok),
        on_commit=on_commit,
        in_transaction=in_transaction,
        raises=_exceptions(name, raises),
        sensitive=_parameters(name, sensitive, signature),
        tags=_texts("tags", tags),
        owner=owner,
        reads=_flag("reads", reads),
        details=details,
        short_name=short_name or str(getattr(told, "__name__", type(told).__name__)),
    )


def _check_options(
    name: str, kind: str, async_ok: object, on_commit: object, in_transaction: object, owner: object
) -> None:
    if kind in _STREAMS and on_commit is not False:
        raise TypeError(f"{name}: a {kind} cannot wait for a commit; leave out on_commit")
    if kind in _STREAMS and async_ok:
        raise TypeError(f"{name}: a {kind} cannot run in the background; leave out async_ok")
    if not isinstance(on_commit, bool | str):
        raise TypeError(f"{name}: on_commit is True, False or a database alias, not {on_commit!r}")
    if not isinstance(in_transaction, bool | None):
        raise TypeError(f"{name}: in_transaction is True, False or None, not {in_transaction!r}")
    if not isinstance(owner, str):
        raise TypeError(f"{name}: owner must be a string, not {owner!r}")


def _flag(option: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{option} is True or False, not {value!r}")
    return value


def _texts(option: str, values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise TypeError(f"{option} takes a list, not the string {values!r}")
    texts = tuple(values)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{option} takes strings, not {text!r}")
    return texts


def _exceptions(name: str, raises: Iterable[type[BaseException]]) -> tuple[type[BaseException], ...]:
    given: Any = raises
    listed = (given,) if isinstance(given, type) else tuple(given)
    for kind in listed:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise TypeError(f"{name}: raises takes exception classes, not {kind!r}")
    return listed


def _parameters(name: str, sensitive: Iterable[str], signature: inspect.Signature | None) -> tuple[str, ...]:
    names = _texts("sensitive", sensitive)
    if signature is not None and not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        for wanted in names:
            if wanted not in signature.parameters:
                has = ", ".join(signature.parameters) or "none"
                raise ValueError(f"{name} has no parameter {wanted!r} to be sensitive; it has {has}")
    return names
