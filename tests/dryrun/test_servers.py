"""Servers that a dry run must not talk to past Django: those of databases, and brokers."""

import importlib
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from sideeffects import dry_run
from sideeffects.dryrun import DryRunRefused


@pytest.fixture
def listener(production: None) -> Iterator[int]:
    """The port of something that listens on loopback."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def connect(host: str, port: int) -> None:
    """Connect, and hang up."""
    with socket.socket() as connecting:
        connecting.connect((host, port))


def test_a_server_of_databases_is_refused(listener: int) -> None:
    """Whichever driver it is: its socket is seen."""
    given: dict[str, Any] = {
        **connections["default"].settings_dict,
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "localhost",
        "PORT": listener,
    }
    connections.settings["elsewhere"] = given
    try:
        with pytest.raises(DryRunRefused, match="a database server was connected to without Django"), dry_run():
            connect("127.0.0.1", listener)
        with pytest.raises(DryRunRefused, match="a database server"), dry_run(), socket.socket(socket.AF_UNIX) as local:
            local.connect("/nowhere/.s.PGSQL.5432")
    finally:
        del connections.settings["elsewhere"]


@pytest.mark.parametrize(
    ("module", "source", "connect_by"),
    [
        (
            "mysql.connector.connection_cext",
            "class CMySQLConnection:\n    def _open_connection(self): ...",
            lambda driver: driver.CMySQLConnection()._open_connection(),
        ),
        (
            "mariadb.connections",
            "class Connection:\n    def __init__(self): ...",
            lambda driver: driver.Connection(),
        ),
        ("cx_Oracle", "def connect(): ...", lambda driver: driver.connect()),
    ],
)
def test_drivers_that_connect_in_c_are_refused(
    production: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    source: str,
    connect_by: Callable[[Any], object],
) -> None:
    """Python tells nothing of their sockets; modules that stand in for them have what is looked for there."""
    parts = module.split(".")
    folder = tmp_path.joinpath(*parts[:-1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{parts[-1]}.py").write_text(source)
    names = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    assert not sys.modules.keys() & set(names)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        with pytest.raises(DryRunRefused, match=f"{module} was asked for a connection without Django"), dry_run():
            connect_by(importlib.import_module(module))
    finally:
        for name in names:
            sys.modules.pop(name, None)


def test_the_usual_port_of_a_broker_is_refused(production: None) -> None:
    """Whether anything listens there or not."""
    with pytest.raises(DryRunRefused, match="a message broker was connected to"), dry_run():
        connect("localhost", 5672)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CELERY_BROKER_URL", "amqp://guest:guest@127.0.0.1:{}//"),
        ("RABBIT", {"url": "pyamqp://elsewhere:1;amqp://localhost:{}/shop"}),
        ("BROKERS", ["nats://localhost:{}"]),
    ],
)
def test_a_broker_that_the_settings_name_is_refused(listener: int, settings: Any, name: str, value: Any) -> None:
    """Whatever setting it is in."""
    text = str(listener)
    setattr(settings, name, _with(value, text))
    with pytest.raises(DryRunRefused, match="a message broker was connected to"), dry_run():
        connect("127.0.0.1", listener)


def test_other_servers_on_this_machine_are_not(listener: int) -> None:
    """The guard lets them be reached."""
    with dry_run():
        connect("127.0.0.1", listener)


def _with(value: Any, port: str) -> Any:
    if isinstance(value, dict):
        return {key: _with(one, port) for key, one in value.items()}
    if isinstance(value, list):
        return [_with(one, port) for one in value]
    return value.replace("{}", port)
