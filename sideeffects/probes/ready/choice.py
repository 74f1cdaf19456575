"""The ready-made probes that the settings choose."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from sideeffects.probes.case import SmokeTest
from sideeffects.probes.ready.broker import Broker, Workers
from sideeffects.probes.ready.caches import cache
from sideeffects.probes.ready.databases import database, migrations
from sideeffects.probes.ready.hosts import dns
from sideeffects.probes.ready.machine import Disk, Memory
from sideeffects.probes.ready.mail import Mail
from sideeffects.probes.ready.storage import Storage

_READY: Final[dict[str, Callable[[], type[SmokeTest]]]] = {
    "database": database,
    "migrations": migrations,
    "cache": cache,
    "storage": lambda: Storage,
    "broker": lambda: Broker,
    "workers": lambda: Workers,
    "mail": lambda: Mail,
    "disk": lambda: Disk,
    "memory": lambda: Memory,
    "dns": dns,
}


def chosen(names: Iterable[str]) -> list[type[SmokeTest]]:
    """The classes of these names."""
    return [_READY[name]() for name in dict.fromkeys(names)]
