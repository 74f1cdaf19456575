"""`python manage.py side_effects`: list the declared effects, check them, stop them, or see what was called."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Sequence
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from sideeffects._core.calls import registry
from sideeffects._core.calls.decision import Mode
from sideeffects._core.state.state import state
from sideeffects.listing import handed_by_name, handed_on
from sideeffects.listing.formats import as_details, as_json, as_markdown, as_table
from sideeffects.listing.problems import problems_of, problems_of_settings
from sideeffects.listing.rows import Row, rows_of
from sideeffects.listing.selection import UnknownValue, app_of, select
from sideeffects.management import calls, pausing
from sideeffects.management.audit import add_arguments as add_audit_arguments, run as audit_project
from sideeffects.management.command import Command as BaseCommand, wrong
from sideeffects.management.output import kept_clean
from sideeffects.management.spans import span
from sideeffects.project import live_settings
from sideeffects.project.discovery import finding
from sideeffects.project.discovery.files import own_files

_NONE_DECLARED: Final = "No side effect is declared. Put @side_effect above a function that reaches the outside world."


class Command(BaseCommand):
    """Lists the declared effects without executing any."""

    help = (
        "List the functions declared with @side_effect, with the mode now in force: EXECUTE, HOLD, RECORD or RAISE. "
        "Modules that nothing has imported yet are looked through, too. No effect is executed."
    )
    examples = """\
examples:
  manage.py side_effects                       all effects, with the mode now in force
  manage.py side_effects 'sms.*' --explain     why those have the mode that they have
  manage.py side_effects --app shop --verbose  everything about the effects of one app
  manage.py side_effects --format json         for programs
  manage.py side_effects --check               for CI
  manage.py side_effects --pause 'sms.*' --why 'they are sent twice' --for 2h
  manage.py side_effects --resume 'sms.*'
  manage.py side_effects --calls --follow      what is called now
  manage.py side_effects --audit               functions that are not declared, and reach outside all the same

exit codes:
  0  done; with --check: no problems
  1  --check found problems, a line each
  2  a name, glob or option means nothing, the settings are invalid, or a module could not be looked at
"""

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
            help="Show problems instead, a line each, and exit with 1 if there are any: effects without a docstring; "
            "names and globs in the settings that mean no effect; functions that are two effects; functions that a "
            "signal, a URL, a template library, an admin or a task calls without a decision; functions that a queue "
            "without an adapter publishes without a decision. With --audit: functions to declare.",
        )
        add_audit_arguments(parser)
        add("--pause", metavar="GLOB", help="Stop these effects in all processes, at once and until --resume.")
        add("--resume", metavar="GLOB", help="End the pauses of this name or glob, and of all that the glob matches.")
        modes = [mode.name for mode in Mode if mode is not Mode.EXECUTE]
        add("--mode", type=str.upper, choices=modes, help="With --pause: what happens to calls (default: HOLD).")
        add("--why", metavar="TEXT", help="With --pause: the reason, which everybody reads.")
        add("--for", metavar="TIME", type=span, help="With --pause: when it ends by itself, such as 30m, 2h or 1d.")
        add("--calls", action="store_true", help="Show calls instead: those of the shared ledger, else of the outbox.")
        add("--follow", action="store_true", help="With --calls: go on with those that come, until Ctrl-C.")

    def handle(self, *, patterns: Sequence[str], check: bool, audit: bool, **options: Any) -> None:
        """Discover, select, show."""
        form: str | None = options["format"]
        pausing.check_options(patterns, {**options, "check": check, "audit": audit})
        if options["calls"]:
            calls.run(self, patterns, options, self._paint)
            return
        if options["follow"]:
            raise wrong("--follow: only with --calls")
        if audit or options["adopt"]:
            audit_project(self, patterns, check=check, options=options)
            return
        given = [f"--{name}" for name in ("apply", "write", "baseline") if options[name]]
        given += ["--update-baseline"] if options["update_baseline"] else []
        if given:
            raise wrong(f"{', '.join(given)}: only with --audit")
        if check and (form or options["verbose"] or options["explain"]):
            raise wrong("--check prints problems, a line each: leave out --format, --verbose and --explain")
        discovered = self._discover()
        if options["pause"] is not None:
            pausing.pause(self, options)
            return
        if options["resume"] is not None:
            pausing.resume(self, options)
            return
        rules = live_settings.current_rules()
        listed = rows_of(
            registry.registry.values(),
            finding.not_imported_effects(),
            functools.cache(app_of),
            rules.sensitive,
        )
        try:
            rows = select(listed, patterns, options)
        except UnknownValue as error:
            raise wrong("\n".join([str(error), *discovered.notes()])) from error
        problems: list[str] = []
        if check:
            known = [(row.where, row.effect) for row in rows if row.decision is not None]
            by_name = handed_by_name.problems((effect for _, effect in known), own_files(settings, apps))
            handed_on_here = [*handed_on.problems(known), *handed_on.queues(known), *by_name]
            attempts = map(str, discovered.attempts)
            problems = [*problems_of(rows), *handed_on_here, *attempts, *problems_of_settings(rules)]
        if not check:
            self._show(rows, form or "table", verbose=options["verbose"], explain=options["explain"])
            self._remark(explain=options["explain"])
        elif problems:
            self.write("\n".join(problems), keeps_width=True)
        if discovered.notes():
            raise wrong("\n".join(["the listing may be incomplete:", *discovered.notes()]))
        if check and not problems and options["verbosity"]:
            self.stderr.write(f"No problems among {len(rows)} side effect{'' if len(rows) == 1 else 's'}.")
        if problems:
            raise CommandError(f"{len(problems)} problem{'' if len(problems) == 1 else 's'}", returncode=1)

    def _discover(self) -> finding.Discovered:
        # What modules print while they are imported must not stand in the listing.
        with kept_clean():
            try:
                return finding.discover()
            except Exception as error:  # settings that are wrong, or name a module whose import raises anything
                raise wrong(str(error)) from error

    def _show(self, rows: Sequence[Row], form: str, *, verbose: bool, explain: bool) -> None:
        if form == "json":
            self.write(as_json(rows, ascii_only=not self.can_write("\u00fc")), keeps_width=True)
        elif not rows:
            self.stderr.write("No side effect matches all of these options." if registry.registry else _NONE_DECLARED)
        elif form == "markdown":
            self.write(as_markdown(rows, verbose=verbose, explain=explain), keeps_width=True)
        elif verbose:
            self.write(as_details(rows, self._paint, explain=explain), keeps_width=True)
        else:
            self.write(as_table(rows, self._paint, self._width(), explain=explain), keeps_width=True)

    def _remark(self, *, explain: bool) -> None:
        """What is to be said beside the listing."""
        if explain and state.test_run.is_on():
            self.stderr.write(f"This is a test run: {state.test_run.why}.")
        for note in pausing.notes():
            self.stderr.write(note)
        for module in finding.unclear_modules():
            self.stderr.write(
                f"{module} was not imported, and may declare effects under names that its source does not show."
            )

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
