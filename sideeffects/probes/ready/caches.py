"""Whether each cache keeps what is written, and forgets what is deleted."""

from __future__ import annotations

import uuid
from collections.abc import Generator
from contextlib import contextmanager

from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache

from sideeffects.probes.case import SmokeTest
from sideeffects.probes.ready.base import for_each


def keeps(probe: SmokeTest, alias: str) -> None:
    """Write, read and delete one key, which nobody else uses."""
    with _naming(alias):
        cache = caches[alias]
    if isinstance(cache, DummyCache):
        probe.skipTest(f"the cache {alias!r} is Django's dummy, which keeps nothing")
    key = f"sideeffects.probes.ready.{uuid.uuid4().hex}"
    with _naming(alias):
        cache.set(key, key, timeout=60)  # then it is gone, if it cannot be deleted
        found = cache.get(key)
    probe.assertEqual(found, key, f"the cache {alias!r} does not give back what was written")
    with _naming(alias):
        cache.delete(key)
        left = cache.get(key)
    probe.assertIsNone(left, f"the cache {alias!r} still has what was deleted")


@contextmanager
def _naming(alias: str) -> Generator[None]:
    """What a cache raises seldom says which cache it was."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"the cache {alias!r} does not work: {type(error).__name__}: {error}") from error


def cache() -> type[SmokeTest]:
    """A probe for each cache."""
    return for_each("Cache", "Whether each cache keeps what is written.", caches.settings, keeps)
