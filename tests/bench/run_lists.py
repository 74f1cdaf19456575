"""Run lists: recording compared with dj-saferunner, and what a list adds to calling its effects.

`run.py` starts this once for each half, since one is a test run, and stays one; it prints JSON. dj-saferunner keeps its
records in a list in Django's cache, and writes the whole list anew for each; it is measured on LocMem, the fastest.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

TASKS = 5000
ROUNDS = 7


def seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The fastest of some rounds: what else the machine does only ever adds."""
    taken = []
    for _ in range(rounds):
        gc.collect()
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


def configure() -> None:
    """A Django with a cache in memory, and no project."""
    import django
    from django.conf import settings

    settings.configure(
        CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
        SIDE_EFFECTS={"LEDGER": {"MAX_CALLS": 10 * TASKS}},
    )
    django.setup()


def dj_saferunner() -> ModuleType | None:
    """Its runner, in the belief that this is a test run; `None` where it is not installed."""
    if importlib.util.find_spec("saferunner") is None:
        return None
    sys.modules.setdefault("sentry_sdk", _no_sentry())  # it imports that unconditionally
    sys.argv[1:] = ["test"]
    from saferunner import process_runner

    return process_runner


def _no_sentry() -> ModuleType:
    module = ModuleType("sentry_sdk")
    module.__dict__.update(capture_exception=None, push_scope=None)
    return module


def recording() -> dict[str, float]:
    """Recording in a test run: microseconds a task."""
    configure()
    from django.core.cache import cache

    from sideeffects import run_side_effects, side_effect
    from sideeffects.saferunner import assert_call_count, clear_run_cache

    @side_effect(name="bench.send")
    def send(to: str, body: str) -> None:
        raise AssertionError("it ran")

    def tasks(count: int) -> list[Any]:
        return [(send, {"to": "ann", "body": "hello"}, False)] * count

    def record(count: int) -> Callable[[], object]:
        return lambda: run_side_effects("bench", tasks(count))

    clear_run_cache()
    record(TASKS)()
    assert_call_count("bench", TASKS)
    # In turns, and ten of the short ones for each long one: what disturbs the machine disturbs both.
    pairs = [
        (seconds(record(TASKS), 1), seconds(lambda: [record(TASKS // 10)() for _ in range(10)], 1))
        for _ in range(ROUNDS * 3)
    ]
    ours = min(long for long, _ in pairs)
    growth = statistics.median(long / short for long, short in pairs)
    found = {"tasks": TASKS, "ours": ours / TASKS * 1e6, "growth": growth}
    peer = dj_saferunner()
    if peer is not None:

        def theirs() -> None:
            cache.clear()
            peer.safely_run_processes("bench", tasks(TASKS))

        found["theirs"] = seconds(theirs, rounds=1) / TASKS * 1e6
    return found


def executing() -> dict[str, float]:
    """Executing, outside a test run: microseconds a task."""
    from sideeffects import run_side_effects, side_effect
    from sideeffects._core.state.state import state

    @side_effect(name="bench.send")
    def send(to: str, body: str) -> None:
        pass

    def plain(to: str, body: str) -> None:
        pass

    kwargs = {"to": "ann", "body": "hello"}
    entries: Any = [(send, kwargs)] * TASKS
    undeclared: Any = [(plain, kwargs)] * TASKS

    def call() -> None:
        for effect, given in entries:
            effect(**given)

    assert not state.test_run.is_on(), "this is to be measured outside a test run"
    call()
    pairs = [(seconds(call, 1), seconds(lambda: run_side_effects("bench", entries), 1)) for _ in range(ROUNDS * 3)]
    return {
        "added": (min(listed for _, listed in pairs) - min(called for called, _ in pairs)) / TASKS * 1e6,
        "undeclared": seconds(lambda: run_side_effects("bench", undeclared)) / TASKS * 1e6,
    }


if __name__ == "__main__":
    print(json.dumps({"recording": recording, "executing": executing}[sys.argv[1]]()))
