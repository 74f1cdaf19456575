"""One process that shows how costs grow, and prints JSON: `growth.py calls [bound]` or `growth.py effects`.

`calls`: a million recorded calls, timed in ten parts, with the memory that each call keeps. `effects`: declaring,
looking up, explaining, overriding and listing 1,000, 3,000 and 10,000 effects.
"""

import json
import os
import sys
import time

import django
from django.conf import settings

CALLS = 1_000_000
EFFECTS = (1_000, 3_000, 10_000)


def resident():
    """Bytes of memory that this process has."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def calls(bound):
    from sideeffects import side_effect

    @side_effect(name="bench.send")
    def send(to, body): ...

    part = CALLS // 10
    for _ in range(1_000):
        send("+44", "hello")
    before, parts = resident(), []
    for number in range(10):
        started = time.process_time()
        for index in range(part):
            send("+44", index)  # every call keeps a value of its own
        parts.append((time.process_time() - started) / part * 1e9)
        if number == 0:
            after_first = resident()
    return {"bound": bound, "parts": parts, "bytes": (resident() - before) / CALLS, "first": after_first - before}


def effects():
    return {str(number): effects_of(number) for number in EFFECTS}


def effects_of(number):
    """Costs in microseconds; all per effect, but for the look-ups and overrides, which are per use."""
    from io import StringIO

    from django.core.management import call_command

    from sideeffects import explain, record, registry, side_effect
    from sideeffects.testing import isolated_registry

    source = "def effect_{0}(to, body='x'):\n    '''Send number {0}.'''\n"
    namespace = {"__name__": "bench_effects"}
    exec("\n".join(source.format(index) for index in range(number)), namespace)
    functions = [namespace[f"effect_{index}"] for index in range(number)]
    names = [f"bench.group{index % 50}.effect{index}" for index in range(number)]
    found = {}
    with isolated_registry():
        with Timed(found, "declaring, each", number):
            declared = [
                side_effect(name=name, tags=["bench"])(function)
                for name, function in zip(names, functions, strict=True)
            ]
        with Timed(found, "looking one up", number):
            for name in names:
                registry[name]
        with Timed(found, "explaining one", number):
            for name in names:
                explain(name)
        with Timed(found, "the first call of one", number):
            for function in declared:
                function("+44")
        with Timed(found, "a later call of one", number):
            for function in declared:
                function("+44")
        with Timed(found, "entering an override by name", 200):
            for name in names[:200]:
                with record(name):
                    pass
        with Timed(found, "entering an override by glob, for each effect", 20 * number):
            for index in range(20):
                with record(f"bench.group{index}.*"):
                    pass
        for style in ("table", "json"):
            with Timed(found, f"listing, {style}, each", number):
                call_command("side_effects", format=style, stdout=StringIO())
    return found


class Timed:
    """Enter the microseconds that a block took, divided by `number`."""

    def __init__(self, found, name, number):
        self.found, self.name, self.number = found, name, number

    def __enter__(self):
        self.started = time.process_time()

    def __exit__(self, *_):
        self.found[self.name] = (time.process_time() - self.started) / self.number * 1e6


if __name__ == "__main__":
    bound = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    settings.configure(
        INSTALLED_APPS=["sideeffects"],
        SIDE_EFFECTS={"LEDGER": {"BACKEND": "memory", "MAX_CALLS": bound}},
    )
    django.setup()
    json.dump(calls(bound) if sys.argv[1] == "calls" else effects(), sys.stdout)
