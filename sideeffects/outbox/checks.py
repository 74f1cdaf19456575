"""What the system checks say of held calls and the outbox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Final

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning as CheckWarning
from django.db import DEFAULT_DB_ALIAS

from sideeffects._core.calls.decision import Mode
from sideeffects._core.calls.registry import registry
from sideeffects._core.policy.rules import Rules
from sideeffects.project import live_settings

_APP: Final = "sideeffects.outbox"


def check_outbox(app_configs: object = None, **options: object) -> Sequence[CheckMessage]:
    """E027: HOLD without the outbox. E028: no such database or cache. W006, W007: what it cannot do for some calls."""
    del app_configs, options
    try:
        return list(_messages(live_settings.current_rules()))
    except Exception:  # noqa: BLE001 - what is wrong with the settings is shown by `check_settings`
        return []


def _messages(rules: Rules) -> Iterator[CheckMessage]:
    if not apps.is_installed(_APP):
        for where in _held_by(rules):
            yield Error(
                f"{where} is HOLD, and {_APP!r} is not in INSTALLED_APPS: each call that would be held is refused",
                hint=f"Add {_APP!r} to INSTALLED_APPS, and run `python manage.py migrate`.",
                id="sideeffects.E027",
            )
        return
    for key, alias, known in (
        ("DATABASE", rules.outbox.database, settings.DATABASES),
        ("CACHE", rules.outbox.cache, settings.CACHES),
    ):
        if alias not in known:
            yield Error(
                f"SIDE_EFFECTS['OUTBOX']: {key} is {alias!r}, which {key}S does not have ({', '.join(known)})",
                id="sideeffects.E028",
            )
    for effect in registry.values():
        using = DEFAULT_DB_ALIAS if effect.on_commit is True else effect.on_commit
        if using and using != rules.outbox.database:
            yield CheckWarning(
                f"{effect.name} waits for commits on {using!r}, and its held calls are written on "
                f"{rules.outbox.database!r}: they stay if the transaction on {using!r} rolls back",
                hint="Only on the database of SIDE_EFFECTS['OUTBOX'] are held calls rolled back with the rows.",
                id="sideeffects.W006",
            )
    if find_spec("cryptography") is None:
        yield CheckWarning(
            "cryptography is not installed: calls with sensitive arguments cannot be held, and are refused",
            hint="pip install 'sideeffects[outbox]'",
            id="sideeffects.W007",
        )


def _held_by(rules: Rules) -> Iterator[str]:
    if rules.mode is Mode.HOLD:
        yield "SIDE_EFFECTS['MODE']"
    for rule in rules.policy:
        if rule.verdict is Mode.HOLD:
            yield f"SIDE_EFFECTS['POLICY'][{rule.pattern!r}]"
