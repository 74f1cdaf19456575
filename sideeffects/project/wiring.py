"""Plugs the upper floors into the lower ones, when it is imported: what the runtime asks without importing it.

Importing raises, in a test run, what is wrong with the settings.
"""

from __future__ import annotations

import sys
from typing import Any

from sideeffects._core.calls import origins, registry
from sideeffects._core.calls.call import Call
from sideeffects._core.policy.rules import Rules
from sideeffects._core.state import extension_points, import_hooks
from sideeffects._core.state.extension_points import Engine
from sideeffects._core.verbs import targets
from sideeffects.database.on_commit import DjangoTransactions
from sideeffects.errors import SideEffectError
from sideeffects.project import live_settings


def _discover() -> registry.Found:
    if "django.conf" not in sys.modules:
        return registry.NOTHING_FOUND
    from sideeffects.project.discovery import finding  # when a name is unknown, which most processes never see

    return finding.look()


def _engine() -> Engine:
    from sideeffects.engines import choice  # when something is handed over

    return choice.engine()


def _run_enqueued(*given: Any) -> Any:
    from sideeffects._core.runtime import enqueued  # in tests that ask for it

    return enqueued.run(*given)


def _report_error(error: BaseException, call: Call) -> None:
    reporting = live_settings.sentry()
    if reporting is not None:
        reporting.report(error, call)


def _place(call: Call, rules: Rules, is_test_run: bool) -> SideEffectError | None:
    from sideeffects.guard import in_transactions  # when a transaction is open

    return in_transactions.place(call, rules, is_test_run)


def _watch_transactions(rules: Rules | None) -> None:
    if rules is not None and rules.watches_transactions:
        from sideeffects.database import atomic  # where nobody watches, it is not imported

        atomic.install()


def _watch_with_sentry(rules: Rules | None) -> None:
    if (rules is not None and rules.use_sentry) or "sideeffects.contrib.sentry.reporting" in sys.modules:
        from sideeffects.contrib.sentry import reporting  # which most projects do not use

        reporting.follow(rules)


def _clean_up_after_requests(rules: Rules | None) -> None:
    if rules is not None:
        from sideeffects.project import end_of_request  # when there are settings, and so Django

        end_of_request.install()


def _hook_celery(_: Any) -> None:
    from sideeffects.contrib.celery import hooks  # when it is there

    hooks.install()


def _hook_django_tasks(_: Any) -> None:
    from sideeffects.contrib.django_tasks import hooks  # when one of the packages is there

    hooks.install()


def _hook_dramatiq(_: Any) -> None:
    from sideeffects.contrib.dramatiq import hooks  # when it is there

    hooks.install()


def _hook_huey(_: Any) -> None:
    from sideeffects.contrib.huey import hooks  # when it is there

    hooks.install()


def _hook_rq(_: Any) -> None:
    from sideeffects.contrib.rq import hooks  # when it is there

    hooks.install()


def _hook_eventlet(_: Any) -> None:
    from sideeffects.contrib.eventlet import carrying  # when it is there

    carrying.install()


def _hook_gevent(_: Any) -> None:
    from sideeffects.contrib.gevent import carrying  # when it is there

    carrying.install()


def _hook_sentry(sentry_sdk: Any) -> None:
    from sideeffects.contrib.sentry import reporting  # when it is there

    reporting.install(sentry_sdk)


def _count(what: str, seconds: int, limit: int) -> bool:
    from sideeffects.project import budgets  # when a budget is asked, which most projects have none of

    return budgets.count(what, seconds, limit)


def _hook_requests(handlers: Any) -> None:
    from sideeffects.project.origins import hook_requests  # when there is Django

    hook_requests(handlers)


def _hook_commands(management: Any) -> None:
    from sideeffects.project.origins import hook_commands  # when there is Django

    hook_commands(management)


def _teach_cloudpickle(cloudpickle: Any) -> None:
    from sideeffects._core.verbs import by_value  # when it is there

    by_value.teach(cloudpickle)


def _declare_mail(*declaration: Any) -> None:
    from sideeffects.contrib.mail import backends  # when somebody declares it

    backends.declare_mail(*declaration)


extension_points.deferral.add(DjangoTransactions())
extension_points.engine.add(_engine)
extension_points.errors.add(_report_error)
extension_points.runner.add(_run_enqueued)
extension_points.places.add(_place)
extension_points.counter.add(_count)
extension_points.discovery.add(_discover)
extension_points.rules_changed.add(_watch_transactions)
extension_points.rules_changed.add(_watch_with_sentry)
extension_points.rules_changed.add(_clean_up_after_requests)
import_hooks.after_import("celery", _hook_celery)
for _package in ("django.tasks", "django_tasks"):
    import_hooks.after_import(_package, _hook_django_tasks)
import_hooks.after_import("dramatiq", _hook_dramatiq)
import_hooks.after_import("huey", _hook_huey)
import_hooks.after_import("rq", _hook_rq)
import_hooks.after_import("gevent", _hook_gevent)
import_hooks.after_import("eventlet", _hook_eventlet)
import_hooks.after_import("sentry_sdk", _hook_sentry)
import_hooks.after_import("django.core.handlers.base", _hook_requests)
import_hooks.after_import("django.core.management.base", _hook_commands)
if hasattr(sys, "ps1"):  # somebody types
    origins.current.set("shell")
for _package in ("cloudpickle", "joblib.externals.cloudpickle", "pyspark.cloudpickle", "ray.cloudpickle"):
    for _module in ("cloudpickle", "cloudpickle_fast"):  # where releases of the last years define the pickler
        import_hooks.after_import(f"{_package}.{_module}", _teach_cloudpickle)
for _target in ("django.core.mail", "django.core.mail:EmailMessage.send", "django.core.mail.message:EmailMessage.send"):
    targets.whole[_target] = _declare_mail
live_settings.install()
