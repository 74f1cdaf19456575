"""Run lists: recording compared with dj-saferunner, and what a list adds to calling its effects.

    python tests/bench/run_lists.py

It measures ratios within one run, and ends with exit code 1 when one is not what was promised. dj-saferunner keeps its
records in a list in Django's cache, and writes the whole list anew for each; it is measured on LocMem, the fastest.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import statistics
import subprocess
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


def recording() -> list[tuple[str, str, bool]]:
    """Rows of the table: recording in a test run."""
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
    ours = seconds(record(TASKS))
    small = seconds(record(TASKS // 10))
    growth = ours / small / 10
    rows = [
        (f"record a list of {TASKS:,}", f"{ours * 1e3:.1f} ms, {ours / TASKS * 1e6:.2f} us a task", True),
        ("  a task of it, over one of a list a tenth as long", f"{growth:.2f}", growth < 1.5),
    ]
    peer = dj_saferunner()
    if peer is None:
        return [*rows, ("  dj-saferunner", "not installed: nothing to compare with", True)]

    def theirs() -> None:
        cache.clear()
        peer.safely_run_processes("bench", tasks(TASKS))

    slow = seconds(theirs, rounds=1)
    faster = slow / ours
    return [*rows, ("  dj-saferunner, over that", f"{faster:,.0f} ({slow:.2f} s)", faster >= 100)]


def executing() -> list[tuple[str, str, bool]]:
    """Rows of the table: executing, outside a test run."""
    from sideeffects import run_side_effects, side_effect
    from sideeffects._state import state

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

    assert not state.in_test_run(), "this is to be measured outside a test run"
    call()
    pairs = [(seconds(call, 1), seconds(lambda: run_side_effects("bench", entries), 1)) for _ in range(ROUNDS * 3)]
    added = statistics.median((listed - called) / TASKS * 1e6 for called, listed in pairs)
    other = seconds(lambda: run_side_effects("bench", undeclared)) / TASKS * 1e6
    return [
        ("execute: added to calling an effect, a task", f"{added:.2f} us (at most 3)", added <= 3),
        ("execute: an undeclared function, a task", f"{other:.2f} us", True),
    ]


def main() -> int:
    """Each half in a process of its own: one is a test run, and stays one."""
    halves = {"recording": recording, "executing": executing}
    if len(sys.argv) > 1:
        rows = halves[sys.argv[1]]()
        for label, value, _ in rows:
            print(f"{label:<52} {value}")
        return 0 if all(is_kept for *_, is_kept in rows) else 1
    codes = []
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SIDE_EFFECTS", "PYTEST"))}
    for half in halves:
        own = {"SIDE_EFFECTS_TEST_RUN": "1"} if half == "recording" else {}
        done = subprocess.run([sys.executable, __file__, half], env={**environment, **own}, check=False)
        codes.append(done.returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
