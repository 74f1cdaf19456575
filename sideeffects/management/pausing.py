"""`python manage.py side_effects --pause` and `--resume`: stopping effects in all processes, without a deploy."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from django.apps import apps
from django.db import DatabaseError
from django.utils import timezone

from sideeffects._core.calls.registry import registry
from sideeffects.errors import UnknownSideEffect
from sideeffects.management.command import Command, wrong
from sideeffects.project.discovery import finding

_NEEDED = "a pause is a row: add 'sideeffects.outbox' to INSTALLED_APPS, and run manage.py migrate"


def check_options(patterns: Sequence[str], options: Mapping[str, Any]) -> None:
    """What goes together.

    Raises:
        CommandError: what was given does not.
    """
    pause, resume = options["pause"], options["resume"]
    if pause is not None and resume is not None:
        raise wrong("--pause and --resume are two commands")
    unfit = [f"--{name}" for name in ("mode", "why", "for") if options[name] is not None]
    if pause is None and unfit:
        raise wrong(f"{', '.join(unfit)}: only with --pause GLOB")
    if pause is None and resume is None:
        return
    shown = [
        f"--{name}" for name in ("app", "tag", "owner", "module", "format", "verbose", "explain", "check", "audit")
    ]
    unfit = [name for name in shown if options[name.removeprefix("--")]]
    unfit += ["names"] if patterns else []
    if unfit:
        raise wrong(f"--{'pause' if resume is None else 'resume'} does not go with {', '.join(unfit)}")
    if pause is not None and not (options["why"] or "").strip():
        raise wrong("--pause needs --why TEXT: people who look for a call that did not execute will read it")
    if not apps.is_installed("sideeffects.outbox"):
        raise wrong(_NEEDED)


def pause(command: Command, options: Mapping[str, Any]) -> None:
    """Pause what the glob means."""
    from sideeffects.outbox import pauses  # only where the app is installed

    pattern, mode = options["pause"], (options["mode"] or "HOLD").lower()
    until = None if options["for"] is None else timezone.now() + options["for"]
    try:
        row = pauses.pause(pattern, mode=mode, why=options["why"], by=who(), until=until)
    except UnknownSideEffect as error:
        raise wrong("\n".join([str(error), *finding.discover().notes()])) from error
    except DatabaseError as error:
        raise wrong(f"nothing was paused: {error}. Has manage.py migrate been run?") from error
    effects = registry.match(pattern)
    many = f"{len(effects)} effect{'' if len(effects) == 1 else 's'}"
    command.write(f"{pattern} ({many}) is {mode.upper()} from now on, {pauses.words(row)}")
    command.write(f"All processes follow within {pauses.refresh():g} s.")
    command.write(f"To end it: manage.py side_effects --resume {_quoted(pattern)}")


def resume(command: Command, options: Mapping[str, Any]) -> None:
    """End the pauses that the glob means."""
    from sideeffects.outbox import pauses  # as above

    pattern = options["resume"]
    try:
        ended = pauses.resume(pattern, by=who())
        left = pauses.in_force()
    except DatabaseError as error:
        raise wrong(f"nothing was resumed: {error}. Has manage.py migrate been run?") from error
    if not ended:
        listed = [f"  {row.pattern}: {row.mode.upper()}, {pauses.words(row)}" for row in left]
        raise wrong("\n".join([f"no pause of {pattern!r} is in force", *(["in force:", *listed] if listed else [])]))
    for row in ended:
        command.write(f"{row.pattern} is no longer {row.mode.upper()}; it was {pauses.words(row)}")
    command.write(f"All processes follow within {pauses.refresh():g} s.")


def notes() -> list[str]:
    """What is paused now, for the foot of a listing; nothing where that cannot be read."""
    if not apps.is_installed("sideeffects.outbox"):
        return []
    from sideeffects.outbox import pauses  # as above

    try:
        return [f"{row.pattern} is {row.mode.upper()}, {pauses.words(row)}" for row in pauses.in_force()]
    except DatabaseError:
        return []


def who() -> str:
    """Who types: the account and the machine."""
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # a container without a name for its user
        account = "somebody"
    return f"{account} on {socket.gethostname()}"


def _quoted(pattern: str) -> str:
    return f"'{pattern}'" if any(letter in pattern for letter in "*?[") else pattern
