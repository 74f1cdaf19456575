"""One run at a time for the same selection: requests that come meanwhile wait for it, and get its results.

This holds within one process. Each process of a web server has runs of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Final

from sideeffects.probes.protection import is_inside_a_probe
from sideeffects.probes.refusals import ProbesRefused
from sideeffects.probes.results import Results


class _Flight:
    """One run, and what came of it."""

    def __init__(self) -> None:
        self.is_over = threading.Event()
        self.results: Results | None = None
        self.error: BaseException | None = None
        self.ended = 0.0


class SharedRun:
    """The runs of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[Hashable, _Flight] = {}

    def results(self, key: Hashable, seconds: float, run: Callable[[], Results]) -> Results:
        """The results of a run with this key: of one that ended within the last `seconds`, or is under way, or now.

        Raises:
            ProbesRefused: a probe asks, which would wait for itself.
            BaseException: what the run raised.
        """
        _refuse_inside_a_probe()
        with self._lock:
            self._forget(seconds)
            flight = self._flights.get(key)
            is_ours = flight is None
            if flight is None:
                flight = self._flights[key] = _Flight()
        if not is_ours:
            flight.is_over.wait()
        else:
            try:
                flight.results = run()
            except BaseException as error:
                flight.error = error
                raise
            finally:
                flight.ended = time.monotonic()
                flight.is_over.set()
        if flight.results is None:
            raise ProbesRefused(f"the run that this request waited for ended with {flight.error!r}")
        return flight.results

    def kept(self, key: Hashable, seconds: float) -> Results | None:
        """The results of a run with this key that ended within the last `seconds`.

        Raises:
            ProbesRefused: a probe asks.
        """
        _refuse_inside_a_probe()
        with self._lock:
            self._forget(seconds)
            flight = self._flights.get(key)
            return None if flight is None else flight.results

    def _forget(self, seconds: float) -> None:
        now = time.monotonic()
        for key, flight in list(self._flights.items()):
            if flight.is_over.is_set() and (flight.results is None or now - flight.ended >= seconds):
                del self._flights[key]


def _refuse_inside_a_probe() -> None:
    if is_inside_a_probe():
        raise ProbesRefused("a probe cannot run probes: it would wait for itself")


shared: Final = SharedRun()
_public: Final = SharedRun()
_turn: Final = threading.Lock()


def results_for_the_public(key: Hashable, seconds: float, run: Callable[[], Results]) -> Results:
    """As `shared.results`, for anonymous users: their runs come one after the other, whatever they select.

    Otherwise anybody could use up the database's connections by asking for many selections at once. Known users only
    wait for a run of their own selection, once it has begun.
    """

    def in_turn() -> Results:
        with _turn:
            return shared.results(key, seconds, run)

    return _public.results(key, 0, in_turn)
