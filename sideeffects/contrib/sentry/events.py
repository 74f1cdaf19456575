"""What leaves for Sentry: the event of a swallowed error, and every event without the values that effects were given.

Sentry adds the local variables of each frame to an exception, and its own scrubber only looks at their names: `args` of
a frame of ours, or the body of a request some frames further down, would carry what was redacted. So variables are
removed from the first frame that is ours or an effect's, and from all below it; those above are cleared of secrets.
"""

from __future__ import annotations

import importlib
import logging
import traceback
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final

from sideeffects._core.calls import registry
from sideeffects._core.state.state import state
from sideeffects._core.values import describe, scrubbing
from sideeffects._core.values.sensitive_names import is_sensitive

logger: Final = logging.getLogger("sideeffects")


def send(error: BaseException, scrubbed: Callable[[str], str], effect: str, about: dict[str, Any]) -> Any:
    """Send the event of a swallowed error.

    Args:
        error: it.
        scrubbed: takes the secrets of the call out of a text.
        effect: the name of the effect that raised it: the tag, and the group.
        about: the context, redacted.

    Returns:
        the event's id; `None` when the SDK sends nothing.
    """
    sdk: Any = importlib.import_module("sentry_sdk")
    utils: Any = importlib.import_module("sentry_sdk.utils")

    def strip(event: dict[str, Any], hint: Any) -> dict[str, Any] | None:
        del hint
        cleaned: dict[str, Any] | None = _fail_closed(lambda: _without_secrets(event, scrubbed))
        return cleaned

    options = {**sdk.get_client().options, "include_local_variables": False}
    event, hint = utils.event_from_exception(
        error, client_options=options, mechanism={"type": "side_effect", "handled": True}
    )
    event = _without_secrets(event, scrubbed)
    event["tags"] = {"side_effect": effect}
    event["fingerprint"] = ["side_effect", effect]
    event["contexts"] = {"side_effect": about}
    with sdk.new_scope() as scope:
        # Once more at the end: other integrations add variables to the frames.
        scope.add_event_processor(strip)
        return sdk.capture_event(event, hint=hint)


def ignore(name: str) -> None:
    """Let the SDK hear nothing of what is logged under a name: neither as an event nor as a breadcrumb or a log."""
    listening: Any = importlib.import_module("sentry_sdk.integrations.logging")
    listening.ignore_logger(name)
    # Older SDKs have one list for both.
    getattr(listening, "ignore_logger_for_sentry_logs", listening.ignore_logger)(name)


def clean(event: Any, hint: Any) -> Any:
    """Take what effects had in their hands out of any event."""
    error = ((hint or {}).get("exc_info") or (None, None))[1]
    return _fail_closed(lambda: _cleaned(event, error))


def _fail_closed(cleaned: Callable[[], Any]) -> Any:
    # The SDK would send the event as it was.
    try:
        return cleaned()
    except Exception as error:  # noqa: BLE001 - whatever it was
        logger.warning("an event for Sentry could not be cleaned (%s), and is not sent", type(error).__name__)
        return None


def _without_secrets(event: Any, scrubbed: Callable[[str], str]) -> Any:
    for holder in _holders(event):
        for frame in _frames(holder):
            frame.pop("vars", None)
        if isinstance(holder.get("value"), str):
            holder["value"] = scrubbed(holder["value"])
    return event


def _cleaned(event: Any, error: BaseException | None) -> Any:
    holders = list(_holders(event))
    if not holders:
        return event
    # While nobody watches, the functions that effects are are called directly, with no frame of ours.
    sensitive = {
        (effect.dotted_path.partition(":")[0], effect.short_name): effect.sensitive
        for effect in list(registry.registry.values())
    }
    for holder in holders:
        is_below = False
        for frame in _frames(holder):
            module = str(frame.get("module"))
            is_ours = module.partition(".")[0] == "sideeffects"
            is_below = is_below or is_ours or (module, frame.get("function")) in sensitive
            if is_below:
                frame.pop("vars", None)
    secrets = set(_secrets_below(error, sensitive))
    for key in _TEXTS:  # the caller of an effect holds its arguments and its error, and may log them
        if secrets and key in event:
            event[key] = _scrubbed(event[key], secrets)
    return event


_TEXTS: Final = ("exception", "threads", "logentry", "message", "extra", "breadcrumbs")


def _scrubbed(value: Any, secrets: set[str]) -> Any:
    """A part of an event without these secrets; parameters of the log come as they were given."""
    value = _plain(value)
    if isinstance(value, str):
        return scrubbing.scrub(value, secrets)
    if isinstance(value, dict):
        return {_scrubbed(key, secrets): _scrubbed(child, secrets) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_scrubbed(child, secrets) for child in value]
    if value is None or isinstance(value, bool | int | float | datetime):
        return value
    return scrubbing.scrub(describe.describe(value), secrets)


def _secrets_below(error: BaseException | None, sensitive: dict[Any, tuple[str, ...]]) -> Iterator[str]:
    """The secrets that effects were called with, among those that an exception or what led to it has come through."""
    more = state.rules_source().sensitive
    waiting, seen = [error], set[int]()
    while waiting:
        error = waiting.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        waiting += [error.__cause__, error.__context__]
        for frame, _ in traceback.walk_tb(error.__traceback__):
            named = sensitive.get((frame.f_globals.get("__name__"), frame.f_code.co_name))
            for name, value in frame.f_locals.items() if named is not None else ():
                if name in (named or ()) or is_sensitive(name, more):
                    yield from scrubbing.texts_in(value)
                else:
                    held = getattr(value, "__dict__", None) if name == "self" else value
                    yield from scrubbing.secrets_in(held, more)


def _holders(event: Any) -> Iterator[dict[str, Any]]:
    """The exceptions and threads of an event: what has a stack."""
    for key in ("exception", "threads"):
        values = _plain(event.get(key))
        for holder in _plain(values.get("values") if isinstance(values, dict) else values) or ():
            if isinstance(holder, dict):
                yield holder


def _frames(holder: dict[str, Any]) -> list[dict[str, Any]]:
    stacktrace = _plain(holder.get("stacktrace"))
    return list(_plain(stacktrace.get("frames")) or ()) if stacktrace else []


def _plain(value: Any) -> Any:
    """What the SDK may have put into a wrapper that says what it has left out."""
    return getattr(value, "value", value)
