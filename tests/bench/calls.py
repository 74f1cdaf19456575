"""One process that times calls and prints what it found as JSON: `calls.py executing|test|production [django] [off]`.

`executing`: production, nothing captured, nobody observing; and what it costs when there is. `test`: recording in a
test run. `production`: recording by `record()` under a `capture()`. `off`: without the guard, by Django's settings.
"""

import contextvars
import functools
import json
import sys
from unittest import mock

import wrapt
from timing import BARE, Case, measure

WITH_DJANGO = "django" in sys.argv
if WITH_DJANGO:
    import django
    from django.conf import settings

    settings.configure(
        CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["side_effects", "sideeffects"],
        SIDE_EFFECTS={"GUARD": "off"} if "off" in sys.argv else {},
    )
    django.setup()

from sideeffects import capture, observe, record, side_effect  # noqa: E402 - after Django has its settings

ORDER = {
    "number": 17,
    "lines": [{"sku": f"sku-{index}", "pieces": index, "price": 9.5} for index in range(5)],
    "address": {"name": "A. Customer", "street": ["1 Road", "Town"], "tags": ("new", "eu")},
}


def send(to, body):
    """Do nothing, so that only the way there is timed."""


def passes_on(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


@wrapt.decorator
def no_op(wrapped, instance, args, kwargs):
    return wrapped(*args, **kwargs)


class Methods:
    def send(self, to, body):
        """As `send`."""

    @no_op
    def wrapped(self, to, body):
        """As `send`."""

    @side_effect(name="bench.method")
    def effect(self, to, body):
        """As `send`."""


effect = side_effect(name="bench.send")(send)
other = side_effect(name="bench.other")(lambda: None)
METHODS = Methods()
NAMES = {"send": send, "effect": effect, "methods": METHODS, "order": ORDER}


def scalar(function, after=None, number=200):
    return Case("function('+44', 'hello')", {"function": function}, after, number)


def method(name):
    return Case(f"methods.{name}('+44', 'hello')", NAMES)


def executing():
    functions = {
        BARE: scalar(send),
        "functools.wraps": scalar(passes_on(send)),
        "no-op wrapt": scalar(no_op(send)),
        "effect": scalar(effect),
        **(executing_peers() if WITH_DJANGO else {}),
    }
    found = {"functions": measure(functions)}
    found["methods"] = measure(
        {BARE: method("send"), "no-op wrapt": method("wrapped"), "effect": method("effect")}, turns=300
    )
    small = {BARE: scalar(send), "effect": scalar(effect)}
    with capture():
        found["in a capture"] = measure(small)
    remove = observe(lambda call: None)
    found["observed"] = measure(small)
    remove()
    elsewhere = contextvars.copy_context()
    override = record(other)
    elsewhere.run(override.__enter__)
    found["an override is open elsewhere"] = measure(small)
    elsewhere.run(override.__exit__, None, None, None)
    return found


def executing_peers():
    from saferunner.process_runner import safely_run_processes
    from side_effects.decorators import has_side_effects, is_side_effect_of

    @has_side_effects("bench")
    def announce(to, body):
        """As `send`."""

    is_side_effect_of("bench")(send)
    tasks = [(send, {"to": "+44", "body": "hello"}, False)]
    return {
        "django-side-effects": scalar(announce, number=50),
        "dj-saferunner": Case("run('bench', tasks)", {"run": safely_run_processes, "tasks": tasks}, number=50),
    }


def recording():
    plain, specified, double = mock.Mock(), mock.create_autospec(send), mock.Mock()
    nested_effect = side_effect(name="bench.nested")(send)
    nested = "function('+44', order)"
    return {
        "functions": measure(
            {
                BARE: scalar(send),
                "Mock": scalar(plain, plain.reset_mock),
                "create_autospec": scalar(specified, specified.reset_mock),
                "effect": scalar(effect),
                "effect, nested containers": Case(nested, {"function": nested_effect, "order": ORDER}),
                "effect, keywords": Case("function(to='+44', body='hello')", {"function": effect}),
                **(recording_peers() if WITH_DJANGO else {}),
            }
        ),
        "methods": measure(
            {
                BARE: method("send"),
                "Mock": Case("double.effect('+44', 'hello')", {"double": double}, double.reset_mock),
                "effect": method("effect"),
            }
        ),
    }


def recording_peers():
    from django.core.cache import cache
    from saferunner import process_runner

    process_runner.TEST_MODE = True
    tasks = [(send, {"to": "+44", "body": "hello"}, False)]
    run = process_runner.safely_run_processes
    # It pickles the whole list of calls at each call: ten calls to a list keep that small.
    return {"dj-saferunner": Case("run('bench', tasks)", {"run": run, "tasks": tasks}, cache.clear, number=10)}


if __name__ == "__main__":
    kind = sys.argv[1]
    if kind == "executing":
        result = executing()
    elif kind == "test":
        result = recording()
    else:
        with capture(), record():
            result = recording()
    json.dump(result, sys.stdout)
