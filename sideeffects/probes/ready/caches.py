"""Whether each cache keeps what is written, and forgets what is deleted."""

from __future__ import annotations

import uuid

from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache

from sideeffects.probes.case import SmokeTest
from sideeffects.probes.ready.base import for_each


def keeps(probe: SmokeTest, alias: str) -> None:
    """Write, read and delete one key, which nobody else uses."""
    cache = caches[alias]
    if isinstance(cache, DummyCache):
        probe.skipTest(f"the cache {alias!r} is Django's dummy, which keeps nothing")
    key = f"sideeffects.probes.ready.{uuid.uuid4().hex}"
    cache.set(key, key, timeout=60)
    try:
        probe.assertEqual(cache.get(key), key, f"the cache {alias!r} does not give back what was written")
    finally:
        cache.delete(key)
    probe.assertIsNone(cache.get(key), f"the cache {alias!r} still has what was deleted")


def cache() -> type[SmokeTest]:
    """A probe for each cache."""
    return for_each("Cache", "Whether each cache keeps what is written.", caches.settings, keeps)
