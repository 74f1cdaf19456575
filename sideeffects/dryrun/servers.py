"""Servers that a dry run must not talk to past Django: those of its databases, and brokers.

Python tells of each connection by an audit event. What C libraries connect to (libpq, librdkafka) it does not.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from sideeffects.guard import hosts

_DATABASE: Final = "a database server was connected to without Django, where nothing would be rolled back: use Django's"
_BROKER: Final = "a message broker was connected to, and what is published is not taken back: declare it as an effect"
#: The ports that brokers have by default: AMQP, Kafka, NATS, STOMP, MQTT, beanstalkd.
_PORTS: Final = {
    "amqp": 5672,
    "amqps": 5671,
    "kafka": 9092,
    "nats": 4222,
    "stomp": 61613,
    "mqtt": 1883,
    "mqtts": 8883,
    "beanstalk": 11300,
}
#: Those of PostgreSQL, MySQL, Oracle, SQL Server, MongoDB.
_DATABASE_PORTS: Final = (5432, 3306, 1521, 1433, 27017)
#: How settings spell the address of a broker. Redis is looked at by its commands, since caches live there as well.
_URL: Final = re.compile(r"(?:py|lib)?(amqps?|kafka|nats|stomp|mqtts?|beanstalk)(?:\+\w+)?://", re.IGNORECASE)
_MAY_NAME_ONE: Final = re.compile("BROKER|AMQP|RABBIT|KAFKA|NATS|STOMP|MQTT|BEANSTALK|CELERY|DRAMATIQ|QUEUE|URL")
_SOCKETS: Final = re.compile(r"\.s\.PGSQL\.\d+\Z|mysqld?\.sock\Z")


def _connected(args: tuple[Any, ...]) -> str:
    address = args[1]
    if isinstance(address, str | bytes):
        path = address if isinstance(address, str) else address.decode("utf-8", "replace")
        return f"{_DATABASE} ({path})" if _SOCKETS.search(path) or path in _sockets_of_databases() else ""
    if not isinstance(address, tuple) or len(address) < 2 or not isinstance(address[1], int):  # noqa: PLR2004 - a port
        return ""
    host, port = hosts.normal(address[0]), address[1]
    if any(port == known and _is_same(host, name) for name, known in _of_databases()):
        return f"{_DATABASE} ({host}:{port})"
    if any(port == known and _is_same(host, name) for name, known in _of_brokers()):
        return f"{_BROKER} ({host}:{port})"
    return ""


def _is_same(host: str, name: str) -> bool:
    """Whether two spellings mean one machine, as far as can be told without asking anybody."""
    name = hosts.normal(name)
    return host == name or (hosts.is_own(host, hosts.address_of(host)) and hosts.is_own(name, hosts.address_of(name)))


def _of_databases() -> Iterator[tuple[str, int]]:
    yield from (("localhost", port) for port in _DATABASE_PORTS)
    for settings in _settings_of_databases():
        port = str(settings["PORT"] or (settings["OPTIONS"] or {}).get("port") or "")
        port = port or str(hosts.DATABASE_PORTS.get(settings["ENGINE"].rpartition(".")[2]))
        given = settings["HOST"] or (settings["OPTIONS"] or {}).get("host") or "localhost"
        for host in str(given).split(","):
            if port.isdigit():
                yield ("localhost" if host.startswith("/") else host), int(port)


def _sockets_of_databases() -> Iterator[str]:
    for settings in _settings_of_databases():
        yield str(settings["HOST"])
        yield str((settings["OPTIONS"] or {}).get("unix_socket"))


def _settings_of_databases() -> Iterator[Any]:
    if "django.db" in sys.modules:
        from django.db import connections

        yield from (settings for settings in connections.settings.values() if "sqlite" not in settings["ENGINE"])


def _of_brokers() -> Iterator[tuple[str, int]]:
    yield from (("localhost", port) for port in _PORTS.values())
    for text in _urls():
        found = _URL.match(text)
        if found:
            for one in text[found.end() :].split(";"):
                parts = urlsplit(f"//{one.rpartition('://')[2]}")
                yield parts.hostname or "localhost", parts.port or _PORTS[found[1].lower()]


def _urls() -> Iterator[str]:
    conf: Any = sys.modules.get("django.conf")
    if conf is not None and conf.settings.configured:
        for name in dir(conf.settings):
            if name.isupper() and _MAY_NAME_ONE.search(name):
                yield from _texts_in(getattr(conf.settings, name, None))
    celery: Any = sys.modules.get("celery._state")
    for app in celery._get_active_apps() if celery is not None else ():  # noqa: SLF001 - all apps of the process
        yield from _texts_in(app.conf.get("broker_url"))


def _texts_in(value: Any, depth: int = 3) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, dict | list | tuple):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts_in(one, depth - 1)


#: As in `database_files`.
EVENTS: Final[dict[str, Callable[[tuple[Any, ...]], str]]] = {"socket.connect": _connected}
