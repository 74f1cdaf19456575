"""The engine `"rq"`: enqueued calls travel as jobs of one function, `run_effect`, and any worker runs them."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from sideeffects._core.calls import registry
from sideeffects._core.calls.handle import Handle
from sideeffects._core.calls.parcel import Parcel
from sideeffects._core.runtime.worker import run_parcel
from sideeffects._core.values import clock
from sideeffects.engines.results import packable
from sideeffects.errors import SideEffectError

__tracebackhide__ = True

#: The function under which jobs stand in Redis.
TASK: Final = f"{__name__}.run_effect"

#: Seconds between two looks at a result that is not there yet: they double, from the first to the last.
_FIRST_LOOK: Final = 0.02
_LAST_LOOK: Final = 0.5


class RQEngine:
    """Hands calls to a queue.

    `SIDE_EFFECTS["ENGINE"]` names an instance by its dotted path, where the project has no `RQ_QUEUES`.

    Args:
        queue: the queue; the `default` one of `django_rq` when left out.
    """

    def __init__(self, queue: Any = None) -> None:
        self._given = queue

    def check(self, parcel: Parcel) -> None:
        """Refuse arguments that JSON cannot carry, and a process without a queue.

        Raises:
            TypeError: an argument cannot travel; the message names it.
            SideEffectError: there is no queue.
        """
        parcel.to_data()
        self._queue()

    def submit(self, parcel: Parcel, handle: Handle, work: Callable[[], object]) -> None:
        """Enqueue the call."""
        queue = self._queue()
        if not queue.is_async:
            try:
                handle.future.set_result(work())
            except Exception as error:  # noqa: BLE001 - it is the handle's, as it would be the job's
                handle.future.set_exception(error)
            return
        module = registry.registry[parcel.name].dotted_path.partition(":")[0]
        job = queue.enqueue(TASK, parcel.to_data(), module)
        handle.follow(RQFuture(job, parcel.name))

    def _queue(self) -> Any:
        if self._given is not None:
            return self._given
        try:
            return importlib.import_module("django_rq").get_queue("default")
        except Exception as error:
            raise SideEffectError(
                f"SIDE_EFFECTS['ENGINE'] is 'rq', and django_rq has no queue ({error}): set RQ_QUEUES, or let ENGINE "
                f"name an RQEngine(queue) by its dotted path"
            ) from error


class RQFuture:
    """The result of an enqueued call, as far as Redis knows it."""

    def __init__(self, job: Any, name: str) -> None:
        self._job = job
        self._name = name

    def done(self) -> bool:
        """Whether there is a result or an error."""
        return str(getattr(self._job.get_status(), "value", self._job.get_status())) in _ENDED

    def result(self, timeout: float | None = None) -> Any:
        """The result; waits for it.

        Raises:
            SideEffectError: the call failed, with the traceback that Redis has.
            TimeoutError: it was not there in time.
        """
        deadline = None if timeout is None else clock.monotonic() + timeout
        pause = _FIRST_LOOK
        while not self.done():
            left = pause if deadline is None else deadline - clock.monotonic()
            if left <= 0:
                raise TimeoutError(f"side effect {self._name!r} has not finished in {timeout} s")
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LAST_LOOK)
        if not self._job.is_finished:
            told = self._job.latest_result()
            raise SideEffectError(
                f"side effect {self._name!r} failed in the background:\n{getattr(told, 'exc_string', '')}"
            )
        return self._job.return_value(refresh=True)


_ENDED: Final = frozenset(("finished", "failed", "stopped", "canceled"))


def engine() -> RQEngine:
    """The engine with django_rq's queue `default`."""
    return _engine


_engine: Final = RQEngine()


def run_effect(data: Mapping[str, Any], module: str) -> Any:
    """Run an effect that was enqueued elsewhere. RQ's workers have imported nothing: this imports its module."""
    importlib.import_module(module)
    job: Any = importlib.import_module("rq").get_current_job()
    return packable(data["name"], run_parcel(data), job.serializer.dumps)
