"""`python manage.py dry_run COMMAND`: run a command for real, keep nothing, and show what it would have done."""

from __future__ import annotations

import argparse
import builtins
import contextlib
import io
import json
import shlex
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter, OutputWrapper

from sideeffects._core.calls import registry
from sideeffects._core.records.reading import check_known
from sideeffects._core.values.close_names import did_you_mean
from sideeffects.dryrun import DryRunRefused, Plan, dry_run
from sideeffects.dryrun.formats import as_json, as_markdown, as_text
from sideeffects.dryrun.membership import whole_process
from sideeffects.dryrun.tracebacks import folded
from sideeffects.errors import UnknownSideEffect
from sideeffects.management.output import kept_clean, printable

_EXAMPLES: Final = """\
Options of dry_run come before COMMAND; what comes after it is the command's own.

examples:
  manage.py dry_run remind_unpaid --days 3        what would it do?
  manage.py dry_run --format json remind_unpaid   for programs
  manage.py dry_run --fail-on card.charge tidy    fail if it would charge a card
  manage.py dry_run --stub 'card.charge={"id": "x"}' bill

exit codes:
  1  the plan has an effect that --fail-on names
  2  it was refused, or could not be run: the reason says why
  otherwise, that of the command itself
"""


class _Formatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Django's help, with the examples as they are written."""


class Command(BaseCommand):
    """Runs another command dry."""

    help = (
        "Run a management command for real and keep nothing: all databases are rolled back, and declared effects are "
        "written down instead of executed. Shows what would have happened, then what the command printed."
    )
    requires_system_checks = ()  # type: ignore[mutable-override]
    #: Whether it is what this process was started for.
    _is_all = False

    def run_from_argv(self, argv: Sequence[str]) -> None:
        """Run it as a program."""
        self._is_all = list(argv) == sys.argv
        super().run_from_argv(list(argv))

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Django's parser, with examples at the end of the help."""
        kwargs.setdefault("epilog", _EXAMPLES)
        kwargs.setdefault("formatter_class", _Formatter)
        kwargs.setdefault("usage", f"{prog_name} {subcommand} [options] COMMAND [args ...]")
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        """How to show the plan, and which command to run."""
        add = parser.add_argument
        add("--format", choices=tuple(_FORMATS), default="text", help="How to show the plan (default: text).")
        add("--output", metavar="FILE", help="Write the plan to this file; the command's output is not held back.")
        add(
            "--fail-on",
            action="append",
            metavar="NAME",
            default=[],
            help="Exit with 1 if the plan has this effect; a name or a glob, such as 'card.*'. Repeatable.",
        )
        add(
            "--stub",
            action="append",
            metavar="NAME=JSON",
            default=[],
            help="What this effect returns, for commands that need its answer. Repeatable.",
        )
        add("command_line", nargs=argparse.REMAINDER, metavar="COMMAND [args ...]", help="The command and its own.")

    def handle(self, *, command_line: Sequence[str], **options: Any) -> None:
        """Run it, show the plan, then what it printed."""
        if not command_line:
            raise _wrong("which command? manage.py dry_run [options] COMMAND [args ...]")
        command = _load(command_line[0])
        fail_on = [_known(pattern) for pattern in options["fail_on"]]
        stubs = dict(_stub(text) for text in options["stub"])
        output: str | None = options["output"]
        if output is not None:
            _check_writable(output)
        is_program = getattr(self, "_called_from_command_line", False)
        around = whole_process(until_its_end=self._is_all) if is_program else contextlib.nullcontext()
        # Programs read the plan: log handlers have kept the stream on which it is shown.
        with around, kept_clean() if options["format"] == "json" and output is None else contextlib.nullcontext():
            keep_output = output is None and not (options["format"] != "json" and _is_terminal())
            ran = _run(command, command_line, stubs, keep_output=keep_output, is_program=is_program)
        self._show(ran, options["format"], output)
        self._end(ran, fail_on, is_folded=is_program and not options["traceback"])

    def _show(self, ran: Ran, form: str, output: str | None) -> None:
        text = _FORMATS[form](ran)
        if output is not None:
            Path(output).write_text(text + "\n", encoding="utf-8")
            return
        self.stdout.write(printable(text, self.stdout))
        if form != "json":
            self.stdout.write(
                f"\nThe command ended with exit code {ran.code}" + (", and printed:" if ran.said else ".")
            )
            self.stdout.write(printable(ran.said, self.stdout), ending="")

    def _end(self, ran: Ran, fail_on: Sequence[str], *, is_folded: bool) -> None:
        if ran.plan.refusals:
            reasons = "\n".join(f"- {reason}" for reason in ran.plan.refusals)
            end = "and everything was rolled back" if ran.plan.is_certain else "and what was kept is not known"
            raise _wrong(f"the dry run was refused, {end}:\n{reasons}")
        if ran.error is not None:
            if is_folded and isinstance(ran.error, Exception) and not isinstance(ran.error, CommandError):
                sys.stdout.flush()  # the plan comes first, also where both streams go to one file
                self.stderr.write(folded(ran.error))
                sys.exit(1)
            raise ran.error
        failing = [name for name in ran.plan.counts if any(registry.matches(pattern, name) for pattern in fail_on)]
        if failing:
            raise CommandError(f"the plan has {', '.join(failing)}, which --fail-on names", returncode=1)
        if ran.code:
            sys.exit(ran.code)


class Ran(NamedTuple):
    """What came of running a command dry.

    Attributes:
        line: the command and its arguments.
        plan: what it would have done.
        said: what it printed; empty where that was not held back.
        code: its exit code.
        error: what it raised, other than to end with an exit code.
    """

    line: Sequence[str]
    plan: Plan
    said: str
    code: int
    error: BaseException | None


def _run(
    command: BaseCommand, line: Sequence[str], stubs: dict[str, Any], *, keep_output: bool, is_program: bool
) -> Ran:
    said = io.StringIO()
    error: BaseException | None = None
    code = 0
    block = dry_run(stub=stubs)
    plan = block.__enter__()
    try:
        with contextlib.ExitStack() as stack:
            if keep_output:
                stack.enter_context(contextlib.redirect_stdout(said))
                command.stdout = OutputWrapper(said)
                if is_program:
                    stack.enter_context(_asking())
            command.run_from_argv([sys.argv[0], *line])
    except SystemExit as exit_:
        code = _code_of(exit_)
    except BaseException as raised:  # noqa: BLE001 - it is raised again, after the plan
        error, code = raised, 1
    with contextlib.suppress(DryRunRefused):  # the plan has the reasons
        block.__exit__(None if error is None else type(error), error, None)
    return Ran(line, plan, said.getvalue(), code, error)


def _is_terminal() -> bool:
    """Whether somebody sits there, and shall see what is printed as it is printed."""
    return sys.stdin.isatty() and sys.stdout.isatty()


@contextlib.contextmanager
def _asking() -> Generator[None]:
    """Questions show at once, by the error stream: somebody waits for them, while what is printed is held back."""
    read = builtins.input

    def ask(prompt: object = "", /) -> str:
        sys.stderr.write(str(prompt))
        sys.stderr.flush()
        return read()

    builtins.input = ask
    try:
        yield
    finally:
        builtins.input = read


def _code_of(exit_: SystemExit) -> int:
    """As the interpreter does it: what is no number is printed, and means 1."""
    if exit_.code is None or isinstance(exit_.code, int):
        return exit_.code or 0
    sys.stderr.write(f"{exit_.code}\n")
    return 1


def _load(name: str) -> BaseCommand:
    known = get_commands()
    if name not in known:
        hint = did_you_mean(name, known, ". `manage.py help` lists them.", is_sentence=True)
        raise _wrong(f"there is no command {name!r}{hint}")
    app = known[name]
    return app if isinstance(app, BaseCommand) else load_command_class(app, name)


def _known(pattern: str) -> str:
    try:
        check_known(pattern)
    except UnknownSideEffect as error:
        raise _wrong(f"--fail-on: {error}") from error
    return pattern


def _stub(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    try:
        answer = json.loads(value if equals else "")
    except ValueError as error:
        raise _wrong(f'--stub takes NAME=JSON, such as \'card.charge={{"id": "x"}}\', not {text!r}: {error}') from error
    try:
        check_known(name)
    except UnknownSideEffect as error:
        raise _wrong(f"--stub: {error}") from error
    return name, answer


def _check_writable(output: str) -> None:
    """Before anything is run: a plan that cannot be written would be lost."""
    try:
        with open(output, "a", encoding="utf-8"):
            pass
    except OSError as error:
        raise _wrong(f"--output: {output} cannot be written: {error.strerror}") from error


def _wrong(message: str) -> CommandError:
    return CommandError(message, returncode=2)


# -- formats


def _text(ran: Ran) -> str:
    line = shlex.join(ran.line)
    return f"Dry run of `{line}`. {_kept(ran.plan)}, and no declared effect was executed.\n\n{as_text(ran.plan)}"


def _markdown(ran: Ran) -> str:
    return f"# Dry run of `{shlex.join(ran.line)}`\n\n{_kept(ran.plan)}.\n\n{as_markdown(ran.plan)}"


def _kept(plan: Plan) -> str:
    return "Nothing was kept" if plan.is_certain else "Whether anything was kept is not known (see what was refused)"


def _json(ran: Ran) -> str:
    error = None if ran.error is None else f"{type(ran.error).__name__}: {ran.error}"
    return as_json(ran.plan, command=list(ran.line), exit_code=ran.code, error=error, output=ran.said)


_FORMATS: Final[dict[str, Callable[[Ran], str]]] = {"text": _text, "json": _json, "markdown": _markdown}
