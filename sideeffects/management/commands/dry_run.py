"""`python manage.py dry_run COMMAND`: run a command for real, keep nothing, and show what it would have done."""

from __future__ import annotations

import argparse
import builtins
import contextlib
import io
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Final

from django.core.management import get_commands
from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper

from sideeffects._core.calls import registry
from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Mode
from sideeffects.dryrun import DryRunRefused, dry_run
from sideeffects.dryrun.made_by import code_of
from sideeffects.dryrun.membership import whole_process
from sideeffects.dryrun.plan_data import shown
from sideeffects.dryrun.saved_plan import NotApplicable, is_plan, save
from sideeffects.dryrun.tracebacks import folded
from sideeffects.management import command as base
from sideeffects.management.applying import apply_plan, load_plan
from sideeffects.management.command import check_writable, wrong
from sideeffects.management.dry_run_options import add_options, check_together, ignored_by, known, stub_of
from sideeffects.management.other_command import code_of_exit, load_command
from sideeffects.management.output import kept_clean, printable
from sideeffects.management.plan_formats import FORMATS, Ran, shown_from_file

_EXAMPLES: Final = """\
Options of dry_run come before COMMAND; what comes after it is the command's own.

examples:
  manage.py dry_run remind_unpaid --days 3        what would it do?
  manage.py dry_run --format json remind_unpaid   for programs
  manage.py dry_run --fail-on card.charge tidy    fail if it would charge a card
  manage.py dry_run --stub 'card.charge={"id": "x"}' bill
  manage.py dry_run --save plan.json remind_unpaid
  manage.py dry_run --format markdown plan.json   show a saved plan
  manage.py dry_run --apply plan.json             do just that, and stop where it would do anything else

exit codes:
  1  the plan has an effect that --fail-on names; calls of an applied plan never came
  2  it was refused, or could not be run: the reason says why
  otherwise, that of the command itself
"""


#: Commands at whose prompt somebody types.
_SHELLS: Final = frozenset(("shell", "shell_plus"))


class Command(base.Command):
    """Runs another command dry, or along a plan."""

    help = (
        "Run a management command for real and keep nothing: all databases are rolled back, and declared effects are "
        "written down instead of executed. Shows what would have happened, then what the command printed. You can save "
        "this plan, look at it, and then apply it: that, and nothing else."
    )
    examples = _EXAMPLES
    usage = "[options] COMMAND [args ...]"
    #: Whether it is what this process was started for.
    _is_all = False

    def run_from_argv(self, argv: Sequence[str]) -> None:
        """Run it as a program."""
        self._is_all = list(argv) == sys.argv
        super().run_from_argv(list(argv))

    def add_arguments(self, parser: CommandParser) -> None:
        """How to show the plan, where to save it, and which command to run."""
        add_options(parser)
        parser.add_argument(
            "command_line", nargs=argparse.REMAINDER, metavar="COMMAND [args ...]", help="The command and its options."
        )

    def handle(self, *, command_line: Sequence[str], **options: Any) -> None:
        """Run it, show the plan, then what it printed; or apply a plan, or show one."""
        check_together(command_line, options)
        is_program = getattr(self, "_called_from_command_line", False)
        if options["apply"] is not None:
            apply_plan(self, options, is_program=is_program)
            return
        if not command_line:
            raise wrong("which command? manage.py dry_run [options] COMMAND [args ...]")
        if len(command_line) == 1 and command_line[0] not in get_commands() and is_plan(command_line[0]):
            self._show(shown_from_file(load_plan(command_line[0]), options["format"]), options["output"])
            return
        self._run_dry(command_line, options, is_program=is_program)

    def _run_dry(self, command_line: Sequence[str], options: dict[str, Any], *, is_program: bool) -> None:
        command = load_command(command_line[0])
        fail_on = [known("--fail-on", pattern) for pattern in options["fail_on"]]
        stubs = dict(stub_of(text) for text in options["stub"])
        ignored = [ignored_by(text) for text in options["ignore"]]
        output, kept = options["output"], options["save"]
        for option in ("output", "save"):
            if options[option] is not None:
                check_writable(f"--{option}", options[option])
        made_by = {} if kept is None else code_of(command)
        around = whole_process(until_its_end=self._is_all) if is_program else contextlib.nullcontext()
        # Programs read the plan: log handlers have kept the stream on which it is shown.
        with around, kept_clean() if options["format"] == "json" and output is None else contextlib.nullcontext():
            keep_output = output is None and not (options["format"] != "json" and _is_terminal())
            told = self._tell if _is_terminal() and command_line[0] in _SHELLS else None
            block = dry_run(stub=stubs, max_calls=None if kept is None else sys.maxsize, told=told)
            ran = _run(block, command, command_line, keep_output=keep_output, is_program=is_program)
        self._show(FORMATS[options["format"]](ran), output)
        if output is None and options["format"] != "json":
            self._show_output(ran)
        if kept is not None and ran.plan.is_complete:
            try:
                save(Path(kept), ran.plan, command_line, ran.code, ignored, made_by)
            except NotApplicable as error:
                raise wrong(f"the plan was not saved. {error}") from error
            self.stderr.write(f"Saved. To do just that: manage.py dry_run --apply {kept}", str)
        self._end(ran, fail_on, is_folded=is_program and not options["traceback"])

    def _tell(self, call: Call) -> None:
        """Somebody types, and sees at once what came of it."""
        what = "held back" if call.mode is not Mode.EXECUTE else "executed, since it only reads"
        line = self.style.WARNING(f"{what}: {call.name}({shown(call)})")
        sys.stderr.write(printable(f"{line}\n", sys.stderr))  # bpython has a screen of its own

    def _show(self, text: str, output: str | None) -> None:
        if output is not None:
            Path(output).write_text(text + "\n", encoding="utf-8")
        else:
            self.write(text)

    def _show_output(self, ran: Ran) -> None:
        self.stdout.write(f"\nThe command ended with exit code {ran.code}" + (", and printed:" if ran.said else "."))
        self.write(ran.said, ending="")

    def _end(self, ran: Ran, fail_on: Sequence[str], *, is_folded: bool) -> None:
        if ran.plan.refusals:
            reasons = "\n".join(f"- {reason}" for reason in ran.plan.refusals)
            end = "and everything was rolled back" if ran.plan.is_certain else "and what was kept is not known"
            raise wrong(f"the dry run was refused, {end}:\n{reasons}")
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


def _run(block: dry_run, command: BaseCommand, line: Sequence[str], *, keep_output: bool, is_program: bool) -> Ran:
    said = io.StringIO()
    error: BaseException | None = None
    code = 0
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
        code = code_of_exit(exit_)
    except BaseException as raised:  # noqa: BLE001 - it is raised again, after the plan
        error, code = raised, 1
    with contextlib.suppress(DryRunRefused):  # the plan has the reasons
        block.__exit__(None if error is None else type(error), error, None)
    return Ran(line, plan, said.getvalue(), code, error)


def _is_terminal() -> bool:
    """Whether somebody sits at a terminal, and so must see output at once."""
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
