"""Running another management command from one of ours."""

from __future__ import annotations

import sys

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from sideeffects._core.values.close_names import did_you_mean
from sideeffects.management.command import wrong


def load_command(name: str) -> BaseCommand:
    """A command by its name.

    Raises:
        CommandError: there is none.
    """
    known = get_commands()
    if name not in known:
        hint = did_you_mean(name, known, ". `manage.py help` lists them.", is_sentence=True)
        raise wrong(f"there is no command {name!r}{hint}")
    app = known[name]
    return app if isinstance(app, BaseCommand) else load_command_class(app, name)


def code_of_exit(exit_: SystemExit) -> int:
    """As the interpreter does it: what is no number is printed, and means 1."""
    if exit_.code is None or isinstance(exit_.code, int):
        return exit_.code or 0
    sys.stderr.write(f"{exit_.code}\n")
    return 1
