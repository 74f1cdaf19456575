"""Plugs the upper floors into the lower ones: what the runtime asks without importing it."""

from __future__ import annotations

from sideeffects import _plugs, _reading, conf
from sideeffects.contrib import celery, django_tasks
from sideeffects.engines import choice
from sideeffects.transactions import DjangoTransactions


def install() -> None:
    """Plug everything in.

    Raises:
        Exception: the settings are wrong, and this is a test run.
    """
    _plugs.plugs.deferral = DjangoTransactions()
    _plugs.plugs.engine = choice.engine
    _reading.set_discovery(_discover)
    celery.install()
    django_tasks.install()
    conf.install()


def _discover() -> list[str]:
    from sideeffects import discovery  # when a name is unknown, which most processes never see

    return discovery.notes()
