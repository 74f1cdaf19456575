"""The engine `"celery"`: enqueued calls travel as messages of one task, `sideeffects.run`, and any worker runs them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from sideeffects._core.calls.handle import Handle
from sideeffects._core.calls.parcel import Parcel
from sideeffects._core.runtime.worker import run_parcel
from sideeffects.engines.results import packable
from sideeffects.errors import SideEffectError

__tracebackhide__ = True

#: The name of the task, for routes in Celery's configuration.
TASK: Final = "sideeffects.run"


class CeleryEngine:
    """Publishes calls with the project's Celery app."""

    def check(self, parcel: Parcel) -> None:
        """Refuse arguments that JSON cannot carry, and a process without a Celery app.

        Raises:
            TypeError: an argument cannot travel; the message names it.
            SideEffectError: this process has no Celery app.
        """
        parcel.to_data()
        _app()

    def submit(self, parcel: Parcel, handle: Handle, work: Callable[[], object]) -> None:  # noqa: ARG002
        """Publish the call."""
        task = _app().tasks[TASK]
        handle.follow(CeleryFuture(task.apply_async((parcel.to_data(),)), parcel.name))


class CeleryFuture:
    """The result of an enqueued call, as far as the app's result backend knows it."""

    def __init__(self, result: Any, name: str) -> None:
        self._result = result
        self._name = name

    def done(self) -> bool:
        """Whether the backend has a result or an error."""
        try:
            return bool(self._result.ready())
        except (NotImplementedError, AttributeError):
            return False

    def result(self, timeout: float | None = None) -> Any:
        """The result; waits for it.

        Raises:
            SideEffectError: the app has no result backend.
            TimeoutError: it was not there in time.
            BaseException: what the call raised.
        """
        from celery.exceptions import TimeoutError as CeleryTimeoutError

        try:
            return self._result.get(timeout=timeout)
        except CeleryTimeoutError:
            raise TimeoutError(f"side effect {self._name!r} has not finished in {timeout} s") from None
        except (NotImplementedError, AttributeError) as error:
            if "DisabledBackend" not in type(getattr(self._result, "backend", None)).__name__:
                raise
            raise SideEffectError(
                f"the result of side effect {self._name!r} is not known: the Celery app has no result backend. "
                f"Set `result_backend` in its configuration"
            ) from error


def engine() -> CeleryEngine:
    """The engine."""
    return _engine


_engine: Final = CeleryEngine()


def register() -> None:
    """Let every Celery app of this process have the task, those that are made later as well."""
    state: Any = importlib.import_module("celery._state")

    def make(app: Any) -> None:
        app._task_from_fun(_run, name=TASK, bind=True, serializer="json")  # noqa: SLF001 - what `shared_task` calls

    state.connect_on_app_finalize(make)
    for app in list(state._get_active_apps()):  # noqa: SLF001 - as `shared_task` does
        if app.finalized:
            make(app)


def _run(self: Any, data: Mapping[str, Any]) -> Any:
    """Run an effect that was enqueued elsewhere."""
    from kombu.serialization import dumps

    return packable(data["name"], run_parcel(data), lambda result: dumps(result, self.app.conf.result_serializer))


def _app() -> Any:
    app: Any = importlib.import_module("celery._state").get_current_app()
    if app.main == "default" and app.conf.broker_url is None:
        raise SideEffectError(
            "SIDE_EFFECTS['ENGINE'] is 'celery', and this process has no Celery app with a broker: import yours where "
            "the project starts, for example in the __init__.py next to the settings"
        )
    return app
