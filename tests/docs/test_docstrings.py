"""Examples in the docstrings of what the doors export: each has one, and it runs."""

import datetime
import doctest
import importlib
import inspect
import os
import re
import sys
import types
import unittest
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import sideeffects
from sideeffects import errors, side_effect
from sideeffects.testing import isolated_registry

API = Path(__file__).resolve().parents[2] / "docs" / "reference" / "api"
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


@pytest.mark.parametrize("door", DOORS)
def test_the_page_of_a_door_has_all_that_it_exports(door: str) -> None:
    """And what is used most comes first: for the main door, the decorator."""
    name = door.rpartition(".")[2]
    page = (API / f"{name}.md").read_text(encoding="utf-8")
    described = re.findall(r"^\.\. (?:auto\w+|data):: (\w+)$", page, re.MULTILINE)
    mentioned = re.findall(r"`(\w+)`", page)
    assert set(importlib.import_module(door).__all__) <= {*described, *mentioned}
    assert len(described) == len(set(described))
    assert door != "sideeffects" or described[0] == "side_effect"


def test_every_error_is_on_the_page_of_errors() -> None:
    """Those of all doors, each once."""
    there = {
        name
        for name, thing in vars(errors).items()
        if isinstance(thing, type) and issubclass(thing, BaseException) and thing.__module__ == errors.__name__
    }
    page = (API / "errors.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\.\. autoexception:: (\w+)$", page, re.MULTILINE)) == sorted(there)


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
