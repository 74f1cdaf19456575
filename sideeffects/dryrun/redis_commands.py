"""Commands that go to Redis, in a dry run.

Caches live there as well. Only the commands are refused that publish, put something into a queue, take something out of
one, or remove one.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from sideeffects._core.state import import_hooks

__tracebackhide__ = True

ADVICE: Final = "declare the function that does it as an effect"
#: Commands of Redis on lists, streams, channels, and the sorted sets in which queues keep what is due later.
_QUEUES: Final = frozenset(
    "lpush rpush lpushx rpushx linsert lset lmove blmove rpoplpush brpoplpush lpop rpop blpop brpop lmpop blmpop lrem "
    "ltrim xadd xdel xtrim xack xackdel xdelex xgroup xreadgroup xclaim xautoclaim xsetid publish spublish zadd "
    "zpopmin zpopmax bzpopmin bzpopmax zmpop bzmpop fcall".split()
)
#: Commands on keys of all kinds, which caches have no use for.
_ON_ALL: Final = frozenset("rename renamenx move copy restore migrate swapdb flushall".split())
#: Those that caches use as well, which remove keys of any kind.
_REMOVING: Final = frozenset(("del", "unlink"))
#: The kinds of keys in which messages are.
_KINDS: Final = frozenset(("list", "stream", "zset"))
#: Of Redis, where nothing says another.
_PORT: Final = 6379
_IN_SCRIPTS: Final = re.compile(rf"""['"](?:{"|".join(_QUEUES)})['"]|\bp?call\s*\(\s*[^'"\s]""", re.IGNORECASE)


class Commands:
    """Stands before all that redis-py and valkey-py send.

    Args:
        is_dry: whether what happens here belongs to a dry run.
        refuse: refuses it with a reason, if it does.
    """

    def __init__(self, is_dry: Callable[[], bool], refuse: Callable[[str], None]) -> None:
        self._is_dry = is_dry
        self._refuse = refuse
        #: Scripts that touch no queue, by what Redis calls them.
        self._harmless: set[str] = set()

    def install(self) -> None:
        """Wait for the packages."""
        for package in ("redis", "valkey"):
            for module in ("connection", "asyncio.connection"):
                import_hooks.after_import(f"{package}.{module}", self._in_redis)
            import_hooks.after_import(f"{package}.commands.core", self._in_scripts)

    def _in_redis(self, module: Any) -> None:
        kind = module.AbstractConnection
        send, pack = kind.send_command, kind.pack_commands
        is_asynchronous = ".asyncio" in module.__name__

        def ask(connection: Any) -> _Server:
            return _Server(connection, None if is_asynchronous else send)

        @functools.wraps(send)
        def send_command(connection: Any, *args: Any, **kwargs: Any) -> Any:
            self._look_at(args, ask(connection))
            return send(connection, *args, **kwargs)

        @functools.wraps(pack)
        def pack_commands(connection: Any, commands: Any) -> Any:
            commands = list(commands)
            for command in commands:
                self._look_at(command, ask(connection))
            return pack(connection, commands)

        kind.send_command, kind.pack_commands = send_command, pack_commands

    def _look_at(self, command: Sequence[Any], server: _Server) -> None:
        name = _text(command[0]).partition(" ")[0].lower() if command else ""
        if (
            name in _QUEUES
            or name in _ON_ALL
            or (name.startswith("eval") and self._is_doubtful(name, _text(command[1])))
            or (name == "sort" and any(_text(word).lower() == "store" for word in command))
            or (name == "flushdb" and not server.is_of_a_cache())
            or (name in _REMOVING and self._is_dry() and server.holds_messages(command[1:]))
        ):
            self._refuse(f"{name.upper()} of Redis is refused in a dry run, since no rollback takes it back: {ADVICE}")

    def _is_doubtful(self, name: str, script: str) -> bool:
        return script not in self._harmless if "sha" in name else _IN_SCRIPTS.search(script) is not None

    def _in_scripts(self, module: Any) -> None:
        for kind in (module.Script, module.AsyncScript):
            kind.__call__ = self._knowing(kind.__call__)

    def _knowing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(script: Any, *args: Any, **kwargs: Any) -> Any:
            if not _IN_SCRIPTS.search(_text(script.script)):
                self._harmless.add(script.sha)
            return original(script, *args, **kwargs)

        return call


class _Server:
    """What a connection of redis-py leads to.

    Args:
        connection: the connection; nothing that was sent by it is waited for.
        send: sends a command by it; `None` where that would have to be awaited.
    """

    def __init__(self, connection: Any, send: Callable[..., Any] | None) -> None:
        self._connection = connection
        self._send = send

    def holds_messages(self, keys: Iterable[Any]) -> bool:
        """Whether one of the keys is a queue. Asynchronous connections cannot be asked."""
        return any(self._kind_of(key) in _KINDS for key in keys)

    def _kind_of(self, key: Any) -> str:
        if self._send is None:
            return ""
        self._send(self._connection, "TYPE", key)
        return _text(self._connection.read_response())

    def is_of_a_cache(self) -> bool:
        """Whether the settings have a cache in that database, which its `clear()` empties."""
        from django.conf import settings

        own = (getattr(self._connection, "port", None) or self._connection.path, int(self._connection.db or 0))
        given = (config.get("LOCATION") or () for config in settings.CACHES.values())
        urls = (url for one in given for url in (one.split(",") if isinstance(one, str) else one))
        return any(own == database_of(str(url)) for url in urls)


def database_of(url: str) -> tuple[int | str, int]:
    """The port or socket that it leads to, and the number of the database there."""
    parts = urlsplit(url)
    is_socket = parts.scheme == "unix"
    number = dict(parse_qsl(parts.query)).get("db") or ("" if is_socket else parts.path.strip("/"))
    return parts.path if is_socket else parts.port or _PORT, int(number) if number.isdigit() else 0


def _text(value: Any) -> str:
    return bytes(value).decode("utf-8", "replace") if isinstance(value, bytes | bytearray | memoryview) else str(value)
