"""How an exception travels: with its causes and its traceback, and in words where its class does not allow more."""

from __future__ import annotations

import importlib
import pickle
import traceback as tracebacks
from collections.abc import Sequence
from types import SimpleNamespace, TracebackType
from typing import Any, Final

from sideeffects._core.calls.outcome import RemoteError
from sideeffects._core.values.describe import text_of
from sideeffects.testing.races.errors import CannotTravel
from sideeffects.testing.races.messages import packed

#: How far causes of causes are followed.
_DEPTH: Final = 10


def to_data(error: BaseException, depth: int = _DEPTH) -> dict[str, Any]:
    """An exception as plain data."""
    return {
        "pickled": _packed(error),
        "pieces": _pieces(error),
        "kind": type(error).__qualname__,
        "text": text_of(error),
        "frames": _frames(error.__traceback__),
        "shown": "".join(tracebacks.format_exception(error)),
        "cause": None if error.__cause__ is None or not depth else to_data(error.__cause__, depth - 1),
        "context": None if error.__context__ is None or not depth else to_data(error.__context__, depth - 1),
        "suppress": error.__suppress_context__,
    }


def in_words(error: BaseException, problem: BaseException) -> dict[str, Any]:
    """As much as can be said of an exception that cannot even be looked at."""
    stand_in = RemoteError(type(error).__qualname__, text_of(error))
    stand_in.add_note(f"It could not be looked at: {type(problem).__qualname__}: {text_of(problem)}")
    return to_data(stand_in)


def from_data(data: dict[str, Any]) -> BaseException:
    """The exception again, with a traceback of real frames. What cannot be made again is a `RemoteError` that tells."""
    error = _rebuilt(data)
    error.__traceback__ = _traceback(data["frames"])
    if data["cause"] is not None:
        error.__cause__ = from_data(data["cause"])
    if data["context"] is not None:
        error.__context__ = from_data(data["context"])
    error.__suppress_context__ = data["suppress"]
    return error


#: What is kept of one entry of a traceback: file, name, line, and the two globals that tell whose code it is.
_Frame = tuple[str, str, int, dict[str, str]]


def _frames(trace: TracebackType | None) -> list[_Frame]:
    """A traceback, flat: those of endless recursion are too deep for anything nested."""
    found: list[_Frame] = []
    while trace is not None:
        code, names = trace.tb_frame.f_code, trace.tb_frame.f_globals
        whose = {name: names[name] for name in ("__name__", "__file__") if isinstance(names.get(name), str)}
        found.append((code.co_filename, code.co_name, trace.tb_lineno, whose))
        trace = trace.tb_next
    return found


def _traceback(frames: Sequence[_Frame]) -> TracebackType | None:
    """It again, with real frames."""
    trace: Any = None
    for filename, name, line, whose in reversed(frames):
        code = SimpleNamespace(co_filename=filename, co_name=name)
        frame = SimpleNamespace(f_code=code, f_globals=whose, f_lineno=line)
        trace = SimpleNamespace(tb_frame=frame, tb_lineno=line, tb_next=trace)
    made: TracebackType | None = None if trace is None else _tblib().Traceback(trace).as_traceback()
    return made


def _tblib() -> Any:
    """It has no types, and is part of an extra."""
    return importlib.import_module("tblib")


def _rebuilt(data: dict[str, Any]) -> BaseException:
    found: BaseException | None = None
    for make in (_whole, _in_pieces):
        try:
            error = make(data)
        except Exception:  # noqa: BLE001, S112 - unpickling runs any code of the exception's; there are other ways
            continue
        if error is not None and text_of(error) == data["text"]:
            return error
        found = found or error
    # Its type may be all that is left of it: an `__init__` has got what it had made before, or an attribute is missing.
    found = found or RemoteError(data["kind"], data["text"])
    found.add_note(f"As the racer saw it:\n{data['shown'].rstrip()}")
    return found


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
