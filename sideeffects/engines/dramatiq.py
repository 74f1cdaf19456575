"""The engine `"dramatiq"`: enqueued calls travel as messages of one actor, and any worker runs them."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from sideeffects._core.calls.handle import Handle
from sideeffects._core.calls.parcel import Parcel
from sideeffects._core.runtime.worker import run_parcel
from sideeffects._core.values import clock
from sideeffects.engines.results import packable
from sideeffects.errors import SideEffectError

__tracebackhide__ = True

#: The name of the actor.
ACTOR: Final = "sideeffects.run"


class DramatiqEngine:
    """Sends calls with the process's broker.

    `SIDE_EFFECTS["ENGINE"]` may name an instance by its dotted path, for another queue.

    Args:
        queue_name: the queue.
    """

    def __init__(self, queue_name: str = "default") -> None:
        self._queue_name = queue_name

    def check(self, parcel: Parcel) -> None:
        """Refuse arguments that JSON cannot carry, and a process without a broker.

        Raises:
            TypeError: an argument cannot travel; the message names it.
            SideEffectError: this process has no broker.
        """
        parcel.to_data()
        _broker()

    def submit(self, parcel: Parcel, handle: Handle, work: Callable[[], object]) -> None:  # noqa: ARG002
        """Send the call."""
        broker = _broker()
        message = actor_of(broker).message(parcel.to_data()).copy(queue_name=self._queue_name)
        broker.declare_queue(self._queue_name)
        handle.follow(DramatiqFuture(broker, broker.enqueue(message), parcel.name))


class DramatiqFuture:
    """The result of an enqueued call, as far as the broker's result backend knows it."""

    def __init__(self, broker: Any, message: Any, name: str) -> None:
        self._broker = broker
        self._message = message
        self._name = name

    def done(self) -> bool:
        """Whether the backend has a result or an error."""
        results: Any = importlib.import_module("dramatiq.results")
        try:
            self._message.get_result(backend=self._broker.get_results_backend())
        except (results.ResultMissing, RuntimeError):
            return False
        except results.ResultFailure:
            return True
        return True

    def result(self, timeout: float | None = None) -> Any:
        """The result; waits for it.

        Raises:
            SideEffectError: the call failed (with what the backend kept of the error), or there is no result backend.
            TimeoutError: it was not there in time.
        """
        results: Any = importlib.import_module("dramatiq.results")
        try:
            backend = self._broker.get_results_backend()
        except RuntimeError as error:
            raise SideEffectError(
                f"the result of side effect {self._name!r} is not known: the broker has no result backend. Add "
                f"Dramatiq's middleware Results to it"
            ) from error
        deadline = None if timeout is None else clock.monotonic() + timeout
        while True:
            left = _LONGEST if deadline is None else max(0.0, deadline - clock.monotonic())
            try:
                return self._message.get_result(backend=backend, block=True, timeout=int(min(left, _LONGEST) * 1000))
            except results.ResultTimeout:
                if deadline is not None and clock.monotonic() >= deadline:
                    raise TimeoutError(f"side effect {self._name!r} has not finished in {timeout} s") from None
                time.sleep(0)
            except results.ResultFailure as error:
                raise SideEffectError(f"side effect {self._name!r} failed in the background: {error}") from error


#: Seconds that the backend is asked to wait for at once.
_LONGEST: Final = 10.0


def engine() -> DramatiqEngine:
    """The engine with the queue `default`."""
    return _engine


_engine: Final = DramatiqEngine()


def _broker() -> Any:
    # Not `get_broker()`, which makes one for RabbitMQ where there is none.
    broker = importlib.import_module("dramatiq.broker").global_broker
    if broker is None:
        raise SideEffectError(
            "SIDE_EFFECTS['ENGINE'] is 'dramatiq', and this process has no broker: call dramatiq.set_broker(...) where "
            "the project starts, for example in the __init__.py next to the settings"
        )
    return broker


def actor_of(broker: Any) -> Any:
    """The actor, for one broker; it is made when somebody asks for it."""
    known = broker.actors.get(ACTOR)
    if known is not None:
        return known
    dramatiq: Any = importlib.import_module("dramatiq")
    wanted = {"max_retries": 0, "store_results": True}
    options = {name: value for name, value in wanted.items() if name in broker.actor_options}
    return dramatiq.actor(_run, actor_name=ACTOR, broker=broker, **options)


def _run(data: Mapping[str, Any]) -> Any:
    """Run an effect that was enqueued elsewhere."""
    encoder: Any = importlib.import_module("dramatiq").get_encoder()
    return packable(data["name"], run_parcel(data), lambda result: encoder.encode({"result": result}))
