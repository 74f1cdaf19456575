"""How values travel between the test and its racers: by pickle, else by cloudpickle, else not at all, and loudly so.

Functions and classes travel by reference where the other side can import them. Where it cannot (a module that pytest
loaded by its file's path, `__main__`, a closure, a lambda), they travel by value.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import pickle
import socket
import struct
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import Any, Final

from sideeffects._core.values.describe import text_of
from sideeffects._core.verbs import by_value
from sideeffects._core.verbs.proxies import BoundEffectFunction, EffectFunction
from sideeffects.errors import RaceError
from sideeffects.testing.races.errors import CannotTravel

_LENGTH: Final = struct.Struct("!Q")


def check_extra() -> None:
    """Refuse a race between processes where what it needs is missing.

    Raises:
        RaceError: with what to install.
    """
    missing = [name for name in ("cloudpickle", "tblib") if importlib.util.find_spec(name) is None]
    if missing:
        raise RaceError(
            f"races between processes need {' and '.join(missing)}: pip install 'sideeffects[races]' "
            f'(or race in threads: Race(using="threads"))'
        )


# -- frames on a stream


def send(stream: socket.socket, data: bytes) -> None:
    """Send one message."""
    stream.sendall(_LENGTH.pack(len(data)) + data)


def receive(stream: socket.socket) -> bytes | None:
    """The next message; `None` when the other side is gone."""
    head = _exactly(stream, _LENGTH.size)
    return None if head is None else _exactly(stream, _LENGTH.unpack(head)[0])


def _exactly(stream: socket.socket, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        try:
            part = stream.recv(min(size - len(parts), 1 << 20))
        except ConnectionError:
            return None
        if not part:
            return None
        parts += part
    return bytes(parts)


# -- values


def packed(value: Any, what: str) -> bytes:
    """A value as bytes, from which `pickle.loads` makes it again elsewhere.

    Args:
        value: the value.
        what: what it is, for the message.

    Raises:
        CannotTravel: neither pickle nor cloudpickle takes it.
    """
    try:
        return _by_reference(value)
    except Exception as plain:  # noqa: BLE001 - pickling runs any code of the value's; cloudpickle may do better
        try:
            return _by_value(value)
        except Exception as error:  # noqa: BLE001 - as above
            reason = error if isinstance(error, (TypeError, pickle.PicklingError, AttributeError)) else plain
            raise CannotTravel(
                f"{what} ({_kind(value)}) cannot travel to another process: {text_of(reason).rstrip('.')}. Pass plain "
                f'values or ids and look the objects up in the racer, or race in threads: Race(using="threads")'
            ) from None


def packed_call(function: Any, kwargs: Mapping[str, Any]) -> bytes:
    """A call as bytes.

    Raises:
        CannotTravel: the message names the function or the argument.
    """
    try:
        return packed((function, dict(kwargs)), "a call")
    except CannotTravel:
        name = getattr(function, "__qualname__", repr(function))
        packed(function, f"the function {name}")
        for argument, value in kwargs.items():
            packed(value, f"argument {argument!r} of {name}")
        raise


def _kind(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class _NotThere(Exception):
    """Something would travel by a reference that leads nowhere."""


class _References(pickle.Pickler):
    """Refuses references that the other side could not follow."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is EffectFunction and not _has_a_place(obj):
            raise _NotThere(obj.effect.name)
        if isinstance(obj, (FunctionType, type)) and not can_be_imported(obj.__module__):
            raise _NotThere(obj.__module__)
        return NotImplemented


def _by_reference(value: Any) -> bytes:
    buffer = io.BytesIO()
    _References(buffer, pickle.HIGHEST_PROTOCOL).dump(value)
    return buffer.getvalue()


def _by_value(value: Any) -> bytes:
    cloudpickle: Any = importlib.import_module("cloudpickle")  # it has no types
    registered: list[ModuleType] = []

    class Values(cloudpickle.Pickler):  # type: ignore[misc]
        """Takes the functions and classes of modules that are not there by value."""

        def reducer_override(self, obj: Any) -> Any:
            # Looked at first: what cloudpickle takes for a plain function, it would send without the decision.
            if type(obj) is BoundEffectFunction or (type(obj) is EffectFunction and _has_a_place(obj)):
                return obj.__reduce__()
            if type(obj) is EffectFunction:
                return by_value.shipped(obj)
            if isinstance(obj, (FunctionType, type)):
                module = sys.modules.get(obj.__module__)
                name = obj.__module__
                if module is not None and name != "__main__" and module not in registered and not can_be_imported(name):
                    cloudpickle.register_pickle_by_value(module)
                    registered.append(module)
            return super().reducer_override(obj)

    buffer = io.BytesIO()
    try:
        Values(buffer, pickle.HIGHEST_PROTOCOL).dump(value)
    finally:
        for module in registered:
            cloudpickle.unregister_pickle_by_value(module)
    return buffer.getvalue()


# -- effects


def _has_a_place(function: Any) -> bool:
    """Whether an effect can be found by its reference."""
    module, _, qualname = function.effect.dotted_path.partition(":")
    return "<locals>" not in qualname and can_be_imported(module)


# -- what the other side can import

_known: dict[str, bool] = {}
_known_for: list[list[str]] = [[]]


def can_be_imported(name: str | None) -> bool:
    """Whether another process with this `sys.path` gets this very module when it imports `name`."""
    if name is None:
        return True
    if name == "__main__":
        return False
    if sys.path != _known_for[0]:
        _known.clear()
        _known_for[0] = list(sys.path)
    if name not in _known:
        _known[name] = _can_be_imported(name)
    return _known[name]


def _can_be_imported(name: str) -> bool:
    if name.partition(".")[0] in sys.stdlib_module_names:
        return True
    spec: ModuleSpec | None = None
    path: Any = None
    parts = name.split(".")
    for place in range(1, len(parts) + 1):
        spec = _found(".".join(parts[:place]), path)
        if spec is None:
            return False
        path = spec.submodule_search_locations
        if path is None and place < len(parts):
            return False
    file = getattr(sys.modules.get(name), "__file__", None)
    assert spec is not None  # noqa: S101 - a name has at least one part
    return file is None or spec.origin is None or os.path.realpath(file) == os.path.realpath(spec.origin)


def _found(name: str, path: Any) -> ModuleSpec | None:
    """What the import system would find; pytest's own finder asks the same ones, and would take note."""
    for finder in sys.meta_path:
        if type(finder).__module__.partition(".")[0] not in ("_pytest", "sideeffects"):
            find_spec = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if find_spec is None else find_spec(name, path, None)
            if spec is not None:
                return spec
    return None
