"""Operations on caches are steps, and what a cache held is put back, with the time that each key has left."""

import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache

from sideeffects.testing import Race, RaceError
from tests.support.redis_server import redis_server

BACKENDS = "django.core.cache.backends"


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    with redis_server() as url:
        yield url.replace("redis+socket", "unix")


@pytest.fixture(params=["locmem.LocMemCache", "filebased.FileBasedCache", "redis.RedisCache"])
def kind(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> str:
    """A cache of each kind, as the default one."""
    name: str = request.param
    place = request.getfixturevalue("redis") if "redis" in name else str(tmp_path / "cached")
    settings.CACHES = {"default": {"BACKEND": f"{BACKENDS}.{name}", "LOCATION": place}}
    return name


def explored(check: Any) -> Race:
    return Race(explore=True, databases=[], check=check)


def count(name: str) -> None:
    cache.set(name, cache.get(name) + 1, 500)


def count_at_once(name: str) -> None:
    cache.incr(name)
    cache.add(f"{name}-counted", 1)


def test_counting(kind: str) -> None:
    """Reading and then writing loses one in some orders; `incr` in none, but of files. Both leave all as it was."""
    cache.set("hits", 5, 100_000)
    cache.set("forever", 1, None)
    lost = explored(lambda _: cache.get("hits") == 7).call_concurrently(2, count, name="hits")
    assert 0 < lost.failures < lost.schedules
    kept = explored(lambda _: cache.get("hits") == 7).call_concurrently(2, count_at_once, name="hits")
    assert kept.complete
    assert bool(kept.failures) is ("file" in kind), kept.summary()  # which has none of its own: it reads, and writes
    assert ("cache.incr('hits')" in kept.timeline()) is ("file" not in kind)
    assert (cache.get("hits"), cache.get("hits-counted"), cache.get("forever")) == (5, None, 1)
    assert left("hits") > 90_000
    assert left("forever") > 90_000


def left(key: str) -> float:
    """How long a key would live on: a copy of what the cache has, read by its own means."""
    made = cache.make_and_validate_key(key)
    inside: Any = cache
    if hasattr(inside, "_expire_info"):
        expires = inside._expire_info[made]
    elif hasattr(inside, "_key_to_file"):
        with Path(inside._key_to_file(key)).open("rb") as file:
            expires = pickle.load(file)
    else:
        seconds = inside._cache.get_client(made).ttl(made)
        return float("inf") if seconds < 0 else float(seconds)
    return float("inf") if expires is None else expires - time.time()


def test_clearing(kind: str) -> None:
    """It touches all keys, and all come back; where nobody can list them, it is refused."""
    cache.set("price", 5, None)

    def clear() -> None:
        cache.clear()

    def read() -> Any:
        return cache.get("price")

    race = explored(lambda result: result[1] == 5)
    calls = [(clear, {}), (read, {})]
    if "redis" in kind:
        with pytest.raises(RaceError, match=r"clear\(\) of a RedisCache cannot be taken back .* let setup clear it"):
            race.make_concurrent_calls(*calls)
    else:
        found = race.make_concurrent_calls(*calls)
        assert (found.schedules, found.failures) == (2, 1)
    assert cache.get("price") == 5
