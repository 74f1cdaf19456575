"""The classes and functions of a project by dotted path, however its modules import them from each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from sideeffects.listing.audit.outside_apis import may_lead_outside
from sideeffects.listing.audit.source import Body, ClassSource, Source

#: Imports that lead to imports; more than this is a circle.
_MOST_IMPORTS: Final = 20


class Project:
    """All that is read.

    Attributes:
        sources: the modules.
        packages: their names, and those of all packages that they are in.
        functions: by dotted path.
        classes: by dotted path.
        leading: classes whose objects may have what reaches outside, as far as imports tell.
    """

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self.sources = sources
        self.packages = {
            ".".join(parts[: length + 1])
            for parts in (name.split(".") for name in sources)
            for length in range(len(parts))
        }
        self.functions: dict[str, Body] = {}
        self.classes: dict[str, ClassSource] = {}
        for source in sources.values():
            self.functions.update((body.path, body) for name, body in source.bodies.items() if name)
            self.classes.update((f"{source.name}.{name}", kind) for name, kind in source.classes.items())
        self._canonical: dict[str, str] = {}
        self._lines: dict[str, tuple[str, ...]] = {}
        self._heirs: dict[str, list[str]] = {}
        for path in self.classes:
            for base in self.bases(path):
                self._heirs.setdefault(base, []).append(path)
        importing = {name for name, source in sources.items() if any(map(may_lead_outside, source.module.imported))}
        reaching = {path for path, kind in self.classes.items() if kind.source.name in importing}
        self.leading = {one for path in reaching for one in self.line(path) if one in self.classes}

    def canonical(self, path: str) -> str:
        """Where what stands at a dotted path was defined, however it was imported there."""
        known = self._canonical.get(path)
        if known is None:
            known = path
            for _ in range(_MOST_IMPORTS):
                further = self._imported(known)
                if further is None:
                    break
                known = further
            self._canonical[path] = known
        return known

    def _imported(self, path: str) -> str | None:
        """One import further; `None` at its end."""
        holder, rest = path.rpartition(".")[0], path.rpartition(".")[2]
        while holder and holder not in self.sources:
            holder, _, more = holder.rpartition(".")
            rest = f"{more}.{rest}"
        if not holder or path in self.sources:
            return None
        name, dot, rest = rest.partition(".")
        source = self.sources[holder]
        if name in source.bodies or name in source.classes:
            return None
        bound = source.module.bound.get(name)
        if bound is None:
            bound = next((f"{star}.{name}" for star in source.module.stars if self._has(star, name)), None)
        return None if bound is None or bound == f"{holder}.{name}" else f"{bound}{dot}{rest}"

    def _has(self, star: str, name: str) -> bool:
        source = self.sources.get(star)
        return source is not None and (
            name in source.bodies
            or name in source.classes
            or name in source.module.bound
            or name in source.module.values
            or bool(source.module.stars)
        )

    def bases(self, path: str) -> tuple[str, ...]:
        """What a class extends, as dotted paths."""
        kind = self.classes[path]
        written = (kind.source.module.dotted(base) for base in kind.bases)
        return tuple(self.canonical(base) for base in written if base is not None)

    def line(self, path: str) -> tuple[str, ...]:
        """A class of the project, then those that it extends, then those that extend it."""
        known = self._lines.get(path)
        if known is None:
            known = self._lines[path] = tuple(dict.fromkeys((*self._up(path), *self._down(path))))
        return known

    def _up(self, path: str) -> Iterator[str]:
        met: dict[str, None] = {}
        waiting = [path]
        while waiting:
            here = waiting.pop(0)
            if here not in met:
                met[here] = None
                if here in self.classes:
                    waiting += self.bases(here)
        yield from met

    def _down(self, path: str) -> Iterator[str]:
        met: set[str] = set()
        waiting = [path]
        while waiting:
            here = waiting.pop()
            if here not in met:
                met.add(here)
                yield here
                waiting += self._heirs.get(here, ())

    def above(self, path: str) -> Iterator[str]:
        """What a class extends, near and far, without itself."""
        return (one for one in self._up(path) if one != path)
