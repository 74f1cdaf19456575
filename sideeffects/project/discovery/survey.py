"""Which modules declare effects when they are imported, told from the source of a project alone.

A module declares when code that importing it runs mentions something that declares: `side_effect` or `declare`, under
whatever name and through whatever module it was imported, or a function or class of the project that uses one of them
inside (a decorator of the project's own, say). What stands in the body of a function runs later, and does not count.

What declares spreads from module to module, each fact once: `self._declarers` only grows. A module is parsed when it
speaks of a name that is known to declare somewhere, and looked at again when a module that it imports has gained one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from sideeffects.project.discovery.deadline import Deadline
from sideeffects.project.discovery.module import Module, above, parse

_PACKAGE: Final = "sideeffects"
#: What declares, by the modules from which it can be imported.
_DECLARERS: Final = {
    "sideeffects": ("side_effect", "declare"),
    "sideeffects._core.verbs.decorator": ("side_effect",),
    "sideeffects._core.verbs.declare": ("declare",),
}
#: In segments. Longer ones come of names that stand for parts of themselves.
_LONGEST_PATH: Final = 50
#: How often texts are searched before a list of all their words is cheaper.
_SEARCHES: Final = 4
_WORD: Final = re.compile(rb"[A-Za-z_\x80-\xff][\w\x80-\xff]*")
_STAR: Final = re.compile(rb"^[ \t]*from[\s\\]+(\.*)[\s\\]*([\w.]*)[\s\\]+import[\s\\]+\*", re.MULTILINE)


class Survey:
    """The result of reading a project's source.

    Attributes:
        declaring: the modules that declare effects when imported, in the order in which they were given.
        unreadable: modules that may speak of effects and cannot be read or parsed, with the error.
        unread: modules that nobody had the time to look at.
    """

    def __init__(self, files: Mapping[str, Path], deadline: Deadline | None = None) -> None:
        self._files = files
        self._deadline = deadline or Deadline(None)
        self._modules: dict[str, Module | None] = {}
        self.unreadable: dict[str, Exception] = {}
        self.unread: tuple[str, ...] = ()
        self._texts = dict(self._read(files))
        self._speech = _Speech(self._texts)
        #: What is known to declare, by module.
        self._declarers: dict[str, set[str]] = {module: set(names) for module, names in _DECLARERS.items()}
        #: The names of what is known to declare anywhere.
        self._words = {name for names in _DECLARERS.values() for name in names}
        self._importers: dict[str, list[Module]] = defaultdict(list)
        self._users_of_packages: dict[str, list[Module]] = defaultdict(list)
        self._stars: dict[str, list[str]] = defaultdict(list)
        self._star_importers: dict[str, list[str]] = defaultdict(list)
        self._waiting: dict[str, None] = {}
        self._note_stars()
        self._spread()
        self.declaring: tuple[str, ...] = tuple(
            name for name in files if (module := self._modules.get(name)) is not None and self._declares_now(module)
        )

    def module(self, name: str) -> Module | None:
        """A module, parsed if it was not; `None` for one that is not the project's, or cannot be parsed."""
        if name not in self._modules and name in self._texts:
            self._modules[name] = None
            try:
                module = self._modules[name] = Module(name, parse(self._texts[name]), self._is_package(name))
            except (SyntaxError, ValueError, RecursionError) as error:
                self.unreadable[name] = error
            else:
                self._note_importer(module)
        return self._modules.get(name)

    def speakers(self, words: Iterable[str]) -> list[str]:
        """The modules that say one of these words."""
        return self._speech.of(words)

    def is_declarer(self, dotted: str) -> bool:
        """Whether calling, or decorating with, what stands at that dotted path declares an effect."""
        return self.origin(dotted) is not None

    def origin(self, dotted: str) -> tuple[str, str] | None:
        """Where what declares at a dotted path comes from, as its module and name there; `None` if it declares nothing.

        Each way station is looked at once.
        """
        met: set[str] = set()
        waiting = [dotted]
        found: tuple[str, str] | None = None
        while waiting:
            here = waiting.pop()
            if here in met or here.count(".") > _LONGEST_PATH:
                continue
            met.add(here)
            holder, name, rest = self._split(here)
            if not name:
                continue
            declares = name in self._declarers.get(holder, ())
            if declares:
                found = holder, name
            module = self._modules.get(holder)
            if module is None:
                if holder in _DECLARERS and declares:
                    return found
            elif (target := module.bound.get(name)) is not None:
                waiting.append(f"{target}.{rest}" if rest else target)
            elif declares and name in module.later:
                return found
            if (declares or rest) and (module is None or name not in module.bound):
                waiting += [
                    f"{star}.{name}.{rest}" if rest else f"{star}.{name}" for star in self._stars.get(holder, ())
                ]
        return found

    # -- how it spreads

    def _read(self, files: Mapping[str, Path]) -> Iterator[tuple[str, bytes]]:
        listed = list(files.items())
        for position, (name, path) in enumerate(listed):
            if self._deadline.is_over:
                self.unread = tuple(name for name, _ in listed[position:])
                return
            try:
                yield name, path.read_bytes()
            except OSError as error:
                self.unreadable[name] = error

    def _is_package(self, name: str) -> bool:
        return self._files[name].name == "__init__.py"

    def _note_stars(self) -> None:
        for name, text in self._texts.items():
            if b"import" in text and b"*" in text:
                package = name if self._is_package(name) else name.rpartition(".")[0]
                for dots, module in _STAR.findall(text):
                    source = above(package, len(dots), module.decode())
                    self._stars[name].append(source)
                    self._star_importers[source].append(name)

    def _spread(self) -> None:
        """Find what declares, until nothing new is found."""
        for holder, names in _DECLARERS.items():
            for declarer in names:
                self._tell(holder, declarer)
        self._look_out_for((_PACKAGE,))
        while self._waiting:
            if self._deadline.is_over:
                self.unread = tuple(self._waiting)
                return
            name = next(iter(self._waiting))
            del self._waiting[name]
            module = self.module(name)
            if module is not None:
                self._evaluate(module)

    def _look_out_for(self, words: Iterable[str]) -> None:
        """Look at all modules that say one of these words and have not been looked at."""
        self._waiting.update(dict.fromkeys(name for name in self._speech.of(words) if name not in self._modules))

    def _evaluate(self, module: Module) -> None:
        """Find what of this module declares, as far as is known by now."""
        known = self._declarers.setdefault(module.name, set())
        new: set[str] = set()
        while True:
            found = {name for name, path in module.bound.items() if name not in known and self._may_declare(path)}
            found |= {
                name
                for name, chains in module.later.items()
                if name not in known and any(self._may_declare(module.expand(chain)) for chain in chains)
            }
            if not found:
                break
            known |= found
            new |= found
            self._words |= found
        for name in new:
            self._tell(module.name, name)
        self._look_out_for(new - self._speech.asked)

    def _may_declare(self, path: str) -> bool:
        """Whether it leads to what declares, by any of its parts: `named.again` uses `named`."""
        if self._words.isdisjoint(path.split(".")):
            return False
        return any(self.origin(prefix) is not None for prefix in _prefixes(path))

    def _note_importer(self, module: Module) -> None:
        """Note from which modules it imports, so that it is looked at again when these turn out to declare more."""
        for path in module.bound.values():
            holder = path
            while holder and holder not in self._texts and holder not in _DECLARERS:
                holder = holder.rpartition(".")[0]
            self._importers[holder].append(module)
            if holder == path:  # `import shop`, by which `shop.helpers.named` can be said
                self._users_of_packages[holder].append(module)

    def _tell(self, holder: str, name: str) -> None:
        """Let those who import from a module know that this name of it declares."""
        telling = [holder]
        while telling:
            here = telling.pop()
            importers = list(self._importers.get(here, ()))
            for package in _prefixes(here.rpartition(".")[0]):
                importers += self._users_of_packages.get(package, ())
            self._waiting.update((importer.name, None) for importer in importers if name in importer.words)
            for importer in self._star_importers.get(here, ()):
                names = self._declarers.setdefault(importer, set())
                if name not in names:
                    names.add(name)
                    known = self._modules.get(importer)
                    if known is not None and name in known.words:
                        self._waiting[importer] = None
                    telling.append(importer)

    def _split(self, dotted: str) -> tuple[str, str, str]:
        """The module at the beginning of a path, the name in it, and what is taken of that."""
        holder, _, rest = dotted.rpartition(".")
        while holder and holder not in self._texts and holder not in _DECLARERS:
            holder, _, more = holder.rpartition(".")
            rest = f"{more}.{rest}"
        if not holder:
            return "", "", ""
        name, _, rest = rest.partition(".")
        return holder, name, rest

    def _declares_now(self, module: Module) -> bool:
        return any(self._may_declare(module.expand(chain)) for chain in module.now)


class _Speech:
    """Which modules say which words.

    Attributes:
        asked: the words that somebody has asked for.
    """

    def __init__(self, texts: Mapping[str, bytes]) -> None:
        self._texts = texts
        self._searches = 0
        self._index: dict[bytes, list[str]] = {}
        self.asked: set[str] = set()

    def of(self, words: Iterable[str]) -> list[str]:
        wanted = {word.encode() for word in words}
        self.asked.update(words)
        if not wanted:
            return []
        self._searches += 1
        if self._searches <= _SEARCHES:
            search = re.compile(rb"\b(?:" + b"|".join(map(re.escape, sorted(wanted))) + rb")\b").search
            return [name for name, text in self._texts.items() if search(text)]
        if not self._index:
            for name, text in self._texts.items():
                for word in set(_WORD.findall(text)):
                    self._index.setdefault(word, []).append(name)
        found = {name for word in wanted for name in self._index.get(word, ())}
        return [name for name in self._texts if name in found] if len(wanted) > 1 else sorted(found)


def _prefixes(dotted: str) -> Iterator[str]:
    """`a.b.c`, `a.b`, `a`."""
    while dotted:
        yield dotted
        dotted = dotted.rpartition(".")[0]
