"""What a cache holds, so that it can be put back: with the time that each key has left."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

_MISSING: Final = object()


def kept_whole(cache: Any) -> Callable[[], None] | None:
    """What puts back all that a cache holds now; `None` where that cannot be told.

    Args:
        cache: one of Django's.
    """
    from django.core.cache.backends.db import DatabaseCache
    from django.core.cache.backends.filebased import FileBasedCache
    from django.core.cache.backends.locmem import LocMemCache

    if isinstance(cache, LocMemCache):
        return _in_memory(cache)
    if isinstance(cache, FileBasedCache):
        return _in_files(cache)
    if isinstance(cache, DatabaseCache):
        return _nothing  # its statements are steps, and its rows are put back as all rows are
    return None


def _nothing() -> None: ...


def _in_memory(cache: Any) -> Callable[[], None]:
    held = ((cache._cache, dict(cache._cache)), (cache._expire_info, dict(cache._expire_info)))  # noqa: SLF001

    def restore() -> None:
        with cache._lock:  # noqa: SLF001
            for there, before in held:
                there.clear()
                there.update(before)

    return restore


def _in_files(cache: Any) -> Callable[[], None]:
    def files() -> list[Path]:
        return [Path(name) for name in cache._list_cache_files()]  # noqa: SLF001

    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files()}

    def restore() -> None:
        for file in {*files()} - before.keys():
            file.unlink()
        for file, (content, changed) in before.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            os.utime(file, ns=(changed, changed))

    return restore


def kept_value(cache: Any, key: Any, version: Any) -> Callable[[], None]:
    """What puts back the value that a key has now, with the time that it has left where the cache tells.

    Args:
        cache: one of Django's.
        key: the key, as users give it.
        version: its version.
    """
    value = cache.get(key, _MISSING, version=version)
    if value is _MISSING:
        return lambda: cache.delete(key, version=version)
    options: dict[str, Any] = {"version": version}
    left = _left(cache, key, version)
    if left is not _MISSING:
        options["timeout"] = left
    return lambda: cache.set(key, value, **options)


def _left(cache: Any, key: Any, version: Any) -> Any:
    """The seconds that a key has left, `None` for ever; `_MISSING` where the cache does not tell."""
    from django.core.cache.backends.redis import RedisCache

    if not isinstance(cache, RedisCache):
        return _MISSING
    made = cache.make_and_validate_key(key, version=version)
    seconds: int = cache._cache.get_client(made).ttl(made)  # noqa: SLF001
    return None if seconds < 0 else max(1, seconds)
