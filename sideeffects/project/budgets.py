"""Counting for budgets, in Django's cache: each call that would execute takes a number, over all processes."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from sideeffects._core.state.state import state
from sideeffects._core.values import clock

_PREFIX: Final = "sideeffects.budget"
#: Seconds for which a counter outlives its period: clocks of machines differ.
_GRACE: Final = 60


def count(what: str, seconds: int, limit: int) -> bool:
    """Count a call in the period that runs.

    Args:
        what: what the budget is for.
        seconds: how long its periods are.
        limit: how many calls may execute in one.

    Returns:
        whether this one may.

    Raises:
        LookupError: the cache cannot count over all processes.
        Exception: whatever a cache raises that does not answer.
    """
    alias = state.rules_source().outbox.cache
    trouble = trouble_with(alias)
    if trouble:
        raise LookupError(trouble)
    cache = _cache(alias)
    period = int(clock.now() // seconds)
    # A pattern may have letters that keys may not.
    key = f"{_PREFIX}:{hashlib.sha256(what.encode()).hexdigest()[:32]}:{seconds}:{period}"
    cache.add(key, 0, timeout=seconds + _GRACE)
    return bool(cache.incr(key) <= limit)


def trouble_with(alias: str) -> str:
    """Why a cache cannot count over all processes, with what to do about it; empty when it can."""
    from django.core.cache.backends.base import BaseCache
    from django.core.cache.backends.locmem import LocMemCache

    try:
        cache = _cache(alias)
    except Exception as error:  # noqa: BLE001 - whatever its backend raises when it is made
        return f"the cache {alias!r} cannot be used: {error}"
    kind = type(cache)
    if issubclass(kind, LocMemCache):
        reason = "each process has one of its own"
    elif kind.incr is BaseCache.incr:
        reason = "two processes that count at once would count one call"
    else:
        return ""
    return (
        f"the cache {alias!r} ({kind.__name__}) cannot count over all processes: {reason}. Use Redis or Memcached, and "
        f"name it in SIDE_EFFECTS['OUTBOX']['CACHE']"
    )


def _cache(alias: str) -> Any:
    from django.core.cache import caches

    return caches[alias]
