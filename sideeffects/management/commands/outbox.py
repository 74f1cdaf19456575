"""`python manage.py outbox`: look at held calls, release them, reject them."""

from __future__ import annotations

import argparse
from typing import Any, Final

from django.apps import apps
from django.core.management.base import CommandParser

from sideeffects.management.command import Command as BaseCommand, wrong
from sideeffects.outbox.states import State

#: What can be done, and how that is told.
_ACTIONS: Final = {
    "list": "Show which calls are held, failed, or perhaps done.",
    "show": "Show everything about calls.",
    "release": "Execute held calls.",
    "retry": "Execute calls again that failed or are perhaps done.",
    "reject": "Reject calls: they never execute.",
    "prune": "Delete calls that are done or rejected.",
}


class Command(BaseCommand):
    """Shows held calls, and does with them what somebody has decided."""

    help = "Look at the calls that are held, and release or reject them."
    examples = """\
examples:
  manage.py outbox list                                    what waits for somebody
  manage.py outbox list --effect 'sms.*' --where 'to=+44*' some of it
  manage.py outbox show 12                                 everything about one call
  manage.py outbox release 12 13                           execute these two
  manage.py outbox release --effect sms.send --dry-run     what would be executed
  manage.py outbox reject --where campaign=7               never execute these
  manage.py outbox retry --effect sms.send                 execute again what failed, or is perhaps done
  manage.py outbox prune --older-than 90                   delete what has been done or rejected for 90 days

exit codes:
  0    done
  1    a call failed, could not be executed, or was in a state that does not allow the action
  2    nothing was done: a number, name or option means nothing, or the app is not installed
  130  stopped by Ctrl-C; the call that ran is perhaps done, and the others wait as before
"""

    def add_arguments(self, parser: CommandParser) -> None:
        """What to do, with which calls."""
        actions = parser.add_subparsers(dest="action", metavar="action", required=True)
        for action, told in _ACTIONS.items():
            sub = actions.add_parser(action, help=told, description=told)
            sub.add_argument(
                "numbers",
                nargs="+" if action == "show" else "*",
                metavar="id",
                help="The number in `list`, or a call id.",
            )
            sub.add_argument("--format", choices=("table", "json"), default="table", help="How to show it.")
            if action != "show":
                _add_choice(sub)
            if action == "list":
                sub.add_argument("--state", action="append", choices=State.values, help="Only calls in this state.")
                sub.add_argument("--all", action="store_true", help="Also those that are done or rejected.")
                sub.add_argument(
                    "--limit", type=_count, default=100, metavar="N", help="At most N; 0 for all (default: 100)."
                )
            elif action != "show":
                _add_doing(sub, action)

    def handle(self, *, action: str, **options: Any) -> None:
        """Find the calls, and do it."""
        if not apps.is_installed("sideeffects.outbox"):
            raise wrong("nothing can be held: add 'sideeffects.outbox' to INSTALLED_APPS, and run `migrate`")
        from sideeffects.management import outbox_actions  # whose models need the app
        from sideeffects.outbox.choosing import UnknownChoice

        try:
            outbox_actions.run(self, action, options)
        except UnknownChoice as error:
            raise wrong(str(error)) from error


def _count(text: str) -> int:
    """A number as it is typed, from 0 on; as the type of an option."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 on")
    return int(text)


def _add_choice(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--effect", action="append", default=[], metavar="GLOB", help="Only calls of these effects.")
    add(
        "--where",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="Only calls with this argument. The value may be a glob, the name a path (order.id=3).",
    )


def _add_doing(parser: argparse.ArgumentParser, action: str) -> None:
    add = parser.add_argument
    add("--dry-run", action="store_true", help="Show which calls these are; do nothing.")
    if action == "prune":
        add(
            "--older-than",
            type=_count,
            default=30,
            metavar="DAYS",
            help="Only what was done or rejected DAYS ago or earlier (default: 30).",
        )
    else:
        add("--all", action="store_true", help="All that there are.")
        add("--by", default="", metavar="WHO", help="Who does this (default: the user that runs the command).")
