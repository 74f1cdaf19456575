"""Enqueueing a Django task: the call is decided and written down, and what executes goes to the task's own backend."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import traceback
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

from sideeffects._core.calls import registry
from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Mode
from sideeffects._core.calls.incoming import Arrival, arriving
from sideeffects._core.calls.outcome import Outcome
from sideeffects._core.runtime.background import _answered
from sideeffects._core.runtime.perform import alias_of, begin, finish
from sideeffects._core.state.extension_points import plugs
from sideeffects._core.state.open_transactions import hands_over_at_once
from sideeffects._core.state.runtime_effect import Declared
from sideeffects._core.state.state import state
from sideeffects._core.values.callers import caller_outside
from sideeffects.contrib.carried_test_run import test_run_part
from sideeffects.contrib.django_tasks.messages import KEYWORD, publishing, strip
from sideeffects.contrib.django_tasks.tasks import effect_below
from sideeffects.engines.django_tasks import PACKAGES, base_of


def deciding(original: Callable[..., Any]) -> Callable[..., Any]:
    """A backend's `enqueue` as it decides first."""

    @functools.wraps(original)
    def enqueue(self: Any, task: Any, args: Any, kwargs: Any) -> Any:
        __tracebackhide__ = True
        if publishing.get() is task.func:
            return original(self, task, args, kwargs)
        publication = _decide(self, task, tuple(args), dict(kwargs))
        if publication.result is None:
            if publication.waits:
                plugs.deferral.run(publication.alias, publication.call, lambda: publication.send(original))
            else:
                publication.send(original)
        return publication.answer()

    return enqueue


def deciding_async(original: Callable[..., Any]) -> Callable[..., Any]:
    """A backend's `aenqueue` as it decides first."""

    @functools.wraps(original)
    async def aenqueue(self: Any, task: Any, args: Any, kwargs: Any) -> Any:
        __tracebackhide__ = True
        if publishing.get() is task.func:
            return await original(self, task, args, kwargs)
        publication = _decide(self, task, tuple(args), dict(kwargs))
        if publication.result is None:
            send = functools.partial(publication.send_async, original)
            if publication.waits:
                await plugs.deferral.run_async(publication.alias, publication.call, send)
            else:
                await send()
        return publication.answer()

    return aenqueue


class _Publication:
    """What is handed to a backend, or was answered instead.

    Args:
        backend: the backend.
        task: the task.
        args: the task's positional arguments.
        kwargs: its keyword arguments.
        declared: the effect that the task is, if it is decided here.
        call: its call, if anybody wants it written.
    """

    def __init__(
        self,
        backend: Any,
        task: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        declared: Declared | None = None,
        call: Call | None = None,
    ) -> None:
        self.backend = backend
        self.task = task
        self.args = args
        self.kwargs = kwargs
        self.call = call
        self.waits = declared is not None and declared.effect.on_commit is not False
        self.alias = None if declared is None else alias_of(declared)
        #: What the backend has given, or the result of a recorded call.
        self.result: Any = None
        self._held: Any = None

    def send(self, original: Callable[..., Any]) -> None:
        """Hand it to the backend."""
        __tracebackhide__ = True
        with self._sending() as kwargs:
            self.result = original(self.backend, self.task, self.args, kwargs)

    async def send_async(self, original: Callable[..., Any]) -> None:
        """Hand it to the backend from asynchronous code."""
        __tracebackhide__ = True
        with self._sending() as kwargs:
            self.result = await original(self.backend, self.task, self.args, kwargs)

    @contextmanager
    def _sending(self) -> Generator[dict[str, Any]]:
        call = self.call
        is_here = _runs_here(self.backend)
        header: dict[str, Any] = {} if is_here or not registry.registry else test_run_part()
        arrival = None
        if call is not None and is_here:
            arrival = Arrival(call.name, call.id, call.run_id, call=call)
        elif call is not None:
            header["call"] = {"name": call.name, "id": call.id, "run_id": call.run_id}
            state.expect(call)
        was_publishing = publishing.set(self.task.func)
        before = arriving.set(arrival)
        try:
            yield {**self.kwargs, KEYWORD: header} if header else self.kwargs
        except Exception as error:
            if call is not None and call.outcome is None:
                finish(call, Outcome(None, error, 0.0))
            raise
        finally:
            arriving.reset(before)
            publishing.reset(was_publishing)
        strip(self.result)
        if self._held is not None:
            self._held.follow(self.result)

    def answer(self) -> Any:
        """What the caller gets: the backend's result, or one that follows it once the transaction has committed."""
        if self.result is None:
            self._held = _result_of(self, "READY")
            return self._held
        return self.result


def _decide(backend: Any, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Publication:
    __tracebackhide__ = True
    found = effect_below(task)
    # A task that takes the context gets it from its worker: the call is one without.
    instance = task if task.takes_context else None
    if found is None or not (found.is_direct or _fits(found.declared, instance, args, kwargs)):
        # No effect, or what stands between the task and the effect changes the arguments: decided where it runs.
        return _Publication(backend, task, args, kwargs)
    declared = found.declared
    backend.validate_task(task)
    _check_serialisable(base_of(task), declared.effect.name, args, kwargs)
    code, instruction = caller_outside(_is_between)
    is_published = hands_over_at_once.set(not _is_rolled_back_with_it(backend))
    try:
        call, mode, stub = begin(declared, instance, args, kwargs, code, instruction, True)
    finally:
        hands_over_at_once.reset(is_published)
    publication = _Publication(backend, task, args, kwargs, declared, call)
    if mode is not Mode.EXECUTE:
        handle = _answered(declared, call, stub, args, kwargs, "")
        try:
            publication.result = _result_of(publication, "SUCCESSFUL", value=handle.result())
        except Exception as error:  # noqa: BLE001 - a stub's exception arrives where that of the task would
            publication.result = _result_of(publication, "FAILED", error=error)
    return publication


def _is_rolled_back_with_it(backend: Any) -> bool:
    """Whether what is enqueued is a row in Django's database, which goes when the transaction rolls back."""
    return any(kind.__name__ == "DatabaseBackend" for kind in type(backend).__mro__)


def _fits(declared: Declared, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    try:
        declared.bind(instance, args, kwargs)
    except TypeError:
        return False
    return True


def _check_serialisable(base: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raises `TypeError` with the argument that tasks cannot carry, before anything is decided."""
    for label, value in (*((f"argument {n}", v) for n, v in enumerate(args, 1)), *kwargs.items()):
        try:
            base.normalize_json(value)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"side effect {name!r} cannot be enqueued: {label} ({type(value).__name__}) cannot be serialised as "
                f"JSON ({error}). Pass an id or a plain value, and look the object up in the task"
            ) from None


def _is_between(module: str) -> bool:
    """Whether this belongs to tasks or to us: a task is enqueued by what is outside."""
    return module.partition(".")[0] in _OURS or module.startswith("django.tasks")


_OURS: Final = frozenset(("sideeffects", "django_tasks", "asgiref", "functools", "contextlib"))

#: Backends that run tasks on the spot, or never: nothing of theirs leaves the process, so nothing has to travel.
_HERE: Final = frozenset(
    f"{package}.backends.{kind}"
    for package in PACKAGES
    for kind in ("immediate.ImmediateBackend", "dummy.DummyBackend")
)


def _runs_here(backend: Any) -> bool:
    kind = next(kind for kind in type(backend).__mro__ if "enqueue" in vars(kind))
    return f"{kind.__module__}.{kind.__name__}" in _HERE


# -- results


def _result_of(publication: _Publication, status: str, value: Any = None, error: Exception | None = None) -> Any:
    """A result that no backend knows: of a recorded call, or of one that waits for a commit."""
    from django.utils import timezone

    base = base_of(publication.task)
    now = timezone.now()
    finished = None if status == "READY" else now
    errors = []
    if error is not None:
        kind = type(error)
        told = "".join(traceback.format_exception(error))
        errors = [base.TaskError(exception_class_path=f"{kind.__module__}.{kind.__qualname__}", traceback=told)]
    with contextlib.suppress(TypeError, ValueError):  # what is no JSON stays what it is
        value = base.normalize_json(value)
    result = _own_result(base.TaskResult)(
        task=publication.task,
        id=str(uuid.uuid4()),
        status=base.TaskResultStatus[status],
        enqueued_at=None if finished is None else now,
        started_at=finished,
        finished_at=finished,
        last_attempted_at=finished,
        args=list(publication.args),
        kwargs=publication.kwargs,
        backend=publication.backend.alias,
        errors=errors,
        worker_ids=[],
    )
    _set(result, {"_return_value": value})
    return result


@functools.cache
def _own_result(base: Any) -> Any:
    """The class of such results, for one package."""

    class OwnTaskResult(base):  # type: ignore[misc]
        """A result that no backend knows; it follows that of the backend, once there is one."""

        real: Any = None

        def refresh(self) -> None:
            if self.real is not None:
                self.real.refresh()
                self.follow(self.real)

        async def arefresh(self) -> None:
            if self.real is not None:
                await self.real.arefresh()
                self.follow(self.real)

        def follow(self, real: Any) -> None:
            values = {name: getattr(real, name) for name in ("id", *_REFRESHED)}
            _set(self, {**values, "real": real})

        def __reduce__(self) -> Any:
            # This class is made for its base, so it is not to be found under its name.
            fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
            return _rebuilt, (base, {**fields, "real": self.real})

    return OwnTaskResult


def _rebuilt(base: Any, values: dict[str, Any]) -> Any:
    kind = _own_result(base)
    result = kind.__new__(kind)
    _set(result, values)
    return result


def _set(result: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        object.__setattr__(result, name, value)  # results are frozen, and Django itself fills them in like this


#: What a `TaskResult` asks its backend for anew.
_REFRESHED: Final = (
    "status",
    "enqueued_at",
    "started_at",
    "finished_at",
    "last_attempted_at",
    "errors",
    "worker_ids",
    "_return_value",
)
