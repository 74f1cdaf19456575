"""Publishing Huey's tasks: `Huey.enqueue` decides the call of an effect, and tells the consumer of the test run."""

from __future__ import annotations

import copy
import functools
import importlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Final

from sideeffects._core.calls.decision import Mode
from sideeffects._core.runtime import enqueued
from sideeffects._core.runtime.deciding import explain_declared
from sideeffects._core.state.state import state
from sideeffects._core.values.frames import forgetting
from sideeffects.contrib.arriving import obeyed_from_elsewhere
from sideeffects.contrib.carried_test_run import carried_here, test_run_part
from sideeffects.contrib.huey.messages import carrying, header_of, is_put_back
from sideeffects.contrib.huey.tasks import effect_of_task
from sideeffects.contrib.publishing import Publication, check_arguments, decide, fits, is_held_back
from sideeffects.errors import SideEffectError

__tracebackhide__ = True

#: The task that is being published: what a class asks the one that it is made from is the same call.
_publishing: Final[ContextVar[Any]] = ContextVar("sideeffects_publishing_huey", default=None)


def deciding(original: Callable[..., Any]) -> Callable[..., Any]:
    """`Huey.enqueue` as it decides first."""

    @functools.wraps(original)
    @forgetting
    def enqueue(self: Any, task: Any) -> Any:
        api: Any = importlib.import_module("huey.api")
        if isinstance(task, getattr(api, "chord", ())) and _is_held_back(task):  # Huey 2 has none
            return _go_through(self, task)
        if not isinstance(task, api.Task) or _publishing.get() is task:
            return original(self, task)
        with obeyed_from_elsewhere(header_of(task)):
            return _enqueue(functools.partial(_published, original, self), self, task)

    return enqueue


def _published(original: Callable[..., Any], huey: Any, task: Any) -> Any:
    token = _publishing.set(task)
    try:
        return original(huey, task)
    finally:
        _publishing.reset(token)


def _enqueue(publish: Callable[[Any], Any], huey: Any, task: Any) -> Any:
    given = header_of(task)
    found = effect_of_task(task)
    args, kwargs = tuple(task.args), dict(task.kwargs)
    # A task that takes itself gets it from its consumer.
    asked = {**kwargs, "task": task} if task.context else kwargs
    if found is None or not (found.is_direct or fits(found.declared, found.instance, args, asked)):
        # No effect, or what stands between the task and the effect changes the arguments: decided where it runs.
        if is_held_back(huey._registry.task_to_string(type(task)), huey.name, task.id):  # noqa: SLF001 - no other door
            return _grouped(huey, _results_of(huey, task))
        header = dict(given) if given is not None and given.get("test_run") else test_run_part()
        header.pop("call", None)
        with carrying(task, header):
            return publish(task)
    name = found.declared.effect.name
    if given is not None and is_put_back(task, name):
        with carrying(task, given):
            return publish(task)
    check_arguments(name, args, kwargs, huey.serializer.serialize, type(huey.serializer).__name__)
    publication = decide(found.declared, found.instance, args, asked, _PACKAGES)
    if not publication.executes:
        enqueued.keep(publication.call, functools.partial(_rerun, huey, task, name))
        return _answer(huey, task, publication)
    if publication.is_redirected:
        task.args = publication.args
        task.kwargs = {name: value for name, value in publication.kwargs.items() if value is not task}
    header = publication.header(task=task.id)
    sent: list[Any] = []

    def hand_over() -> None:
        with carrying(task, header):
            sent.append(publish(task))

    publication.at_commit(hand_over)
    return sent[0] if sent else _grouped(huey, _results_of(huey, task))


_PACKAGES: Final = frozenset(("huey", "sideeffects"))


def refusing(original: Callable[..., Any]) -> Callable[..., Any]:
    """`Huey.serialize_task`, through which all goes that is published: in a test run nothing that was not decided."""

    @functools.wraps(original)
    def serialize_task(self: Any, task: Any) -> Any:
        if header_of(task) is not None or not state.test_run.is_on():
            return original(self, task)
        found = effect_of_task(task)
        if found is not None and found.is_direct:
            raise SideEffectError(
                f"side effect {found.declared.effect.name!r} was handed to Huey in a test run by a method that was "
                f"taken from {self.name!r} before sideeffects was imported, so nothing was decided: import sideeffects "
                f"first, or call enqueue() on the Huey itself"
            )
        with carrying(task, test_run_part()):
            return original(self, task)

    return serialize_task


# -- what is held back


def _answer(huey: Any, task: Any, publication: Publication) -> Any:
    """The result of a recorded call; what was to follow it follows, with what it returned."""
    api: Any = importlib.import_module("huey.api")
    result = api.Result(huey, task)
    results = [result]
    try:
        value = publication.answer()
    except Exception as error:  # noqa: BLE001 - a stub's exception arrives where that of the task would
        _store(huey, result, api.Error(huey.build_error_result(task, error)))
        if task.on_error:
            with enqueued.following(publication.call):
                _follow(huey, task.on_error, error)
        return _grouped(huey, results)
    _store(huey, result, value)
    if task.on_complete:
        with enqueued.following(publication.call):
            following = _follow(huey, task.on_complete, value)
        results += following._results if isinstance(following, api.ResultGroup) else [following]  # noqa: SLF001
    return _grouped(huey, results)


def _rerun(huey: Any, task: Any, name: str, forced: enqueued.Forced) -> object:
    """Run a recorded task as a consumer would: again at once, as often as it has retries or asks for one."""
    asks: Any = importlib.import_module("huey.exceptions").RetryTask
    again = copy.copy(task)
    left, retries = task.retries or 0, 0
    while True:
        again.args, again.kwargs = huey.serializer.deserialize(huey.serializer.serialize((task.args, task.kwargs)))
        try:
            with forced():
                value = again.execute()
        except Exception as error:
            retries += 1
            if (not isinstance(error, asks) and retries > left) or not enqueued.is_retried(retries, name):
                if task.on_error:
                    _follow(huey, task.on_error, error)
                raise
            continue
        if task.on_complete:
            _follow(huey, task.on_complete, value)
        return value


def _store(huey: Any, result: Any, value: Any) -> None:
    result._result = value  # noqa: SLF001 - where it keeps what it was told
    if carried_here() is not None and huey.results and (value is not None or huey.store_none):
        huey.put_result(result.id, value)  # the process that published the task before it may wait for it


def _follow(huey: Any, task: Any, value: Any) -> Any:
    following = copy.copy(task)
    following.kwargs = dict(task.kwargs)
    following.extend_data(value)
    return huey.enqueue(following)


def _results_of(huey: Any, task: Any) -> list[Any]:
    """The results of a task and of what follows it, as `enqueue` gives them."""
    api: Any = importlib.import_module("huey.api")
    results = []
    while task is not None:
        results.append(api.Result(huey, task))
        task = task.on_complete
    return results


def _grouped(huey: Any, results: list[Any]) -> Any:
    if not huey.results:
        return None
    return importlib.import_module("huey.api").ResultGroup(results) if len(results) > 1 else results[0]


def _is_held_back(chord: Any) -> bool:
    """Whether all tasks of a chord are effects that are recorded now: nobody would count their results otherwise."""
    for task in _members(chord):
        found = effect_of_task(task)
        if found is None:
            return False
        decision = explain_declared(found.declared)
        if decision.mode is not Mode.RECORD or (decision.conditional and not state.test_run.is_on()):
            return False
    return True


def _members(chord: Any) -> Iterator[Any]:
    for task in chord.tasks:
        if hasattr(task, "tasks"):
            yield from _members(task)
            task = getattr(task, "callback", None)  # noqa: PLW2901 - the chord's own end
        while task is not None:
            yield task
            task = task.on_complete  # noqa: PLW2901 - one after the other


def _go_through(huey: Any, chord: Any) -> Any:
    """A chord whose tasks are all recorded: its callback gets their results."""
    api: Any = importlib.import_module("huey.api")
    results = []
    for task in chord.tasks:
        came = huey.enqueue(task)
        came = came.callback if isinstance(came, api.ChordResult) else came
        results.append(came._results[-1] if isinstance(came, api.ResultGroup) else came)  # noqa: SLF001
    values = [None if result is None else result._result for result in results]  # noqa: SLF001 - errors as they are
    following = _follow(huey, chord.callback, (values,))
    group = following if isinstance(following, api.ResultGroup) else None
    return api.ChordResult(results, following if group is None else group._results[0], group)  # noqa: SLF001
