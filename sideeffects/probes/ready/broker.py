"""Whether Celery's broker takes connections, and its workers answer."""

from __future__ import annotations

from typing import Any, Final

from sideeffects.probes.ready.base import ReadyProbe

#: Seconds to wait for a connection.
_PATIENCE: Final = 5.0


def _app() -> Any:
    from celery import current_app  # only who asks for these probes has it

    return current_app


class Broker(ReadyProbe):
    """Whether the broker of Celery's current application takes a connection. Nothing is published."""

    def test_connection(self) -> None:
        """Connect and hang up."""
        with _app().connection_for_write(connect_timeout=_PATIENCE) as connection:
            where = connection.as_uri()
            try:
                connection.ensure_connection(max_retries=1, interval_start=0.1, timeout=_PATIENCE)
            except Exception as error:
                raise AssertionError(f"the broker {where} takes no connection: {error}") from error


class Workers(ReadyProbe):
    """Whether workers of Celery's current application answer a ping.

    Attributes:
        at_least: how many have to.
        wait: seconds to wait for their answers.
    """

    at_least: int = 1
    wait: float = 2.0

    def test_ping(self) -> None:
        """Ask all workers, and count who answers."""
        answers = _app().control.ping(timeout=self.wait, limit=self.at_least)
        names = sorted(name for answer in answers for name in answer)
        self.assertGreaterEqual(
            len(names),
            self.at_least,
            f"{len(names)} of Celery's workers answered within {self.wait:g} s, {self.at_least} or more should: "
            f"{', '.join(names) or 'is one running?'}",
        )
