"""Publishing RQ's jobs: the queue decides the call of an effect, and tells the worker of the test run.

The header of `contrib/publishing.py` travels in `job.meta`.
"""

from __future__ import annotations

import datetime
import functools
import importlib
import uuid
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from sideeffects._core.runtime import enqueued
from sideeffects._core.state.runtime_effect import Reached
from sideeffects._core.values.frames import forgetting
from sideeffects.contrib.arriving import obeyed_from_elsewhere
from sideeffects.contrib.carried_test_run import test_run_part
from sideeffects.contrib.publishing import Publication, check_arguments, decide, fits, is_held_back
from sideeffects.contrib.rq.jobs import effect_below, effect_in

__tracebackhide__ = True

KEY: Final = "side_effects"

#: The ids of the jobs that are being published after they were decided: what a queue asks the class that it is made
#: from is the same call.
_publishing: Final[ContextVar[frozenset[str]]] = ContextVar("sideeffects_publishing_rq", default=frozenset())


@contextmanager
def publishing(*ids: str) -> Generator[None]:
    """Publish these jobs without deciding once more; without any, decide on all. A job that runs here is among none."""
    token = _publishing.set(frozenset(ids))
    try:
        yield
    finally:
        _publishing.reset(token)


def putting_back(original: Callable[..., Any]) -> Callable[..., Any]:
    """What hands a job to its queue again, to try or to repeat it, without deciding once more: it is no new call."""

    @functools.wraps(original)
    def put_back(*args: Any, **options: Any) -> Any:
        job = next(one for one in (*args, *options.values()) if hasattr(one, "retries_left"))
        with publishing(job.id):
            return original(*args, **options)

    return put_back


def deciding(original: Callable[..., Any]) -> Callable[..., Any]:
    """`Queue.enqueue_job` or `schedule_job` as it decides first."""

    @functools.wraps(original)
    @forgetting
    def publish(self: Any, job: Any, *args: Any, **options: Any) -> Any:
        if job.id in _publishing.get():
            return original(self, job, *args, **options)

        def decided() -> Any:
            with publishing(job.id):
                return original(self, job, *args, **options)

        with obeyed_from_elsewhere(job.meta.get(KEY)):
            return _publish(decided, self, job)

    return publish


def _publish(publish: Callable[[], Any], queue: Any, job: Any) -> Any:
    given = job.meta.get(KEY)
    found = effect_in(job)
    args, kwargs = tuple(job.args or ()), dict(job.kwargs or {})
    _forget_recorded(job)
    if found is None or not (found.is_direct or fits(found.declared, found.instance, args, kwargs)):
        # No effect, or what stands between the job and the effect changes the arguments: decided where it runs.
        if is_held_back(str(job.func_name), queue.name, job.id):
            return _held(job)
        header = dict(given) if isinstance(given, dict) and given.get("test_run") else test_run_part()
        header.pop("call", None)
        _mark(job, header)
        return publish()
    publication = _decided(queue, found, args, kwargs)
    if not publication.executes:
        return _answered(job, publication, queue.serializer)
    if publication.is_redirected:
        job.args, job.kwargs = publication.args, publication.kwargs
    _mark(job, publication.header(task=job.id))
    sent: list[Any] = []
    publication.at_commit(lambda: sent.append(publish()))
    return sent[0] if sent else job


def _decided(queue: Any, found: Reached, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Publication:
    serializer = getattr(queue.serializer, "__name__", type(queue.serializer).__name__)
    check_arguments(found.declared.effect.name, args, kwargs, queue.serializer.dumps, serializer)
    return decide(found.declared, found.instance, args, kwargs, _PACKAGES)


_PACKAGES: Final = frozenset(("rq", "django_rq", "sideeffects"))


def marking(original: Callable[..., Any]) -> Callable[..., Any]:
    """`Job.save`, by which a job gets into Redis whoever publishes it: in a test run none is without its mark."""

    @functools.wraps(original)
    def save(self: Any, *args: Any, **options: Any) -> Any:
        if KEY not in self.meta and (header := test_run_part()):
            _mark(self, header)
        return original(self, *args, **options)

    return save


def _mark(job: Any, header: dict[str, Any]) -> None:
    meta = {key: value for key, value in job.meta.items() if key != KEY}
    job.meta = {**meta, KEY: header} if header else meta


def deciding_many(original: Callable[..., Any]) -> Callable[..., Any]:
    """`Queue.enqueue_many` as it decides first: what executes goes to the queue together."""

    @functools.wraps(original)
    @forgetting
    def enqueue_many(self: Any, job_datas: Iterable[Any], *args: Any, **options: Any) -> Any:
        job_datas = list(job_datas)
        if {data.job_id for data in job_datas} <= _publishing.get():
            return original(self, job_datas, *args, **options)
        executing: list[Any] = []
        decided: list[Publication] = []
        recorded: list[Any] = []
        for data in job_datas:
            data = data._replace(job_id=data.job_id or str(uuid.uuid4()))  # noqa: PLW2901 - the header has its id
            found = effect_below(data.func) if callable(data.func) else effect_in(_job_of(self, data))
            given = tuple(data.args or ()), dict(data.kwargs or {})
            if found is None or not (found.is_direct or fits(found.declared, found.instance, *given)):
                job = _job_of(self, data)
                if is_held_back(str(job.func_name), self.name, job.id):
                    recorded.append(_held(job))
                    continue
                header = test_run_part()
            else:
                publication = _decided(self, found, *given)
                if not publication.executes:
                    recorded.append(_answered(_job_of(self, data), publication, self.serializer))
                    continue
                if publication.is_redirected:
                    data = data._replace(args=publication.args, kwargs=publication.kwargs)  # noqa: PLW2901 - as above
                decided.append(publication)
                header = publication.header(task=data.job_id)
            executing.append(data._replace(meta={**(data.meta or {}), KEY: header}) if header else data)
        sent: list[Any] = []

        def publish() -> None:
            if executing:
                with publishing(*(data.job_id for data in executing)):
                    sent.extend(original(self, executing, *args, **options))

        _together(decided, publish)
        waiting = [] if sent else [_job_of(self, data) for data in executing]  # for the commit
        return [*sent, *waiting, *recorded]

    return enqueue_many


def _together(decided: list[Publication], publish: Callable[[], object]) -> None:
    """Publish at the commit that the first of the calls waits for; what the queue raises is the outcome of each."""
    for publication in decided[1:]:
        publish = functools.partial(publication.tried, publish)
    if decided:
        decided[0].at_commit(publish)
    else:
        publish()


def _job_of(queue: Any, data: Any) -> Any:
    names = ("func", "args", "kwargs", "timeout", "result_ttl", "ttl", "failure_ttl", "description", "job_id", "meta")
    return queue.create_job(**{name: getattr(data, name) for name in names})


# -- what is held back

#: The ids of jobs that were recorded: no job need wait for them, or could.
_recorded: Final[OrderedDict[str, None]] = OrderedDict()
_MOST: Final = 1000


def _forget_recorded(job: Any) -> None:
    waits_for = getattr(job, "_dependency_ids", None)
    if waits_for:
        job._dependency_ids = [known for known in waits_for if known not in _recorded]  # noqa: SLF001 - no other door


def _answered(job: Any, publication: Publication, serializer: Any) -> Any:
    """The job of a recorded call, finished with what its stub says. No queue has it."""
    enqueued.keep(
        publication.call, functools.partial(_rerun, job, serializer, publication.declared.effect.name, job.retries_left)
    )
    status: Any = importlib.import_module("rq.job").JobStatus
    _held(job)
    try:
        job._result = publication.answer()  # noqa: SLF001 - where it keeps what it was told
        job._status = status.FINISHED  # noqa: SLF001 - as above
    except Exception as error:  # noqa: BLE001 - a stub's exception arrives where that of the job would
        job._exc_info = repr(error)  # noqa: SLF001 - as above
        job._status = status.FAILED  # noqa: SLF001 - as above
    return job


def _rerun(job: Any, serializer: Any, name: str, left: int | None, forced: enqueued.Forced) -> object:
    """Run a recorded job as a worker would: again at once, as often as it has retries or asks for one."""
    import asyncio

    asks: Any = importlib.import_module("rq").Retry
    retries = 0
    while True:
        args, kwargs = serializer.loads(serializer.dumps((job.args, job.kwargs)))
        try:
            with forced():
                result = job.func(*args, **kwargs)
                if asyncio.iscoroutine(result):
                    result = asyncio.run(result)
        except Exception:
            retries += 1
            if retries > (left or 0) or not enqueued.is_retried(retries, name):
                raise
            continue
        if not isinstance(result, asks) or retries >= result.max:
            return result
        retries += 1
        enqueued.is_retried(retries, name)


def _held(job: Any) -> Any:
    """A job that no queue has, so that it waits for ever. Cron wants to know since when."""
    _recorded[job.id] = None
    if len(_recorded) > _MOST:
        _recorded.popitem(last=False)
    job.enqueued_at = datetime.datetime.now(datetime.UTC)
    kind: Any = type(job)
    job.__class__ = _recorded_class(kind)
    return job


@functools.cache
def _recorded_class(base: Any) -> Any:
    """The class of such jobs, for one class of jobs."""

    class RecordedJob(base):  # type: ignore[misc]
        """A job that no queue has: it knows its result, and asks nobody."""

        def get_status(self, refresh: bool = True) -> Any:
            del refresh
            return self._status

        def return_value(self, refresh: bool = False) -> Any:
            del refresh
            return self._result

        @property
        def result(self) -> Any:
            return self._result

        @property
        def exc_info(self) -> Any:
            return self._exc_info

        def refresh(self) -> None:
            """It stays as it is."""

    return RecordedJob
