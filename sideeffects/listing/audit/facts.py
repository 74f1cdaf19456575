"""Which values are kept where in a project, and which functions have asked for them.

A place is written as a text: `shop.api.session`, `shop.api.Gateway.client`, `shop.api.get()` for what a function gives,
`shop.api.get:name` for a name of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sideeffects.listing.audit.project import Project
from sideeffects.listing.audit.source import Body
from sideeffects.listing.audit.values import is_too_long

_NOTHING: Final[frozenset[str]] = frozenset()


class Facts:
    """The values by place. They only grow.

    Attributes:
        reader: the function that is looked at: whatever it asks for, it is looked at again when more of that is known.
        waiting: the functions that are to be looked at, in order.
    """

    def __init__(self, project: Project) -> None:
        self.reader: Body | None = None
        self.waiting: dict[Body, None] = {}
        self._project = project
        self._facts: dict[str, set[str]] = {}
        self._readers: dict[str, set[Body]] = {}

    def at(self, place: str) -> set[str] | frozenset[str]:
        """What is kept at a place."""
        if self.reader is not None:
            readers = self._readers.get(place)
            if readers is None:
                self._readers[place] = {self.reader}
            else:
                readers.add(self.reader)
        return self._facts.get(place, _NOTHING)

    def note(self, place: str, values: Iterable[str]) -> None:
        """Add values to a place, as far as they lead anywhere."""
        known = self._facts.get(place)
        is_new = False
        for value in values:
            if (known is not None and value in known) or is_too_long(value):
                continue
            plain = value.lstrip("[").removesuffix("()")
            if plain in self._project.classes and plain not in self._project.leading:
                continue
            if known is None:
                known = self._facts[place] = set()
            known.add(value)
            is_new = True
        if is_new:
            self.waiting.update(dict.fromkeys(self._readers.get(place, ())))
