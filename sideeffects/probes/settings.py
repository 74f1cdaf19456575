"""The settings that probes read, when they need them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from sideeffects.probes.running import Listener, ProbeRunner
from sideeffects.project import live_settings
from sideeffects.settings.probes import ProbeRules, probe_rules


def current() -> ProbeRules:
    """`SIDE_EFFECTS["PROBES"]` as it is now.

    Raises:
        ImproperlyConfigured: the settings are invalid.
    """
    live_settings.current_rules()
    raw: Any = getattr(settings, "SIDE_EFFECTS", None) or {}
    given: Mapping[str, Any] | None = raw.get("PROBES")
    return probe_rules(given)


def runner_class() -> type[ProbeRunner]:
    """What `PROBE_RUNNER` names.

    Raises:
        ImproperlyConfigured: there is no such class.
    """
    path: Any = getattr(settings, "PROBE_RUNNER", None)
    if not path:
        return ProbeRunner
    try:
        found: object = import_string(path)
    except Exception as error:
        raise ImproperlyConfigured(f"PROBE_RUNNER: {path!r} cannot be imported ({error}). {_HOW}") from error
    if not isinstance(found, type) or not issubclass(found, ProbeRunner):
        raise ImproperlyConfigured(f"PROBE_RUNNER: {path!r} is no subclass of sideeffects.probes.ProbeRunner. {_HOW}")
    return found


_HOW = "Leave the setting out to have the runner that comes with the library"


def make_runner(
    *,
    parallel: int | None = None,
    timeout: float | None = None,
    failfast: bool = False,
    listener: Listener | None = None,
) -> ProbeRunner:
    """The runner that the settings ask for.

    Args:
        parallel: how many may run together; `None` for what the settings say.
        timeout: the most seconds for each probe; `None` for what classes and settings say.
        failfast: whether to begin nothing more after the first failure.
        listener: is told of each result.
    """
    rules = current()
    return runner_class()(
        parallel=parallel or rules.parallel,
        timeout=timeout,
        default_timeout=rules.timeout,
        read_only=rules.read_only,
        failfast=failfast,
        listener=listener,
    )
