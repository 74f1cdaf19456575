"""Effects that are Celery tasks: every way into the task goes through the decision.

There are two points that all ways lead through, however the task is reached (its own methods, signatures and canvases,
`app.tasks[...]`, another app's copy of a shared task, beat, a name):

- `run`, the innermost callable, is the effect: direct calls, `.apply`, eager mode and workers execute it;
- `Celery.send_task` publishes: there the call is decided, in the process that makes it, and what is not to execute is
  not published.

They are patched in the classes, once Celery is imported; this module never imports it by itself.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from sideeffects._core.calls.decision import Mode
from sideeffects._core.calls.outcome import Outcome
from sideeffects._core.runtime.background import _answered
from sideeffects._core.runtime.perform import alias_of, begin, explain_declared, finish
from sideeffects._core.state import import_hooks
from sideeffects._core.state.extension_points import plugs
from sideeffects._core.state.open_transactions import hands_over_at_once
from sideeffects._core.state.state import state
from sideeffects._core.values.callers import caller_outside
from sideeffects._core.verbs.decorator import adapt
from sideeffects.contrib.carried_test_run import test_run_part
from sideeffects.contrib.celery.messages import HEADER, arrive, depart, header_in, is_same_call
from sideeffects.contrib.celery.tasks import (
    Found,
    apps,
    declare_task,
    effect_below,
    keep_around,
    stand_in,
)
from sideeffects.contrib.task_effects import EffectOfTask

#: What Celery's decorators make, by the names of its types.
_TYPES: Final = ("celery.app.task.Task", "celery.local.Proxy")


def install() -> None:
    """Hook into Celery, as soon as it is imported."""
    for kind in _TYPES:
        adapt(kind, declare_task)
    import_hooks.after_import("celery.app.task", _hook_task)
    import_hooks.after_import("celery.app.base", _hook_app)
    import_hooks.after_import("celery.canvas", _hook_canvas)
    import_hooks.after_import("celery.signals", _hook_signals)


def _hook_task(module: Any) -> None:
    if not _is_hooked(module.Task):
        module.Task.effect = EffectOfTask(effect_below)
        module.Task.add_around = classmethod(keep_around(module.Task.add_around.__func__))


def _hook_app(module: Any) -> None:
    app = module.Celery
    if not _is_hooked(app):
        app.send_task = _deciding(app.send_task)
        app._task_from_fun = _standing_in(app._task_from_fun)  # noqa: SLF001 - what all of its decorators call
    from sideeffects.engines import celery

    celery.register()


def _hook_canvas(module: Any) -> None:
    for name in ("_chain", "group", "_chord"):
        canvas = getattr(module, name)
        if not _is_hooked(canvas):
            canvas.apply_async = _holding_back(canvas.apply_async)


def _hook_signals(module: Any) -> None:
    # Signals, since a worker may have taken hold of everything else before this package is imported.
    module.task_prerun.connect(arrive, weak=False, dispatch_uid="sideeffects")
    module.task_postrun.connect(depart, weak=False, dispatch_uid="sideeffects")


def _is_hooked(kind: Any) -> bool:
    """Whether that was done before: a module may be imported more than once, and keep the class. Notes it."""
    if "_side_effects_hooked" in vars(kind):
        return True
    kind._side_effects_hooked = True  # noqa: SLF001 - ours
    return False


def _standing_in(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def task_from_fun(self: Any, fun: Any, *args: Any, **options: Any) -> Any:
        return original(self, stand_in(fun), *args, **options)

    return task_from_fun


# -- publishing


def _deciding(original: Callable[..., Any]) -> Callable[..., Any]:
    names = list(inspect.signature(original).parameters)[2:]

    @functools.wraps(original)
    def send_task(self: Any, name: str, *positional: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        options.update(zip(names, positional, strict=False))
        return _send(original, self, name, options)

    return send_task


def _send(original: Callable[..., Any], app: Any, name: str, options: dict[str, Any]) -> Any:
    __tracebackhide__ = True
    task = options.get("task_type") or _task_named(app, name)
    found = None if task is None else effect_below(task)
    if found is not None and not found.is_direct and not _fits(found, task, options):
        found = None  # what stands between the task and the effect changes the arguments: decided where it runs
    given = header_in(options.get("headers"))
    if found is None:
        if name in _MAPS and _is_held_back(app, {"task": name, "kwargs": options.get("kwargs") or {}}):
            return app.tasks[name].apply(options.get("args"), options.get("kwargs"), task_id=options.get("task_id"))
        header = dict(given) if given is not None and given.get("test_run") else test_run_part()
        header.pop("call", None)
        return original(app, name, **_with_header(options, header))
    if _is_sent_again(task, found, given, options):
        return original(app, name, **options)
    return _decide(original, app, name, task, found, options)


def _decide(original: Callable[..., Any], app: Any, name: str, task: Any, found: Found, options: dict[str, Any]) -> Any:
    __tracebackhide__ = True
    from celery.utils import uuid

    declared = found.declared
    args, kwargs = tuple(options.get("args") or ()), dict(options.get("kwargs") or {})
    _check_serialisable(app, task, declared.effect.name, args, kwargs, options)
    code, instruction = caller_outside(_is_between)
    is_published = hands_over_at_once.set(True)
    try:
        call, mode, stub = begin(declared, task if found.is_bound else None, args, kwargs, code, instruction, True)
    finally:
        hands_over_at_once.reset(is_published)
    options["task_id"] = task_id = options.get("task_id") or uuid()
    if mode is not Mode.EXECUTE:
        handle = _answered(declared, call, stub, args, kwargs, "")
        return _result_of(app, name, task_id, handle, options)
    about: dict[str, Any] = {"name": declared.effect.name, "task": task_id}
    if call is not None:
        about.update(id=call.id, run_id=call.run_id)
    options = _with_header(options, {**test_run_part(), "call": about})
    if call is not None:
        state.expect(call)
    sent: list[Any] = []
    is_held = [False]

    def publish() -> None:
        try:
            # A canvas lends its producer for as long as it publishes, which is over when the transaction commits.
            lent = {"producer": None, "publisher": None} if is_held[0] else {}
            sent.append(original(app, name, **{**options, **lent}))
        except Exception as error:
            if call is not None:
                finish(call, Outcome(None, error, 0.0))
            raise

    plugs.deferral.run(alias_of(declared), call, publish)
    if sent:
        return sent[0]
    is_held[0] = True
    return (options.get("result_cls") or app.AsyncResult)(task_id)


def _task_named(app: Any, name: str) -> Any:
    """The task of that name, in this app or in any other of this process.

    An app that has not made its tasks yet makes them now: it is about to publish, and so has its configuration.
    """
    if not app.finalized and app.autofinalize:
        app.finalize(auto=True)
    for known in (app, *apps()):
        task = dict.get(known._tasks, name)  # noqa: SLF001 - `app.tasks` would finalize it
        if task is not None:
            return task
    return None


def _fits(found: Found, task: Any, options: Mapping[str, Any]) -> bool:
    try:
        args, kwargs = tuple(options.get("args") or ()), dict(options.get("kwargs") or {})
        found.declared.bind(task if found.is_bound else None, args, kwargs)
    except TypeError:
        return False
    return True


def _is_sent_again(task: Any, found: Found, given: Mapping[str, Any] | None, options: Mapping[str, Any]) -> bool:
    """Whether it is a retry of what runs here, or was decided and published before: that is no new call."""
    from celery._state import get_current_task

    task_id = options.get("task_id")
    if task_id is None or not options.get("retries"):
        return False
    if is_same_call(given, found.declared.effect.name, task_id):
        return True
    running: Any = get_current_task()
    return running is not None and bool(running.name == task.name and running.request.id == task_id)


def _with_header(options: dict[str, Any], header: Mapping[str, Any]) -> dict[str, Any]:
    if not header:
        return options
    return {**options, "headers": {**(options.get("headers") or {}), HEADER: dict(header)}}


def _check_serialisable(
    app: Any, task: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], options: Mapping[str, Any]
) -> None:
    """Raises `TypeError` with the argument that the task's serializer cannot pack, before anything is decided."""
    from kombu.serialization import dumps

    serializer = options.get("serializer") or task.serializer or app.conf.task_serializer
    try:
        dumps((args, kwargs), serializer)
    except Exception as whole:
        for label, value in (*((f"argument {n}", v) for n, v in enumerate(args, 1)), *kwargs.items()):
            try:
                dumps(value, serializer)
            except Exception as error:  # noqa: BLE001 - serializers raise whatever they like
                raise TypeError(
                    f"side effect {name!r} cannot be enqueued: {label} ({type(value).__name__}) cannot be serialised "
                    f"as {serializer} ({error}). Pass an id or a plain value, and look the object up in the task"
                ) from None
        raise TypeError(f"side effect {name!r} cannot be enqueued: its arguments cannot be serialised") from whole


def _is_between(module: str) -> bool:
    """Whether this is Celery's or ours: a task is published by what is outside."""
    return module.partition(".")[0] in _OURS


_OURS: Final = frozenset(("celery", "kombu", "sideeffects", "functools", "contextlib"))


# -- what is held back


def _result_of(app: Any, name: str, task_id: str, handle: Any, options: Mapping[str, Any]) -> Any:
    """The result of a recorded call; what was to follow it follows, with what it returned."""
    from celery import states
    from celery.canvas import Signature
    from celery.result import EagerResult

    try:
        value = handle.result()
    except Exception as error:  # noqa: BLE001 - a stub's exception arrives where that of the task would
        return EagerResult(task_id, error, states.FAILURE, name=name)

    def signature(given: Any) -> Any:
        return given if isinstance(given, Signature) else Signature.from_dict(given, app=app)

    links = options.get("link") or ()
    for following in links if isinstance(links, list | tuple) else (links,):
        signature(following).apply_async((value,))
    chain = options.get("chain")
    if chain:
        signature(chain[-1]).apply_async((value,), chain=chain[:-1])
    return EagerResult(task_id, value, states.SUCCESS, name=name)


def _holding_back(original: Callable[..., Any]) -> Callable[..., Any]:
    """A canvas of which nothing is to execute is gone through here, as in eager mode.

    All its calls are recorded, with one's result handed to the next, and the result is complete.
    """

    @functools.wraps(original)
    def apply_async(self: Any, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        __tracebackhide__ = True
        if not _is_held_back(self.app, self):
            return original(self, args, kwargs, **options)
        from celery.result import allow_join_result

        lent = ("producer", "publisher", "connection", "router", "add_to_parent")
        with allow_join_result():
            return self.apply(args, kwargs, **{key: value for key, value in options.items() if key not in lent})

    return apply_async


def _is_held_back(app: Any, signature: Any) -> bool:
    """Whether all tasks of a signature or canvas are effects that are recorded now, whatever their arguments are."""
    found = False
    for name in _task_names(signature):
        task = _task_named(app, name)
        below = None if task is None else effect_below(task)
        if below is None:
            return False
        decision = explain_declared(below.declared)
        if decision.mode is not Mode.RECORD or (decision.conditional and not state.test_run.is_on()):
            return False
        found = True
    return found


#: Celery's own tasks that call another one, which they are given, for each of some items.
_MAPS: Final = frozenset(("celery.map", "celery.starmap", "celery.chunks"))


def _task_names(signature: Any) -> Iterator[str]:
    """The names of the tasks that a signature (an object or a dict) runs."""
    kwargs = signature.get("kwargs") or {}
    name = signature.get("task")
    if name in _MAPS:
        yield from _task_names(kwargs["task"])
    elif name in ("celery.chain", "celery.group"):
        for part in kwargs.get("tasks") or ():
            yield from _task_names(part)
    elif name == "celery.chord":
        header = kwargs.get("header") or ()
        for part in [header] if isinstance(header, Mapping) else header:
            yield from _task_names(part)
        if kwargs.get("body"):
            yield from _task_names(kwargs["body"])
    else:
        yield str(name)
