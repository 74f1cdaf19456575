"""`python manage.py side_effects`: list the declared effects, or check them."""

from __future__ import annotations

import argparse
import difflib
import functools
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MethodType
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter

from sideeffects._core.calls import registry
from sideeffects._core.policy.rules import Rules
from sideeffects._core.state.state import state
from sideeffects._core.verbs import declare
from sideeffects.errors import UnknownSideEffect
from sideeffects.guard import call_sites
from sideeffects.listing import (
    Audit,
    Found,
    as_json as as_found_json,
    as_lines,
    as_markdown as as_found_markdown,
    as_table as as_found_table,
    handed_on,
)
from sideeffects.listing.effects import Row, as_details, as_json, as_markdown, as_table, rows_of
from sideeffects.management.output import kept_clean, printable
from sideeffects.project import checks, live_settings
from sideeffects.project.discovery import finding
from sideeffects.project.discovery.files import module_files

_EXAMPLES: Final = """\
examples:
  manage.py side_effects                       all effects, with the mode now in force
  manage.py side_effects 'sms.*' --explain     why those have the mode that they have
  manage.py side_effects --app shop --verbose  everything about the effects of one app
  manage.py side_effects --format json         for programs
  manage.py side_effects --check               for CI
  manage.py side_effects --audit               functions that are not declared, and reach outside all the same

exit codes:
  0  done; with --check: no problems
  1  --check found problems, a line each
  2  a name, glob or option means nothing, the settings are invalid, or a module could not be looked at
"""


class _Formatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Django's help, with the examples as they are written."""


class Command(BaseCommand):
    """Lists the declared effects without executing any."""

    help = (
        "List the functions declared with @side_effect, those in modules that nothing has imported yet too, "
        "with the mode now in force: EXECUTE, RECORD or RAISE. No effect is executed."
    )
    requires_system_checks = ()  # type: ignore[mutable-override]

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Django's parser, with examples at the end of the help."""
        kwargs.setdefault("epilog", _EXAMPLES)
        kwargs.setdefault("formatter_class", _Formatter)
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        """Which effects, and how to show them."""
        add = parser.add_argument
        add("patterns", nargs="*", metavar="name", help="Names or globs, such as 'sms.*' (in quotes); * crosses dots.")
        add("--app", action="append", metavar="LABEL", help="Only effects declared in this installed app.")
        add("--tag", action="append", metavar="TAG", help="Only effects with this tag.")
        add("--owner", action="append", metavar="OWNER", help="Only effects of this owner.")
        add("--module", action="append", metavar="MODULE", help="Only effects of this module, or of those below it.")
        add("--format", choices=("table", "json", "markdown"), help="How to show them (default: table).")
        add("--verbose", action="store_true", help="Show all: whole docstring, signature, raises, sensitive, ...")
        add("--explain", action="store_true", help="Say why each mode is in force, and where that is set.")
        add(
            "--check",
            action="store_true",
            help="Show problems instead, a line each, and exit with 1 if there are any: effects without docstring, "
            "names and globs in the settings that mean no effect, functions that are two effects, and those that a "
            "signal, a URL, a template library, an admin or a task calls without a decision. With --audit: functions "
            "to declare.",
        )
        add(
            "--audit",
            action="store_true",
            help="List functions that call well-known outside APIs and are not declared, each with the line to write. "
            "Reads the project's source; imports and runs none of it. Goes with --app, --module, --format and --check.",
        )

    def handle(self, *, patterns: Sequence[str], check: bool, audit: bool, **options: Any) -> None:
        """Discover, select, show."""
        form: str | None = options["format"]
        if audit:
            self._audit(patterns, form, check=check, options=options)
            return
        if check and (form or options["verbose"] or options["explain"]):
            raise _wrong("--check prints problems, a line each: leave out --format, --verbose and --explain")
        failures = self._discover()
        rules = live_settings.current_rules()
        rows = _select(
            rows_of(registry.registry.values(), functools.cache(_app_of), rules.sensitive), patterns, options, failures
        )
        problems: list[str] = []
        if check:
            handed_on_here = handed_on.problems((row.where, row.effect) for row in rows)
            problems = [*_problems_of(rows), *handed_on_here, *_problems_of_settings(rules)]
        if check:
            self._write("\n".join(problems))
        else:
            self._show(rows, form or "table", verbose=options["verbose"], explain=options["explain"])
            if options["explain"] and state.test_run.is_on():
                self.stderr.write(f"This is a test run: {state.test_run.why}.")
        if failures:
            raise _wrong(_incomplete(failures)) from failures[0].error
        if check and not problems and options["verbosity"]:
            self.stderr.write(f"No problems among {len(rows)} side effect{'' if len(rows) == 1 else 's'}.")
        if problems:
            raise CommandError(f"{len(problems)} problem{'' if len(problems) == 1 else 's'}", returncode=1)

    def _audit(self, patterns: Sequence[str], form: str | None, *, check: bool, options: dict[str, Any]) -> None:
        given = [f"--{name}" for name in ("tag", "owner", "verbose", "explain") if options[name]]
        given += ["names"] if patterns else []
        given += ["--format"] if check and form else []
        if given:
            raise _wrong(f"--audit{' --check' if check else ''} does not go with {', '.join(given)}")
        live_settings.current_rules()  # what the settings declare is declared
        files = _own(module_files(settings, apps))
        progress = self._progress() if options["verbosity"] and self.stderr.isatty() else _no_progress
        found = Audit(files, _declared_targets(), progress)
        listed = _of_modules(found.found, files, options)
        if check:
            self._write(as_lines(listed))
        elif form == "json":
            self._write(as_found_json(listed, functools.cache(_app_of), ascii_only=not self._can_write("\u00fc")))
        elif listed:
            self._write(as_found_markdown(listed) if form == "markdown" else as_found_table(listed))
        if found.unreadable:
            unreadable = [f"{files[name]}: {error}" for name, error in found.unreadable.items()]
            raise _wrong("\n".join(["the audit may be incomplete:", *unreadable]))
        if check and listed:
            raise CommandError(_many(len(listed), "function to declare", "functions to declare"), returncode=1)
        if not listed and options["verbosity"]:
            self.stderr.write(
                f"No undeclared call of a well-known outside API in {_many(len(files), 'file', 'files')}."
            )

    def _progress(self) -> Callable[[int, int], object]:
        """Tells how far it is on one line of the terminal, which is empty again at the end."""

        def tell(number: int, count: int) -> None:
            if number == count:
                self.stderr.write("\r\033[K", ending="")
            elif number % 50 == 0:
                self.stderr.write(f"\r{number} of {count} files", ending="")
                self.stderr.flush()

        return tell

    def _discover(self) -> tuple[finding.Failure, ...]:
        # What modules print while they are imported must not stand in the listing.
        with kept_clean():
            try:
                return finding.discover()
            except Exception as error:  # settings that are wrong, or name a module whose import raises anything
                raise _wrong(str(error)) from error

    def _show(self, rows: Sequence[Row], form: str, *, verbose: bool, explain: bool) -> None:
        if form == "json":
            self._write(as_json(rows, ascii_only=not self._can_write("\u00fc")))
        elif not rows:
            self.stderr.write("No side effect has all of that." if registry.registry else _NONE_DECLARED)
        elif form == "markdown":
            self._write(as_markdown(rows, verbose=verbose, explain=explain))
        elif verbose:
            self._write(as_details(rows, self._paint, explain=explain))
        else:
            self._write(as_table(rows, self._paint, self._width(), explain=explain))

    def _write(self, text: str) -> None:
        if text:
            self.stdout.write(printable(text, self.stdout, keeps_width=True))

    def _can_write(self, text: str) -> bool:
        try:
            text.encode(getattr(self.stdout, "encoding", None) or "utf-8")
        except UnicodeEncodeError:
            return False
        return True

    def _paint(self, role: str, text: str) -> str:
        # `self.style` looks at the process's output; what is captured by `call_command` stays plain.
        painted: str = getattr(self.style, role)(text)
        return painted if self.stdout.isatty() or self._is_color_forced else text

    def _width(self) -> int | None:
        """The terminal's columns; `None` when the output goes elsewhere and nobody said how wide that is."""
        if self.stdout.isatty() or os.environ.get("COLUMNS"):
            return shutil.get_terminal_size().columns
        return None

    def execute(self, *args: Any, **options: Any) -> str | None:
        """As Django's, noting `--force-color`."""
        self._is_color_forced = bool(options.get("force_color"))
        return super().execute(*args, **options)


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


def _of_modules(found: Sequence[Found], files: Collection[str], options: dict[str, Any]) -> list[Found]:
    """What is found in the apps and modules that were asked for."""
    listed = list(found)
    labels = {app.label for app in apps.get_app_configs()}
    known = {above for module in files for above in _with_those_above(module)}
    for option, of, values in (
        ("app", lambda module: {_app_of(module)}, labels),
        ("module", _with_those_above, known),
    ):
        wanted: list[str] = options[option] or []
        for value in wanted:
            if value not in values:
                what = "installed app has the label" if option == "app" else "module of the project is called"
                raise _wrong(f"no {what} {value!r}{_hint(value, values)}")
        if wanted:
            listed = [one for one in listed if not of(one.module).isdisjoint(wanted)]
    return listed


_NONE_DECLARED: Final = "No side effect is declared. Put @side_effect above a function that reaches the outside world."


def _wrong(message: str) -> CommandError:
    return CommandError(message, returncode=2)


def _incomplete(failures: Sequence[finding.Failure]) -> str:
    return "\n".join(["the listing may be incomplete:", *map(str, failures)])


def _app_of(module: str) -> str:
    app = apps.get_containing_app_config(module)
    return "" if app is None else app.label


# -- which effects

#: The options, each with what a row has of it.
_FILTERS: Final[dict[str, Callable[[Row], Collection[str]]]] = {
    "app": lambda row: {row.app},
    "tag": lambda row: row.effect.tags,
    "owner": lambda row: {row.effect.owner},
    "module": lambda row: _with_those_above(row.module),
}


def _with_those_above(module: str) -> set[str]:
    parts = module.split(".")
    return {".".join(parts[:length]) for length in range(1, len(parts) + 1)}


def _select(
    rows: list[Row], patterns: Sequence[str], options: dict[str, Any], failures: Sequence[finding.Failure]
) -> list[Row]:
    for pattern in patterns:
        if not registry.registry.match(pattern) and pattern not in (registry.EVERYTHING, "*"):
            unknown = UnknownSideEffect(pattern, registry.registry.close_to(pattern))
            raise _wrong("\n".join([str(unknown), *map(str, failures)]))
    selected = rows
    if patterns:
        selected = [row for row in rows if any(registry.matches(pattern, row.effect.name) for pattern in patterns)]
    for option, of in _FILTERS.items():
        wanted: list[str] = options[option] or []
        if wanted:
            known = {value for row in rows for value in of(row) if value}
            if option == "app":
                known |= {app.label for app in apps.get_app_configs()}
            for value in wanted:
                if value not in known:
                    raise _wrong(_unknown(option, value, known))
            selected = [row for row in selected if not set(of(row)).isdisjoint(wanted)]
    return selected


def _unknown(option: str, value: str, known: Collection[str]) -> str:
    what = {
        "app": f"no installed app has the label {value!r}",
        "tag": f"no side effect has the tag {value!r}",
        "owner": f"no side effect has the owner {value!r}",
        "module": f"no side effect is declared in {value!r} or below it",
    }[option]
    return f"{what}{_hint(value, known)}"


def _hint(value: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(value, sorted(known), n=3)
    return f". Did you mean {' or '.join(map(repr, close))}?" if close else "."


# -- --check


def _problems_of(rows: Iterable[Row]) -> list[str]:
    found = []
    names: dict[object, str] = {}
    for row in rows:
        name = row.effect.name
        if not row.effect.docstring.strip():
            found.append(f"{row.where}: {name} has no docstring")
        function = _identity(registry.function_of(name).__wrapped__)
        other = names.setdefault(function, name)
        if other != name:
            found.append(f"{row.where}: {other} and {name} are two effects of one function")
    return found


def _identity(function: Any) -> object:
    """What is the same for the same function, however it is wrapped."""
    while not isinstance(function, MethodType):
        if isinstance(function, classmethod | staticmethod):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            return id(function)
    return id(function.__func__), id(function.__self__)


def _problems_of_settings(rules: Rules) -> list[str]:
    return [problem.sentence for problem in [*checks.unusable_policies(rules), *checks.unknown_names(rules)]]
