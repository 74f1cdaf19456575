"""Sentry's events say which effects are paused while they happen: what was missed may be a pause's doing."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import Any, Final

_KEY: Final = "side_effect_pauses"


def tell_sentry(paused: Mapping[str, str]) -> None:
    """Let all events have these from now on, if the SDK is in use.

    Args:
        paused: what holds by a pause, with who, when and why, by the pattern.
    """
    sdk: Any = sys.modules.get("sentry_sdk")
    if not hasattr(sdk, "get_global_scope"):
        return
    with contextlib.suppress(Exception):  # whatever the SDK says, pauses hold
        scope = sdk.get_global_scope()
        if paused:
            scope.set_context(_KEY, dict(paused))
        else:
            scope.remove_context(_KEY)
