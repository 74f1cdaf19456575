"""Messages to brokers and queues, which no rollback takes back.

What goes through kombu (Celery, and others that use it), Dramatiq, Huey and RQ is held: it is listed in the plan, and
the command goes on. What other packages publish is refused, since they want an answer. `redis_commands.py` has what
goes to Redis past all of them.
"""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from sideeffects._core.state import import_hooks
from sideeffects.contrib.publishing import holders
from sideeffects.dryrun.redis_commands import ADVICE, Commands

__tracebackhide__ = True

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
#: What empties or removes a queue.
_EMPTYING: Final = (
    ("kombu.transport.virtual.base", "Channel", ("queue_delete", "queue_purge")),
    ("amqp.channel", "Channel", ("queue_delete", "queue_purge")),
    ("pika.channel", "Channel", ("queue_delete", "queue_purge")),
)


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

    def install(self) -> None:
        """Wait for the packages."""
        holders.append(self._hold)
        after = import_hooks.after_import
        for clients, done in ((_CLIENTS, "a message was published"), (_EMPTYING, "a queue was emptied")):
            for module, kind, methods in clients:
                after(module, functools.partial(self._refuse_methods, kind, methods, done))
        after("kombu.messaging", self._in_kombu)
        after("celery.result", self._in_results)
        after("celery.backends.rpc", functools.partial(self._in_backend, "RPCBackend"))
        after("celery.backends.redis", functools.partial(self._in_backend, "RedisBackend"))
        Commands(lambda: any(True for _ in self._belong()), self._refuse).install()

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

    def _refuse_methods(self, kind: str, methods: Sequence[str], done: str, module: Any) -> None:
        known = getattr(module, kind, None)
        for name in methods:
            if hasattr(known, name):
                reason = f"{done} by {module.__name__}.{kind}.{name}(), and cannot be taken back"
                setattr(known, name, self._before(getattr(known, name), f"{reason}: {ADVICE}"))

    def _before(self, original: Callable[..., Any], reason: str) -> Callable[..., Any]:
        @functools.wraps(original)
        def method(*args: Any, **kwargs: Any) -> Any:
            self._refuse(reason)
            return original(*args, **kwargs)

        return method

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
