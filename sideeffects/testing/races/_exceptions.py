"""How an exception travels: with its causes and its traceback, and in words where its class does not allow more."""

from __future__ import annotations

import importlib
import pickle
import traceback as tracebacks
from typing import Any, Final

from sideeffects._calls import RemoteError
from sideeffects._showing import text_of
from sideeffects.testing.races._errors import CannotTravel
from sideeffects.testing.races._messages import packed

#: How far causes of causes are followed.
_DEPTH: Final = 10


def to_data(error: BaseException, depth: int = _DEPTH) -> dict[str, Any]:
    """An exception as plain data."""
    trace = error.__traceback__
    return {
        "pickled": _packed(error),
        "pieces": _pieces(error),
        "kind": type(error).__qualname__,
        "text": text_of(error),
        "trace": None if trace is None else _tblib().Traceback(trace).to_dict(),
        "shown": "".join(tracebacks.format_exception(error)),
        "cause": None if error.__cause__ is None or not depth else to_data(error.__cause__, depth - 1),
        "context": None if error.__context__ is None or not depth else to_data(error.__context__, depth - 1),
        "suppress": error.__suppress_context__,
    }


def from_data(data: dict[str, Any]) -> BaseException:
    """The exception again, with a traceback of real frames. What cannot be made again is a `RemoteError` that tells."""
    error = _rebuilt(data)
    if data["trace"] is not None:
        error.__traceback__ = _tblib().Traceback.from_dict(data["trace"]).as_traceback()
    if data["cause"] is not None:
        error.__cause__ = from_data(data["cause"])
    if data["context"] is not None:
        error.__context__ = from_data(data["context"])
    error.__suppress_context__ = data["suppress"]
    return error


def _tblib() -> Any:
    """It has no types, and is part of an extra."""
    return importlib.import_module("tblib")


def _rebuilt(data: dict[str, Any]) -> BaseException:
    for make in (_whole, _in_pieces):
        try:
            error = make(data)
        except Exception:  # noqa: BLE001, S112 - unpickling runs any code of the exception's; there are other ways
            continue
        if error is not None:
            return error
    stand_in = RemoteError(data["kind"], data["text"])
    stand_in.add_note(f"As the racer saw it:\n{data['shown'].rstrip()}")
    return stand_in


def _whole(data: dict[str, Any]) -> BaseException | None:
    error = None if data["pickled"] is None else pickle.loads(data["pickled"])  # noqa: S301 - from our own racer
    return error if isinstance(error, BaseException) else None


def _in_pieces(data: dict[str, Any]) -> BaseException | None:
    """Without its `__init__`, which wants other arguments than `args` has."""
    if data["pieces"] is None:
        return None
    kind, args, attributes = pickle.loads(data["pieces"])  # noqa: S301 - from our own racer
    error: BaseException = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(attributes)
    return error


def _packed(error: BaseException) -> bytes | None:
    """Pickled, if it can be unpickled."""
    try:
        data = packed(error, "an exception")
        pickle.loads(data)  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - pickling runs any code of the exception's
        return None
    return data


def _pieces(error: BaseException) -> bytes | None:
    """Its class, and as much of its arguments and attributes as can travel."""
    args = tuple(value if _travels(value) else text_of(value) for value in error.args)
    attributes = {name: value for name, value in vars(error).items() if _travels(value)}
    try:
        return packed((type(error), args, attributes), "an exception")
    except CannotTravel:
        return None


def _travels(value: Any) -> bool:
    try:
        pickle.loads(packed(value, "part of an exception"))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - pickling runs any code of the value's
        return False
    return True
