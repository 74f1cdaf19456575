"""Examples in the docstrings of what the doors export: each has one, and it runs."""

import datetime
import doctest
import importlib
import inspect
import os
import sys
import types
import unittest
import urllib.request
from typing import Any

import pytest

import sideeffects
from sideeffects import side_effect
from sideeffects.testing import isolated_registry

DOORS = (
    "sideeffects",
    "sideeffects.testing",
    "sideeffects.probes",
    "sideeffects.dryrun",
    "sideeffects.ledgers",
    "sideeffects.saferunner",
)
OPTIONS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


def exported() -> dict[str, Any]:
    """All that has a docstring of its own, by door and name; what two doors have counts once."""
    found: dict[str, Any] = {}
    for door in DOORS:
        module = importlib.import_module(door)
        for name in module.__all__:
            thing = getattr(module, name)
            thing = type(thing) if name == "registry" else thing
            if getattr(thing, "__module__", "").startswith("sideeffects") and thing not in found.values():
                found[f"{door}.{name}"] = thing
    return found


EXPORTED = exported()


def names() -> dict[str, Any]:
    """What examples may use: all that the doors export, and two effects."""

    @side_effect(name="sms.send", async_ok=True, returns="sms-1", owner="support")
    def send_sms(to: str, body: str) -> str:
        raise AssertionError("a test run executes nothing that no test names")

    @side_effect(name="card.charge", returns={"id": "ch_recorded"}, sensitive=["token"])
    def charge(cents: int, token: str) -> dict[str, str]:
        raise AssertionError("a test run executes nothing that no test names")

    exports = {
        name: getattr(importlib.import_module(door), name)
        for door in DOORS
        for name in importlib.import_module(door).__all__
    }
    modules = {"os": os, "datetime": datetime, "unittest": unittest, "urllib": urllib, "sideeffects": sideeffects}
    return {**exports, **modules, "send_sms": send_sms, "charge": charge}


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that somebody else wrote."""
    module = types.ModuleType("gateway")
    exec("class Client:\n    def send(self, to, body): ...", module.__dict__)
    monkeypatch.setitem(sys.modules, "gateway", module)


@pytest.mark.parametrize("name", EXPORTED)
def test_the_example_of_a_docstring_runs(name: str, gateway: None) -> None:
    """As it is written, in a test run. Of exceptions some show only in the examples of what raises them."""
    thing = EXPORTED[name]
    docstring = inspect.getdoc(thing) or ""
    assert ">>> " in docstring or (isinstance(thing, type) and issubclass(thing, BaseException)), (
        f"{name} has no example"
    )
    with isolated_registry():
        test = doctest.DocTestParser().get_doctest(docstring, names(), name, inspect.getsourcefile(thing), None)
        printed: list[str] = []
        doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=printed.append)
    assert not printed, "".join(printed)
