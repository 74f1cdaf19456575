"""The start of a test run: effects are found by importing, and names in the settings that mean none are said."""

from __future__ import annotations

import sys


def unknown_names() -> list[str]:
    """What the settings that this run uses name and is no effect, a sentence each; effects are found first."""
    conf = sys.modules.get("django.conf")
    if conf is None or not conf.settings.configured or not sys.modules["django.apps"].apps.ready:
        return []
    from sideeffects.project import checks, live_settings  # they need Django
    from sideeffects.project.discovery import finding

    rules = live_settings.current_rules()
    if not (rules.policy or rules.force_run or rules.force_run_legacy or "sideeffects" in conf.settings.INSTALLED_APPS):
        return []
    finding.discover()
    return [problem.sentence for problem in checks.unknown_names(rules)]
