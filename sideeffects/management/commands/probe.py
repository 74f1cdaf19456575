"""`python manage.py probe`: run the probes of the project."""

from __future__ import annotations

import argparse
import atexit
import os
import signal
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter

from sideeffects.errors import SideEffectError
from sideeffects.management.output import kept_clean, printable
from sideeffects.probes import reports
from sideeffects.probes.hanging import is_any_hanging
from sideeffects.probes.refusals import ProbesRefused
from sideeffects.probes.results import ProbeOutcome, ProbeResult, Results
from sideeffects.probes.running import ProbeRunner
from sideeffects.probes.selection import select
from sideeffects.probes.settings import make_runner
from sideeffects.probes.specs import FoundProbes
from sideeffects.project.probe_apps import installed, modules_of

_EXAMPLES: Final = """\
examples:
  manage.py probe                                  all probes
  manage.py probe shop shop.CheckoutProbe.test_pay one app, and one probe
  manage.py probe --tag fast --failfast            those with a tag, up to the first failure
  manage.py probe --format junit --output out.xml  for a build server
  manage.py probe --list                           which there are; nothing is run

exit codes:
  0    all passed
  1    a probe failed or errored
  2    nothing was run: labels, tags or apps mean nothing, or leave no probe, or the settings are invalid
  130  stopped by Ctrl-C before all had run, and nothing failed until then
"""
_FORMATS: Final = ("text", "json", "junit", "openmetrics")


class _Formatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Django's help, with the examples as they are written."""


class Command(BaseCommand):
    """Runs probes; what they write is rolled back, and the effects that they call are held back."""

    help = (
        "Run the probes (smoke tests) in smoke.py and probes.py of the installed apps, on the live system. What they "
        "write to databases is rolled back, and the declared side effects that they call are held back."
    )
    requires_system_checks = ()  # type: ignore[mutable-override]

    def run_from_argv(self, argv: list[str]) -> None:
        """As Django does; and then end at once, also when the thread of a probe that hangs would be waited for."""
        code: Any = 0
        try:
            super().run_from_argv(argv)
        except SystemExit as left:
            code = left.code
            raise
        finally:
            if is_any_hanging():
                _exit(code)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Django's parser, with examples at the end of the help."""
        kwargs.setdefault("epilog", _EXAMPLES)
        kwargs.setdefault("formatter_class", _Formatter)
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        """Which probes, how to run them, and how to show what came of them."""
        add = parser.add_argument
        add("labels", nargs="*", metavar="label", help="app, app.Class, app.Class.method, or the same with a module.")
        add("--tag", action="append", default=[], help="Only probes with this tag; may be given again.")
        add("--exclude-tag", action="append", default=[], metavar="TAG", help="No probes with this tag.")
        add("--skip", action="append", default=[], metavar="APP", help="No probes of this app.")
        add("--failfast", action="store_true", help="Begin nothing more after the first failure.")
        add("--parallel", type=_count, metavar="N", help="At most so many run together (default: 16).")
        add("--timeout", type=_seconds, metavar="SECONDS", help="The most that each probe may take.")
        add("--list", action="store_true", help="Show which probes there are; run nothing.")
        add("--format", choices=_FORMATS, default="text", help="How to show the results (default: text).")
        add("--output", metavar="FILE", help="Write the results into this file instead.")
        add("--noinput", "--no-input", action="store_true", help="Accepted for django-probe's sake: nothing is asked.")

    def handle(self, *, labels: list[str], verbosity: int, **options: Any) -> None:
        """Find, run, show."""
        with kept_clean():  # what probes print and log is no part of the report, which programs read
            found, results = self._run(labels, verbosity, options)
        if results is None:
            self._list(found)
            return
        self._show(results, options["format"], options["output"], verbosity)
        if not results.passed:
            raise SystemExit(1)
        if not results.is_whole:
            raise SystemExit(130)

    def _run(self, labels: list[str], verbosity: int, options: Mapping[str, Any]) -> tuple[FoundProbes, Results | None]:
        try:
            found = select(labels, options["tag"], options["exclude_tag"], options["skip"])
            if not (found.specs or found.broken) and _is_chosen(labels, options):
                raise ProbesRefused("no probe is selected")  # and nothing is no reason to say PASS
            if options["list"]:
                return found, None
            if options["output"] is not None:
                _try_to_write(options["output"])
            progress = _Progress(self.stderr, verbosity, len(found.specs))
            runner = make_runner(
                parallel=options["parallel"],
                timeout=options["timeout"],
                failfast=options["failfast"],
                listener=progress,
            )
            with _stopping(runner, self.stderr):
                results = runner.run(found)
            progress.close()
        except (SideEffectError, ImproperlyConfigured) as error:
            raise CommandError(str(error), returncode=2) from error
        return found, results

    def _list(self, found: FoundProbes) -> None:
        for spec in found.specs:
            tags = f"  [{', '.join(spec.traits.tags)}]" if spec.traits.tags else ""
            self.stdout.write(printable(f"{spec.id}{tags}", self.stdout))
        for broken in found.broken:
            self.stderr.write(f"{broken.module} could not be imported: {broken.error!r}")
        if found.broken:
            raise SystemExit(1)

    def _show(self, results: Results, form: str, file: str | None, verbosity: int) -> None:
        text = reports.FORMATS[form].render(results)
        if form == "text" and verbosity == 0:
            text = f"{results.status}\n"
        if form == "text" and verbosity > 1:
            text += "".join(f"\n{probe.id}\n{probe.traceback}" for probe in results.probes if probe.traceback)
        if file is not None:
            Path(file).write_text(text, encoding="utf-8", errors="backslashreplace")
        else:
            self.stdout.write(printable(text, self.stdout), ending="")
        if not results.probes and verbosity:
            self.stderr.write("No probes were found. They stand in smoke.py or probes.py of an installed app.")


class _Progress:
    """Tells how far it is: a line that changes on a terminal; each probe with `-v 2`."""

    def __init__(self, stream: Any, verbosity: int, total: int) -> None:
        self._stream = stream
        self._verbosity = verbosity
        self._is_live = verbosity == 1 and total > 0 and stream.isatty()
        self._width = 0
        if self._is_live:
            self._put(f"0 of {total}")

    def __call__(self, result: ProbeResult, done: int, total: int) -> None:
        """One more is done."""
        if self._verbosity > 1:
            mark = "ok" if result.outcome is ProbeOutcome.PASSED else result.outcome.value
            self._stream.write(f"{mark:<8}{result.duration * 1000:9.1f} ms  {result.id}", _plain)
        elif self._is_live:
            self._put(f"{done} of {max(done, total)}  {result.id}"[:78])

    def close(self) -> None:
        """Take the line away."""
        if self._is_live:
            self._put("")
            self._put("")

    def _put(self, text: str) -> None:
        self._stream.write(f"\r{text:<{self._width}}", _plain, ending="")
        self._stream.flush()
        self._width = len(text)


def _plain(text: str) -> str:
    """Without the red in which Django shows what is written there: this is no error."""
    return text


@contextmanager
def _stopping(runner: ProbeRunner, stderr: Any) -> Generator[None]:
    """Let the first Ctrl-C finish what runs, and the second one stop."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def first(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        runner.stop()
        stderr.write("\nFinishing what runs; Ctrl-C again stops at once.", _plain)

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, first)
    try:
        yield
    except KeyboardInterrupt:
        stderr.write("\nStopped.", _plain)
        sys.exit(130)
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.default_int_handler)


def _is_chosen(labels: Sequence[str], options: Mapping[str, Any]) -> bool:
    """Whether something else than all probes was asked for; leaving out an app that has none is asking for all."""
    skipped = (app for app in installed() if not {app.label, app.name}.isdisjoint(options["skip"]))
    return bool(labels or options["tag"] or options["exclude_tag"] or any(modules_of(app) for app in skipped))


def _try_to_write(file: str) -> None:
    """Before anything is run: the results must have a place to go."""
    try:
        with Path(file).open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise CommandError(f"the results cannot be written: {error}", returncode=2) from error


def _exit(code: Any) -> None:
    """End the process with what is done at its end, except for waiting for threads."""
    atexit._run_exitfuncs()  # noqa: SLF001 - Python has no public way to end without waiting for threads
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _count(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"it must be a whole number, at least 1, and not {text!r}")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"it must be a number of seconds above 0, and not {text!r}")
    return value
