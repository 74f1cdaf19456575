"""What must not be seen: values under sensitive names, redacted.

It fails closed. What is too deep reads `[too deep]`, because a secret may stand below; what cannot be looked through is
redacted as a whole.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from sideeffects._core.values.kinds import CIRCULAR, MAX_DEPTH, REDACTED, SCALARS, TOO_DEEP, is_walkable
from sideeffects._core.values.parts import Put, is_pair, made_like, named_beside, parts_of, shallow
from sideeffects._core.values.sensitive_names import is_sensitive


def redact(value: Any, more: frozenset[str]) -> Any:
    """A copy of `value` in which whatever stands under a sensitive name reads `[redacted]`.

    Objects that hold each other do so in the copy.

    Args:
        value: anything.
        more: further sensitive names, normalised.
    """
    kind = type(value)
    if kind in SCALARS or not is_walkable(kind):
        return value
    broken: set[int] = set()
    for _ in range(_TRIES):
        walk = _Walk(more, broken)
        shown = walk.of(value)
        if not walk.failed:
            return shown
        broken |= walk.failed
    return REDACTED


_IN_DICT: Final[Put] = dict.__setitem__
#: Objects that refuse other values are found all at once, save those that are another one each time.
_TRIES: Final = 3
#: Stands for the twin of what can only be made when all that it holds is there.
_LATER: Final = object()


#: A container in whose twin others are still to be replaced by theirs: its id, its twin (the list of what it will hold,
#: if it is made later), what puts a value into that, and the others, each with its place. A plain tuple, for speed.
_Holding = tuple[int, Any, Put, Iterable[tuple[Any, Any]]]


class _Later(NamedTuple):
    """What can only be made when all that it holds is there.

    Attributes:
        value: the original.
        names: of what it holds under names, which comes last.
        children: what it holds, with secrets replaced.
    """

    value: Any
    names: list[Any]
    children: list[Any]

    @property
    def is_foreign(self) -> bool:
        """Whether it is of somebody else's making: then it is shown as it is, unless something is hidden."""
        return not issubclass(type(self.value), (tuple, set, frozenset, collections.deque))

    def made(self, *, hides: bool) -> Any:
        """The twin."""
        if self.is_foreign and not hides:
            return self.value
        number = len(self.children) - len(self.names)
        named = dict(zip(self.names, self.children[number:], strict=True))
        return made_like(self.value, self.children[:number], named)


class _Walk:
    """One walk through a value: level by level, so that each object is met once, where it stands least deep.

    Attributes:
        failed: ids of objects whose twins could not be changed; then nothing that was made may be shown.
    """

    def __init__(self, more: frozenset[str], broken: set[int]) -> None:
        self.failed: set[int] = set()
        self._more = more
        #: Twins by the ids of the originals.
        self._twins: dict[int, Any] = dict.fromkeys(broken, REDACTED)
        self._later: dict[int, _Later] = {}
        #: All containers that hold others; with the originals, so that no id comes again.
        self._levels: list[list[_Holding]] = []
        self._below: list[_Holding] = []
        self._is_last = False
        #: What gets its place when the twin is there: the holder's id, what puts it, into what, where, and its own id.
        self._owed: list[tuple[int, Put, Any, Any, int]] = []
        #: Ids of those in which something was replaced.
        self._hiding: set[int] = set(broken)
        #: Names that are known to be no secrets'.
        self._plain: set[object] = set()

    def of(self, value: Any) -> Any:
        self._meet(value, type(value))
        for depth in range(MAX_DEPTH + 1):
            level, self._below = self._below, []
            if not level:
                break
            self._levels.append(level)
            self._is_last = depth == MAX_DEPTH
            for holding in level:
                try:
                    self._replace_in(holding)
                except Exception:  # noqa: BLE001 - a dataclass may refuse other values
                    self.failed.add(holding[0])
        if self._later:
            self._make_later()
        return self._twins[id(value)]

    def _replace_in(self, holding: _Holding) -> None:
        key, twin, put, held = holding
        twins = self._twins
        for place, child in held:
            kind = type(child)
            if kind in SCALARS or not is_walkable(kind):
                continue
            below = id(child)
            shown = twins.get(below)
            if shown is None:
                shown = self._meet(child, kind)
                if shown is TOO_DEEP:
                    self._hiding.add(key)
            if shown is _LATER:
                self._owed.append((key, put, twin, place, below))
            elif put is _IN_DICT:
                twin[place] = shown
            else:
                put(twin, place, shown)

    def _meet(self, value: Any, kind: type) -> Any:
        """The twin of what is met for the first time."""
        if self._is_last:
            return TOO_DEEP
        key = id(value)
        try:
            twin = self._begin(value, kind, key)
        except Exception:  # noqa: BLE001 - what cannot be looked through is not shown
            twin = REDACTED
            self._hiding.add(key)
        self._twins[key] = twin
        return twin

    def _begin(self, value: Any, kind: type, key: int) -> Any:
        if kind is dict:  # as below, but faster: most are of this kind
            twin = value.copy()
            held = value.items()
            if not self._plain.issuperset(twin) and (secret := [name for name in twin if self._is_secret(name)]):
                twin.update(dict.fromkeys(secret, REDACTED))
                self._hiding.add(key)
                held = list(twin.items())
            if ("value" in twin or "Value" in twin) and (beside := named_beside(twin, self._more)):
                twin[beside] = REDACTED
                self._hiding.add(key)
                held = list(twin.items())
            if not SCALARS.issuperset(map(type, twin.values())):
                self._below.append((key, twin, _IN_DICT, held))
            return twin
        items, named = parts_of(value, kind)
        if is_pair(kind, items, self._more):
            items[1] = REDACTED
            self._hiding.add(key)
        secret = [name for name, _ in named if self._is_secret(name)]
        if beside := named_beside(dict(named), self._more):
            secret.append(beside)
        if secret:
            named = [(name, REDACTED if name in secret else child) for name, child in named]
            self._hiding.add(key)
        begun = (items, list.__setitem__) if issubclass(kind, list) else shallow(value, kind)
        if begun is None:
            return self._begin_later(value, key, [*items, *(child for _, child in named)], [name for name, _ in named])
        twin, put = begun
        for name in secret:
            put(twin, name, REDACTED)
        self._note(key, twin, put, enumerate(items) if twin is items else named)
        return twin

    def _begin_later(self, value: Any, key: int, children: list[Any], names: list[Any]) -> Any:
        later = _Later(value, names, children)
        if not self._note(key, children, list.__setitem__, enumerate(children)):
            return later.made(hides=key in self._hiding)
        self._later[key] = later
        return _LATER

    def _note(self, key: int, twin: Any, put: Put, children: Iterable[tuple[Any, Any]]) -> bool:
        """Note which children to replace; returns whether there are any."""
        held = [(place, child) for place, child in children if type(child) not in SCALARS]
        if held:
            self._below.append((key, twin, put, held))
        return bool(held)

    def _is_secret(self, name: object) -> bool:
        if is_sensitive(name, self._more):
            return True
        if type(name) is str:
            self._plain.add(name)
        return False

    # -- what is made when all that it holds is there

    def _make_later(self) -> None:
        self._spread()
        twins = self._twins
        owed: dict[int, list[tuple[Any, int]]] = {}
        for key, _, _, place, below in self._owed:
            owed.setdefault(key, []).append((place, below))
        above: set[int] = set()
        waiting = list(self._later)
        while waiting:
            key = waiting[-1]
            if twins[key] is not _LATER:
                waiting.pop()
            elif key in above or (key not in self._hiding and self._later[key].is_foreign):
                waiting.pop()
                above.discard(key)
                self._finish(key, owed.get(key, ()))
            else:
                above.add(key)
                waiting += [below for _, below in owed.get(key, ()) if twins[below] is _LATER and below not in above]
        for key, put, twin, place, below in self._owed:
            if key not in self._later:
                try:
                    put(twin, place, twins[below])
                except Exception:  # noqa: BLE001 - as above
                    self.failed.add(key)

    def _spread(self) -> None:
        """Let those that hold what hides something be among those that do."""
        if not self._hiding:
            return
        holders: dict[int, list[int]] = {}
        for level in self._levels:
            for key, _, _, held in level:
                for _, child in held:
                    holders.setdefault(id(child), []).append(key)
        waiting = list(self._hiding)
        while waiting:
            more = [holder for holder in holders.get(waiting.pop(), ()) if holder not in self._hiding]
            self._hiding.update(more)
            waiting += more

    def _finish(self, key: int, owed: Iterable[tuple[Any, int]]) -> None:
        later = self._later[key]
        for place, below in owed:
            twin = self._twins[below]
            later.children[place] = CIRCULAR if twin is _LATER else twin
        try:
            self._twins[key] = later.made(hides=key in self._hiding)
        except Exception:  # noqa: BLE001 - as above
            self._twins[key] = REDACTED
