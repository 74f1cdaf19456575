"""Run lists: tasks that are run one after the other, here or in the background, and recorded in a test run."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.incoming import Arrival, arriving
from sideeffects._core.calls.outcome import Outcome
from sideeffects._core.policy.override_entry import Stub
from sideeffects._core.policy.policy import EXECUTED
from sideeffects._core.runtime import background
from sideeffects._core.runtime.acting import alias_of
from sideeffects._core.runtime.finishing import finish
from sideeffects._core.runtime.perform import begin
from sideeffects._core.runtime.writing import logger
from sideeffects._core.state.extension_points import deferral, late_errors
from sideeffects._core.state.state import state
from sideeffects._core.values import clock
from sideeffects._core.values.callers import Site, caller
from sideeffects._core.values.frames import forget
from sideeffects.errors import SideEffectBlocked
from sideeffects.runs.entries import Entry, checked
from sideeffects.runs.tasks import Delay, RunTask

__tracebackhide__ = True

Task = tuple[Callable[..., Any], Mapping[str, Any]] | tuple[Callable[..., Any], Mapping[str, Any], bool | None]


@dataclass(frozen=True, slots=True, eq=False)
class RunResult:  # noqa: PLW1641 - it holds lists, so it has no hash
    """What came of a run list. It unpacks as `(results, recorded)`, and equals such a pair.

    Attributes:
        results: what the tasks that ran have returned, in order; for those in the background, what their queue gave
            (a handle, an `AsyncResult`, a `TaskResult`).
        recorded: the names of the tasks that were written down instead, in order.
        errors: the exceptions that were swallowed, in order, each with a note that names its task.
    """

    results: list[Any]
    recorded: list[str]
    errors: list[Exception] = field(default_factory=list)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.results, self.recorded))

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        return (self.results, self.recorded)[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, RunResult):
            return tuple(self) == tuple(other) and self.errors == other.errors
        return tuple(self) == other if isinstance(other, tuple) else NotImplemented


@dataclass(frozen=True, slots=True)
class StoppedRun:
    """How far a run list got that an error ended: the exception has it as `run_list`.

    Attributes:
        run_id: the run list.
        index: the place of the task that failed, from 0 on.
        failed: its name.
        ran: the names of the tasks that ran before, those that were handed to the background included.
        recorded: the names of those that were written down instead.
        swallowed: the names of those whose errors were swallowed.
        not_run: the names of those that were not reached.
    """

    run_id: str
    index: int
    failed: str
    ran: tuple[str, ...]
    recorded: tuple[str, ...]
    swallowed: tuple[str, ...]
    not_run: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"tasks[{self.index}] ({self.failed}) ended run list {self.run_id!r}"]
        for label in ("ran", "recorded", "swallowed", "not_run"):
            names: tuple[str, ...] = getattr(self, label)
            if names:
                more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
                parts.append(f"{label.replace('_', ' ')}: {', '.join(names[:_SHOWN])}{more}")
        return "; ".join(parts)


#: How many names of each kind the note on an exception shows.
_SHOWN: Final = 10


def run_side_effects(run_id: str, tasks: Iterable[Task], *, swallow: bool | None = None) -> RunResult:
    """Run a list of tasks in order.

    In a test run only the tasks that the test names are executed. The others are recorded under `run_id`.

    An error ends the list and propagates. Its note and its `run_list` say what ran and what did not. With
    `swallow` each task stands alone: inside a transaction it has a savepoint of its own, its error is logged, reported
    and kept, and the rest runs. `KeyboardInterrupt`, `SystemExit` and cancellation always end the list.

    Args:
        run_id: what this list is called wherever it is read back.
        tasks: `(callable, kwargs)` or `(callable, kwargs, is_async)`. The callable is an effect, a Celery task, a
            Django task or a plain function, which is decided under its `name`, else its `__name__`. `is_async` left
            out, or `None`, means: in the background if the effect allows it.
        swallow: whether to go on after an error; when left out, `SIDE_EFFECTS["USE_SENTRY"]` or `SAFERUNNER_USE_SENTRY`
            decides.

    Returns:
        what came of it.

    Raises:
        MalformedTask: an entry cannot be run (then no task was run).
        AsyncNotAllowed: a task was to run in the background, and may not (then no task was run).
        SideEffectBlocked: one was refused.
        BaseException: what a task raised.

    Example:
        >>> result = run_side_effects("order-4711", [(send_sms, {"to": "+44", "body": "Thank you!"})])
        >>> result.recorded
        ['sms.send']
    """
    site = caller(1)
    try:
        return run_list(run_id, tasks, swallow, site)
    except BaseException:
        del tasks  # error reports show variables
        raise


def run_list(run_id: str, tasks: Iterable[Task], swallow: bool | None, site: Site) -> RunResult:
    """As `run_side_effects`, for a caller that is told."""
    try:
        return _run_list(run_id, tasks, swallow, site)
    except BaseException as error:
        forget(error)
        del tasks
        raise


def _run_list(run_id: str, tasks: Iterable[Task], swallow: bool | None, site: Site) -> RunResult:
    if not isinstance(run_id, str):
        raise TypeError(f"run_id must be a string that names the run list, not {run_id!r}")
    entries = checked(run_id, tasks)
    rules = state.rules_source()
    if swallow is None:
        swallow = rules.use_sentry
    if rules.shared is None:
        return _run(run_id, entries, swallow, site)
    with rules.shared.batch(run_id):
        return _run(run_id, entries, swallow, site)


def _run(run_id: str, entries: list[Entry], swallow: bool, site: Site) -> RunResult:
    savepoint = deferral.last.savepoints() if swallow else None
    results: list[Any] = []
    recorded: list[str] = []
    errors: list[Exception] = []
    swallowed: set[int] = set()
    written: set[int] = set()

    def keep(error: Exception, index: int, call: Call | None) -> None:
        _, task, kwargs, is_async = entries[index]
        errors.append(error)
        _note(error, f"tasks[{index}] ({task.name}) of run list {run_id!r}")
        _report(error, index, call or _call_for(error, task, kwargs, site, is_async, run_id))

    for index, (given, task, kwargs, is_async) in enumerate(entries):
        declared = task.declared
        call: Call | None = None
        try:
            if not declared.switch and not is_async and savepoint is None:
                # It is known to execute, with nobody watching: the effect's own door knows it as well, if it still is.
                results.append(given(**kwargs))
                continue
            call, mode, stub, moved = begin(declared, task.instance, (), dict(kwargs), site, is_async, run_id)
            if moved is not None:
                kwargs = _redirected(task, *moved)  # noqa: PLW2901 - what was given is not what is used
            if mode is not Mode.EXECUTE:
                written.add(index)
                recorded.append(task.name)
                _answer(task, call, mode, stub, kwargs, is_async, run_id)
            elif savepoint is None:
                results.append(_execute(task, call, kwargs, is_async, run_id))
            else:
                # What waits for the commit fails when there is no list any more.
                with savepoint(), _late_errors_to(functools.partial(keep, index=index, call=call)):
                    result = _execute(task, call, kwargs, is_async, run_id)
                results.append(result)
        except BaseException as error:
            if not swallow or not isinstance(error, Exception) or isinstance(error, _CANCELLED):
                names = [entry.task.name for entry in entries]
                done = range(index)
                _tell_of_the_end(
                    error,
                    StoppedRun(
                        run_id,
                        index,
                        task.name,
                        tuple(names[n] for n in done if n not in written and n not in swallowed),
                        tuple(names[n] for n in done if n in written and n not in swallowed),
                        tuple(names[n] for n in done if n in swallowed),
                        tuple(names[index + 1 :]),
                    ),
                )
                raise
            swallowed.add(index)
            keep(error, index, call)
    return RunResult(results, recorded, errors)


#: Cancellation is an `Exception` in futures, and not in asyncio.
_CANCELLED: Final = concurrent.futures.CancelledError


# -- acting


def _execute(task: RunTask, call: Call | None, kwargs: Mapping[str, Any], is_async: bool, run_id: str) -> Any:
    declared = task.declared
    given = dict(kwargs)
    if is_async:
        if task.delay is None:
            if call is None:
                declared.bind(task.instance, (), given)  # as `enqueue` does
            return background.hand_over(declared, task.function, call, Mode.EXECUTE, None, (), given, run_id)
        return _delay(task, task.delay, call, given, run_id)
    if declared.effect.on_commit is not False:
        work = background.work_of(declared, task.function, call, (), given)
        deferral.last.run(alias_of(declared), call, work)
        return None
    return background.work_of(declared, task.function, call, (), given)()


def _redirected(task: RunTask, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    if args:
        raise TypeError(
            f"a redirect of {task.name} cannot work in a run list, which gives all arguments by keyword: this effect "
            f"takes {len(args)} of them only by position"
        )
    return kwargs


def _delay(task: RunTask, delay: Delay, call: Call | None, kwargs: dict[str, Any], run_id: str) -> Any:
    """Hand a task to its own queue. Its outcome is added by the worker, if that knows of the effect."""
    if call is None:
        return delay(kwargs, run_id)
    # Where the task is an effect it is decided at this door as well. It has been written down: it is this very call.
    state.expect(call)
    token = arriving.set(Arrival(task.name, call.id, run_id, call, call.origin))
    started = clock.monotonic()
    try:
        return delay(kwargs, run_id)
    except BaseException as error:
        if call.outcome is None:
            finish(call, Outcome(None, error, clock.monotonic() - started))
        raise
    finally:
        arriving.reset(token)


def _answer(
    task: RunTask,
    call: Call | None,
    mode: Mode,
    stub: Stub | None,
    kwargs: Mapping[str, Any],
    is_async: bool,
    run_id: str,
) -> None:
    """Let a recorded call have its outcome; what a stub raises is raised where the real call would raise it."""
    given = dict(kwargs)
    if is_async:
        background.hand_over(task.declared, task.function, call, mode, stub, (), given, run_id)
    elif stub is not None and stub.at_commit:
        deferral.last.run(
            alias_of(task.declared), None, lambda: background.answered(task.declared, call, stub, (), given)
        )
    else:
        background.answered(task.declared, call, stub, (), given)


# -- errors


def _note(error: BaseException, note: str) -> None:
    # One exception may be raised again and again (a stub's, say): it need not say the same thing twice.
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)


def _tell_of_the_end(error: BaseException, stopped: StoppedRun) -> None:
    _note(error, str(stopped))
    with contextlib.suppress(Exception):  # an exception that takes no attributes
        cast(Any, error).run_list = stopped


@contextlib.contextmanager
def _late_errors_to(keep: Callable[[Exception], object]) -> Generator[None]:
    token = late_errors.set(keep)
    try:
        yield
    finally:
        late_errors.reset(token)


def _call_for(
    error: Exception,
    task: RunTask,
    kwargs: Mapping[str, Any],
    site: Site,
    is_async: bool,
    run_id: str,
) -> Call:
    """The call of a task that nobody wrote down, for who reports: it knows which values are secret."""
    decision = EXECUTED
    if isinstance(error, SideEffectBlocked):
        decision = Decision(Mode.RAISE, error.reason, error.origin)
    return background.unwritten(task.declared, task.instance, (), dict(kwargs), decision, site, is_async, run_id)


def _report(error: Exception, index: int, call: Call) -> None:
    """Log a swallowed error without its secrets, and tell who reports errors. Neither changes anything."""
    try:
        told = call.scrubbed("".join(traceback.format_exception(error)))
        background.reported.error(
            "run list %r: tasks[%d] (%s) failed, and the rest runs:\n%s", call.run_id, index, call.name, told
        )
    except Exception as failure:  # noqa: BLE001 - logging is set up by the user
        with contextlib.suppress(Exception):
            logger.error("could not log an error of %s (%s)", call.name, type(failure).__name__)
    background.report(error, call)
