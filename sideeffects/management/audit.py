"""`python manage.py side_effects --audit`: what is not declared yet."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeVar

from django.apps import apps
from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from sideeffects._core.calls import registry
from sideeffects._core.verbs import declare
from sideeffects.guard.baseline import BaselineError
from sideeffects.listing.audit import (
    Audit,
    Unclear,
    UndeclaredFunction,
    accepted,
    as_json,
    as_lines,
    as_markdown,
    as_table,
)
from sideeffects.listing.audit.formats import where
from sideeffects.listing.selection import UnknownValue, app_of, check_values, labels, with_those_above
from sideeffects.management import adopting
from sideeffects.management.command import Command, wrong
from sideeffects.project import live_settings
from sideeffects.project.discovery.files import own_files

_Found = TypeVar("_Found", Unclear, UndeclaredFunction)

_UNCLEAR: Final = (
    "These files import a library for the network, and none of its calls was recognised. Look at them, too:"
)


def add_arguments(parser: CommandParser) -> None:
    """The options of the audit."""
    add = parser.add_argument
    add(
        "--audit",
        action="store_true",
        help="List functions that call well-known outside APIs and are not declared, each with the line to write. "
        "Reads the project's source; imports and runs none of it. Goes with --app, --module, --format and --check.",
    )
    add("--apply", action="store_true", help="With --audit: show the decorators and imports to write, as a patch.")
    add("--write", action="store_true", help="With --audit --apply: write them into the source.")
    add(
        "--adopt",
        action="store_true",
        help="Print the settings for the first step of adopting: all effects of the project forced in its tests.",
    )
    add("--baseline", metavar="FILE", help="With --audit: leave out what this file accepts.")
    add("--update-baseline", action="store_true", help="With --audit: accept all that is found, in that file.")


def run(command: Command, patterns: Sequence[str], *, check: bool, options: Mapping[str, Any]) -> None:
    """Read the project's source, and show what it says."""
    _refuse_others(patterns, check=check, options=options)
    live_settings.current_rules()  # what the settings declare is declared
    files = own_files(settings, apps)
    progress = _progress(command) if options["verbosity"] and command.stderr.isatty() else _no_progress
    found = Audit(files, _declared_targets(), progress)
    listed = _of_modules(found.found, files, options)
    file = options["baseline"]
    if options["apply"]:
        adopting.apply(command, listed, found.digests, write=options["write"])
        return
    if options["adopt"]:
        adopting.adopt(command, listed)
        return
    if options["update_baseline"]:
        accepted.save(file, listed)
        command.stderr.write(f"{file}: {_many(len(listed), 'function is', 'functions are')} accepted.")
        listed = []
    elif file:
        listed = _without_accepted(command, file, listed)
    _show(command, listed, check=check, form=options["format"])
    wanted = _of_modules(found.unclear, files, options)
    if wanted and options["verbosity"]:
        lines = [f"  {where(one.path, one.line)} ({one.library})" for one in wanted]
        command.stderr.write("\n".join([_UNCLEAR, *lines]))
    if found.unreadable:
        unreadable = [f"{files[name]}: {error}" for name, error in found.unreadable.items()]
        raise wrong("\n".join(["the audit may be incomplete:", *unreadable]))
    if check and listed:
        raise CommandError(_many(len(listed), "function to declare", "functions to declare"), returncode=1)
    if not listed and options["verbosity"]:
        command.stderr.write(f"No undeclared call of a well-known outside API in {_many(len(files), 'file', 'files')}.")


def _refuse_others(patterns: Sequence[str], *, check: bool, options: Mapping[str, Any]) -> None:
    """Say which options mean nothing here."""
    given = [f"--{name}" for name in ("tag", "owner", "verbose", "explain") if options[name]]
    given += ["names"] if patterns else []
    given += ["--format"] if check and options["format"] else []
    doing = [f"--{name}" for name in ("apply", "adopt", "baseline") if options[name]]
    given += ["--check"] if check and doing[:1] in (["--apply"], ["--adopt"]) else []
    given += ["--format"] if options["format"] and not check and doing[:1] in (["--apply"], ["--adopt"]) else []
    given += doing[1:] if len(doing) > 1 else []
    if given:
        asked = doing[0] if doing else "--audit --check" if check else "--audit"
        raise wrong(f"{asked} does not go with {', '.join(given)}")
    if options["write"] and not options["apply"]:
        raise wrong("--write goes with --audit --apply: what is to be written?")
    if options["update_baseline"] and not options["baseline"]:
        raise wrong("--update-baseline needs --baseline FILE: which file is to be written?")
    if options["update_baseline"] and any(options[name] for name in ("app", "module")):
        raise wrong("--update-baseline writes what the whole project has: leave out --app and --module")


def _without_accepted(command: Command, file: str, listed: Sequence[UndeclaredFunction]) -> list[UndeclaredFunction]:
    """What a baseline does not accept; what it accepts in vain is said."""
    try:
        left, stale = accepted.without(file, listed)
    except BaselineError as error:
        raise wrong(str(error)) from error
    if stale:
        command.stderr.write(f"{file}: {_many(stale, 'entry means', 'entries mean')} nothing any more.")
    return left


def _show(command: Command, listed: Sequence[UndeclaredFunction], *, check: bool, form: str | None) -> None:
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


def _declared_targets() -> set[str]:
    """What is declared as far as is known without importing anything."""
    return {effect.dotted_path for effect in registry.registry.values()} | set(declare.waiting())


def _many(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"


def _of_modules(found: Sequence[_Found], files: Collection[str], options: Mapping[str, Any]) -> list[_Found]:
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
