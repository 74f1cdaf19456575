"""What a test, or a fixture of several, is told of overrides that it has left open. They are closed by then."""

from __future__ import annotations

from collections.abc import Sequence

from sideeffects._core.policy.override_entry import OverrideEntry


def words(left: Sequence[OverrideEntry], whose: str) -> str:
    """In words; empty when nothing was left open.

    Args:
        left: what was still open.
        whose: what ends, such as "this test".
    """
    if not left:
        return ""
    what = "an override was" if len(left) == 1 else f"{len(left)} overrides were"
    lines = [
        f"{what} still open when {whose} ended, and would have held for the tests after it:",
        *(f"  {number}. entered at {entry.origin}\n     {_says(entry)}" for number, entry in enumerate(left, 1)),
        "Closed now. Leave it in time: by a with block, or by what closes it in the end (addCleanup, ExitStack);",
        "let threads and generators that entered it run to their end.",
    ]
    return "\n".join(lines)


def _says(entry: OverrideEntry) -> str:
    return "; ".join(rule.decision.reason for rule in entry.rules[:3])
