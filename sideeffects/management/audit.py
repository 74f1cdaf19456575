"""`python manage.py side_effects --audit`: what is not declared yet."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import CommandError

from sideeffects._core.calls import registry
from sideeffects._core.verbs import declare
from sideeffects.guard import call_sites
from sideeffects.listing import Audit, UndeclaredFunction, as_json, as_lines, as_markdown, as_table
from sideeffects.listing.selection import UnknownValue, app_of, check_values, labels, with_those_above
from sideeffects.management.command import Command, wrong
from sideeffects.project import live_settings
from sideeffects.project.discovery.files import module_files


def run(command: Command, patterns: Sequence[str], *, check: bool, options: Mapping[str, Any]) -> None:
    """Read the project's source, and show what it says."""
    form: str | None = options["format"]
    given = [f"--{name}" for name in ("tag", "owner", "verbose", "explain") if options[name]]
    given += ["names"] if patterns else []
    given += ["--format"] if check and form else []
    if given:
        raise wrong(f"--audit{' --check' if check else ''} does not go with {', '.join(given)}")
    live_settings.current_rules()  # what the settings declare is declared
    files = _own(module_files(settings, apps))
    progress = _progress(command) if options["verbosity"] and command.stderr.isatty() else _no_progress
    found = Audit(files, _declared_targets(), progress)
    listed = _of_modules(found.found, files, options)
    if check:
        text = as_lines(listed)
    elif form == "json":
        text = as_json(listed, functools.cache(app_of), ascii_only=not command.can_write("\u00fc"))
    elif listed:
        text = as_markdown(listed) if form == "markdown" else as_table(listed)
    else:
        text = ""
    if text:
        command.write(text)
    if found.unreadable:
        unreadable = [f"{files[name]}: {error}" for name, error in found.unreadable.items()]
        raise wrong("\n".join(["the audit may be incomplete:", *unreadable]))
    if check and listed:
        raise CommandError(_many(len(listed), "function to declare", "functions to declare"), returncode=1)
    if not listed and options["verbosity"]:
        command.stderr.write(f"No undeclared call of a well-known outside API in {_many(len(files), 'file', 'files')}.")


def _progress(command: Command) -> Callable[[int, int], object]:
    """Tells how far it is on one line of the terminal, which is empty again at the end."""

    def tell(number: int, count: int) -> None:
        if number == count:
            command.stderr.write("\r\033[K", ending="")
        elif number % 50 == 0:
            command.stderr.write(f"\r{number} of {count} files", ending="")
            command.stderr.flush()

    return tell


def _no_progress(number: int, count: int) -> None:
    """Nobody watches."""


def _own(files: Mapping[str, Path]) -> dict[str, Path]:
    """Without installed packages, into which nobody writes a decorator; all, for a project that is one itself."""
    own = {name: path for name, path in files.items() if call_sites.kind_of(str(path)) == call_sites.OWN}
    return own or dict(files)


def _declared_targets() -> set[str]:
    """What is declared as far as is known without importing anything."""
    return {effect.dotted_path for effect in registry.registry.values()} | set(declare.waiting())


def _many(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"


def _of_modules(
    found: Sequence[UndeclaredFunction], files: Collection[str], options: Mapping[str, Any]
) -> list[UndeclaredFunction]:
    """What is found in the apps and modules that were asked for."""
    listed = list(found)
    known = {above for module in files for above in with_those_above(module)}
    for option, of, values, unknown in (
        ("app", lambda module: {app_of(module)}, labels(), "no installed app has the label {!r}"),
        ("module", with_those_above, known, "no module of the project is called {!r}"),
    ):
        wanted: list[str] = options[option] or []
        try:
            check_values(wanted, values, unknown)
        except UnknownValue as error:
            raise wrong(str(error)) from error
        if wanted:
            listed = [one for one in listed if not of(one.module).isdisjoint(wanted)]
    return listed
