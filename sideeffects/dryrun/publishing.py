"""Messages to brokers and queues, which no rollback takes back.

What goes through kombu (Celery, and others that use it), Dramatiq, Huey and RQ is held: it is listed in the plan, and
the command goes on. What other packages publish is refused, since they want an answer. Caches live in Redis as well, so
only those commands are refused that put something into a queue, take something out of one, or publish.
"""

from __future__ import annotations

import functools
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from sideeffects._core.state import import_hooks
from sideeffects.contrib.publishing import holders

_ADVICE: Final = "declare the function that does it as an effect"
#: What publishes, by module, class and methods.
_CLIENTS: Final = (
    ("amqp.channel", "Channel", ("basic_publish", "_basic_publish")),
    ("pika.channel", "Channel", ("basic_publish",)),
    ("aiormq.channel", "Channel", ("basic_publish",)),
    ("kafka.producer.kafka", "KafkaProducer", ("send",)),
    ("aiokafka.producer.producer", "AIOKafkaProducer", ("send", "send_batch")),
    ("nats.aio.client", "Client", ("publish",)),
    ("paho.mqtt.client", "Client", ("publish",)),
    ("stomp.protocol", "Protocol10", ("send",)),
    ("stomp.protocol", "Protocol11", ("send",)),
    ("stomp.protocol", "Protocol12", ("send",)),
)
#: Commands of Redis on lists, streams, channels, and the sorted sets in which queues keep what is due later.
_QUEUES: Final = frozenset(
    "lpush rpush lpushx rpushx linsert lset lmove blmove rpoplpush brpoplpush lpop rpop blpop brpop lmpop blmpop lrem "
    "ltrim xadd xdel xtrim xack xackdel xdelex xgroup xreadgroup xclaim xautoclaim xsetid publish spublish zadd "
    "zpopmin zpopmax bzpopmin bzpopmax zmpop bzmpop fcall".split()
)
_IN_SCRIPTS: Final = re.compile(rf"""['"](?:{"|".join(_QUEUES)})['"]|\bp?call\s*\(\s*[^'"\s]""", re.IGNORECASE)


class Message(NamedTuple):
    """Messages that would have been published.

    Attributes:
        name: of the task; empty for messages that are none.
        to: the queue or routing key.
        times: how many.
    """

    name: str
    to: str
    times: int


class Messages:
    """What one dry run has held back of messages."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._tasks: set[str] = set()
        self._lock = threading.Lock()

    def hold(self, name: str, to: str, task: object) -> None:
        """Write one down.

        Args:
            name: of the task.
            to: the queue or routing key.
            task: the task's id.
        """
        with self._lock:
            self._counts[name, to] += 1
            self._tasks.add(str(task))

    def has(self, task: object) -> bool:
        """Whether a task was held back."""
        return str(task) in self._tasks

    def all(self) -> Sequence[Message]:
        """All of them, by name and queue."""
        with self._lock:
            return tuple(Message(name, to, times) for (name, to), times in sorted(self._counts.items()))


class Publisher(Protocol):
    """A dry run, as far as messages are concerned."""

    messages: Messages

    def refuse(self, reason: str) -> None:
        """Write a reason down, and raise it."""


class Hooks:
    """Stands before all that publishes, as soon as it is imported.

    Args:
        belong: the dry runs to which what happens here belongs.
    """

    def __init__(self, belong: Callable[[], Iterable[Publisher]]) -> None:
        self._belong = belong
        #: Scripts that touch no queue, by what Redis calls them.
        self._harmless: set[str] = set()

    def install(self) -> None:
        """Wait for the packages."""
        holders.append(self._hold)
        after = import_hooks.after_import
        for module, kind, methods in _CLIENTS:
            after(module, functools.partial(self._refuse_methods, kind, methods))
        after("kombu.messaging", self._in_kombu)
        after("celery.result", self._in_results)
        after("celery.backends.rpc", functools.partial(self._in_backend, "RPCBackend"))
        after("celery.backends.redis", functools.partial(self._in_backend, "RedisBackend"))
        for package in ("redis", "valkey"):
            for module in ("connection", "asyncio.connection"):
                after(f"{package}.{module}", self._in_redis)
            after(f"{package}.commands.core", self._in_scripts)

    def _refuse(self, reason: str) -> None:
        for holder in self._belong():
            holder.refuse(reason)

    def _hold(self, name: str, queue: str, task: str) -> bool:
        """For the queues that are adapted (`sideeffects/contrib/`), which ask before they publish what is no effect."""
        belonging = list(self._belong())
        for holder in belonging:
            holder.messages.hold(name, queue, task)
        return bool(belonging)

    # -- those that are refused

    def _refuse_methods(self, kind: str, methods: Sequence[str], module: Any) -> None:
        known = getattr(module, kind, None)
        for name in methods:
            if hasattr(known, name):
                reason = f"a message was published by {module.__name__}.{kind}.{name}(), and cannot be taken back"
                setattr(known, name, self._before(getattr(known, name), f"{reason}: {_ADVICE}"))

    def _before(self, original: Callable[..., Any], reason: str) -> Callable[..., Any]:
        @functools.wraps(original)
        def method(*args: Any, **kwargs: Any) -> Any:
            self._refuse(reason)
            return original(*args, **kwargs)

        return method

    # -- Redis

    def _in_redis(self, module: Any) -> None:
        kind = module.AbstractConnection
        send, pack = kind.send_command, kind.pack_commands

        @functools.wraps(send)
        def send_command(connection: Any, *args: Any, **kwargs: Any) -> Any:
            self._look_at(args)
            return send(connection, *args, **kwargs)

        @functools.wraps(pack)
        def pack_commands(connection: Any, commands: Any) -> Any:
            commands = list(commands)
            for command in commands:
                self._look_at(command)
            return pack(connection, commands)

        kind.send_command, kind.pack_commands = send_command, pack_commands

    def _look_at(self, command: Sequence[Any]) -> None:
        name = _text(command[0]).partition(" ")[0].lower() if command else ""
        if name in _QUEUES or (name.startswith("eval") and self._is_doubtful(name, _text(command[1]))):
            self._refuse(f"{name.upper()} of Redis, which lasts, is refused in a dry run: {_ADVICE}")

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

    # -- kombu and Celery

    def _in_kombu(self, module: Any) -> None:
        original = module.Producer.publish

        @functools.wraps(original)
        def publish(producer: Any, body: Any, routing_key: Any = None, *args: Any, **options: Any) -> Any:
            holders = list(self._belong())
            if not holders:
                return original(producer, body, routing_key, *args, **options)
            headers: Mapping[str, Any] = options.get("headers") or {}
            exchange = options.get("exchange")
            to = routing_key or getattr(exchange, "name", exchange) or producer.routing_key or ""
            for holder in holders:
                holder.messages.hold(str(headers.get("task") or ""), str(to), headers.get("id"))
            return None

        module.Producer.publish = publish

    def _in_backend(self, kind: str, module: Any) -> None:
        """To wait for a task's answer it connects before the task is published."""
        backend = getattr(module, kind)
        original = backend.on_task_call

        @functools.wraps(original)
        def on_task_call(*args: Any, **kwargs: Any) -> Any:
            return None if list(self._belong()) else original(*args, **kwargs)

        backend.on_task_call = on_task_call

    def _in_results(self, module: Any) -> None:
        for name in ("get", "wait", "_get_task_meta"):
            setattr(module.AsyncResult, name, self._answering(getattr(module.AsyncResult, name)))
        module.ResultSet.join_native = self._answering(module.ResultSet.join_native)

    def _answering(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Waiting for the result of a task that was held back might take for ever."""

        @functools.wraps(original)
        def answer(result: Any, *args: Any, **kwargs: Any) -> Any:
            wanted = [one.id for one in getattr(result, "results", (result,))]
            for holder in self._belong():
                if any(map(holder.messages.has, wanted)):
                    holder.refuse(
                        "the command asked for the result of a task that the dry run has not published: declare the "
                        "task as an effect, and give its answer by a stub"
                    )
            return original(result, *args, **kwargs)

        return answer


def _text(value: Any) -> str:
    return bytes(value).decode("utf-8", "replace") if isinstance(value, bytes | bytearray | memoryview) else str(value)
