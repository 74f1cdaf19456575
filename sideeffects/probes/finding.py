"""Finding probes: `smoke.py` and `probes.py` of each installed app, and packages of these names with all in them."""

from __future__ import annotations

import contextvars
import importlib
import inspect
import pkgutil
import sys
import unittest
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from django.apps import AppConfig

from sideeffects.probes.case import SmokeTest, specs_of
from sideeffects.probes.protection import writing_refused
from sideeffects.probes.refusals import ProbesRefused
from sideeffects.probes.settings import current
from sideeffects.probes.specs import Broken, FoundProbes, Spec, traits_of
from sideeffects.project.discovery.looking import recording
from sideeffects.project.probe_apps import installed, modules_of, names_of, skipped_apps


def find(skip: Iterable[str] = ()) -> FoundProbes:
    """All probes of the project, in the order of the installed apps.

    Args:
        skip: labels or dotted names of apps to leave out, besides those in `SMOKETEST_SKIP_APPS`.

    Raises:
        ProbesRefused: a test case that must not run on a live system is among them.
    """
    left_out = {*skip, *skipped_apps()}
    broken: list[Broken] = []
    cases: dict[type[unittest.TestCase], tuple[AppConfig, list[Spec] | None]] = {}
    with recording(), writing_refused():
        for app in installed():
            if left_out.isdisjoint(names_of(app)):
                for module in _modules(app, broken):
                    for case, specs in _cases(module, app, broken):
                        # Where it is defined counts more than where it was found first.
                        if case not in cases or specs is not None:
                            cases[case] = app, specs
    refused = sorted({f"{case.__module__}.{case.__qualname__}" for case in cases if _is_for_tests(case)})
    if refused:
        raise ProbesRefused(
            f"nothing was run, since {' and '.join(refused)} must not run on a live system: Django's test cases flush "
            f"databases and put test doubles in place. Derive from sideeffects.probes.SmokeTest or unittest.TestCase"
        )
    found: list[Spec] = []
    for case, (app, specs) in cases.items():
        found += specs_of(case, app.label, app.name) if specs is None else specs
    return FoundProbes((*found, *_ready_made()), tuple(broken))


def _ready_made() -> Iterator[Spec]:
    names = current().ready
    if names:
        from sideeffects.probes.ready.choice import chosen  # most projects choose none

        for case in chosen(names):
            yield from specs_of(case, "sideeffects", "sideeffects")


# -- modules


def _modules(app: AppConfig, broken: list[Broken]) -> Iterator[ModuleType]:
    for name in modules_of(app):
        yield from _with_submodules(name, app, broken)


def _with_submodules(name: str, app: AppConfig, broken: list[Broken]) -> Iterator[ModuleType]:
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever its code raises is reported
        broken.append(Broken(app.label, app.name, name, error))
        # Submodules cannot be imported without their package.
        return
    yield module
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        yield from _with_submodules(f"{name}.{found.name}", app, broken)


# -- classes


def _cases(
    module: ModuleType, app: AppConfig, broken: list[Broken]
) -> Iterator[tuple[type[unittest.TestCase], list[Spec] | None]]:
    """The test cases of a module; with their probes where `suite()` picks them, as django-probe has it."""
    suite = getattr(module, "suite", None)
    if inspect.isfunction(suite) and suite.__module__ == module.__name__:
        try:
            picked = suite()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
            broken.append(Broken(app.label, app.name, module.__name__, error))
            return
        yield from _of_suite(picked, app)
        return
    for value in list(vars(module).values()):
        if isinstance(value, type) and issubclass(value, unittest.TestCase) and not _is_a_base(value):
            yield value, None


def _of_suite(suite: Any, app: AppConfig) -> Iterator[tuple[type[unittest.TestCase], list[Spec]]]:
    specs: dict[type[unittest.TestCase], list[Spec]] = {}
    for test in _flat(suite):
        name = test._testMethodName  # noqa: SLF001 - unittest has no public name for it
        case = type(test)
        path = f"{case.__module__}.{case.__qualname__}.{name}"
        spec = Spec(path, app.label, app.name, case, name, _once(test), traits_of(case))
        specs.setdefault(case, []).append(spec)
    yield from specs.items()


def _once(test: unittest.TestCase) -> Any:
    def make() -> unittest.TestCase:
        if hasattr(test, "_asyncioTestContext"):
            # An IsolatedAsyncioTestCase runs in the context in which it was made, where nothing protects it.
            vars(test)["_asyncioTestContext"] = contextvars.copy_context()
        return test

    return make


def _flat(suite: Any) -> Iterator[Any]:
    for one in suite:
        if isinstance(one, unittest.TestSuite):
            yield from _flat(one)
        else:
            yield one


def _is_a_base(case: type) -> bool:
    """Whether it is there to be derived from: ours, unittest's, Django's."""
    package = case.__module__.partition(".")[0]
    is_ours = case is SmokeTest or case.__module__.startswith("sideeffects.probes.")
    return is_ours or package == "unittest" or case.__module__.startswith("django.test")


def _is_for_tests(case: type) -> bool:
    """Whether it is derived from one of Django's, which is told without importing them, and has tests."""
    testcases = sys.modules.get("django.test.testcases")
    simple: Any = getattr(testcases, "SimpleTestCase", ())
    return issubclass(case, simple) and bool(unittest.defaultTestLoader.getTestCaseNames(case))
