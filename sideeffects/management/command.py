"""What the commands have in common: examples in the help, exit codes, output that any terminal can show."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter

from sideeffects.management.output import printable


class _Formatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Django's help, with the examples as they are written."""


class Command(BaseCommand):
    """A command of this library."""

    requires_system_checks = ()  # type: ignore[mutable-override]
    #: The end of the help.
    examples: ClassVar[str] = ""
    #: How it is called, where Django's own words are not enough; after the program and the command.
    usage: ClassVar[str] = ""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Django's parser, with examples at the end of the help."""
        kwargs.setdefault("epilog", self.examples)
        kwargs.setdefault("formatter_class", _Formatter)
        if self.usage:
            kwargs.setdefault("usage", f"{prog_name} {subcommand} {self.usage}")
        return super().create_parser(prog_name, subcommand, **kwargs)

    def write(self, text: str, ending: str | None = None, *, keeps_width: bool = False) -> None:
        """Write to the standard output; see `printable`."""
        self.stdout.write(printable(text, self.stdout, keeps_width=keeps_width), ending=ending)

    def can_write(self, text: str) -> bool:
        """Whether the standard output can hold this."""
        return printable(text, self.stdout) == text


def wrong(message: str) -> CommandError:
    """Nothing could be done: exit code 2."""
    return CommandError(message, returncode=2)


def check_writable(option: str, file: str) -> None:
    """Before anything is run: what comes of it must have a place to go.

    Raises:
        CommandError: the file cannot be written.
    """
    try:
        with Path(file).open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise wrong(f"{option}: {file} cannot be written: {error.strerror}") from error
