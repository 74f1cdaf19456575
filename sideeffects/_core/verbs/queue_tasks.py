"""Tasks of queues that nobody adapts: they are refused, since their own methods would go around the decision."""

from __future__ import annotations

from types import FunctionType, MethodType
from typing import Any, Final

#: What queues call handing a task over: procrastinate and others, taskiq, Dramatiq, RQ and others, SAQ, Celery, Huey.
_WAYS: Final = ("defer", "defer_async", "kiq", "send", "delay", "enqueue", "apply_async", "call_local", "schedule")


def refuse_queue_task(function: Any) -> None:
    """Refuse what can hand itself over to a queue.

    Raises:
        TypeError: it can, or wraps what can; the message says what to decorate instead.
    """
    seen: set[int] = set()
    while function is not None and id(function) not in seen:
        seen.add(id(function))
        way = way_of(function)
        if way:
            kind = type(function)
            name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None) or repr(function)
            made = name if isinstance(function, FunctionType) else f"{name} (a {kind.__module__}.{kind.__qualname__})"
            raise TypeError(
                f"@side_effect stands above the decorator that made a task of {made}, whose .{way}() would hand it "
                f"over undecided: put @side_effect below that decorator, right above the function"
            )
        is_around = isinstance(function, classmethod | staticmethod | MethodType)
        function = function.__func__ if is_around else _attributes(function).get("__wrapped__")


def way_of(function: Any) -> str:
    """The first of its methods that hands it over. Looked for without asking the object, which may answer anything."""
    places = [_attributes(function), *(vars(base) for base in type(function).__mro__)]
    return next((way for way in _WAYS if any(callable(place.get(way)) for place in places)), "")


def _attributes(function: Any) -> dict[str, Any]:
    try:
        found: Any = object.__getattribute__(function, "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, dict) else {}
