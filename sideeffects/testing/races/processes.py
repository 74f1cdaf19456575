"""A race between processes: asks the fork server for it, and makes results of what it reports."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from sideeffects._core.values import clock
from sideeffects.errors import RaceError
from sideeffects.guard import children as guard
from sideeffects.testing.races import client, databases as _databases, in_force, settings as _settings
from sideeffects.testing.races.errors import TerminatedProcessError, WrappedError
from sideeffects.testing.races.exceptions import from_data
from sideeffects.testing.races.gate import NEVER_OPENED
from sideeffects.testing.races.messages import can_be_imported, check_extra, packed_call
from sideeffects.testing.races.options import RaceOptions, RacerCall
from sideeffects.testing.races.result import Told


def hold(calls: Sequence[RacerCall], options: RaceOptions, seed: int | None) -> tuple[list[Told], list[int]]:
    """Hold a race between processes. Returns what is known of each racer, and who was held with others.

    Raises:
        RaceError: it cannot be held; nothing was called.
    """
    if not hasattr(os, "fork"):
        raise RaceError('races between processes need os.fork, which this system lacks: use Race(using="threads")')
    check_extra()
    settings = _settings.django_settings()
    databases = None
    if settings is not None:
        databases = _databases.looked_at(options.databases, in_threads=False)
    blobs, order = _packed(calls)
    guard.tell_children()
    race: dict[str, Any] = {
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "arguments": list(sys.argv),
        "path": list(sys.path),
        "modules": _modules(calls),
        "databases": databases,
        "overrides": in_force.overrides(),
        "option": in_force.option(),
        "calls": blobs,
        "order": order,
        "timeout": options.timeout,
        "meet_at": options.meet_at,
        "patience": options.patience,
        "seed": seed,
    }
    with client.alone():
        try:
            answer = _asked(settings, race)
        except client.GoneBefore:
            answer = _asked(settings, race)
    reports = answer["racers"]
    _deliver([mail for report in reports for mail in report["mails"]])
    return [_told(index, report, options.timeout) for index, report in enumerate(reports)], answer["met"]


def _asked(settings: Any, race: dict[str, Any]) -> dict[str, Any]:
    server = client.server(settings)
    changed = None
    if settings is not None:
        values, deleted = _settings.changes(settings, server.configured)
        changed = _settings.packed_values(values), deleted
    return server.hold({**race, "settings": changed})


def _packed(calls: Sequence[RacerCall]) -> tuple[list[bytes], list[int]]:
    """The calls as bytes, each once, and for each racer which of them is its own."""
    blobs: list[bytes] = []
    places: dict[int, int] = {}
    for call in calls:
        if id(call) not in places:
            places[id(call)] = len(blobs)
            blobs.append(packed_call(*call))
    return blobs, [places[id(call)] for call in calls]


def _modules(calls: Sequence[RacerCall]) -> list[str]:
    """The modules of the functions, which the fork server imports once for all races.

    Those that the test has not imported are left to the racers: they may hang, or end the process.
    """
    names = {
        function.partition(":")[0] if isinstance(function, str) else getattr(function, "__module__", None)
        for function, _ in calls
    }
    return sorted(name for name in names if isinstance(name, str) and name in sys.modules and can_be_imported(name))


def _deliver(mails: Sequence[bytes]) -> None:
    """Put what racers have sent into the test's outbox, in the order of time."""
    if mails:
        from django.core import mail

        outbox: list[Any] = getattr(mail, "outbox", [])
        setattr(mail, "outbox", outbox)  # noqa: B010 - Django's stubs do not know it
        for _, data in sorted((pickle.loads(told) for told in mails), key=lambda told: told[0]):  # noqa: S301 - racers'
            outbox.append(pickle.loads(data))  # noqa: S301 - from our own racer


def _told(index: int, report: Mapping[str, Any], timeout: float) -> Told:
    started, ended = report["started"], report["ended"]
    duration = 0.0
    if started is not None:
        duration = (clock.monotonic() if ended is None else ended) - started
        if ended is None and report["timed_out"]:
            duration = timeout
    stdout, stderr = report["stdout"], report["stderr"]
    error: BaseException
    if report["outcome"] is None or report["timed_out"]:
        error = _terminated(index, report, timeout)
    else:
        outcome = pickle.loads(report["outcome"])  # noqa: S301 - from our own racer
        if outcome["error"] is None:
            try:
                return Told(pickle.loads(outcome["result"]), started, duration, stdout, stderr)  # noqa: S301 - from our own racer
            except Exception as problem:  # noqa: BLE001 - unpickling runs any code of the result's
                error = problem
                error.add_note(f"The result of racer {index} cannot be unpickled here")
        else:
            error = from_data(outcome["error"])
    wrapped = WrappedError(error, error.__traceback__, stdout=stdout, stderr=stderr, racer=index)
    return Told(wrapped, started, duration, stdout, stderr)


def _terminated(index: int, report: Mapping[str, Any], timeout: float) -> TerminatedProcessError:
    status = report["status"]
    stack = report["stack"]
    if report["timed_out"]:
        when = "" if report["is_ready"] else " before the start, while it connected, imported or unpickled"
        message = f"racer {index} was killed after {timeout:g} s{when}: Race(timeout=...) allows more"
        message += ". Where it stood:" if stack else "; it could not say where it stood"
        return TerminatedProcessError(message, None, -status if status < 0 else None, stack)
    if status == NEVER_OPENED and not report["is_ready"]:
        return TerminatedProcessError(f"racer {index} was never started", status, None, stack)
    if status < 0:
        message = f"racer {index} was ended by {client.described(status)}"
        if status == -9:  # noqa: PLR2004 - SIGKILL
            message += (
                ", which nothing here sent: somebody did, or the system was out of memory (its log tells: dmesg, "
                "or memory.events of the container)"
            )
        return TerminatedProcessError(message + (". Where it stood:" if stack else ""), None, -status, stack)
    return TerminatedProcessError(
        f"racer {index} ended itself with {client.described(status)} before it had a result (os._exit?)",
        status,
        None,
        stack,
    )
