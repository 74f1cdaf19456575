"""A shared ledger in one of Django's caches: each process has a stream of pages of its own, and no two write one key.

A cache has no append that all backends share, and `incr` is atomic on some of them only. Neither is needed:

- A **stream** belongs to one process, and for one stretch of time (a quarter of the timeout), so that it expires as a
  whole. Its pages are numbered by its owner: writing one is one step, however many there are and whoever else writes.
- Its **head** counts the pages and their records. It is written with each page, so a reader knows what ought to be
  there: a page that was evicted is missed instead of being taken for one that never was.
- A **place** in the list of streams is taken once for each stream, by `add`: each backend that is accepted lets one
  caller win. A place that was evicted is taken anew.
"""

from __future__ import annotations

import json
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

from sideeffects._core.calls import process
from sideeffects._core.values import clock
from sideeffects.errors import LedgerError
from sideeffects.ledgers.media import PAUSE, PREFIX, TRIES, Medium, is_forbidden, medium_of
from sideeffects.ledgers.shared import Forbidden, Loss

R = TypeVar("R")

#: Pages, and the records in them.
_Count = tuple[int, int]
_NOTHING: Final[_Count] = (0, 0)

#: Places that are looked at in one go.
_PLACES: Final = 16
#: Pages that are fetched in one go.
_PAGES: Final = 200
#: Characters of a page, at most: memcached takes values of a megabyte.
_PAGE: Final = 200_000
#: Seconds that clocks of several machines may differ by.
_SLACK: Final = 60

_LOST: Final = (
    "the cache has evicted or lost them (MAX_ENTRIES of Django's database and local-memory caches is 300 by default; "
    "servers evict when their memory is full): raise its limit, or call clear_run_cache() when a test begins"
)


class _Stream:
    """What this process writes in one stretch of time."""

    def __init__(self, stretch: int) -> None:
        self.token = secrets.token_hex(8)
        self.stretch = stretch
        self.pages = 0
        self.records = 0
        self.place = ""
        self.looked = 0.0

    @property
    def head(self) -> str:
        """What its head says."""
        return json.dumps([self.pages, self.records])


class _Line:
    """Those who write one stream, one after the other."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.stream: _Stream | None = None


class CacheLog:
    """Lines in a cache.

    Args:
        alias: the cache, by its key in `CACHES`.
        timeout: seconds for which lines are kept.
        is_trusted: whether the project says that a backend which is not known here keeps what it is given, and lets one
            `add` win.
    """

    may_be_late = False

    def __init__(self, alias: str, timeout: float, *, is_trusted: bool) -> None:
        self.alias = alias
        self.where = f"the cache {alias!r}"
        self.timeout = timeout
        self._stretch = timeout / 4
        self._is_trusted = is_trusted
        self._lines: dict[object, _Line] = {}
        self._owner = process.current  # a child of a fork has another one

    # -- writing

    def append(self, lines: list[str]) -> None:
        """Write lines, by one step each for what fits into a page."""
        self._told("written", lambda medium: medium.aside(lambda: self._append(medium, lines)))

    def _append(self, medium: Medium, lines: list[str]) -> None:
        # Where a thread's transaction keeps others from writing, they must not wait for each other here as well.
        line = self._lines.setdefault(threading.get_ident() if medium.may_roll_back else None, _Line())
        with line.lock:
            now = clock.now()
            stretch = int(now // self._stretch)
            seconds = math.ceil((stretch + 1) * self._stretch + self.timeout - now) + _SLACK
            stream = line.stream
            if stream is None or stream.stretch != stretch or not self._still_there(medium, stream, seconds):
                stream = _Stream(stretch)
                medium.prune()
            # Unless all goes well, nobody knows whether a page is there, and its number must not be used again.
            line.stream = None
            for page in _pages(lines):
                pages, records = stream.pages + 1, stream.records + len(page)
                head = json.dumps([pages, records])
                medium.put({_page_key(stream.token, pages): "\n".join(page), _head_key(stream.token): head}, seconds)
                stream.pages, stream.records = pages, records
            if not stream.place:  # not before: a place says that there is a head
                self._take_place(medium, stream, seconds)
            line.stream = stream

    def _still_there(self, medium: Medium, stream: _Stream, seconds: int) -> bool:
        """See to it that readers find the stream; whether it can be gone on with."""
        if clock.monotonic() - stream.looked >= medium.look_every:
            head = _head_key(stream.token)
            found = medium.get([stream.place, head])
            if medium.may_roll_back and found.get(head) != stream.head:
                return False
            if found.get(stream.place) != stream.token:
                self._take_place(medium, stream, seconds)
            stream.looked = clock.monotonic()
        return True

    def _take_place(self, medium: Medium, stream: _Stream, seconds: int) -> None:
        """Enter a stream into the list."""
        number = 0
        while True:
            keys = [_place_key(stream.stretch, place) for place in range(number, number + _PLACES)]
            taken = medium.get(keys)
            for key in keys:
                if key not in taken and medium.claim(key, stream.token, seconds):
                    stream.place = key
                    stream.looked = clock.monotonic()
                    return
            medium.check_answers()  # or else no place would ever be free
            number += _PLACES

    # -- reading

    def read(self, cursor: dict[str, Any]) -> tuple[list[str], Loss]:
        """The lines written since `cursor`, which has the number of pages and lines read of each stream."""
        return self._told("read", lambda medium: medium.aside(lambda: self._read(medium, cursor)))

    def _read(self, medium: Medium, cursor: dict[str, Any]) -> tuple[list[str], Loss]:
        tokens = list({**self._places(medium), **self._own(medium)})
        for gone in cursor.keys() - set(tokens):
            del cursor[gone]
        heads = self._heads(medium, tokens)
        lines: list[str] = []
        missing = len(tokens) - len(heads)  # at least: with its head went all that is known of a stream
        for token, (head, base) in heads.items():
            read, known, lost, known_base = cursor.get(token, (0, 0, 0, _NOTHING))
            if base != known_base:
                read, known, lost = max(read, base[0]), max(known, base[1]), 0
            keys = [_page_key(token, number) for number in range(read + 1, head[0] + 1)]
            found = self._found(medium, keys)
            new = [line for key in keys if key in found for line in found[key].split("\n")]
            lost += max(0, head[1] - known - len(new))
            cursor[token] = *head, lost, base
            lines += new
            missing += lost
        medium.check_answers()
        return lines, Loss(missing, _LOST if missing else "")

    def _own(self, medium: Medium) -> dict[str, str]:
        """The streams that this process knows of, with their places, which may be all that is left of them."""
        if medium.may_roll_back:
            return {}
        first = math.floor((clock.now() - self.timeout) / self._stretch)
        streams = [line.stream for line in list(self._lines.values())]
        return {stream.token: stream.place for stream in streams if stream is not None and stream.stretch >= first}

    def _places(self, medium: Medium) -> dict[str, str]:
        """The streams of which something may not have expired yet, with their places."""
        found: dict[str, str] = {}
        now = clock.now()
        first = math.floor((now - self.timeout) / self._stretch)
        last = math.floor((now + _SLACK) / self._stretch)
        stretches = list(range(first, min(last, first + 8) + 1))
        number = 0
        while stretches:
            keys = {(s, n): _place_key(s, n) for s in stretches for n in range(number, number + _PLACES)}
            taken = medium.get(list(keys.values()))
            found.update((taken[key], key) for key in keys.values() if key in taken)
            stretches = [s for s in stretches if any(keys[s, n] in taken for n in range(number, number + _PLACES))]
            number += _PLACES
        return found

    def _heads(self, medium: Medium, tokens: list[str]) -> dict[str, tuple[_Count, _Count]]:
        """Of each stream, what has been written and what of that has been cleared."""
        found = self._found(medium, [_head_key(token) for token in tokens])
        bases = self._found(medium, [_base_key(token) for token in tokens], tries=1)
        return {
            token: (_count(found[_head_key(token)]), _count(bases.get(_base_key(token), "[0, 0]")))
            for token in tokens
            if _head_key(token) in found
        }

    def _found(self, medium: Medium, keys: list[str], tries: int = TRIES) -> dict[str, str]:
        """The values of these keys that are there; with more than one try, all of them ought to be."""
        found: dict[str, str] = {}
        for attempt in range(tries):
            for some in _split([key for key in keys if key not in found], _PAGES):
                found.update(medium.get(some))
            if len(found) == len(keys):
                break
            if attempt < tries - 1:
                time.sleep(PAUSE)
        return found

    # -- the rest

    def clear(self) -> None:
        """Remove the pages, and note how far: processes that write go on, and readers begin there."""

        def remove(medium: Medium) -> None:
            seconds = math.ceil(self.timeout + self._stretch) + _SLACK
            places = self._places(medium)
            medium.check_answers()
            heads = self._heads(medium, list(places))
            medium.remove([place for token, place in places.items() if token not in heads])
            for token, (head, base) in heads.items():
                medium.put({_base_key(token): json.dumps(head)}, seconds)
                for some in _split([_page_key(token, number) for number in range(base[0] + 1, head[0] + 1)], _PAGES):
                    medium.remove(some)

        self._lines = {}
        self._told("cleared", lambda medium: medium.aside(lambda: remove(medium)))

    def trouble(self) -> str:
        """Why this cache cannot be a shared ledger."""
        medium = self._medium()
        return medium if isinstance(medium, str) else ""

    def caution(self) -> str:
        """What its user ought to know of this cache."""
        medium = self._medium()
        return "" if isinstance(medium, str) else medium.caution

    def _medium(self) -> Medium | str:
        from django.core.cache import caches
        from django.core.cache.backends.base import InvalidCacheBackendError

        try:
            cache = caches[self.alias]  # of this thread
        except InvalidCacheBackendError as error:
            return str(error)
        if self._owner is not process.current:  # a fork has its parent's streams, locks and connections
            self._lines, self._owner = {}, process.current
            cache.close()
        return medium_of(cache, is_trusted=self._is_trusted)

    def _told(self, what: str, work: Callable[[Medium], R]) -> R:
        medium = self._medium()
        if isinstance(medium, str):
            raise LedgerError(self.where, medium)
        try:
            return work(medium)
        except Exception as error:
            kind = Forbidden if is_forbidden(error) else LedgerError
            raise kind(self.where, f"could not be {what}: {type(error).__name__}: {error}") from error


def _place_key(stretch: int, number: int) -> str:
    return f"{PREFIX}.place.{stretch}.{number:05}"


def _head_key(token: str) -> str:
    return f"{PREFIX}.head.{token}"


def _base_key(token: str) -> str:
    return f"{PREFIX}.head.{token}.base"


def _page_key(token: str, number: int) -> str:
    return f"{PREFIX}.call.{token}.{number:09}"


def _count(text: str) -> _Count:
    pages, records = json.loads(text)
    return int(pages), int(records)


def _pages(lines: list[str]) -> Iterator[list[str]]:
    page: list[str] = []
    length = 0
    for line in lines:
        if page and length + len(line) > _PAGE:
            yield page
            page, length = [], 0
        page.append(line)
        length += len(line)
    yield page


def _split(keys: list[str], size: int) -> Iterable[list[str]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))
