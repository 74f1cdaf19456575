"""The engine `"huey"`: enqueued calls travel as one Huey task, `run_effect`, and any consumer runs them."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any, Final

from sideeffects._core.calls.handle import Handle
from sideeffects._core.calls.parcel import Parcel
from sideeffects._core.runtime.worker import run_parcel
from sideeffects.engines.results import packable
from sideeffects.errors import SideEffectError

__tracebackhide__ = True

#: The name under which the task stands in messages.
TASK: Final = f"{__name__}.run_effect"


class HueyEngine:
    """Hands calls to a Huey.

    `SIDE_EFFECTS["ENGINE"]` names an instance by its dotted path, where the project has no `HUEY` setting.

    Args:
        huey: the Huey; that of `huey.contrib.djhuey` when left out.
    """

    def __init__(self, huey: Any = None) -> None:
        self._given = huey

    def check(self, parcel: Parcel) -> None:
        """Refuse arguments that JSON cannot carry, and a process without a Huey.

        Raises:
            TypeError: an argument cannot travel; the message names it.
            SideEffectError: there is no Huey.
        """
        parcel.to_data()
        self._huey()

    def submit(self, parcel: Parcel, handle: Handle, work: Callable[[], object]) -> None:
        """Enqueue the call."""
        huey = self._huey()
        if huey.immediate:
            try:
                handle.future.set_result(work())
            except Exception as error:  # noqa: BLE001 - it is the handle's, as it would be the task's
                handle.future.set_exception(error)
            return
        register(huey._registry)  # noqa: SLF001 - a task for any Huey, and not for one
        result = huey.enqueue(task_class()((parcel.to_data(), huey.serializer), {}))
        handle.follow(HueyFuture(result, parcel.name))

    def _huey(self) -> Any:
        if self._given is not None:
            return self._given
        try:
            return importlib.import_module("huey.contrib.djhuey").HUEY
        except Exception as error:
            raise SideEffectError(
                f"SIDE_EFFECTS['ENGINE'] is 'huey', and Huey's integration for Django cannot be imported ({error}): "
                f"set HUEY, or let ENGINE name a HueyEngine(huey) by its dotted path"
            ) from error


class HueyFuture:
    """The result of an enqueued call, as far as Huey's storage knows it."""

    def __init__(self, result: Any, name: str) -> None:
        self._result = result
        self._name = name

    def done(self) -> bool:
        """Whether the storage has a result or an error."""
        return self._result is not None and bool(self._result.is_ready())

    def result(self, timeout: float | None = None) -> Any:
        """The result; waits for it.

        Raises:
            SideEffectError: the call failed (with what the storage kept of the error), or Huey keeps no results.
            TimeoutError: it was not there in time.
        """
        exceptions: Any = importlib.import_module("huey.exceptions")
        if self._result is None:
            raise SideEffectError(f"the result of side effect {self._name!r} is not known: Huey has results=False")
        try:
            return self._result.get(blocking=True, timeout=timeout)[0]
        except exceptions.ResultTimeout:
            raise TimeoutError(f"side effect {self._name!r} has not finished in {timeout} s") from None
        except exceptions.TaskException as error:
            raise SideEffectError(f"side effect {self._name!r} failed in the background: {error}") from error


def engine() -> HueyEngine:
    """The engine with the Huey of the settings."""
    return _engine


_engine: Final = HueyEngine()


@functools.cache
def task_class() -> Any:
    """The class of the task."""
    base: Any = importlib.import_module("huey.api").Task
    return type("run_effect", (base,), {"context": False, "execute": _execute, "__module__": __name__})


def register(registry: Any) -> None:
    """Let a registry of tasks know it."""
    if TASK not in registry._registry:  # noqa: SLF001 - `register` refuses what it knows
        registry.register(task_class())


def _execute(task: Any) -> Any:
    """Run an effect that was enqueued elsewhere. What it gives is in a list: Huey stores no `None`."""
    data, serializer = task.args
    return [packable(data["name"], run_parcel(data), serializer.serialize)]
