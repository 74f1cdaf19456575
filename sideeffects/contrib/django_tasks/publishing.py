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
from sideeffects._core.calls.incoming import Arrival, arriving
from sideeffects._core.runtime import enqueued
from sideeffects._core.runtime.acting import alias_of
from sideeffects._core.state.extension_points import deferral
from sideeffects._core.values.frames import forgetting
from sideeffects.contrib.carried_test_run import test_run_part
from sideeffects.contrib.django_tasks.messages import KEYWORD, publishing, strip
from sideeffects.contrib.django_tasks.tasks import effect_below
from sideeffects.contrib.publishing import Publication, check_arguments, decide, fits
from sideeffects.engines.django_tasks import PACKAGES, base_of

__tracebackhide__ = True


def deciding(original: Callable[..., Any]) -> Callable[..., Any]:
    """A backend's `enqueue` as it decides first."""

    @functools.wraps(original)
    @forgetting
    def enqueue(self: Any, task: Any, args: Any, kwargs: Any) -> Any:
        if publishing.get() is task.func:
            return original(self, task, args, kwargs)
        handover = _decide(self, task, tuple(args), dict(kwargs))
        if handover.result is None:
            if handover.waits:
                deferral.last.run(handover.alias, handover.call, lambda: handover.send(original))
            else:
                handover.send(original)
        return handover.answer()

    return enqueue


def deciding_async(original: Callable[..., Any]) -> Callable[..., Any]:
    """A backend's `aenqueue` as it decides first."""

    @functools.wraps(original)
    @forgetting
    async def aenqueue(self: Any, task: Any, args: Any, kwargs: Any) -> Any:
        if publishing.get() is task.func:
            return await original(self, task, args, kwargs)
        handover = _decide(self, task, tuple(args), dict(kwargs))
        if handover.result is None:
            send = functools.partial(handover.send_async, original)
            if handover.waits:
                await deferral.last.run_async(handover.alias, handover.call, send)
            else:
                await send()
        return handover.answer()

    return aenqueue


class _Handover:
    """A task that is handed to a backend, or was answered instead.

    Args:
        backend: the backend.
        task: the task.
        args: the task's positional arguments.
        kwargs: its keyword arguments.
        publication: the call that was decided, if the task is an effect that is decided here.
    """

    def __init__(
        self,
        backend: Any,
        task: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        publication: Publication | None = None,
    ) -> None:
        self.backend = backend
        self.task = task
        self.args = args
        self.kwargs = kwargs
        self.publication = publication
        self.waits = publication is not None and publication.declared.effect.on_commit is not False
        self.alias = None if publication is None else alias_of(publication.declared)
        self.call = None if publication is None else publication.call
        #: What the backend has given, or the result of a recorded call.
        self.result: Any = None
        self._held: Any = None

    def send(self, original: Callable[..., Any]) -> None:
        """Hand it to the backend."""
        with self._sending() as kwargs:
            self.result = original(self.backend, self.task, self.args, kwargs)

    async def send_async(self, original: Callable[..., Any]) -> None:
        """Hand it to the backend from asynchronous code."""
        with self._sending() as kwargs:
            self.result = await original(self.backend, self.task, self.args, kwargs)

    @contextmanager
    def _sending(self) -> Generator[dict[str, Any]]:
        call, header, arrival = self.call, dict[str, Any](), None
        if not _runs_here(self.backend):
            if call is not None and self.publication is not None:
                header = self.publication.header()
            elif registry.registry:
                header = test_run_part()
        elif call is not None:
            arrival = Arrival(call.name, call.id, call.run_id, call, call.origin)
        was_publishing = publishing.set(self.task.func)
        before = arriving.set(arrival)
        try:
            yield {**self.kwargs, KEYWORD: header} if header else self.kwargs
        except Exception as error:
            if self.publication is not None:
                self.publication.failed(error)
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


def _decide(backend: Any, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Handover:
    found = effect_below(task)
    # A task that takes the context gets it from its worker: the call is one without.
    instance = task if task.takes_context else None
    if found is None or not (found.is_direct or fits(found.declared, instance, args, kwargs)):
        # No effect, or what stands between the task and the effect changes the arguments: decided where it runs.
        return _Handover(backend, task, args, kwargs)
    backend.validate_task(task)
    check_arguments(found.declared.effect.name, args, kwargs, base_of(task).normalize_json, "JSON")
    at_once = not _is_rolled_back_with_it(backend)
    publication = decide(found.declared, instance, args, kwargs, _PACKAGES, at_once)
    handover = _Handover(backend, task, publication.args, publication.kwargs, publication)
    if not publication.executes:
        enqueued.keep(publication.call, functools.partial(_rerun, handover))
        try:
            handover.result = _result_of(handover, "SUCCESSFUL", value=publication.answer())
        except Exception as error:  # noqa: BLE001 - a stub's exception arrives where that of the task would
            handover.result = _result_of(handover, "FAILED", error=error)
    return handover


def _rerun(handover: _Handover, forced: enqueued.Forced) -> object:
    """Run a recorded task as a worker would: its arguments are those of its row, and an error is raised."""
    task, base = handover.task, base_of(handover.task)
    args, kwargs = base.normalize_json([list(handover.args), handover.kwargs])
    if task.takes_context:
        args = [base.TaskContext(task_result=_result_of(handover, "READY")), *args]
    with forced():
        return task.call(*args, **kwargs)


def _is_rolled_back_with_it(backend: Any) -> bool:
    """Whether what is enqueued goes when the transaction rolls back: a row in Django's database, or kept until then."""
    waits = getattr(backend, "enqueue_on_commit", False) is True
    return waits or any(kind.__name__ == "DatabaseBackend" for kind in type(backend).__mro__)


#: What stands between who enqueues and here.
_PACKAGES: Final = frozenset(("django.tasks", "django_tasks", "sideeffects", "asgiref"))

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


def _result_of(handover: _Handover, status: str, value: Any = None, error: Exception | None = None) -> Any:
    """A result that no backend knows: of a recorded call, or of one that waits for a commit."""
    from django.utils import timezone

    base = base_of(handover.task)
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
        task=handover.task,
        id=str(uuid.uuid4()),
        status=base.TaskResultStatus[status],
        enqueued_at=None if finished is None else now,
        started_at=finished,
        finished_at=finished,
        last_attempted_at=finished,
        args=list(handover.args),
        kwargs=handover.kwargs,
        backend=handover.backend.alias,
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
