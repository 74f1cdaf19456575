"""Plugs the upper floors into the lower ones, when it is imported: what the runtime asks without importing it.

Importing raises, in a test run, what is wrong with the settings.
"""

from __future__ import annotations

from sideeffects import _plugs, _reading, conf
from sideeffects.contrib import celery, django_tasks
from sideeffects.engines import choice
from sideeffects.transactions import DjangoTransactions


def _discover() -> list[str]:
    from sideeffects import discovery  # when a name is unknown, which most processes never see

    return discovery.notes()


_plugs.plugs.deferral = DjangoTransactions()
_plugs.plugs.engine = choice.engine
_reading.set_discovery(_discover)
celery.install()
django_tasks.install()
conf.install()
