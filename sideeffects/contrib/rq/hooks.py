"""Effects that are RQ jobs: every way into a queue goes through the decision.

- RQ's jobs are functions that a worker finds by their name: it finds the effect.
- `Queue.enqueue_job`, `schedule_job` and `enqueue_many` publish, whatever came there (`enqueue`, `enqueue_call`,
  `enqueue_at`, `enqueue_in`, `delay` of `@job`, cron): there the call is decided, in the process that makes it, and
  what is not to execute is not published.
- `perform_job` of workers, and `Queue.run_sync`, run a job with its callbacks.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

from sideeffects._core.verbs.decorator import adapt
from sideeffects.contrib.arriving import obeyed, obeyed_besides, running
from sideeffects.contrib.class_hooks import wrap_methods
from sideeffects.contrib.rq import jobs, publishing
from sideeffects.engines import rq as engine


def install() -> None:
    """Hook into RQ, which has been imported."""
    adapt("rq.decorators", jobs.declare_job)
    queue: Any = importlib.import_module("rq").Queue
    wrap_methods(
        queue,
        {
            "create_job": jobs.holding,
            "enqueue_job": publishing.deciding,
            "schedule_job": publishing.deciding,
            "enqueue_many": publishing.deciding_many,
            "run_sync": _obeying,
        },
    )
    putting_back = publishing.putting_back
    workers: dict[str, Callable[[Any], Any]] = {"perform_job": _obeying, "handle_job_retry": putting_back}  # of RQ 2
    wrap_methods(importlib.import_module("rq.worker").BaseWorker, workers)
    job: Any = importlib.import_module("rq").job.Job
    wrap_methods(job, {"retry": putting_back, "_handle_retry_result": putting_back, "save": publishing.marking})
    for callback in _CALLBACKS:
        setattr(job, callback, property(_obedient(vars(job)[callback].fget)))
    repeat: Any = importlib.import_module("rq.repeat").Repeat
    repeat.schedule = staticmethod(putting_back(repeat.schedule))
    _join_running_job()


#: What gives a job's callbacks.
_CALLBACKS: Final = ("success_callback", "failure_callback", "stopped_callback")

#: The block of a job that ran already when this was imported.
_joined: Final = ExitStack()
#: The id of that job, as long as the block is open.
_joined_ids: Final[set[str]] = set()


def _join_running_job() -> None:
    """Obey the job that runs here: a worker of RQ imports a job's module, and so this, when it runs the first one.

    Or a callback of it: the process that watches over the others calls some itself.
    """
    job = importlib.import_module("rq").get_current_job() or _job_whose_callback_is_imported()
    if job is None:
        return
    _joined_ids.add(job.id)
    _joined.callback(_joined_ids.clear)
    _joined.enter_context(running(str(job.func_name), engine.TASK))
    if publishing.KEY in job.meta:
        _joined.enter_context(obeyed(job.meta[publishing.KEY], task=job.id))


def _job_whose_callback_is_imported() -> Any:
    kind = importlib.import_module("rq").job.Job
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name in _CALLBACKS and isinstance(frame.f_locals.get("self"), kind):
            return frame.f_locals["self"]
        frame = frame.f_back
    return None


def _obedient(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A callback of a job that obeys what the job says: a worker may call it when the job runs no more."""

    def get(self: Any) -> Any:
        if self.id not in _joined_ids and importlib.import_module("rq").get_current_job() is None:
            _joined.close()
        callback = original(self)
        header = self.meta.get(publishing.KEY)
        if header is None or not callable(callback) or inspect.iscoroutinefunction(callback):
            return callback

        @functools.wraps(callback)
        def obedient(*args: Any, **options: Any) -> Any:
            with running(str(self.func_name), engine.TASK), obeyed_besides(header):
                return callback(*args, **options)

        return obedient

    return get


def _obeying(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def run(self: Any, job: Any, *args: Any, **options: Any) -> Any:
        _joined.close()
        with ExitStack() as block:
            block.enter_context(publishing.publishing())  # where the queue runs its jobs at once
            block.enter_context(running(str(job.func_name), engine.TASK))
            if publishing.KEY in job.meta:
                block.enter_context(obeyed(job.meta[publishing.KEY], task=job.id))
            return original(self, job, *args, **options)

    return run
