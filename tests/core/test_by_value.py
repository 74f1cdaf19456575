"""Effects that cloudpickle takes by value: they stay effects, wherever they are unpickled."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from sideeffects import capture, force_run, record, registry, side_effect
from sideeffects.testing import isolated_registry

SCRIPT = """
    import cloudpickle
    import sys

    from sideeffects import side_effect

    @side_effect(name="factorial", returns=lambda number, step=1: f"recorded {number}", sensitive=["step"])
    def factorial(number, step: int = 1):
        return number * factorial(number - step) if number else 1

    class Gateway:
        @side_effect(name="method")
        def method(self): return "executed"

        @side_effect(name="above")
        @classmethod
        def above(cls): return "executed"

        @classmethod
        @side_effect(name="below")
        def below(cls): return "executed"

    sys.stdout.buffer.write(cloudpickle.dumps((factorial, Gateway().method, Gateway.method, Gateway)))
"""
READER = """
    import pickle
    import sys

    factorial, bound, unbound, kind = pickle.load(sys.stdin.buffer)
    print(factorial(3), bound(), unbound(kind()), kind.above(), kind.below(), kind().method())
    print(factorial.effect.signature, *factorial.effect.sensitive)
"""


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    """Effects of one test are unknown to the next."""
    with isolated_registry():
        yield


@pytest.mark.parametrize(
    ("test_run", "answers"),
    [("1", "recorded 3 None None None None None"), ("", "6 executed executed executed executed executed")],
)
def test_effects_of_the_main_script(tmp_path: Path, test_run: str, answers: str) -> None:
    """Functions, methods and classes of `__main__` reach another process with their declarations."""
    script, reader = tmp_path / "script.py", tmp_path / "reader.py"
    script.write_text(textwrap.dedent(SCRIPT))
    reader.write_text(textwrap.dedent(READER))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SIDE_", "PYTEST_"))}
    environment["SIDE_EFFECTS_TEST_RUN"] = test_run
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    shipped = subprocess.run([sys.executable, script], env=environment, capture_output=True, check=True).stdout
    told = subprocess.run([sys.executable, reader], env=environment, input=shipped, capture_output=True, check=True)
    assert told.stdout.decode().splitlines() == [answers, "(number, step: int = 1) step"]


def test_a_local_effect_takes_its_values_along() -> None:
    """What is unpickled is decided, has its own closure, and leaves the registry as it is."""

    def make(greeting: str) -> Any:
        @side_effect(name="greet", returns="recorded")
        def greet(name: str) -> str:
            return f"{greeting} {name}"

        return greet

    first, second = make("hello"), make("hi")
    again = [pickle.loads(cloudpickle.dumps(effect)) for effect in (first, second)]
    with record("greet"), capture() as calls:
        assert [effect("ann") for effect in again] == ["recorded"] * 2
    assert [dict(call.arguments) for call in calls] == [{"name": "ann"}] * 2
    with force_run("greet"):
        assert [effect("ann") for effect in again] == ["hello ann", "hi ann"]
    assert registry["greet"] is second.effect


def test_a_module_that_is_registered_to_be_taken_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """By value where cloudpickle is told so, by reference else; a function below another name never goes bare."""
    module = types.ModuleType("by_value_gateway")
    source = "def send(number): return 'executed'\nsent = side_effect(name='send', returns='recorded')(send)\n"
    exec(source, vars(module) | {"side_effect": side_effect, "module": module}, vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for is_registered in (False, True):
        if is_registered:
            cloudpickle.register_pickle_by_value(module)
        try:
            shipped = cloudpickle.dumps(module.sent)
        finally:
            if is_registered:
                cloudpickle.unregister_pickle_by_value(module)
        with record("send"):
            assert pickle.loads(shipped)(1) == "recorded"
